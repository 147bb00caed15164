"""What a program whose segments run row by row needs of the arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tvmtiny.codegen.requests import alignment_of, workspace_name
from tvmtiny.codegen.row_kernels import RowKernel, RowKey
from tvmtiny.codegen.stream_info import RING, STATE
from tvmtiny.memory import Inside, Problem, Request
from tvmtiny.streaming.plan import Streamed, segment_overlaps, sum_bytes
from tvmtiny.streaming.segment import Event, Kind


def ring_name(tensor: str) -> str:
    """Name of the request for the ring of a tensor."""
    return f"{RING}{tensor}"


def sums_name(step: int) -> str:
    """Name of the request for the sums of a pool over the whole image."""
    return f"workspace.{step}.sums"


@dataclass(frozen=True)
class RowWork:
    """A segment with the kernels that make its rows.

    Attributes
    ----------
    nodes
        Index of the node of each layer.
    kernels
        What all segments need.
    again
        Where windows slide, the event with which work on each further row begins; else None.
    """

    streamed: Streamed
    nodes: tuple[int, ...]
    kernels: Mapping[RowKey, tuple[RowKernel, ...]]
    again: int | None = None

    def key(self, event: Event) -> RowKey:
        """The kernel of a call."""
        return self.nodes[event.layer], event.rows, event.above, event.below

    def kernels_of(self, layer: int) -> list[RowKernel]:
        """All kernels of a layer, by position in the segment, in the order of their first call."""
        events = (e for e in self.streamed.plan.events if e.layer == layer)
        keys = dict.fromkeys(self.key(e) for e in events if e.kind is Kind.CALL)
        return [kernel for key in keys for kernel in self.kernels[key]]

    def workspaces(self, layer: int) -> Mapping[str, tuple[str, int]]:
        """Name to dtype and bytes of a layer's workspaces, whichever of its kernels runs."""
        found: dict[str, tuple[str, int]] = {}
        for row_kernel in self.kernels_of(layer):
            for w in row_kernel.kernel.workspaces:
                found[w.name] = w.dtype, max(w.size, found.get(w.name, ("", 0))[1])
        return found


def stream_problem(
    problem: Problem, works: Sequence[RowWork], state_bytes: int, last: int, fixed: frozenset[str]
) -> Problem:
    """Replace what layers of segments need as a whole by what they need row by row.

    Parameters
    ----------
    problem
        Of the program without segments.
    state_bytes
        Of what says how far the work is.
    last
        The last step.
    fixed
        Activations that live on after their last reader: the model's outputs.
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
                # The next window needs it, when all layers have run.
                alive = 0, last
            kept = ring_name(name)
            requests[kept] = Request(kept, ring.size, *alive, ring.tensor.alignment)
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
    """The same with rings that live through a whole segment in one piece, for a quick plan.

    Many requests that are all alive together take the exact solver long, and leave gaps where it is
    not asked. Rings of a segment leave none if they lie one behind the other.
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
