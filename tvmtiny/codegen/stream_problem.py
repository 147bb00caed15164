"""The memory requests of a program with segments that run row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tvmtiny.codegen.requests import alignment_of, workspace_name
from tvmtiny.codegen.row_kernels import RowKernel, RowKey
from tvmtiny.codegen.stream_info import LATER, RING, STATE, WINDOW, RingInfo, SegmentInfo
from tvmtiny.memory import Inside, Overlap, Problem, Request
from tvmtiny.streaming.segment import WINDOW as WINDOW_SLOT
from tvmtiny.streaming.segment import Event, Fill, Kind, Move, Ring, Schedule
from tvmtiny.streaming.segment_costs import Streamed, ring_bytes, segment_overlaps, sum_bytes


def ring_name(tensor: str) -> str:
    """Return the name of the request for a tensor's ring."""
    return f"{RING}{tensor}"


def later_name(tensor: str) -> str:
    """Return the name of the request for a tensor's ring after its window."""
    return f"{LATER}{tensor}"


def window_name(tensor: str) -> str:
    """Name of the request for the window over the rows of a tensor."""
    return f"{WINDOW}{tensor}"


def place_name(ring: Ring) -> str:
    """Return the name of the request with the rows of a tensor while it is written and read."""
    return window_name(ring.tensor.name) if ring.window else ring_name(ring.tensor.name)


def sums_name(step: int) -> str:
    """Return the name of the request for the sums of a pool over the whole image."""
    return f"workspace.{step}.sums"


@dataclass(frozen=True)
class RowWork:
    """A segment with the kernels that make its rows.

    Attributes
    ----------
    streamed
        The segment and its plan.
    nodes
        Index of the node of each layer.
    kernels
        The kernels of all segments.
    again
        With sliding windows, the event that starts the work on each further row; else None.
    """

    streamed: Streamed
    nodes: tuple[int, ...]
    kernels: Mapping[RowKey, tuple[RowKernel, ...]]
    again: int | None = None

    def key(self, event: Event) -> RowKey:
        """The kernel of a call."""
        return self.nodes[event.layer], event.rows, event.above, event.below, event.variant

    def kernels_of(self, layer: int) -> list[RowKernel]:
        """Return all kernels of the segment's layer `layer`, in the order of their first call."""
        events = (e for e in self.streamed.plan.events if e.layer == layer)
        keys = dict.fromkeys(self.key(e) for e in events if e.kind is Kind.CALL)
        return [kernel for key in keys for kernel in self.kernels[key]]

    def most_rows(self, layer: int, kernel: RowKernel) -> int:
        """Return the most rows that a kernel of a layer computes at a time after the first rows."""
        events = [e for e in self.streamed.plan.events if e.layer == layer and not e.above]
        calls = (e for e in events if e.kind is Kind.CALL and kernel in self.kernels[self.key(e)])
        return max((event.rows for event in calls), default=0)

    def workspaces(self, layer: int) -> Mapping[str, tuple[str, int]]:
        """Map names of a layer's workspaces to dtype and to the most bytes that a kernel needs."""
        found: dict[str, tuple[str, int]] = {}
        for row_kernel in self.kernels_of(layer):
            for w in row_kernel.kernel.workspaces:
                found[w.name] = w.dtype, max(w.size, found.get(w.name, ("", 0))[1])
        return found


def stream_problem(
    problem: Problem, works: Sequence[RowWork], state_bytes: int, last: int, fixed: frozenset[str]
) -> Problem:
    """Replace the requests of segments' layers by those that remain when they run row by row.

    Parameters
    ----------
    problem
        The problem of the program without segments.
    works
        The segments.
    state_bytes
        Bytes that record the progress of an inference.
    last
        The last step.
    fixed
        Activations that outlive their last reader: outputs and states of the model.
    """
    requests = {request.name: request for request in problem.requests}
    overlaps, insides = list(problem.overlaps), list(problem.insides)
    for work in works:
        streamed, segment = work.streamed, work.streamed.plan.segment
        first, end = streamed.begin + 1, streamed.end
        for layer in segment.layers:
            if layer.writes != segment.output:
                requests.pop(layer.writes, None)
        if segment.pushed is not None:
            requests.pop(segment.pushed, None)
        gone = {n for n in requests if n.startswith("workspace.") and first <= _step(n) + 1 <= end}
        for name in gone:
            del requests[name]
        overlaps = [
            o
            for o in overlaps
            if o.written != segment.output
            and not (o.read in segment.whole and _begins(requests.get(o.written), first, end))
        ]
        if segment.output in requests:
            begun = first if work.again is None else end
            requests[segment.output] = replace(requests[segment.output], first=begun)
        for overlap in segment_overlaps(streamed.plan):
            read = requests.get(overlap.read)
            if read is None or read.last > end:
                continue
            requests[overlap.read] = replace(read, last=end)
            if segment.output in requests and overlap.read not in fixed:
                overlaps.append(overlap)
        for name, ring in streamed.plan.rings.items():
            kept = ring_name(name)
            for begin, until in ring.spans:
                alive = first + begin, first + until
                if work.again is not None and alive == (first, end):
                    # The ring outlives the inference: the next window needs its rows.
                    alive = 0, last
                if kept in requests:
                    # The same bytes again, after layers that do not need them.
                    kept = later_name(name)
                    insides.append(Inside(kept, ring_name(name), 0))
                requests[kept] = Request(kept, ring.size, *alive, ring.tensor.alignment)
            if ring.window:
                alive = first + ring.window_first, first + ring.window_last
                window = window_name(name)
                requests[window] = Request(window, ring.window_size, *alive, ring.tensor.alignment)
        if segment.output in requests and work.again is None:
            overlaps += (o for o in _over_dead_rings(streamed.plan) if o.read in requests)
        size = sum_bytes(streamed.plan)
        if size:
            name = sums_name(end - 1)
            requests[name] = Request(name, size, first, end)
        for position in range(len(segment.layers)):
            for workspace, (dtype, bytes_) in work.workspaces(position).items():
                name = workspace_name(streamed.begin + position, workspace)
                step = first + position
                requests[name] = Request(name, bytes_, step, step, alignment_of(dtype))
    requests[STATE] = Request(STATE, state_bytes, 0, last)
    return Problem(
        tuple(requests.values()),
        tuple(o for o in overlaps if {o.written, o.read} <= requests.keys()),
        tuple(i for i in insides if {i.inner, i.outer} <= requests.keys()),
    )


def segment_info(streamed: Streamed) -> SegmentInfo:
    """Describe a segment."""
    rings = []
    for name, ring in streamed.plan.rings.items():
        layers = ring.layers(False) | (ring.layers(True) if ring.window else set())
        first, last = (streamed.begin + layer for layer in (min(layers), max(layers)))
        sizes = ring.capacity, ring.size, first, last, ring.window_size
        rings.append(RingInfo(ring_name(name), *sizes))
    plan = streamed.plan
    most = max(ring_bytes(plan, layer) for layer in range(len(plan.rows)))
    found = plan.rows, tuple(rings), most, plan.shared, streamed.peak
    return SegmentInfo(streamed.begin, streamed.end - 1, *found)


def _over_dead_rings(plan: Schedule) -> Iterator[Overlap]:
    """Yield how far the output may overlap rings and windows that its last rows do not need.

    Tensors that the output's layer reads itself are left out.
    """
    segment = plan.segment
    last_use: dict[str, int] = {}

    def use(tensor: str, slot: int | None, event: int) -> None:
        if slot is not None:
            last_use[window_name(tensor) if slot >= WINDOW_SLOT else ring_name(tensor)] = event

    for number, event in enumerate(plan.events):
        for change in event.before:
            use(change.tensor, change.slot if isinstance(change, Fill) else change.target, number)
            if isinstance(change, Move):
                use(change.tensor, change.source, number)
        if event.kind is Kind.TAKE:
            use(segment.pushed or "", event.writes, number)
            continue
        layer = segment.layers[event.layer]
        for name, slot in zip(layer.reads, event.reads, strict=False):
            use(name, slot, number)
        use(layer.writes, event.writes, number)
    row_bytes = segment.tensors[segment.output].row_bytes
    for name in plan.rings:
        if name in segment.layers[-1].reads:
            continue
        later = later_name(name), ring_name(name)
        for request, memory in ((ring_name(name),) * 2, later, (window_name(name),) * 2):
            rows = int(np.searchsorted(plan.first_write, last_use.get(memory, -1), side="right"))
            if 0 < rows < len(plan.first_write):
                yield Overlap(segment.output, request, -(-rows * row_bytes // 4) * 4)


def grouped(problem: Problem, works: Sequence[RowWork]) -> Problem:
    """Join the rings that live through a whole segment into one request, for a quick plan.

    The exact solver takes long for many requests that are all alive together, and the heuristic
    leaves gaps between them. Rings of a segment that follow each other leave no gaps.
    """
    requests, insides = list(problem.requests), list(problem.insides)
    for work in works:
        first, end = work.streamed.begin + 1, work.streamed.end
        own = {ring_name(name) for name in work.streamed.plan.rings}
        rings = [r for r in problem.requests if r.name in own and (r.first, r.last) == (first, end)]
        name, size = f"{RING}{first - 1}", 0
        for ring in rings:
            size = -(-size // ring.alignment) * ring.alignment
            insides.append(Inside(ring.name, name, size))
            size += ring.size
        if rings:
            requests.append(Request(name, size, first, end, max(r.alignment for r in rings)))
    return Problem(tuple(requests), problem.overlaps, tuple(insides))


def _step(workspace: str) -> int:
    return int(workspace.split(".", 2)[1])


def _begins(request: Request | None, first: int, end: int) -> bool:
    return request is not None and first <= request.first <= end
