"""Profile an inference: instructions and estimated cycles of every layer.

The real firmware is executed in Unicorn, or in QEMU if Unicorn does not support the CPU, and the
executions of its basic blocks are counted. The cost of each block follows from the timings in the
core's technical reference manual. Instructions are exact. Cycles are estimates (see
`Profile.assumptions`), and are not available for a core without a table of timings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvmtiny.codegen.tensors import split_layers
from tvmtiny.emulation.cycles import (
    Block,
    BlockCost,
    Timings,
    block_cost,
    edges_cost,
    timed_cores,
    timings,
)
from tvmtiny.emulation.unicorn_cpu import can_emulate
from tvmtiny.emulation.unicorn_machine import Region, Trace, emulate
from tvmtiny.errors import DeviceError, InputError, ProfileBoardError
from tvmtiny.project.qemu.tracing import trace_in_qemu
from tvmtiny.report.firmware import built_firmware
from tvmtiny.running import run_firmware
from tvmtiny.targets import boards
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    import numpy as np

    from tvmtiny.codegen import Artifact
    from tvmtiny.codegen.artifact import LayerInfo
    from tvmtiny.results import Firmware, RunResult
    from tvmtiny.targets import Board

__all__ = [
    "Cost",
    "LayerProfile",
    "Profile",
    "TotalProfile",
    "can_profile",
    "profilable_boards",
    "profile",
    "profile_firmware",
]

#: Host seconds after which an emulation counts as hung; it is about ten times slower than QEMU.
DEFAULT_TIMEOUT = 600.0

_PLATFORM = "qemu"


@dataclass(frozen=True)
class Cost:
    """The cost of a part of the program.

    Attributes
    ----------
    instructions
        Number of executed instructions, exact.
    estimated_cycles
        Estimated processor cycles; None if there are no timings.
    flash_read_bytes, ram_read_bytes
        Bytes loaded from flash and from RAM, not counting instruction fetches; None if the
        emulation does not count them, and for the run function itself.
    """

    instructions: int
    estimated_cycles: int | None
    flash_read_bytes: int | None = None
    ram_read_bytes: int | None = None


@dataclass(frozen=True)
class LayerProfile:
    """The profile of a layer: its kernel and the library functions that the kernel calls.

    Attributes
    ----------
    index, operator, name, kernel, schedule
        As in `tvmtiny.codegen.LayerInfo`.
    macs
        Number of multiply-accumulate operations.
    instructions, estimated_cycles
        See `Cost`.
    instructions_per_mac, cycles_per_mac
        None for a layer without multiplications; cycles are estimated.
    share
        Share of the whole inference's estimated cycles, 0 to 1; without timings, of its
        instructions.
    weights_bytes
        Bytes of constants that the layer reads.
    flash_read_bytes, ram_read_bytes
        See `Cost`.
    """

    index: int
    operator: str
    name: str
    macs: int
    instructions: int
    estimated_cycles: int | None
    instructions_per_mac: float | None
    cycles_per_mac: float | None
    share: float
    weights_bytes: int
    schedule: str
    kernel: str
    flash_read_bytes: int | None = None
    ram_read_bytes: int | None = None


@dataclass(frozen=True)
class TotalProfile:
    """The profile of one inference, from entry to return of the generated run function.

    Attributes
    ----------
    macs, instructions, estimated_cycles, instructions_per_mac, cycles_per_mac
        As in `LayerProfile`.
    weights_bytes, arena_bytes
        Sizes of the generated code's constants and arena, in bytes.
    qemu_instructions
        QEMU's count for the same inference; None if QEMU was not run.
    flash_read_bytes, ram_read_bytes
        Sums over all layers; see `Cost`.
    """

    macs: int
    instructions: int
    estimated_cycles: int | None
    instructions_per_mac: float | None
    cycles_per_mac: float | None
    weights_bytes: int
    arena_bytes: int
    qemu_instructions: int | None = None
    flash_read_bytes: int | None = None
    ram_read_bytes: int | None = None


@dataclass(frozen=True)
class Profile:
    """The cost of an inference, by layer.

    Attributes
    ----------
    model, board, cpu
        Names of model, board and CPU.
    layers
        Layers in execution order.
    entry
        Cost of the run function itself: checks, calls, and copies of inputs and outputs. Together
        with the layers, it adds up to `total`.
    manual
        Source of the timings; None if there are none.
    assumptions
        Assumptions behind the estimate.
    unlisted
        Executed instructions without a timing by name; each counts as one cycle.
    front_end
        Share of the front end, defined like `LayerProfile.share`; None without a front end.
    """

    model: str
    board: str
    cpu: str
    layers: tuple[LayerProfile, ...]
    entry: Cost
    total: TotalProfile
    manual: str | None
    assumptions: tuple[str, ...]
    unlisted: Mapping[str, int]
    front_end: float | None = None


def profilable_boards() -> tuple[str, ...]:
    """Return the sorted names of the boards that `profile` supports."""
    return tuple(name for name, board in boards().items() if can_profile(board))


def can_profile(board: Board) -> bool:
    """Whether `profile` supports a board."""
    decodes = find_architecture(board.cpu.architecture).decode is not None
    return board.platform == _PLATFORM and decodes


def _check(board: Board) -> None:
    if not can_profile(board):
        raise ProfileBoardError(board.name, board.cpu.name, profilable_boards())


def profile(
    artifact: Artifact,
    *inputs: np.ndarray,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Callable[[str], None] | None = None,
) -> Profile:
    """Build firmware around `artifact`, run it in QEMU and in Unicorn, and profile it.

    Parameters
    ----------
    artifact
        Model compiled for a board.
    inputs
        One array for each input of the model, of its shape and dtype.
    timeout
        Time limit of each of the two runs in seconds of host time.
    progress
        Called with a short description before each step.

    Raises
    ------
    InputError
        The artifact was not compiled for a board, or `timeout` is not positive.
    ProfileBoardError
        The board cannot be profiled.
    DeviceError
        The firmware failed, or Unicorn's results differ from QEMU's.
    CapacityError, ToolMissingError, BuildError, InputDataError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    board = artifact.target.board
    if board is None:
        raise InputError(
            f"the code was compiled for the CPU {artifact.target.cpu.name}, not for a board; "
            f"compile it for one of {', '.join(profilable_boards())}"
        )
    _check(board)
    # The negated comparison also rejects NaN.
    if not timeout > 0:
        raise InputError(f"a timeout of {timeout:g} s leaves no time to run; give more than 0")
    tell = progress or (lambda _: None)
    tell(f"building firmware for {board.name}")
    with built_firmware(artifact, board) as firmware:
        tell(f"running on {board.name}")
        result = run_firmware(firmware, inputs, timeout)
        tell(f"executing in {'Unicorn' if can_emulate(board.cpu) else 'QEMU'}")
        return profile_firmware(firmware, inputs, timeout, result)


def profile_firmware(
    firmware: Firmware,
    inputs: Sequence[np.ndarray],
    timeout: float = DEFAULT_TIMEOUT,
    result: RunResult | None = None,
) -> Profile:
    """Execute firmware in Unicorn and profile it.

    Parameters
    ----------
    firmware
        Firmware of the QEMU platform.
    inputs, timeout
        As in `profile`.
    result
        Result of QEMU for the same inputs, which Unicorn must reproduce; None to skip the
        comparison.

    Raises
    ------
    ProfileBoardError, DeviceError, InputDataError
        As in `profile`.
    """
    project = firmware.project
    _check(project.board)
    run = emulate if can_emulate(project.board.cpu) else trace_in_qemu
    cpu = project.board.cpu.name
    trace = run(firmware, inputs, timeout)
    if result is not None:
        _compare(trace, result, project.artifact)
    return _profile(
        project.artifact,
        project.board,
        trace,
        timings(cpu) if cpu in timed_cores() else None,
        None if result is None else result.instructions,
    )


def _compare(trace: Trace, result: RunResult, artifact: Artifact) -> None:
    outputs = b"".join(output.data.tobytes() for output in result.outputs)
    layers = b"".join(layer.tobytes() for layer in result.layers)
    traced = b"".join(layer.tobytes() for layer in split_layers(trace.layer_output, artifact))
    if (trace.output, traced) != (outputs, layers):
        raise DeviceError(
            f"Unicorn computes different outputs of {result.model} than QEMU on {result.board}, so "
            "its counts cannot be trusted; tvmtiny run --check shows which is right"
        )


def _profile(
    artifact: Artifact,
    board: Board,
    trace: Trace,
    table: Timings | None,
    qemu_instructions: int | None,
) -> Profile:
    decode = find_architecture(board.cpu.architecture).decode
    assert decode is not None
    blocks = {
        block: block_cost(decode(code, _address(block)), table)
        for block, code in trace.code.items()
    }
    whole = _cost(trace.inference, blocks, table)
    costs = [_cost(region, blocks, table) for region in trace.layers]
    layers = tuple(
        _layer(layer, cost, whole) for layer, cost in zip(artifact.layers, costs, strict=True)
    )
    macs = artifact.macs
    return Profile(
        artifact.name,
        board.name,
        board.cpu.name,
        layers,
        Cost(
            whole.instructions - sum(cost.instructions for cost in costs),
            None
            if whole.estimated_cycles is None
            else whole.estimated_cycles - sum(cost.estimated_cycles or 0 for cost in costs),
        ),
        TotalProfile(
            macs,
            whole.instructions,
            whole.estimated_cycles,
            _per_mac(whole.instructions, macs),
            _per_mac(whole.estimated_cycles, macs),
            artifact.constants_bytes,
            artifact.arena_bytes,
            qemu_instructions,
            whole.flash_read_bytes,
            whole.ram_read_bytes,
        ),
        None if table is None else table.manual,
        () if table is None else table.assumptions,
        _unlisted(trace.inference, blocks),
        _front_end_share(artifact, layers),
    )


def _front_end_share(artifact: Artifact, layers: Sequence[LayerProfile]) -> float | None:
    if artifact.feed is None:
        return None
    nodes = artifact.graph.nodes[: artifact.feed.feed.nodes]
    tensors = {tensor.index for node in nodes for tensor in node.outputs}
    pairs = zip(artifact.layers, layers, strict=True)
    return sum(found.share for layer, found in pairs if layer.tensor in tensors)


def _layer(layer: LayerInfo, cost: Cost, whole: Cost) -> LayerProfile:
    if cost.estimated_cycles is None or whole.estimated_cycles is None:
        share = cost.instructions / whole.instructions
    else:
        share = cost.estimated_cycles / whole.estimated_cycles
    return LayerProfile(
        layer.index,
        layer.operator,
        layer.name,
        layer.macs,
        cost.instructions,
        cost.estimated_cycles,
        _per_mac(cost.instructions, layer.macs),
        _per_mac(cost.estimated_cycles, layer.macs),
        share,
        layer.constants_bytes,
        layer.schedule,
        layer.kernel,
        cost.flash_read_bytes,
        cost.ram_read_bytes,
    )


def _address(block: Block) -> int:
    return block & 0xFFFFFFFF


def _cost(region: Region, blocks: Mapping[Block, BlockCost], table: Timings | None) -> Cost:
    counts = edges_cost(region.edges, blocks, table, region.split_loads)
    if not region.flash_bytes and not region.ram_bytes:
        return Cost(*counts)
    return Cost(*counts, region.flash_bytes, region.ram_bytes)


def _unlisted(region: Region, blocks: Mapping[Block, BlockCost]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for (block, _), count in region.edges.items():
        for name, times in blocks[block].unlisted.items():
            found[name] += count * times
    return dict(sorted(found.items()))


def _per_mac(amount: int | None, macs: int) -> float | None:
    return amount / macs if macs and amount is not None else None
