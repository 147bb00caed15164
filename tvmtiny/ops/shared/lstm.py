"""Layers of long short-term memory: tensors of a node, checks, and the float steps.

The gates come in the order input, forget, cell, output. A layer with coupled gates (CIFG) has no
input gate: it adds as much as it forgets. With peepholes, gates read their cells as well. A
projection computes fewer outputs, which are the state, from the cells' hidden values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Problem

#: Positions of the first gate's weights, recurrent weights and bias, and of the states.
WEIGHTS, RECURRENT, BIASES, STATE, CELLS = 1, 5, 12, 18, 19
#: Positions of peepholes (the cell gate has none), of the projection, and of its bias.
PEEPHOLES, PROJECTION, PROJECTION_BIAS = {0: 9, 1: 10, 3: 11}, 16, 17
_NORMALIZATION = (20, 21, 22, 23)


def gates(node: Node) -> tuple[int, ...]:
    """Return the numbers of a layer's gates; coupled layers lack the first one."""
    return (0, 1, 2, 3) if node.optional_input(WEIGHTS) is not None else (1, 2, 3)


def has_peepholes(node: Node) -> bool:
    """Return whether gates read their cells."""
    return node.optional_input(PEEPHOLES[3]) is not None


def has_projection(node: Node) -> bool:
    """Return whether outputs are products of the hidden values."""
    return node.optional_input(PROJECTION) is not None


def is_plain(node: Node) -> bool:
    """Return whether a layer has four gates, no peepholes and no projection, as in Keras."""
    return len(gates(node)) == 4 and not has_peepholes(node) and not has_projection(node)


def gate_tensors(node: Node, position: int) -> list[Tensor]:
    """Return the tensors of all gates, where `position` is that of the first gate."""
    return [node.input(position + gate) for gate in gates(node)]


def stacked(tensors: Sequence[Tensor]) -> np.ndarray:
    """Concatenate the values of constants."""
    values = []
    for tensor in tensors:
        assert tensor.data is not None
        values.append(tensor.data)
    return np.concatenate(values)


def peepholes(node: Node) -> list[Tensor]:
    """Return the peephole weights of the gates that have them."""
    seeing = [gate for gate in gates(node) if gate in PEEPHOLES]
    return [node.input(PEEPHOLES[gate]) for gate in seeing] if has_peepholes(node) else []


def projection_bias(node: Node) -> np.ndarray:
    """Return the bias of the projection; zeros if it has none."""
    bias = node.optional_input(PROJECTION_BIAS)
    if bias is not None and bias.data is not None:
        return bias.data
    dtype = np.float32 if node.input(0).dtype == "float32" else np.int32
    return np.zeros(node.output.shape[-1], dtype)


def sizes(node: Node) -> np.ndarray:
    """Return ``struct tvmtiny_lstm_shape`` of a node."""
    return sequence_sizes(node, cell_count(node))


def sequence_sizes(node: Node, cells: int) -> np.ndarray:
    """Return ``struct tvmtiny_lstm_shape`` of a layer over the steps of a sequence."""
    first, second, inputs = node.input(0).shape
    outputs = node.output.shape[2]
    if node.options.get("time_major"):
        batches, steps, apart = second, first, (1, second)
    else:
        batches, steps, apart = first, second, (second, 1)
    strides = [inputs * apart[0], inputs * apart[1], outputs * apart[0], outputs * apart[1]]
    return np.array([batches, steps, inputs, cells, *strides, outputs], np.int32)


def cell_count(node: Node) -> int:
    """Return the number of cells of a layer."""
    return node.input(CELLS).shape[1]


def clip(node: Node, name: str) -> float:
    """Return the limit of the cells (``cell_clip``) or of the outputs (``proj_clip``); 0: none."""
    return float(node.options.get(name) or 0.0)


def check_operands(node: Node) -> Iterator[Problem]:
    """Yield problems with the tensors of a node, except their shapes and scales."""
    coupled = node.optional_input(WEIGHTS) is None
    needed = [0, *range(2, 5), *range(6, 9), *range(13, 16), STATE, CELLS]
    needed += [] if coupled else [RECURRENT, BIASES]
    if any(node.optional_input(i) is None for i in needed):
        yield Problem("inputs are absent", "weights and biases of all gates, and two states")
        return
    if coupled and any(node.optional_input(i) is not None for i in (RECURRENT, BIASES, 9)):
        yield Problem("only parts of an input gate", "a whole input gate, or none")
        return
    if len(node.outputs) != 3:
        yield Problem("the states are not variables", "variable tensors as inputs 18 and 19")
        return
    if any(node.optional_input(i) is not None for i in _NORMALIZATION):
        yield Problem("layer normalization", "a layer without it, as in Keras")
    wanted = [PEEPHOLES[gate] for gate in gates(node) if gate in PEEPHOLES]
    given = [i for i in PEEPHOLES.values() if node.optional_input(i) is not None]
    if given and given != wanted:
        yield Problem(
            "peepholes of only some gates", "peepholes of all gates except the cell's, or none"
        )
        return
    if not has_projection(node) and node.optional_input(PROJECTION_BIAS) is not None:
        yield Problem("a bias without a projection", "both or none")
    if node.activation != "TANH":
        yield Problem(f"fused activation {node.activation}", "TANH")
    if node.options.get("diagonal_recurrent_tensors"):
        yield Problem("diagonal recurrent weights", "full matrices")
    if min(clip(node, "cell_clip"), clip(node, "proj_clip")) < 0:
        yield Problem("cells or outputs clipped at less than 0", "a limit, or 0 for none")
    yield from _check_dtypes(node)


def _check_dtypes(node: Node) -> Iterator[Problem]:
    dtype = node.input(0).dtype
    real = dtype == "float32"
    weights = [t for p in (WEIGHTS, RECURRENT) for t in gate_tensors(node, p)]
    weights += [node.input(PROJECTION)] if has_projection(node) else []
    biases, odd = gate_tensors(node, BIASES), peepholes(node)
    bias = node.optional_input(PROJECTION_BIAS)
    biases += [] if bias is None else [bias]
    if any(t.data is None for t in (*weights, *biases, *odd)):
        yield Problem("weights or biases are computed at run time", "constants")
    wide = {"float32": "float32", "int8": "int32", "int16": "int64"}[dtype]
    wanted = [*["float32" if real else "int8"] * len(weights), *[wide] * len(biases)]
    wanted += [*["float32" if real else "int16"] * len(odd), dtype, "float32" if real else "int16"]
    given = [t.dtype for t in (*weights, *biases, *odd, node.input(STATE), node.input(CELLS))]
    if given != wanted or node.output.dtype != dtype:
        names = ", ".join(dict.fromkeys(given))
        yield Problem(f"weights, biases and states of {names}", ", ".join(dict.fromkeys(wanted)))


def check_shapes(node: Node) -> Iterator[Problem]:
    """Yield problems with the shapes of a node whose tensors are all present."""
    x, y = node.input(0).shape, node.output.shape
    if len(x) != 3 or len(y) != 3 or x[:2] != y[:2]:
        yield Problem(f"input {list(x)} and output {list(y)}", "three dimensions, the first equal")
        return
    if len(node.input(CELLS).shape) != 2:
        yield Problem(f"cells of shape {list(node.input(CELLS).shape)}", "[batches, cells]")
        return
    inputs, outputs, cells = x[2], y[2], cell_count(node)
    batches = x[1] if node.options.get("time_major") else x[0]
    expected = [
        *((tensor, (cells, inputs)) for tensor in gate_tensors(node, WEIGHTS)),
        *((tensor, (cells, outputs)) for tensor in gate_tensors(node, RECURRENT)),
        *((tensor, (cells,)) for tensor in (*gate_tensors(node, BIASES), *peepholes(node))),
        (node.input(STATE), (batches, outputs)),
        (node.input(CELLS), (batches, cells)),
    ]
    if has_projection(node):
        expected.append((node.input(PROJECTION), (outputs, cells)))
        bias = node.optional_input(PROJECTION_BIAS)
        expected += [] if bias is None else [(bias, (outputs,))]
    elif outputs != cells:
        yield Problem(f"{outputs} outputs of {cells} cells", "one output per cell, or a projection")
    for tensor, shape in expected:
        if tensor.shape != shape:
            yield Problem(f"{tensor.name} is {list(tensor.shape)}", f"the shape {list(shape)}")


def float_step(
    node: Node, x: np.ndarray, state: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute outputs and cells after one step, in the order of ``lstm_eval::EvalFloat``."""
    own = gates(node)
    sums = stacked(gate_tensors(node, BIASES)) + x @ stacked(gate_tensors(node, WEIGHTS)).T
    sums = sums + state @ stacked(gate_tensors(node, RECURRENT)).T
    values = dict(zip(own, np.split(sums, len(own), axis=1), strict=True))
    seen: dict[int, np.ndarray | float] = {0: 0.0, 1: 0.0, 3: 0.0}
    if has_peepholes(node):
        seen.update((gate, node.input(PEEPHOLES[gate]).data) for gate in own if gate in PEEPHOLES)  # type: ignore[misc]
    kept = _logistic(values[1] + seen[1] * cells)
    added = _logistic(values[0] + seen[0] * cells) if 0 in own else 1 - kept
    after = kept * cells + added * np.tanh(values[2])
    limit = clip(node, "cell_clip")
    if limit > 0:
        after = np.clip(after, -limit, limit)
    outputs = _logistic(values[3] + seen[3] * after) * np.tanh(after)
    if has_projection(node):
        weights = node.input(PROJECTION).data
        assert weights is not None
        outputs = outputs @ weights.T + projection_bias(node)
        limit = clip(node, "proj_clip")
        if limit > 0:
            outputs = np.clip(outputs, -limit, limit)
    return outputs.astype(np.float32), after.astype(np.float32)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
