"""Split a model into single operators for the oracle.

If LiteRT lacks the reference kernel of a single operator, it uses no reference kernels at all for
that model. Such a model is split into models of one operator each, so that every operator that has
a reference kernel is computed by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmtiny.frontend.flatbuffer import FlatbufferError, schema, unpack_model
from tvmtiny.frontend.writer import packed

__all__ = ["OneOperator", "one_by_one"]


@dataclass(frozen=True, eq=False)
class OneOperator:
    """A single operator of another model, as a model of its own.

    Attributes
    ----------
    content
        Content of the .tflite file.
    tensors
        Indices of its tensors in the other model.
    inputs
        Indices of its inputs in the other model.
    """

    content: bytes
    tensors: tuple[int, ...]
    inputs: tuple[int, ...]


def one_by_one(model: bytes) -> list[OneOperator] | None:
    """Split a model into its operators, in execution order.

    Parameters
    ----------
    model
        Content of a .tflite file.

    Returns
    -------
    list of OneOperator or None
        None if several operators share a variable, the model has several subgraphs, or its content
        is damaged. State of a single operator is kept by that operator's model.
    """
    try:
        whole = unpack_model(model)
    except FlatbufferError:
        return None
    if len(whole.subgraphs) != 1:
        return None
    graph, resource = whole.subgraphs[0], schema().TensorType.RESOURCE
    tensors, operators = graph.tensors or (), graph.operators or ()
    if any(tensor.type == resource for tensor in tensors):
        return None
    given = {*_indices(graph.inputs)}
    states = [i for o in operators for i in {*_indices(o.inputs)} - given if tensors[i].isVariable]
    if len(set(states)) < len(states):
        return None
    return [_alone(whole, operator) for operator in operators]


def _alone(whole: Any, operator: Any) -> OneOperator:
    types, graph = schema(), whole.subgraphs[0]
    inner = {*_indices(operator.intermediates)}
    used = [
        *_indices(operator.inputs),
        *_indices(operator.outputs),
        *_indices(operator.intermediates),
    ]
    tensors = list(dict.fromkeys(used))
    place = {index: i for i, index in enumerate(tensors)}
    written = {*_indices(operator.outputs)}

    part = types.SubGraphT()
    part.tensors = [graph.tensors[i] for i in tensors]
    part.operators = [operator]
    model = types.ModelT()
    model.version, model.subgraphs = whole.version, [part]
    model.operatorCodes, model.buffers = whole.operatorCodes, whole.buffers
    code = operator.opcodeIndex
    constant = [i for i in tensors if i not in written and _has_data(whole, graph.tensors[i])]
    given = {*_indices(graph.inputs)}
    remembered = {i for i in tensors if graph.tensors[i].isVariable and i not in given}
    inputs = [i for i in tensors if i not in written | remembered | inner and i not in constant]
    part.inputs = [place[i] for i in inputs]
    part.outputs = [place[i] for i in tensors if i in written]
    before = operator.inputs, operator.outputs, operator.intermediates
    buffers = [whole.buffers[0], *(whole.buffers[graph.tensors[i].buffer] for i in constant)]
    numbers = [tensor.buffer for tensor in part.tensors]
    try:
        operator.inputs = [place.get(int(i), -1) for i in operator.inputs]
        operator.outputs = [place[int(i)] for i in operator.outputs]
        # LiteRT's LSTM kernel does not check these indices.
        operator.intermediates = [place[i] for i in _indices(operator.intermediates)]
        operator.opcodeIndex, model.operatorCodes = 0, [whole.operatorCodes[code]]
        model.buffers = buffers
        for tensor in part.tensors:
            tensor.buffer = 0
        for position, index in enumerate(constant, 1):
            graph.tensors[index].buffer = position
        content = packed(model)
    finally:
        operator.inputs, operator.outputs, operator.intermediates = before
        operator.opcodeIndex = code
        for tensor, number in zip(part.tensors, numbers, strict=True):
            tensor.buffer = number
    return OneOperator(content, tuple(tensors), tuple(inputs))


def _indices(indices: Sequence[int] | np.ndarray | None) -> Iterator[int]:
    yield from (int(i) for i in (() if indices is None else indices) if i >= 0)


def _has_data(model: Any, tensor: Any) -> bool:
    buffer = model.buffers[tensor.buffer] if tensor.buffer else None
    if buffer is not None and buffer.data is not None and len(buffer.data):
        return True
    return tensor.shape is not None and 0 in list(tensor.shape)
