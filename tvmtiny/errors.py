"""The exceptions of tvmtiny: one tree, each class with fields and one clear message.

The command line prints the message on one line and exits with the class's ``exit_code``:

====  =========================  ============================================================
Code  Class                      Meaning
====  =========================  ============================================================
1     :class:`TvmtinyError`      Any other error of tvmtiny.
2     :class:`InputError`        The model, the input data, a name or a path given is not usable.
3     :class:`CapacityError`     The model does not fit the memory of the board.
3     :class:`RamBudgetError`    The model does not fit the RAM that was allowed.
4     :class:`ToolMissingError`  A compiler or an emulator is not installed.
5     :class:`BuildError`        The compiler or the linker refused the generated project.
6     :class:`DeviceError`       The firmware faulted, timed out or answered nonsense.
7     :class:`CheckError`        The firmware ran, but its results differ from the reference.
====  =========================  ============================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

__all__ = [
    "BuildError",
    "CapacityError",
    "CheckError",
    "DeviceError",
    "DeviceFaultError",
    "DeviceTimeoutError",
    "DynamicRangeModelError",
    "DynamicShapeError",
    "InputDataError",
    "InputError",
    "ModelFormatError",
    "OperatorProblem",
    "OutputPathError",
    "ProfileBoardError",
    "RamBudgetError",
    "RegionDemand",
    "ToolMissingError",
    "TvmtinyError",
    "UnknownTargetError",
    "UnsupportedModelError",
]


def _restore(cls: type[TvmtinyError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


def _one_line(text: object) -> str:
    """Collapse white space, so that text from elsewhere cannot break the one-line rule."""
    return " ".join(str(text).split())


class TvmtinyError(Exception):
    """Base of every error that tvmtiny raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own reduction calls the class with `args`, which keyword fields never reach;
        # errors have to survive the trip from a worker process.
        return _restore, (type(self), self.args, dict(self.__dict__))


class InputError(TvmtinyError):
    """Something that the user gave is not usable."""

    exit_code = 2


@dataclass(eq=False)
class ModelFormatError(InputError):
    """A file is not a readable TFLite model.

    Attributes
    ----------
    path
        The file that was read.
    reason
        What is wrong with it.
    """

    path: str | os.PathLike[str]
    reason: str

    def __str__(self) -> str:
        return (
            f"{os.fspath(self.path)} is not a usable TFLite model: {_one_line(self.reason)}; "
            "give a .tflite file as written by the TFLite converter"
        )


@dataclass(frozen=True)
class OperatorProblem:
    """Why one operator of a model cannot be compiled.

    Attributes
    ----------
    operator
        TFLite name of the operator, such as ``CONV_2D``.
    index
        Position of the operator in the model.
    tensor
        Name of the tensor that shows where it is (normally the operator's output).
    reason
        What is not supported.
    allowed
        What would be; empty when there is nothing to suggest.
    """

    operator: str
    index: int
    tensor: str
    reason: str
    allowed: str = ""

    def __str__(self) -> str:
        text = (
            f"operator {self.index} {self.operator} (tensor {self.tensor!r}): "
            f"{_one_line(self.reason)}"
        )
        return f"{text}; allowed: {_one_line(self.allowed)}" if self.allowed else text


@dataclass(eq=False)
class UnsupportedModelError(InputError):
    """A model has operators that cannot be compiled; all of them are listed.

    Attributes
    ----------
    problems
        One entry an operator, in the order of the model.
    """

    problems: tuple[OperatorProblem, ...]

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"the model has {count} unsupported operator{'s' if count != 1 else ''}"
        tail = "convert the model without them, or see docs/operators.md for what is supported"
        if count == 1:
            return f"{head}: {self.problems[0]}; {tail}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        return f"{head} ({tail}):{lines}"


@dataclass(eq=False)
class DynamicRangeModelError(InputError):
    """A model has int8 weights but computes in float ("dynamic range" quantization).

    Attributes
    ----------
    operator
        TFLite name of the first such operator.
    tensor
        Name of its quantized weight tensor.
    """

    operator: str
    tensor: str

    def __str__(self) -> str:
        return (
            f"this is a dynamic-range model: {self.operator} has quantized weights "
            f"({self.tensor!r}) and float activations; convert it again either fully quantized "
            "(give the converter a representative_dataset and TFLITE_BUILTINS_INT8) or as plain "
            "float32 (without optimizations)"
        )


@dataclass(eq=False)
class DynamicShapeError(InputError):
    """A tensor has a dimension that is only known when the model runs.

    Attributes
    ----------
    tensor
        Name of the tensor.
    shape
        Its shape, with -1 for an unknown dimension.
    """

    tensor: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        shape = "x".join("?" if size < 0 else str(size) for size in self.shape)
        return (
            f"tensor {self.tensor!r} has the dynamic shape {shape}; every dimension must be "
            "fixed: convert the model again with a fixed input shape (batch size 1)"
        )


@dataclass(eq=False)
class UnknownTargetError(InputError):
    """A name is neither a board nor a CPU.

    Attributes
    ----------
    name
        The name given.
    known
        Every name allowed there.
    nearest
        The allowed names that look most like it, best first; may be empty.
    """

    name: str
    known: tuple[str, ...]
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"there is no target {_one_line(self.name)!r}"
        if self.nearest:
            text += f"; did you mean {' or '.join(self.nearest)}?"
        return f"{text}{'' if self.nearest else ';'} known: {', '.join(self.known)}"


@dataclass(eq=False)
class ProfileBoardError(InputError):
    """Cycles cannot be estimated on a board.

    Attributes
    ----------
    board, cpu
        Names of the board and its processor.
    supported
        Names of the boards that allow it.
    """

    board: str
    cpu: str
    supported: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"cannot profile on {self.board}: Unicorn does not emulate its {self.cpu}, or the "
            "core has no table of instruction timings; boards that can be profiled: "
            f"{', '.join(self.supported)}"
        )


@dataclass(eq=False)
class InputDataError(InputError):
    """Data for an input of the model has the wrong shape, dtype or content.

    Attributes
    ----------
    name
        Name of the input (or the file it came from).
    reason
        What is wrong, in a few words.
    expected
        What is allowed, for example ``int8 (1, 49, 10, 1)``.
    got
        What was given.
    """

    name: str
    reason: str
    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"input {self.name!r}: {_one_line(self.reason)}; expected {_one_line(self.expected)}, "
            f"got {_one_line(self.got)}"
        )


@dataclass(eq=False)
class OutputPathError(InputError):
    """Results cannot be written where they were asked for.

    Attributes
    ----------
    path
        The file or directory.
    reason
        Why not.
    """

    path: str | os.PathLike[str]
    reason: str

    def __str__(self) -> str:
        return (
            f"cannot write to {os.fspath(self.path)}: {_one_line(self.reason)}; "
            "give a directory that you may write to"
        )


@dataclass(frozen=True)
class RegionDemand:
    """What a model needs of one memory region.

    Attributes
    ----------
    region
        Name of the region on the board.
    needed, available
        Sizes in bytes.
    """

    region: str
    needed: int
    available: int

    def __str__(self) -> str:
        return f"{self.region} needs {self.needed:,} bytes of {self.available:,} available"


@dataclass(eq=False)
class CapacityError(TvmtinyError):
    """A model does not fit the memory of a board.

    Attributes
    ----------
    region
        Name of the (first) region that is too small.
    needed, available
        Its sizes in bytes.
    board
        Name of the board.
    others
        The board's other regions, whether they are too small or not.
    """

    exit_code = 3
    region: str
    needed: int
    available: int
    board: str
    others: tuple[RegionDemand, ...] = ()

    @property
    def regions(self) -> tuple[RegionDemand, ...]:
        """Every region that was looked at, the one too small first."""
        return (RegionDemand(self.region, self.needed, self.available), *self.others)

    def __str__(self) -> str:
        return (
            f"the model does not fit {self.board}: "
            f"{', '.join(str(region) for region in self.regions)}; choose a board with more "
            "memory or a smaller model"
        )


@dataclass(eq=False)
class RamBudgetError(TvmtinyError):
    """The smallest arena of a model is larger than what was allowed.

    Attributes
    ----------
    model
        Name of the model.
    budget, needed
        Bytes that were allowed, and those of the smallest arena that was found.
    lower_bound
        Proven: no arena for these kernels is smaller.
    where
        The layer that bounds it.
    tensors
        Names and bytes of what is alive there.
    external
        What would be needed with inputs and outputs outside of the arena; None where they are.
    """

    exit_code = 3
    model: str
    budget: int
    needed: int
    lower_bound: int
    where: str
    tensors: tuple[tuple[str, int], ...]
    external: int | None = None

    def __str__(self) -> str:
        proven = (
            "which is proven to be the smallest"
            if self.lower_bound == self.needed
            else f"and at least {self.lower_bound:,} in any plan"
        )
        alive = ", ".join(f"{_one_line(name)} {size:,}" for name, size in self.tensors)
        external = (
            ""
            if self.external is None or self.external >= self.needed
            else f"; with inputs and outputs outside of it (io external), {self.external:,}"
        )
        return (
            f"the arena of {self.model} needs {self.needed:,} bytes, {proven}: "
            f"{self.needed - self.budget:,} more than the budget of {self.budget:,}; "
            f"{self.where} bounds it, where these are alive: {alive}{external}; "
            "allow more, or use a smaller model"
        )


@dataclass(eq=False)
class ToolMissingError(TvmtinyError):
    """A program or Python package that a step needs is not installed.

    Attributes
    ----------
    tool
        Its name.
    package
        Package that holds it.
    why
        What it is needed for.
    installer
        Program that installs the package: apt-get on Debian and Ubuntu, pip for Python packages.
    """

    exit_code = 4
    tool: str
    package: str
    why: str
    installer: Literal["apt-get", "pip"] = "apt-get"

    def __str__(self) -> str:
        return (
            f"{self.tool} is not installed, needed {_one_line(self.why)}; install it with: "
            f"{self.installer} install {self.package}"
        )


@dataclass(eq=False)
class BuildError(TvmtinyError):
    """A compiler or linker failed.

    Attributes
    ----------
    command
        The command, as the list of its arguments.
    log_path
        File with everything that the command printed.
    first_error_line
        The first line of that file that names an error.
    """

    exit_code = 5
    command: tuple[str, ...]
    log_path: str | os.PathLike[str]
    first_error_line: str

    def __str__(self) -> str:
        tool = Path(self.command[0]).name if self.command else "the compiler"
        return (
            f"{tool} failed: {_one_line(self.first_error_line)}; "
            f"its whole output is in {os.fspath(self.log_path)}"
        )


class DeviceError(TvmtinyError):
    """Firmware was started, but did not come back with usable results."""

    exit_code = 6


@dataclass(eq=False)
class DeviceFaultError(DeviceError):
    """The processor raised a fault while it ran the model.

    Attributes
    ----------
    fault
        Kind and cause, such as ``BusFault, precise data access at 0x60000000``.
    pc, lr
        Program counter and link register at the fault; None where they could not be saved.
    function
        Function that `pc` lies in; None when unknown.
    layer
        The model's layer that ran, such as ``layer 3 CONV_2D (conv_1)``; None outside of layers.
    registers
        Further registers by name.
    advice
        What to do about it.
    """

    fault: str
    pc: int | None = None
    lr: int | None = None
    function: str | None = None
    layer: str | None = None
    registers: Mapping[str, int] = field(default_factory=dict)
    advice: str = (
        "look the address up in the generated sources, and report it if they are unchanged"
    )

    def __str__(self) -> str:
        where = "at an unknown place" if self.pc is None else f"at pc {self.pc:#010x}"
        if self.function is not None:
            where += f" in {self.function}"
        if self.lr is not None:
            where += f" (lr {self.lr:#010x})"
        where += f", in {self.layer}" if self.layer is not None else ", outside of any layer"
        registers = " ".join(f"{name}={value:#010x}" for name, value in self.registers.items())
        return (
            f"the firmware faulted: {_one_line(self.fault)}, {where}"
            f"{f' [{registers}]' if registers else ''}; {self.advice}"
        )


@dataclass(eq=False)
class DeviceTimeoutError(DeviceError):
    """The firmware did not finish in time.

    Attributes
    ----------
    seconds
        The limit, in seconds of host time.
    board
        Name of the board.
    """

    seconds: float
    board: str

    def __str__(self) -> str:
        return (
            f"{self.board} did not finish within {self.seconds:g} s; allow more time, "
            "or look for an endless loop"
        )


@dataclass(eq=False)
class CheckError(TvmtinyError):
    """Results on the device differ from those of the reference.

    Attributes
    ----------
    oracle
        Name of the reference, such as ``litert``.
    mismatched_bytes
        Bytes of the outputs that differ.
    layers_compared, layers_exact
        Number of layers looked at, and of those equal to the reference.
    first_mismatch
        The first layer that differs, in words; None when only the outputs do.
    """

    exit_code = 7
    oracle: str
    mismatched_bytes: int
    layers_compared: int
    layers_exact: int
    first_mismatch: str | None = None

    def __str__(self) -> str:
        first = f", first in {_one_line(self.first_mismatch)}" if self.first_mismatch else ""
        return (
            f"results differ from {self.oracle}: {self.mismatched_bytes} bytes of the outputs, "
            f"{self.layers_compared - self.layers_exact} of {self.layers_compared} layers{first}; "
            "the first differing layer is the place to look"
        )
