"""Merge many small models, side by side, into one that is built once."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from tvmtiny.frontend.flatbuffer import schema, unpack_model
from tvmtiny.frontend.writer import packed


class MergedModel:
    """A model to which other models are added, independent of each other.

    Attributes
    ----------
    graph
        The subgraph that holds the operators of the models' first subgraphs.
    """

    def __init__(self) -> None:
        self.graph = schema().SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []
        self._whole = schema().ModelT()
        self._whole.version = 3
        self._whole.subgraphs, self._whole.operatorCodes = [self.graph], []
        self._whole.buffers = [schema().BufferT()]

    def add(self, name: str, model: Any) -> int:
        """Add copies of the tensors and operators of a model, and of its other subgraphs.

        Parameters
        ----------
        name
            It and a slash go in front of the names of tensors, unless it is empty.
        model
            The model, as `unpack_model` returns it.

        Returns
        -------
        int
            The new index of the model's first tensor.
        """
        codes, buffers = len(self._whole.operatorCodes), len(self._whole.buffers)
        subgraphs = len(self._whole.subgraphs) - 1
        graph, *others = (
            _renamed(part, name, codes, buffers, subgraphs) for part in model.subgraphs
        )
        tensors = len(self.graph.tensors)
        for operator in graph.operators:
            operator.inputs = _shifted(operator.inputs, tensors)
            operator.outputs = _shifted(operator.outputs, tensors)
            operator.intermediates = _shifted(operator.intermediates, tensors) or None
        self.graph.tensors += graph.tensors
        self.graph.operators += graph.operators
        self.graph.inputs += _shifted(graph.inputs, tensors)
        self.graph.outputs += _shifted(graph.outputs, tensors)
        self._whole.subgraphs += others
        self._whole.operatorCodes += model.operatorCodes
        self._whole.buffers += model.buffers
        return tensors

    def build(self) -> bytes:
        """The bytes of the .tflite file."""
        return packed(self._whole)


def merge_models(models: Mapping[str, bytes]) -> bytes:
    """Return one model that holds all `models`, which stay independent of each other.

    Parameters
    ----------
    models
        .tflite files by name. The names of their tensors get the name and a slash as a prefix.

    Returns
    -------
    bytes
        A .tflite file. Operators, inputs and outputs are those of the models, in their order.
    """
    merged = MergedModel()
    #: Models that come again are unpacked once.
    unpacked = {content: unpack_model(content) for content in {*models.values()}}
    for name, content in models.items():
        merged.add(name, unpacked[content])
    return merged.build()


def _renamed(graph: Any, name: str, codes: int, buffers: int, subgraphs: int) -> Any:
    """Return a copy of a subgraph that refers to its parts within the merged model."""
    prefix = f"{name}/" if name else ""
    graph = copy(graph)
    graph.tensors = [copy(tensor) for tensor in graph.tensors]
    graph.operators = [copy(operator) for operator in graph.operators]
    for tensor in graph.tensors:
        tensor.name = f"{prefix}{(tensor.name or b'').decode()}"
        tensor.buffer = tensor.buffer + buffers if tensor.buffer else 0
    for operator in graph.operators:
        operator.opcodeIndex += codes
        options = operator.builtinOptions = copy(operator.builtinOptions)
        if isinstance(options, schema().CallOnceOptionsT):
            options.initSubgraphIndex += subgraphs
        if isinstance(options, schema().WhileOptionsT):
            options.condSubgraphIndex += subgraphs
            options.bodySubgraphIndex += subgraphs
        if isinstance(options, schema().IfOptionsT):
            options.thenSubgraphIndex += subgraphs
            options.elseSubgraphIndex += subgraphs
        if isinstance(options, schema().VarHandleOptionsT):
            options.sharedName = f"{prefix}{options.sharedName.decode()}"
    return graph


def _shifted(indices: Any, by: int) -> list[int]:
    # -1 stands for an absent optional input.
    present = np.zeros(0, np.int32) if indices is None else indices
    return [int(i) + by if i >= 0 else -1 for i in present]
