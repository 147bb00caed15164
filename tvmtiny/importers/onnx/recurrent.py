"""Convert LSTM, GRU and RNN: as single steps, as a loop, or as TFLite's sequence operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tvmtiny.importers.onnx.context import Context, RefusedError, handles
from tvmtiny.importers.onnx.graph import Op
from tvmtiny.importers.onnx.values import Value

#: The limit on steps that are written out one by one.
_MOST_STEPS = 16
_DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
#: TFLite's order of an LSTM's gates (input, forget, cell, output), by ONNX's numbers.
_LITE_ORDER = (0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class _Direction:
    """Weights of one direction, and the order of its steps."""

    weights: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    recurrent_bias: np.ndarray
    backward: bool


@dataclass(frozen=True)
class _Sizes:
    steps: int
    batch: int
    inputs: int
    cells: int


@handles("LSTM", "GRU", "RNN")
def _recurrent(ctx: Context, op: Op) -> None:
    sizes, directions = _checked(ctx, op)
    x = ctx.plain(ctx.real(ctx.value(op.inputs[0])))
    states = [_initial(ctx, op, position) for position in ((5, 6) if op.kind == "LSTM" else (5,))]
    long = sizes.steps > _MOST_STEPS
    whole = long and op.kind == "LSTM" and all(s is None for s in states)
    every: list[list[int]] = []
    last: list[list[int]] = []
    ends: list[int]
    for number, direction in enumerate(directions):
        begin = [None if s is None else _slice(ctx, s, number, 0) for s in states]
        if whole:
            ctx.notes.append(
                f"{op.name} remembers its state from run to run: reset the model before each "
                "sequence"
            )
            outputs, ends = _whole(ctx, op, x, direction, sizes), []
        elif long:
            outputs, ends = _loop(ctx, op, x, direction, sizes, begin)
        else:
            outputs, ends = _steps(ctx, op, x, direction, sizes, begin)
        every.append(outputs)
        last.append(ends)
    _results(ctx, op, sizes, every, last, long)


def _checked(ctx: Context, op: Op) -> tuple[_Sizes, list[_Direction]]:
    kinds = [name.decode() for name in op.attributes.get("activations", ())]
    way = op.attributes.get("direction", b"forward").decode()
    count = 2 if way == "bidirectional" else 1
    if kinds and kinds != _DEFAULTS[op.kind] * count:
        raise RefusedError(f"activations {', '.join(kinds)}", ", ".join(_DEFAULTS[op.kind]))
    if "clip" in op.attributes or op.attributes.get("input_forget", 0):
        raise RefusedError("clip or input_forget", "neither")
    if op.attributes.get("layout", 0):
        raise RefusedError("layout 1", "layout 0")
    steps, batch, inputs = ctx.graph.shapes[op.inputs[0]]
    lengths = ctx.known(op.input(4)) if op.input(4) else np.array([steps])
    if lengths is None or (lengths != steps).any():
        raise RefusedError("sequences of several lengths", "all steps of each sequence")
    if op.input(7):
        raise RefusedError("peepholes", "none")
    weights, recurrent = ctx.known(op.inputs[1]), ctx.known(op.inputs[2])
    if weights is None or recurrent is None:
        raise RefusedError("weights that are computed when the model runs", "constant weights")
    cells, gates = recurrent.shape[2], _GATES[op.kind]
    bias = np.zeros((count, 2 * gates * cells), np.float32)
    if op.input(3):
        known = ctx.known(op.input(3))
        if known is None:
            raise RefusedError("a bias that is computed when the model runs", "a constant bias")
        bias = known
    directions = [
        _Direction(
            weights[i],
            recurrent[i],
            bias[i, : gates * cells],
            bias[i, gates * cells :],
            way == "reverse" or i == 1,
        )
        for i in range(count)
    ]
    return _Sizes(steps, batch, inputs, cells), directions


def _initial(ctx: Context, op: Op, position: int) -> Value | None:
    """An initial state; None if it is zero."""
    name = op.input(position)
    known = ctx.known(name) if name else None
    if not name or (known is not None and not known.any()):
        return None
    return ctx.plain(ctx.real(ctx.value(name)))


# The following functions write float tensors with one row for each sequence.


def _tensor(ctx: Context, op: Op, shape: Sequence[int]) -> int:
    return ctx.tensor(op.name, shape, "float32")


def _dense(ctx: Context, op: Op, x: int, rows: int, weights: np.ndarray, bias: np.ndarray) -> int:
    y = _tensor(ctx, op, (rows, len(weights)))
    constants = [
        ctx.constant(f"{op.name}/{what}", np.ascontiguousarray(data, dtype=np.float32))
        for what, data in (("weights", weights), ("bias", bias))
    ]
    options = {"fused_activation_function": "NONE", "keep_num_dims": False}
    ctx.emit("FULLY_CONNECTED", [x, *constants], [y], options)
    return y


def _reshaped(ctx: Context, op: Op, x: int, shape: Sequence[int]) -> int:
    y = _tensor(ctx, op, shape)
    ctx.emit("RESHAPE", [x, ctx.shape_constant(shape)], [y], {"new_shape": [*shape]})
    return y


def _slice(ctx: Context, value: Value, place: int, axis: int) -> int:
    """Emit one slice along the first axis, and remove this axis."""
    shape = value.shape
    begin = [place if i == axis else 0 for i in range(len(shape))]
    size = [1 if i == axis else n for i, n in enumerate(shape)]
    part = ctx.tensor(value.name, size, "float32")
    numbers = [ctx.shape_constant(n) for n in (begin, size)]
    ctx.emit("SLICE", [value.index, *numbers], [part], {})
    rest = [n for i, n in enumerate(shape) if i != axis]
    made = ctx.tensor(value.name, rest, "float32")
    ctx.emit("RESHAPE", [part, ctx.shape_constant(rest)], [made], {"new_shape": rest})
    return made


def _parts(ctx: Context, op: Op, x: int, count: int, rows: int, cells: int) -> list[int]:
    """Columns of gates."""
    made = [_tensor(ctx, op, (rows, cells)) for _ in range(count)]
    sizes = ctx.constant("sizes", np.full(count, cells, np.int32))
    axis = ctx.constant("axis", np.array(1, np.int32))
    ctx.emit("SPLIT_V", [x, sizes, axis], made, {"num_splits": count})
    return made


def _steps(
    ctx: Context,
    op: Op,
    x: Value,
    direction: _Direction,
    sizes: _Sizes,
    begin: Sequence[int | None],
) -> tuple[list[int], list[int]]:
    """Emit all steps; returns the state after each step and the states after the last one."""
    inputs = ctx.with_shape(x, (sizes.steps * sizes.batch, sizes.inputs))
    every = _of_inputs(ctx, op, inputs, sizes.steps * sizes.batch, direction, sizes)
    width = len(direction.weights)
    taken = [every]
    if sizes.steps > 1:
        taken = [_tensor(ctx, op, (sizes.batch, width)) for _ in range(sizes.steps)]
        lengths = ctx.constant("sizes", np.full(sizes.steps, sizes.batch, np.int32))
        axis = ctx.constant("axis", np.array(0, np.int32))
        options = {"num_splits": sizes.steps}
        ctx.emit("SPLIT_V", [every, lengths, axis], taken, options)
    step = _STEPS[op.kind]
    states = list(begin)
    found: dict[int, int] = {}
    order = range(sizes.steps)
    for number in reversed(order) if direction.backward else order:
        states = list(step(ctx, op, taken[number], states, direction, sizes))
        assert states[0] is not None
        found[number] = states[0]
    ends = [s for s in states if s is not None]
    return [found[number] for number in order], ends


def _of_inputs(
    ctx: Context, op: Op, inputs: int, rows: int, direction: _Direction, sizes: _Sizes
) -> int:
    """Emit the inputs' contribution to the gates, row by row."""
    # Recurrent biases are added to those of the inputs, unless a gate scales them.
    joined = direction.bias + direction.recurrent_bias
    if op.kind == "GRU":
        joined[2 * sizes.cells :] = direction.bias[2 * sizes.cells :]
    return _dense(ctx, op, inputs, rows, direction.weights, joined)


def _loop(
    ctx: Context,
    op: Op,
    x: Value,
    direction: _Direction,
    sizes: _Sizes,
    begin: Sequence[int | None],
) -> tuple[list[int], list[int]]:
    """Emit a loop.

    Returns the states after all steps in one tensor, and those after the last step.
    """
    state = (sizes.batch, sizes.cells)
    every = (sizes.steps, *state)
    source = (sizes.steps, sizes.batch, sizes.inputs)
    count = ctx.constant("count", np.array(0, np.int32))
    values = ctx.with_shape(x, source)
    zeros = [ctx.constant("zeros", np.zeros(shape, np.float32)) for shape in (every, state)]
    states = [zeros[1] if s is None else s for s in begin]
    shapes = [(), every, *[state] * len(states), source]

    def parameters() -> list[int]:
        return [
            ctx.parameter(f"in{i}", shape, "float32" if i else "int32")
            for i, shape in enumerate(shapes)
        ]

    def more() -> list[int]:
        number, *_ = parameters()
        result = ctx.tensor("more", (), "bool")
        steps = ctx.constant("steps", np.array(sizes.steps, np.int32))
        ctx.emit("LESS", [number, steps], [result], {})
        return [result]

    def turn() -> list[int]:
        number, outputs, *before, given = parameters()
        one = ctx.constant("one", np.array(1, np.int32))
        after, place = ctx.tensor("after", (), "int32"), number
        ctx.emit("ADD", [number, one], [after], {})
        if direction.backward:
            last = ctx.constant("last", np.array(sizes.steps - 1, np.int32))
            place = ctx.tensor("place", (), "int32")
            ctx.emit("SUB", [last, number], [place], {})
        row = _tensor(ctx, op, source[1:])
        ctx.emit("GATHER", [given, place], [row], {"axis": 0, "batch_dims": 0})
        row = _of_inputs(ctx, op, row, sizes.batch, direction, sizes)
        found = _STEPS[op.kind](ctx, op, row, before, direction, sizes)
        new = [s for s in found if s is not None]
        first, start = ctx.tensor("first", (1,), "int32"), ctx.tensor("start", (3,), "int32")
        ctx.emit("RESHAPE", [place, ctx.shape_constant([1])], [first], {"new_shape": [1]})
        ctx.emit("CONCATENATION", [first, ctx.shape_constant([0, 0])], [start], {"axis": 0})
        written = _tensor(ctx, op, every)
        ctx.emit(
            "DYNAMIC_UPDATE_SLICE",
            [outputs, _reshaped(ctx, op, new[0], (1, *state)), start],
            [written],
        )
        return [after, written, *new, given]

    graphs = {
        "cond_subgraph_index": ctx.subgraph(f"{op.name}/more", more),
        "body_subgraph_index": ctx.subgraph(f"{op.name}/turn", turn),
    }
    results = [
        ctx.tensor(op.name, shape, "float32" if i else "int32") for i, shape in enumerate(shapes)
    ]
    ctx.emit("WHILE", [count, zeros[0], *states, values], results, graphs)
    return [results[1]], results[2:-1]


class _Row:
    """Emit operators on rows of cells."""

    def __init__(self, ctx: Context, op: Op, sizes: _Sizes) -> None:
        self._ctx, self._op = ctx, op
        self._shape = (sizes.batch, sizes.cells)

    def binary(self, operator: str, x: int, y: int, shape: Sequence[int] | None = None) -> int:
        made = _tensor(self._ctx, self._op, shape or self._shape)
        self._ctx.emit(operator, [x, y], [made], {})
        return made

    def unary(self, operator: str, x: int) -> int:
        made = _tensor(self._ctx, self._op, self._shape)
        self._ctx.emit(operator, [x], [made])
        return made


States = Sequence[int | None]
Step = Callable[[Context, Op, int, States, _Direction, _Sizes], States]


def _lstm_step(
    ctx: Context, op: Op, x: int, states: States, direction: _Direction, sizes: _Sizes
) -> States:
    row = _Row(ctx, op, sizes)
    hidden, cells = states
    if hidden is not None:
        zeros = np.zeros(4 * sizes.cells)
        more = _dense(ctx, op, hidden, sizes.batch, direction.recurrent, zeros)
        x = row.binary("ADD", x, more, (sizes.batch, 4 * sizes.cells))
    i, o, f, c = _parts(ctx, op, x, 4, sizes.batch, sizes.cells)
    new = row.binary("MUL", row.unary("LOGISTIC", i), row.unary("TANH", c))
    if cells is not None:
        new = row.binary("ADD", row.binary("MUL", row.unary("LOGISTIC", f), cells), new)
    return row.binary("MUL", row.unary("LOGISTIC", o), row.unary("TANH", new)), new


def _gru_step(
    ctx: Context, op: Op, x: int, states: States, direction: _Direction, sizes: _Sizes
) -> States:
    row, cells = _Row(ctx, op, sizes), sizes.cells
    (hidden,) = states
    z, r, h = _parts(ctx, op, x, 3, sizes.batch, cells)
    before = bool(op.attributes.get("linear_before_reset", 0))
    bias = direction.recurrent_bias[2 * cells :]
    last = direction.recurrent[2 * cells :]
    if hidden is not None:
        gates, zeros = direction.recurrent[: 2 * cells], np.zeros(2 * cells)
        more = _dense(ctx, op, hidden, sizes.batch, gates, zeros)
        parts = _parts(ctx, op, more, 2, sizes.batch, cells)
        z, r = (row.binary("ADD", own, part) for own, part in zip((z, r), parts, strict=True))
    z, r = row.unary("LOGISTIC", z), row.unary("LOGISTIC", r)
    if hidden is None:
        constant = ctx.constant(f"{op.name}/reset", bias.astype(np.float32)[None])
        h = row.binary("ADD", h, row.binary("MUL", r, constant) if before else constant)
    elif before:
        h = row.binary(
            "ADD", h, row.binary("MUL", r, _dense(ctx, op, hidden, sizes.batch, last, bias))
        )
    else:
        reset = row.binary("MUL", r, hidden)
        h = row.binary("ADD", h, _dense(ctx, op, reset, sizes.batch, last, bias))
    h = row.unary("TANH", h)
    # (1 - z) h + z hidden.
    if hidden is None:
        return (row.binary("SUB", h, row.binary("MUL", z, h)),)
    return (row.binary("ADD", h, row.binary("MUL", z, row.binary("SUB", hidden, h))),)


def _rnn_step(
    ctx: Context, op: Op, x: int, states: States, direction: _Direction, sizes: _Sizes
) -> States:
    row = _Row(ctx, op, sizes)
    (hidden,) = states
    if hidden is not None:
        zeros = np.zeros(sizes.cells)
        x = row.binary("ADD", x, _dense(ctx, op, hidden, sizes.batch, direction.recurrent, zeros))
    return (row.unary("TANH", x),)


_STEPS: dict[str, Step] = {"LSTM": _lstm_step, "GRU": _gru_step, "RNN": _rnn_step}


def _whole(ctx: Context, op: Op, x: Value, direction: _Direction, sizes: _Sizes) -> list[int]:
    """Emit a UNIDIRECTIONAL_SEQUENCE_LSTM; returns the states after all steps in one tensor."""
    axis = ctx.constant("axis", np.array([0], np.int32))

    def turned(index: int, width: int) -> int:
        if not direction.backward:
            return index
        made = _tensor(ctx, op, (sizes.steps, sizes.batch, width))
        ctx.emit("REVERSE_V2", [index, axis], [made], {})
        return made

    def gates(what: str, array: np.ndarray) -> list[int]:
        parts = np.split(array, 4)
        return [
            ctx.constant(f"{op.name}/{what}_{g}", np.ascontiguousarray(parts[g], dtype=np.float32))
            for g in _LITE_ORDER
        ]

    inputs: list[int | None] = [turned(x.index, sizes.inputs)]
    inputs += gates("weights", direction.weights)
    inputs += gates("recurrent", direction.recurrent)
    inputs += [None] * 3
    inputs += gates("bias", direction.bias + direction.recurrent_bias)
    inputs += [None] * 2
    for what in ("hidden", "cells"):
        inputs.append(ctx.variable(f"{op.name}/{what}", (sizes.batch, sizes.cells)))
    inputs += [None] * 4
    y = _tensor(ctx, op, (sizes.steps, sizes.batch, sizes.cells))
    options = {"fused_activation_function": "TANH", "time_major": True}
    ctx.emit("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], options)
    return [turned(y, sizes.cells)]


def _results(
    ctx: Context,
    op: Op,
    sizes: _Sizes,
    every: Sequence[Sequence[int]],
    last: Sequence[Sequence[int]],
    long: bool,
) -> None:
    """Define Y, Y_h and Y_c if they are used."""
    count = len(every)
    shape = (sizes.steps, count, sizes.batch, sizes.cells)
    used = [bool(name) and _is_used(ctx, name) for name in op.outputs]

    def joined(parts: Sequence[int], axis: int, whole: Sequence[int]) -> int:
        if len(parts) == 1:
            return parts[0]
        made = _tensor(ctx, op, whole)
        options = {"axis": axis, "fused_activation_function": "NONE"}
        ctx.emit("CONCATENATION", parts, [made], options)
        return made

    def define(position: int, index: int, shape: tuple[int, ...]) -> None:
        name = op.outputs[position]
        value = Value(index, shape, tuple(range(len(shape))), "float32", None, name=name)
        ctx.finish(op, value, position)

    if used[0]:
        directions = []
        for outputs in every:
            one = (sizes.steps, 1, sizes.batch, sizes.cells)
            parts = list(outputs)
            if not long and sizes.steps > 1:
                parts = [_reshaped(ctx, op, p, (1, *one[1:])) for p in parts]
            directions.append(_reshaped(ctx, op, joined(parts, 0, one), one))
        define(0, joined(directions, 1, shape), shape)
    for position in (1, 2):
        if position >= len(used) or not used[position]:
            continue
        if not last[0] and position == 2:
            raise RefusedError("the last cells of a long LSTM as output", "its hidden states")
        rows = []
        for number, outputs in enumerate(every):
            if not last[number]:
                whole = Value(
                    outputs[0],
                    (sizes.steps, sizes.batch, sizes.cells),
                    (0, 1, 2),
                    "float32",
                    name=op.name,
                )
                backward = number == 1 or op.attributes.get("direction") == b"reverse"
                rows.append(_slice(ctx, whole, 0 if backward else sizes.steps - 1, 0))
            else:
                rows.append(last[number][position - 1])
        shaped = [_reshaped(ctx, op, r, (1, sizes.batch, sizes.cells)) for r in rows]
        final = (count, sizes.batch, sizes.cells)
        define(position, joined(shaped, 0, final), final)


def _is_used(ctx: Context, name: str) -> bool:
    return name in ctx.graph.outputs or any(name in o.inputs for o in ctx.graph.ops)
