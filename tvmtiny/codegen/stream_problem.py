"""The memory requests of a program with segments that run row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tvmtiny.codegen.requests import alignment_of, workspace_name
from tvmtiny.codegen.row_kernels import RowKernel, RowKey
from tvmtiny.codegen.stream_info import RING, STATE, WINDOW
from tvmtiny.memory import Inside, Problem, Request
from tvmtiny.streaming.segment import Event, Kind
from tvmtiny.streaming.segment_costs import Streamed, segment_overlaps, sum_bytes


def ring_name(tensor: str) -> str:
    """Return the name of the request for a tensor's ring."""
    return f"{RING}{tensor}"


def window_name(tensor: str) -> str:
    """Name of the request for the window over the rows of a tensor."""
    return f"{WINDOW}{tensor}"


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
        """How many rows a kernel of a layer makes at a time, but for the first ones."""
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
    overlaps = list(problem.overlaps)
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
            alive = first + ring.first, first + ring.last
            if work.again is not None and alive == (first, end):
                # The ring outlives the inference: the next window needs its rows.
                alive = 0, last
            kept = ring_name(name)
            requests[kept] = Request(kept, ring.size, *alive, ring.tensor.alignment)
            if ring.window:
                alive = first + ring.window_first, first + ring.window_last
                window = window_name(name)
                requests[window] = Request(window, ring.window_size, *alive, ring.tensor.alignment)
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
        tuple(i for i in problem.insides if {i.inner, i.outer} <= requests.keys()),
    )


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
