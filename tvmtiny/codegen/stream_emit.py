"""Generation of the entry point of a model with segments that run row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tvmtiny.codegen.artifact import Artifact, LayerInfo
from tvmtiny.codegen.emit import PART_ARGUMENTS, Emitter, pointer_text
from tvmtiny.codegen.lower import Kernel, used_kernels
from tvmtiny.codegen.names import c_type
from tvmtiny.codegen.program import Call, Value
from tvmtiny.codegen.requests import workspace_name
from tvmtiny.codegen.row_kernels import RowKernel
from tvmtiny.codegen.slicing import Slices, too_long
from tvmtiny.codegen.stream_info import STATE, StreamInfo, StreamMode
from tvmtiny.codegen.stream_order import StreamOrder, StreamPiece
from tvmtiny.codegen.stream_problem import (
    RowWork,
    place_name,
    ring_name,
    segment_info,
    sums_name,
    window_name,
)
from tvmtiny.frontend.converter import variable_name
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.mean import mean_multiplier
from tvmtiny.ops.shared.quantization import activation_range
from tvmtiny.ops.shared.reduction import reduced_count
from tvmtiny.schedule.shrink import Choices
from tvmtiny.streaming.segment import WINDOW, Event, Fill, Kind
from tvmtiny.streaming.segment_costs import sum_bytes

#: Words of the state besides one counter per layer: the next piece of work, and the pushed rows.
_STATE_WORDS = 2


def state_bytes(works: Sequence[RowWork]) -> int:
    """Return the bytes of the arena that record the progress of an inference."""
    counters = sum(len(_moving(work)) for work in works)
    return 4 * _STATE_WORDS + -(-2 * counters // 4) * 4


def _moving(work: RowWork) -> list[int]:
    """Return the layers of a segment that access a whole activation and thus need a row counter."""
    segment = work.streamed.plan.segment
    if work.again is not None:
        return []
    return [
        position
        for position, layer in enumerate(segment.layers)
        if segment.whole & {layer.writes, *layer.reads} and not layer.rule.fold
    ] + [
        position
        for position, layer in enumerate(segment.layers)
        if layer.rule.fold and segment.whole & set(layer.reads)
    ]


class StreamEmitter(Emitter):
    """Generates the files of a model with segments; see `tvmtiny.codegen.emit.emit`."""

    _included = ("tvmtiny_copy.h", "tvmtiny_push.h", "tvmtiny_stream.h")

    def __init__(
        self,
        mode: StreamMode,
        works: Sequence[RowWork],
        slices: Slices,
        choices: Choices,
        *rest: Any,
    ) -> None:
        super().__init__(*rest)
        self._mode, self._works = mode, tuple(works)
        self._slices, self._choices = slices, choices
        self._streamed = {
            work.streamed.begin + position: (work, position)
            for work in works
            for position in range(len(work.nodes))
        }
        whole = [c for i, c in enumerate(self._program.calls) if i not in self._streamed]
        plain = {call.function for call in whole if call.function in self._kernels}
        self._kernels = used_kernels(plain, self._kernels)
        self._used_by: dict[str, list[int]] = {}
        rows: dict[str, Kernel] = {}
        for index, (work, position) in self._streamed.items():
            for row_kernel in work.kernels_of(position):
                kernel = row_kernel.kernel
                rows[kernel.symbol] = kernel
                users = self._used_by.setdefault(kernel.symbol, [])
                users += [index] if index not in users else []
        self._kernels.update(rows)
        self._values = dict(self._program.values)
        for tensor, value in zip(self._graph.inputs, self._program.inputs, strict=True):
            self._values[variable_name(tensor)] = value
        self._weights = {
            kernel.symbol: kernel.weights
            for kernel in self._kernels.values()
            if kernel.weights is not None
        }
        self._info: StreamInfo | None = None

    def artifact(self) -> Artifact:
        return replace(super().artifact(), stream=self._info)

    def _call(self, step: int, call: Call) -> str:
        return "" if step in self._streamed else super()._call(step, call)

    def _pointer(self, value: Value) -> str:
        missing = value.buffer not in self._external and value.buffer not in self._plan.offsets
        return "" if missing else super()._pointer(value)

    def _operators(self, function: str) -> str:
        if function not in self._used_by:
            return super()._operators(function)
        layers = self._used_by[function]
        operator = self._nodes[self._program.calls[layers[0]].output.name].operator
        return f"rows of {operator}, {', '.join(f'layer {i}' for i in layers)}"

    def _layer(self, index: int, call: Call) -> LayerInfo:
        if index not in self._streamed:
            return super()._layer(index, call)
        work, position = self._streamed[index]
        segment = work.streamed.plan.segment
        kernels = work.kernels_of(position)
        main = max(kernels, key=lambda k: work.most_rows(position, k), default=None)
        node = self._nodes[call.output.name]
        rings = work.streamed.plan.rings
        name = {n: place_name(rings[n]) if n in rings else n for n in segment.tensors}
        writes, layer = name[call.output.name], segment.layers[position]
        operator_layer = super()._layer_of(
            index,
            call,
            main.kernel.symbol if main else "",
            constants=_constants_bytes(kernels),
            workspace=sum(size for _, size in work.workspaces(position).values()),
            schedule=f"{main.kernel.schedule if main else 'scalar'}, "
            f"{work.streamed.plan.rows[position]} rows at a time"
            if not layer.rule.fold
            else f"sums of {node.operator} over rows",
        )
        offset = self._plan.offsets.get(writes)
        return replace(
            operator_layer,
            offset=offset,
            reads=tuple(dict.fromkeys(name[n] for n in layer.reads)),
            writes=writes,
        )

    # ---- the order of work ------------------------------------------------------------------

    def _stream(self, layers: Sequence[LayerInfo]) -> Mapping[str, Any]:
        order: list[StreamPiece] = []
        again = index = 0
        starts = {work.streamed.begin: work for work in self._works}
        while index < len(self._program.calls):
            if index not in starts:
                order += self._plain(index)
                index += 1
                continue
            work = starts[index]
            index = work.streamed.end
            if work.again is None:
                order += self._segment(work, 0, None)
                continue
            # The first window, then one more row, which completes the second window.
            rest = [w for i in range(index, len(self._program.calls)) for w in self._plain(i)]
            order += [*self._segment(work, 0, work.again), *rest]
            again = len(order)
            order += self._segment(work, work.again, None)
        made = StreamOrder(order, again, self._slices, self._weights)
        self._check_longest(made)
        pieces = [(work.layer, work.bytes) for work in made.done[: made.end] if work.data]
        pushed = self._works[0].streamed.plan.segment.pushed if self._works else None
        tensor = None
        if pushed is not None:
            tensor = self._works[0].streamed.plan.segment.tensors[pushed]
        self._info = StreamInfo(
            self._mode,
            tuple(segment_info(work.streamed) for work in self._works),
            tensor.height if tensor else 0,
            tensor.row_bytes if tensor else 0,
            state_bytes(self._works),
            tuple(pieces),
            tuple(work.layer for work in made.done[: made.end]),
            made.last_row if again else 0,
            made.slices,
            round(made.longest),
        )
        return {
            **made.context(),
            "state": self._plan.offsets[STATE],
            "counters": [_counter(i) for i in self._counted()],
            "pushes": self._info.pushes,
            "row_bytes": self._info.row_bytes,
            "row_type": c_type(self._program.inputs[0].dtype) if pushed else "",
            "pieces": len(pieces),
        }

    def _check_longest(self, made: StreamOrder) -> None:
        """Raise an error if the longest slice exceeds the limit."""
        longest, piece = self._slices.longest, made.longest_piece
        if longest is not None and piece is not None and made.longest > self._slices.budget + 1:
            call = self._program.calls[max(0, piece.layer)]
            raise too_long(self._nodes[call.output.name].where, made.longest, longest)

    def _counted(self) -> list[int]:
        return [w.streamed.begin + position for w in self._works for position in _moving(w)]

    def _plain(self, index: int) -> list[StreamPiece]:
        """Return the pieces of a layer that runs as a whole or in parts.

        The last piece reports the layer's output.
        """
        call = self._program.calls[index]
        text = super()._call(index, call)
        made = StreamPiece((), index, self._pointer(call.output), call.output.nbytes)
        if not text:
            return [made]
        kernel, node = self._kernels[call.function], self._nodes[call.output.name]
        constants = sum(a.nbytes for a in call.arguments if isinstance(a, np.ndarray))
        chosen = self._choices.get(node.index)
        cycles = self._slices.estimate(node, chosen, kernel, constants)
        if kernel.weights is None:
            return [replace(made, lines=(f"{text};",), cycles=cycles)]
        return [StreamPiece((f"{text};",), index, kernel=kernel.symbol, cycles=cycles), made]

    def _segment(self, work: RowWork, first: int, end: int | None) -> list[StreamPiece]:
        """Return the pieces of a segment; the first one prepares rings, sums and counters."""
        plan, begin = work.streamed.plan, work.streamed.begin
        lines = [f"stream->{_counter(begin + position)} = 0u;" for position in _moving(work)]
        for name, ring in plan.rings.items():
            if ring.top:
                pad = plan.segment.pad_of(name)
                lines.append(
                    self._fill(
                        self._slot(work, name, 0), pad or 0, ring.top * ring.tensor.row_bytes
                    )
                )
        if plan.segment.layers[-1].rule.fold:
            step = work.streamed.end - 1
            offset, channels = (
                self._plan.offsets[sums_name(step)],
                self._program.calls[step].output.nbytes,
            )
            lines.append(self._fill(f"arena + {offset}", 0, 4 * channels))
        works = [StreamPiece(tuple(lines), begin, cycles=self._filled(work))] if lines else []
        for event in plan.events[first:end]:
            before = self._changes(work, event)
            if event.kind is Kind.TAKE:
                assert plan.segment.pushed is not None and event.writes is not None
                if before:
                    works.append(StreamPiece(tuple(before), begin, cycles=_moved(work, event)))
                size = plan.segment.tensors[plan.segment.pushed].row_bytes
                slot = self._slot(work, plan.segment.pushed, event.writes)
                works.append(StreamPiece((f"return {slot};",), begin, bytes=size, take=True))
                continue
            if before and self._slices.longest is not None:
                # A slice may end between the moves and the work.
                index = begin + event.layer
                works.append(StreamPiece(tuple(before), index, cycles=_moved(work, event)))
                before, event = [], event._replace(before=())
            works += self._event(work, event, before)
        return works

    def _event(self, work: RowWork, event: Event, before: list[str]) -> list[StreamPiece]:
        index = work.streamed.begin + event.layer
        cycles = _moved(work, event)
        if event.kind is Kind.FOLD:
            (name,) = work.streamed.plan.segment.layers[event.layer].reads
            size = event.rows * work.streamed.plan.segment.tensors[name].row_bytes
            return [
                StreamPiece((*before, *self._fold(work, event)), index, cycles=cycles + 4.0 * size)
            ]
        if event.kind is Kind.FINISH:
            call = self._program.calls[index]
            size = call.output.nbytes
            return [
                StreamPiece(
                    (*before, self._finish(index)),
                    index,
                    self._pointer(call.output),
                    size,
                    cycles=cycles + 40.0 * size,
                )
            ]
        plan = work.streamed.plan
        output = plan.segment.tensors[plan.segment.layers[event.layer].writes]
        lines, works = list(before), []
        for text, row_kernel in self._row_calls(work, event):
            if row_kernel.kernel.weights is None:
                lines.append(text)
                cycles += row_kernel.cycles
                continue
            if lines:
                works.append(StreamPiece(tuple(lines), index, cycles=cycles))
            parted = row_kernel.kernel.symbol
            works.append(StreamPiece((text,), index, kernel=parted, cycles=row_kernel.cycles))
            lines, cycles = [], 0.0
        data = (
            f"arena + {self._slot_offset(work, output.name, event.writes)}"
            if event.writes is not None
            else ""
        )
        if event.layer in _moving(work):
            counter = _counter(index)
            lines.append(f"stream->{counter} = (uint16_t)(stream->{counter} + {event.rows}u);")
        if event.writes is None:
            data = self._whole(work, event, output.name, const=False, made=True)
        size = event.rows * output.row_bytes
        return [*works, StreamPiece(tuple(lines), index, data, size, cycles=cycles)]

    def _row_calls(self, work: RowWork, event: Event) -> list[tuple[str, RowKernel]]:
        layer = work.streamed.plan.segment.layers[event.layer]
        index = work.streamed.begin + event.layer
        slots = dict(zip(layer.reads, event.reads, strict=True))
        output = self._program.calls[index].output
        calls = []
        for row_kernel in work.kernels[work.key(event)]:
            arguments = []
            for argument in row_kernel.arguments:
                if isinstance(argument, Tensor):
                    value = self._values[variable_name(argument)]
                    slot, before = slots[value.name], row_kernel.read_offset
                    arguments.append(self._rows(work, event, value, slot, before, const=True))
                else:
                    name, data = argument
                    arguments.append(self._row_constant(data, f"{output.name}_{name}"))
            after = row_kernel.write_offset
            arguments.append(self._rows(work, event, output, event.writes, after, const=False))
            arguments += [
                pointer_text(w.dtype, self._plan.offsets[workspace_name(index, w.name)])
                for w in row_kernel.kernel.workspaces
            ]
            if row_kernel.kernel.weights is not None:
                arguments += PART_ARGUMENTS
            calls.append((f"{row_kernel.kernel.symbol}({', '.join(arguments)});", row_kernel))
        return calls

    def _rows(
        self, work: RowWork, event: Event, value: Value, slot: int | None, offset: int, const: bool
    ) -> str:
        """Return the address of an event's rows, in a ring or in a whole activation."""
        if slot is None:
            return self._whole(work, event, value.name, const, offset=offset)
        return pointer_text(value.dtype, self._slot_offset(work, value.name, slot) + offset)

    def _row_constant(self, data: np.ndarray, wanted: str) -> str:
        """Return the name of a constant; kernels for different rows may need different data."""
        taken = {constant.name for constant in self._constants.values()}
        key = (str(data.dtype), data.tobytes())
        number, name = 1, wanted
        while key not in self._constants and f"tvmtiny_{self._model.name}_{name}" in taken:
            number += 1
            name = f"{wanted}_{number}"
        return self._constant(data, name)

    def _whole(
        self,
        work: RowWork,
        event: Event,
        name: str,
        const: bool,
        made: bool = False,
        offset: int = 0,
    ) -> str:
        """Return the address of an event's rows in an activation that exists as a whole.

        Parameters
        ----------
        const
            Whether the event reads the activation.
        made
            Whether the row counter already includes the rows of the event.
        offset
            Bytes that are added to the address.
        """
        segment = work.streamed.plan.segment
        rule, size = segment.layers[event.layer].rule, segment.tensors[name].row_bytes
        counter = f"(uint32_t)stream->{_counter(work.streamed.begin + event.layer)}"
        step, back = 1, event.rows if made else 0
        if const and not rule.fold:
            low, high = rule.span(event.row, event.rows)
            inside = event.above + event.below < high - low
            # A window that lies outside as a whole is never read.
            step, back = (rule.stride, rule.top - event.above) if inside else (0, 0)
        rows = f"{counter} * {step * size}u"
        if const and rule.sources:
            rows, back = f"{rule.low(event.row) * size}u", 0
        distance = offset - back * size
        if distance:
            rows += f" {'-' if distance < 0 else '+'} {abs(distance)}u"
        value = self._program.values[name]
        if work.again is not None:
            # The activation is a single row that each window overwrites.
            return pointer_text(value.dtype, self._plan.offsets[value.buffer] + offset)
        if value.buffer in self._external:
            base = super()._pointer(value)
            kind = "const " if const else ""
            bytes_ = f"({kind}uint8_t *)({kind}void *){base}"
            return f"({kind}{c_type(value.dtype)} *)({kind}void *)({bytes_} + ({rows}))"
        return pointer_text(value.dtype, self._plan.offsets[value.buffer]).replace(
            "(arena + ", f"(arena + ({rows}) + "
        )

    def _fold(self, work: RowWork, event: Event) -> list[str]:
        segment = work.streamed.plan.segment
        layer, step = segment.layers[event.layer], work.streamed.end - 1
        (name,), (slot,) = layer.reads, event.reads
        node = self._node(step)
        pixels = event.rows * node.input(0).shape[2]
        moving = []
        if slot is None:
            rows = self._whole(work, event, name, const=True)
            counter = _counter(step)
            moving = [f"stream->{counter} = (uint16_t)(stream->{counter} + {event.rows}u);"]
        else:
            rows = pointer_text("int8", self._slot_offset(work, name, slot))
        channels = node.input(0).shape[3]
        return [f"tvmtiny_add_rows({self._sums(step)}, {rows}, {pixels}, {channels});", *moving]

    def _finish(self, step: int) -> str:
        node = self._node(step)
        x = node.input(0)
        output = self._pointer(self._program.calls[step].output)
        if node.operator == "AVERAGE_POOL_2D":
            low, high = activation_range(node)
            count = x.shape[1] * x.shape[2]
            sizes = f"{x.shape[3]}, {count}, {low}, {high}"
            return f"tvmtiny_average_sums({self._sums(step)}, {output}, {sizes});"
        multiplier, shift = mean_multiplier(node)
        zeros, zero_point = x.zero_point * reduced_count(node), node.output.zero_point
        sizes = f"{x.shape[3]}, {zeros}, {multiplier}, {shift}, {zero_point}"
        return f"tvmtiny_scale_sums({self._sums(step)}, {output}, {sizes});"

    def _sums(self, step: int) -> str:
        return pointer_text("int32", self._plan.offsets[sums_name(step)])

    def _node(self, step: int) -> Node:
        return self._nodes[self._program.calls[step].output.name]

    def _changes(self, work: RowWork, event: Event) -> list[str]:
        """Return the statements that move and fill rows before an event."""
        lines = []
        for change in event.before:
            name = change.tensor
            count = change.rows * work.streamed.plan.segment.tensors[name].row_bytes
            if isinstance(change, Fill):
                pad = work.streamed.plan.segment.pad_of(name) or 0
                lines.append(self._fill(self._slot(work, name, change.slot), pad, count))
                continue
            slots = change.target, change.source
            to, source = (self._slot_offset(work, name, slot) for slot in slots)
            up = "_up" if source < to < source + count else ""
            if to != source:
                lines.append(f"tvmtiny_move_rows{up}(arena + {to}, arena + {source}, {count});")
        return lines

    @staticmethod
    def _fill(address: str, value: int, count: int) -> str:
        return f"tvmtiny_fill({address}, {value}, {count});"

    def _slot_offset(self, work: RowWork, name: str, slot: int | None) -> int:
        assert slot is not None
        size = work.streamed.plan.segment.tensors[name].row_bytes
        if slot >= WINDOW:
            return self._plan.offsets[window_name(name)] + (slot - WINDOW) * size
        return self._plan.offsets[ring_name(name)] + slot * size

    def _slot(self, work: RowWork, name: str, slot: int) -> str:
        return f"arena + {self._slot_offset(work, name, slot)}"

    def _filled(self, work: RowWork) -> float:
        """Estimate the cycles of a segment's preparation."""
        plan = work.streamed.plan
        rows = sum(ring.top * ring.tensor.row_bytes for ring in plan.rings.values())
        return 50.0 * len(plan.rings) + 2.0 * (rows + sum_bytes(plan))


def _moved(work: RowWork, event: Event) -> float:
    """Estimate the cycles of an event's call and of the moves and fills before it."""
    tensors = work.streamed.plan.segment.tensors
    size = sum(change.rows * tensors[change.tensor].row_bytes for change in event.before)
    return 40.0 + 50.0 * len(event.before) + 1.5 * size


def _counter(layer: int) -> str:
    return f"row{layer}"


def _constants_bytes(kernels: Sequence[RowKernel]) -> int:
    """Return the bytes of the constants of several kernels; equal constants count once."""
    arrays = [a[1] for kernel in kernels for a in kernel.arguments if not isinstance(a, Tensor)]
    return sum(a.nbytes for a in {(str(a.dtype), a.tobytes()): a for a in arrays}.values())
