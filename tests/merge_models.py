"""Putting many small models side by side into one, so that one build serves them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def merge_models(models: Mapping[str, bytes]) -> bytes:
    """One model that holds all `models`, which stay independent of each other.

    Parameters
    ----------
    models
        .tflite files by name. The name and a slash go in front of their tensors' names.

    Returns
    -------
    bytes
        A .tflite file. Operators, inputs and outputs are those of the models, in their order.
    """
    merged = schema.SubGraphT()
    merged.name = "main"
    merged.tensors, merged.operators, merged.inputs, merged.outputs = [], [], [], []
    whole = schema.ModelT()
    whole.version = 3
    whole.subgraphs, whole.operatorCodes = [merged], []
    whole.buffers = [schema.BufferT()]
    for name, content in models.items():
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph, *others = model.subgraphs
        codes, buffers = len(whole.operatorCodes), len(whole.buffers)
        for part in model.subgraphs:
            _rename(part, name, codes, buffers, len(whole.subgraphs) - 1)
        tensors = len(merged.tensors)
        for operator in graph.operators:
            operator.inputs = _shifted(operator.inputs, tensors)
            operator.outputs = _shifted(operator.outputs, tensors)
            operator.intermediates = _shifted(operator.intermediates, tensors) or None
        merged.tensors += graph.tensors
        merged.operators += graph.operators
        merged.inputs += _shifted(graph.inputs, tensors)
        merged.outputs += _shifted(graph.outputs, tensors)
        whole.subgraphs += others
        whole.operatorCodes += model.operatorCodes
        whole.buffers += model.buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _rename(graph: Any, name: str, codes: int, buffers: int, subgraphs: int) -> None:
    """Make a subgraph refer to what is its own in the whole model."""
    for tensor in graph.tensors:
        tensor.name = f"{name}/{tensor.name.decode()}"
        tensor.buffer = tensor.buffer + buffers if tensor.buffer else 0
    for operator in graph.operators:
        operator.opcodeIndex += codes
        options = operator.builtinOptions
        if isinstance(options, schema.CallOnceOptionsT):
            options.initSubgraphIndex += subgraphs
        if isinstance(options, schema.VarHandleOptionsT):
            options.sharedName = f"{name}/{options.sharedName.decode()}"


def _shifted(indices: Any, by: int) -> list[int]:
    # -1 stands for an absent optional input.
    present = np.zeros(0, np.int32) if indices is None else indices
    return [int(i) + by if i >= 0 else -1 for i in present]
