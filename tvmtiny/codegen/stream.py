"""Conversion of a program to one whose segments run row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from tvmtiny import memory
from tvmtiny.codegen.arrange import Arrangement
from tvmtiny.codegen.program import Program, Value
from tvmtiny.codegen.requests import alignment_of
from tvmtiny.codegen.row_kernels import RowImplementations, RowKey, plain_instructions
from tvmtiny.codegen.stream_emit import state_bytes
from tvmtiny.codegen.stream_info import StreamInfo
from tvmtiny.codegen.stream_problem import RowWork, grouped, stream_problem
from tvmtiny.errors import InputError
from tvmtiny.errors.base import short_name
from tvmtiny.frontend.model import Model
from tvmtiny.ops import Node
from tvmtiny.schedule.shrink import Choices
from tvmtiny.streaming.plan import Choice, Planner
from tvmtiny.streaming.rows import row_rule
from tvmtiny.streaming.segment import Kind, RowTensor
from tvmtiny.streaming.segment_costs import PlanLayer, Streamed
from tvmtiny.streaming.time import obstacle

#: Without a budget: most additional instructions, as a share of the estimate for whole layers.
OVERHEAD = 0.15

#: Limit of attempts with a lower budget, needed because pieces do not always fit side by side.
_MOST_PLANS = 6


@dataclass(frozen=True, eq=False)
class StreamedProgram:
    """Segments that run row by row, and the arrangement that was planned for them."""

    arrangement: Arrangement
    works: tuple[RowWork, ...]


class ProgramStreamer:
    """Chooses the segments of a program that run row by row.

    Parameters
    ----------
    model
        Name of the model, the prefix of symbols.
    arrangement
        The program whose layers run as a whole; the order of calls is kept.
    nodes
        Nodes by the name of the activation that they produce.
    choices
        Implementations of whole nodes, by node index.
    rows
        Implementations for rows.
    pushed
        Whether the caller pushes the rows of the input.
    """

    def __init__(
        self,
        model: str,
        arrangement: Arrangement,
        nodes: Mapping[str, Node],
        choices: Choices,
        rows: RowImplementations,
        pushed: bool,
    ) -> None:
        self._model, self._arrangement, self._nodes = model, arrangement, nodes
        self._choices, self._rows = choices, rows
        program = arrangement.program
        outputs = [v.buffer for v in program.outputs if isinstance(v, Value)]
        states = [v.buffer for s in program.states for v in (s.before, s.after)]
        self._fixed = frozenset((*outputs, *states))
        self.planner = Planner(
            self._layers(program),
            _tensors(program),
            arrangement.problem,
            program.inputs[0].name if pushed else None,
            self._fixed,
        )

    def _layers(self, program: Program) -> list[PlanLayer]:
        layers = []
        for call in program.calls:
            node = self._nodes[call.output.name]
            rule = row_rule(node)
            reads = tuple(a.name for a in call.arguments if isinstance(a, Value))
            layers.append(
                PlanLayer(
                    reads,
                    call.output.name,
                    rule,
                    plain_instructions(node, self._choices.get(node.index)),
                    partial(self._rows.cost, node),
                )
            )
        return layers

    def stream(
        self, budget: int | None, overhead: float | None = OVERHEAD
    ) -> StreamedProgram | None:
        """Choose segments and plan the arena; return None if no segment is worthwhile.

        Parameters
        ----------
        budget
            Limit of the arena in bytes; the fewest instructions that fit are chosen. None: the
            fewest bytes are chosen.
        overhead
            Limit of additional instructions, see `Planner.choose`.
        """
        wanted, best = budget, None
        for _ in range(_MOST_PLANS):
            choice = self.planner.choose(wanted, overhead)
            if not choice.segments:
                return best
            found = self._planned(choice)
            if best is None or found.arrangement.plan.total < best.arrangement.plan.total:
                best = found
            if budget is None and overhead is not None and not self.saves_memory(found):
                # Segments within the overhead do not reduce the arena: take the smallest one.
                return self.stream(None, None)
            over = found.arrangement.plan.total - (budget or 0)
            if budget is None or over <= 0 or wanted is None or choice.peak > wanted:
                break
            wanted = min(wanted, choice.peak) - max(over, 4)
        return best

    def with_segments_of(self, like: StreamInfo | None) -> StreamedProgram | None:
        """Return the program with the segments of `like`; None if one of them is impossible."""
        if like is None or not like.segments:
            return None
        found = [
            self.planner.streamed(s.first, s.last + 1, s.rows, s.peak, s.shared)
            for s in like.segments
        ]
        known = tuple(streamed for streamed in found if streamed is not None)
        return self._planned(Choice(known, 0, 0)) if len(known) == len(found) else None

    def without_segments(self) -> StreamedProgram:
        """Return the program without segments, but with the state that records its progress."""
        return self._planned(Choice((), 0, 0))

    def with_sliding_windows(self) -> StreamedProgram | None:
        """Return the program with sliding windows; None if the first layers cannot slide."""
        calls = self._arrangement.program.calls
        found = self.planner.sliding(
            lambda index: obstacle(self._nodes[calls[index].output.name]) is None
        )
        if found is None:
            return None
        return self._planned(Choice((found[0],), 0, 0), found[1])

    def saves_memory(self, found: StreamedProgram) -> bool:
        """Return whether the arena is smaller than without segments."""
        return found.arrangement.plan.total < self._arrangement.plan.total

    def _planned(self, choice: Choice, again: int | None = None) -> StreamedProgram:
        works = [replace(work, again=again) for work in self._works(choice.segments)]
        program = self._arrangement.program
        problem = stream_problem(
            self._arrangement.problem,
            works,
            state_bytes(works),
            len(program.calls) + 1,
            self._fixed,
        )
        plan = memory.plan(problem.requests, problem.overlaps, problem.insides)
        if not plan.optimal:
            together = grouped(problem, works)
            other = memory.plan(together.requests, together.overlaps, together.insides)
            if other.total < plan.total:
                problem, plan = together, other
        return StreamedProgram(replace(self._arrangement, problem=problem, plan=plan), tuple(works))

    def _works(self, segments: tuple[Streamed, ...]) -> list[RowWork]:
        calls = self._arrangement.program.calls
        by_index: dict[int, Node] = {}
        unfinished = []
        keys: dict[RowKey, int | None] = {}
        for streamed in segments:
            inside = [self._nodes[c.output.name] for c in calls[streamed.begin : streamed.end]]
            by_index.update((node.index, node) for node in inside)
            work = RowWork(streamed, tuple(node.index for node in inside), {})
            unfinished.append(work)
            for event in streamed.plan.events:
                if event.kind is Kind.CALL:
                    keys[work.key(event)] = streamed.workspaces[event.layer]
        kernels = self._rows.kernels(self._model, keys, by_index) if keys else {}
        return [replace(work, kernels=kernels) for work in unfinished]


def _tensors(program: Program) -> dict[str, RowTensor]:
    found = {}
    for value in program.values.values():
        if value.buffer != value.name or value.offset or not value.nbytes:
            continue
        image = len(value.shape) == 4 and value.shape[0] == 1
        height = value.shape[1] if image else 1
        found[value.name] = RowTensor(
            value.name, height, value.nbytes // height, alignment_of(value.dtype)
        )
    return found


def check_pushed(model: Model) -> None:
    """Check that a model has exactly one input and that it can come in rows.

    Raises
    ------
    InputError
        If the model has several inputs, an input that is not an image, or states.
    """
    graph = model.graph
    shapes = [t.shape for t in graph.inputs]
    reason = None
    if len(shapes) != 1:
        reason = f"it has {len(shapes)} inputs, and only rows of one can be pushed"
    elif len(shapes[0]) != 4 or shapes[0][0] != 1:
        reason = (
            f"its input of shape {list(shapes[0])} is not an image [1, height, width, channels]"
        )
    elif graph.states:
        reason = "it keeps states from one run to the next"
    if reason is not None:
        raise InputError(
            f"the input of {model.name} cannot come in rows: {reason}; use stream inside or none"
        )


def pushed_rows_error(model: Model, program: Program, nodes: Mapping[str, Node]) -> InputError:
    """Return the error for an input that no segment begins with; it names the first obstacle."""
    stop = ""
    for call in program.calls:
        node = nodes[call.output.name]
        if row_rule(node) is None:
            stop = f" {node.where} cannot make single rows;"
            break
    return InputError(
        f"the input of {model.name} cannot come in rows: its first layers have to run row by row, "
        f"up to one whose output is all that later layers need;{stop} use stream inside or none"
    )


def sliding_windows_error(model: Model, program: Program, nodes: Mapping[str, Node]) -> InputError:
    """Return the error for windows that cannot slide; it names all layers that prevent it.

    Layers after the one that makes a single row, or a vector, need not slide.
    """
    found = []
    for call in program.calls:
        node = nodes[call.output.name]
        if len(node.output.shape) != 4:
            break
        stop = obstacle(node)
        if stop is not None:
            name = short_name(node.output.name)
            found.append(f"{node.operator} #{node.index} ({name}) {stop.reason}")
        if node.output.shape[1] == 1:
            break
    reasons = "; ".join(found) or "no layer makes a single row of the whole window"
    return InputError(
        f"windows over the input of {model.name} cannot slide: {reasons}; or use stream rows"
    )
