"""`Artifact`: the generated code of a model and all facts about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import IRModule

from tvmtiny.codegen.placement import Placement
from tvmtiny.codegen.stream_info import StreamInfo, StreamMode
from tvmtiny.errors import InputError
from tvmtiny.frontend.feed import Feed
from tvmtiny.frontend.reader import Graph
from tvmtiny.frontend.training import Training
from tvmtiny.memory import Plan, Problem
from tvmtiny.ops.shared.quantization import INTEGER_RANGES, round_half_away
from tvmtiny.targets import Target


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the model.

    Attributes
    ----------
    name
        TFLite's tensor name.
    c_name
        The field of the generated structs, see `interface_names`.
    shape
        Shape of the tensor, including the batch.
    dtype
        Element type, such as ``int8``.
    bytes
        Size of the tensor in bytes.
    offset
        Offset in the arena in bytes; None if the caller provides the memory.
    scale, zero_point
        Quantization parameters; None if the tensor is not quantized.
    """

    name: str
    c_name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int | None
    scale: float | None
    zero_point: int | None

    def quantize(self, real: npt.ArrayLike) -> np.ndarray:
        """Quantize real numbers to this tensor's dtype, as the generated ``..._quantize_...`` does.

        The result is ``round(real / scale) + zero_point`` in float32, with halves rounded away
        from zero, and saturated. This is LiteRT's QUANTIZE, which leaves values far beyond the
        range undefined. Here infinities saturate too, and NaN gives the lowest value.

        Parameters
        ----------
        real
            Array of any shape; it is converted to float32.

        Returns
        -------
        np.ndarray
            Array of the same shape and of this tensor's `dtype`.

        Raises
        ------
        InputError
            If the tensor has no scale.
        """
        scale, zero_point = self._quantization()
        low, high = INTEGER_RANGES[self.dtype]
        least, most = np.float32(low - zero_point), np.float32(high - zero_point)
        with np.errstate(all="ignore"):
            steps = np.asarray(real, np.float32) / np.float32(scale)
            limited = np.where(steps > least, np.minimum(steps, most), least)
        return (round_half_away(limited).astype(np.int32) + zero_point).astype(self.dtype)

    def dequantize(self, values: npt.ArrayLike) -> np.ndarray:
        """Convert values of this tensor to real numbers, as ``..._dequantize_...`` does.

        The result is ``scale * (value - zero_point)``, rounded once to float32: LiteRT's
        DEQUANTIZE.

        Parameters
        ----------
        values
            Integers of any shape that `dtype` can hold.

        Returns
        -------
        np.ndarray
            float32 array of the same shape.

        Raises
        ------
        InputError
            If the tensor has no scale, or `dtype` cannot hold one of the values.
        """
        scale, zero_point = self._quantization()
        given = np.asarray(values)
        whole = given.astype(np.int32) if given.dtype.kind in "iu" else None
        if whole is None or not np.array_equal(whole.astype(self.dtype), given):
            raise InputError(
                f"the values to dequantize for {self.c_name} are not {self.dtype}; give integers "
                "in its range"
            )
        return (whole - np.int32(zero_point)).astype(np.float32) * np.float32(scale)

    def real(self, values: np.ndarray) -> np.ndarray:
        """Dequantize the values of a quantized tensor; return other values unchanged.

        Parameters
        ----------
        values
            Array of any shape, of this tensor's `dtype`.

        Returns
        -------
        np.ndarray
            float32 array of the same shape, or `values` if the tensor has no scale.
        """
        return values if self.scale is None else self.dequantize(values)

    def _quantization(self) -> tuple[float, int]:
        if self.scale is None or self.zero_point is None:
            raise InputError(
                f"{self.c_name} is {self.dtype} without one scale for the whole tensor: there is "
                "nothing to quantize; use its values as they are"
            )
        return self.scale, self.zero_point


@dataclass(frozen=True)
class StateInfo:
    """A state: a tensor whose value the model keeps from one run to the next.

    Attributes
    ----------
    name
        Name of the variable.
    tensor
        Index of the tensor that holds the state at the start of a run.
    bytes, offset
        Size, and offset in the memory of all states, in bytes.
    """

    name: str
    tensor: int
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int


@dataclass(frozen=True)
class LayerInfo:
    """One kernel call.

    Attributes
    ----------
    index
        Position in the order of execution.
    operator, name
        TFLite's operator, and the name of its output tensor.
    tensor
        TFLite's index of the output tensor.
    shape, dtype, bytes, offset
        Properties of the output. The offset is in the arena; None if the caller provides the
        memory.
    kernel
        The C function; empty for a concatenation whose inputs were all produced in place.
    macs
        Multiply-accumulate operations.
    constants_bytes
        Bytes of the weights and tables that this layer reads.
    workspace_bytes
        Arena bytes that only this layer uses.
    schedule
        Description of the schedule.
    reads, writes
        Names of the activations' requests in the plan. An activation without a request lies in
        memory of the caller.
    kept_channels
        The channels of TFLite's tensor, along its last dimension, that the output holds; None if
        it holds all of them.
    tuned
        Whether the schedule comes from a tuned record.
    """

    index: int
    operator: str
    name: str
    tensor: int
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int | None
    kernel: str
    macs: int
    constants_bytes: int
    workspace_bytes: int
    schedule: str
    reads: tuple[str, ...]
    writes: str
    kept_channels: tuple[int, ...] | None = None
    tuned: bool = False


@dataclass(frozen=True)
class FeedInfo:
    """The function that takes samples and returns events.

    Attributes
    ----------
    feed
        The parameters of the function.
    bytes
        Static RAM of the function, in addition to the arena and the states.
    cycles
        Estimated cycles of a call that completes a decision.
    """

    feed: Feed
    bytes: int
    cycles: int

    def summary(self) -> dict[str, Any]:
        """Return the entries of ``--json``."""
        feed = asdict(self.feed)
        return {
            "front_end": feed.pop("front_end"),
            "milliseconds": self.feed.milliseconds,
            **{k: v for k, v in feed.items() if k not in ("nodes", "early_state")},
            "feed_bytes": self.bytes,
            "longest_feed_estimated_cycles": self.cycles,
        }


@dataclass(frozen=True, eq=False)
class Artifact:
    """Generated C for one model and one target.

    Attributes
    ----------
    name
        A C identifier; every global symbol begins with ``tvmtiny_<name>``.
    target
        The CPU or board that the code was generated for.
    oracle
        The reference whose rounding the code reproduces: ``litert`` or ``tflm``.
    files
        File name to text: header, entry point, kernels, and the shared ``tvmtiny.h``.
    graph
        The nodes that the code was generated from: the model's graph after all graph passes.
    inputs, outputs
        The model's inputs and outputs.
    layers
        The kernel calls in the order of execution.
    states
        The tensors whose values the model keeps from one run to the next.
    state_bytes
        Bytes of static RAM for the states; they are not part of the arena.
    external
        Whether inputs and outputs lie in memory of the caller.
    placement
        Memory regions of the board for arena and constants.
    plan
        Offsets of all buffers in the arena.
    problem
        The problem that the plan solves: step 0 fills the inputs, step ``i + 1`` is layer ``i``.
    arena_bytes
        Bytes of activations, workspaces, and of inputs and outputs unless they are external. The
        arena and the states are the generated code's only static RAM.
    constants_bytes
        Bytes of weights and tables in flash.
    module
        The Relax and TIR that the code was generated from.
    parameters
        Constants by C name, in TVM's parameter format.
    stream
        The segments that run row by row; None if every layer runs as a whole.
    feed
        The function that takes samples in blocks; None without a front end.
    training
        The layer that is trained on the device; None if there is none.
    """

    name: str
    target: Target
    oracle: str
    files: Mapping[str, str]
    graph: Graph
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[LayerInfo, ...]
    states: tuple[StateInfo, ...]
    state_bytes: int
    external: bool
    placement: Placement
    plan: Plan
    problem: Problem
    arena_bytes: int
    constants_bytes: int
    module: IRModule
    parameters: bytes
    stream: StreamInfo | None = None
    feed: FeedInfo | None = None
    training: Training | None = None

    @property
    def relax(self) -> str:
        """The module as a script; printing it takes about as long as generating the C."""
        return self.module.script()

    @property
    def pieces(self) -> tuple[tuple[int, int], ...]:
        """Layer and output bytes of each piece of work that a layer-by-layer run reports."""
        if self.stream is not None:
            return self.stream.pieces
        return tuple((layer.index, layer.bytes) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference."""
        return sum(layer.macs for layer in self.layers)


#: The layer index that firmware reports while no layer runs.
NO_LAYER = 0xFFFFFFFF


def layer_text(layers: Sequence[LayerInfo], index: int) -> str | None:
    """Name a layer by its index; return None for :data:`NO_LAYER` and other invalid indices."""
    if not 0 <= index < len(layers):
        return None
    layer = layers[index]
    return f"layer {index} {layer.operator} ({layer.name})"


def layer_functions(artifact: Artifact) -> tuple[str, ...]:
    """Return the names of the generated functions that only layer-by-layer runs call."""
    names = ("run_layers", "run_layer", "layer")
    return tuple(f"tvmtiny_{artifact.name}_{name}" for name in names)


def inference_function(artifact: Artifact) -> str:
    """Return the function that the harness measures.

    This is the run function; with sliding windows, the harness's own function for one row.
    """
    if artifact.stream is not None and artifact.stream.mode is StreamMode.TIME:
        return "push_last_row"
    return f"tvmtiny_{artifact.name}_run"


def model_identity(artifact: Artifact) -> bytes:
    """Return eight bytes that identify the generated code of a model."""
    digest = hashlib.sha256()
    for name, text in sorted(artifact.files.items()):
        for part in (name.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()[:8]
