"""The arena over time: its content at each step, its bottleneck, and the boards that it fits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tvmtiny.codegen import Artifact
from tvmtiny.codegen.occupancy import Occupant, occupants, peak, step_label
from tvmtiny.compiler import compile, compile_like
from tvmtiny.errors.base import short_name
from tvmtiny.frontend import Model
from tvmtiny.memory import plan
from tvmtiny.memory.peak import step_bounds, without
from tvmtiny.project.capacity import memory_demands
from tvmtiny.targets import Board, Cpu, Target, boards


@dataclass(frozen=True)
class Step:
    """A row of the table.

    Attributes
    ----------
    step
        0 fills the inputs, ``i + 1`` runs layer ``i``, and the last step reads the outputs.
    label
        Description of the step.
    live
        Names of live tensors, largest first.
    bytes
        Occupied bytes of the arena; overlapping tensors count once.
    least_bytes
        Lower bound on the bytes that the live tensors need.
    peak
        Whether this step has the highest lower bound.
    """

    step: int
    label: str
    live: tuple[str, ...]
    bytes: int
    least_bytes: int
    peak: bool


@dataclass(frozen=True)
class PeakTensor:
    """A tensor that is alive at the peak.

    Attributes
    ----------
    occupant
        The tensor and its place in the arena.
    arena_without
        Bytes of the best arena without this tensor, found by a short search.
    """

    occupant: Occupant
    arena_without: int


@dataclass(frozen=True)
class BoardFit:
    """Whether arena and constants fit a board.

    Attributes
    ----------
    board, cpu
        Names of board and CPU.
    fits
        Whether they fit, not counting code, stack and application.
    arena_bytes, constants_bytes
        Sizes in bytes with the kernels for the board's CPU.
    regions
        Bytes needed and bytes available, by region.
    """

    board: str
    cpu: str
    fits: bool
    arena_bytes: int
    constants_bytes: int
    regions: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class MemoryReport:
    """A complete description of an arena.

    Attributes
    ----------
    arena_bytes, lower_bound
        Size of the arena, and proven lower bound on its size.
    step_bound
        Bytes that the peak step needs on its own. If `lower_bound` is higher, the arena is bounded
        by several steps together.
    state_bytes
        Bytes of static RAM for the model's state, besides the arena.
    external
        Whether inputs and outputs lie outside the arena.
    external_arena_bytes
        Size of the arena if inputs and outputs lay outside it; that of the arena with a front end
        that takes samples in blocks, whose input cannot.
    occupants
        All tensors in the arena.
    advice
        Suggestions for lowering the peak, most effective first.
    stream
        Layers that run row by row and in steps, see `StreamInfo.summary`; None if there are none.
    """

    model: str
    target: str
    arena_bytes: int
    lower_bound: int
    optimal: bool
    step_bound: int
    constants_bytes: int
    state_bytes: int
    external: bool
    external_arena_bytes: int
    peak_step: int
    peak_label: str
    peak_tensors: tuple[PeakTensor, ...]
    advice: tuple[str, ...]
    steps: tuple[Step, ...]
    occupants: tuple[Occupant, ...]
    boards: tuple[BoardFit, ...]
    stream: Mapping[str, Any] | None


def memory_report(
    model: Model, board: Board, others: Collection[Board] = (), **options: Any
) -> MemoryReport:
    """Plan the arena of a model for a board without building firmware.

    Parameters
    ----------
    others
        Additional boards to check, besides those that ship with tvmtiny.
    options
        Keyword arguments of `tvmtiny.compile`.

    Raises
    ------
    InputError, RamBudgetError
        Raised as by `tvmtiny.compile`.
    """
    artifact = compile(model, board.target, **options)
    if artifact.external or artifact.feed is not None:
        external = artifact.arena_bytes
    else:
        external = compile_like(
            artifact, model, artifact.target, **{**_free(options), "io": "external"}
        ).arena_bytes
    found = occupants(artifact)
    top = peak(artifact)
    tensors = tuple(PeakTensor(o, _arena_without(artifact, o.name)) for o in top.occupants)
    return MemoryReport(
        artifact.name,
        board.name,
        artifact.arena_bytes,
        artifact.plan.lower_bound,
        artifact.plan.optimal,
        top.bytes,
        artifact.constants_bytes,
        artifact.state_bytes,
        artifact.external,
        external,
        top.step,
        top.label,
        tensors,
        tuple(_advice(artifact, tensors, external)),
        tuple(_steps(artifact, found)),
        found,
        tuple(
            _fits(
                artifact,
                others,
                lambda target: compile_like(artifact, model, target, **_free(options)),
            )
        ),
        None if artifact.stream is None else artifact.stream.summary(),
    )


def memory_summary(report: MemoryReport) -> dict[str, Any]:
    """Summarize a report for ``--json``."""
    return asdict(report)


#: Options for the requested board that may be infeasible on others.
_OWN = ("ram_budget", "place", "longest_slice")


def _free(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that apply to every board."""
    return {key: value for key, value in options.items() if key not in _OWN}


def _arena_without(artifact: Artifact, name: str) -> int:
    rest = without(artifact.problem, {name})
    return plan(rest.requests, rest.overlaps, rest.insides, time_limit=1.0).total


def _steps(artifact: Artifact, found: tuple[Occupant, ...]) -> Iterator[Step]:
    bounds = step_bounds(artifact.problem)
    highest = max(bounds.values(), default=0)
    for step in range(len(artifact.layers) + 2):
        alive = sorted(
            (o for o in found if o.first <= step <= o.last), key=lambda o: (-o.bytes, o.name)
        )
        least = bounds.get(step, 0)
        yield Step(
            step,
            step_label(artifact, step),
            tuple(o.name for o in alive),
            _covered(alive),
            least,
            bool(alive) and least == highest,
        )


def _covered(alive: list[Occupant]) -> int:
    """Count the bytes that at least one tensor occupies."""
    covered = end = 0
    for occupant in sorted(alive, key=lambda o: o.offset):
        covered += max(0, occupant.end - max(end, occupant.offset))
        end = max(end, occupant.end)
    return covered


def _advice(artifact: Artifact, tensors: tuple[PeakTensor, ...], external: int) -> Iterator[str]:
    size = artifact.arena_bytes
    found = []
    if not artifact.external and external < size:
        named = [
            short_name(t.occupant.label) for t in tensors if t.occupant.kind in ("input", "output")
        ]
        at_peak = f" ({', '.join(named)} at the peak)" if named else ""
        found.append((external, f"inputs and outputs outside of the arena, --io external{at_peak}"))
    for tensor in tensors:
        kind = tensor.occupant.kind
        if tensor.arena_without >= size or kind in ("input", "output"):
            continue
        label = short_name(tensor.occupant.label)
        what = "a kernel without the" if kind == "workspace" else "a smaller or recomputed"
        found.append((tensor.arena_without, f"{what} {label}"))
    for total, what in sorted(found):
        yield f"{what}: {total:,} bytes at best, {size - total:,} less"
    if not found:
        yield "nothing alone: several steps need as much"


def _kind(cpu: Cpu) -> tuple[str, frozenset[str], int]:
    """Return the properties of a CPU on which kernels depend."""
    return cpu.architecture, cpu.features, cpu.registers


def _fits(
    artifact: Artifact, others: Collection[Board], build: Callable[[Target], Artifact]
) -> Iterator[BoardFit]:
    """Check the requested board, the additional ones and all that ship with tvmtiny."""
    asked = artifact.target.board
    assert asked is not None
    built = {_kind(artifact.target.cpu): artifact}
    more = {board.name: board for board in (asked, *others) if board.name not in boards()}
    for board in (*more.values(), *boards().values()):
        own = asked.name == board.name
        kind = _kind(board.cpu)
        if kind not in built:
            built[kind] = build(board.target)
        code = built[kind]
        if not own:
            # The placement names memory regions of the requested board.
            code = replace(code, placement=type(code.placement)())
        demands = memory_demands(code, board)
        regions = {name: (needed, board.region(name).length) for name, needed in demands.items()}
        yield BoardFit(
            board.name,
            board.cpu.name,
            all(needed <= available for needed, available in regions.values()),
            code.arena_bytes,
            code.constants_bytes,
            regions,
        )
