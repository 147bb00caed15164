"""Builds small .tflite models for tests: with `ModelWriter`, and with parts no importer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tvmtiny.frontend.writer import ModelWriter, buffer


class ModelBuilder(ModelWriter):
    """A model, filled tensor by tensor and operator by operator, see `ModelWriter`."""

    def __init__(self) -> None:
        super().__init__("test")
        self._initial: dict[str, np.ndarray] = {}

    def int4_constant(self, name: str, value: np.ndarray, **quantization: Any) -> int:
        """Add a constant of 4-bit integers from -8 to 7; keywords as for `tensor`."""
        index = self.tensor(name, value.shape, "int4", **quantization)
        halves = np.append(value.reshape(-1), [0] * (value.size % 2)).astype(np.uint8) & 0xF
        self._tensors[index].buffer = len(self._buffers)
        self._buffers.append(buffer((halves[::2] | halves[1::2] << 4).tobytes()))
        return index

    def sparse_constant(
        self,
        name: str,
        value: np.ndarray,
        order: Sequence[int],
        compressed: Sequence[int],
        blocks: Mapping[int, int] | None = None,
        **quantization: Any,
    ) -> int:
        """Add a constant of which only the values other than 0 are stored.

        Parameters
        ----------
        order
            The levels, each a dimension, or the rank and more for the block dimensions.
        compressed
            Levels that store indices.
        blocks
            Sizes of blocks by the dimension that they divide.
        **fields
            Further keywords of `tensor`.
        """
        blocks, rank = blocks or {}, value.ndim
        split = [n for d, size in enumerate(value.shape) for n in (size // blocks.get(d, 1),)]
        inner = [blocks[d] for d in blocks]
        axes = [(n, blocks[d]) if d in blocks else (n,) for d, n in enumerate(split)]
        parts = value.reshape([n for axis in axes for n in axis])
        starts = np.cumsum([0, *(len(axis) for axis in axes)])[:-1]
        place = [int(s) for s in starts] + [int(starts[d]) + 1 for d in blocks]
        nodes, levels = [parts.transpose([place[d] for d in order])], []
        for dimension in order:
            level = schema.DimensionMetadataT()
            level.denseSize = [*split, *inner][dimension]
            level.format = int(dimension in compressed)
            if level.format:
                kept = [[i for i, part in enumerate(node) if np.any(part)] for node in nodes]
                level.arraySegments = _numbers(np.cumsum([0, *map(len, kept)]), np.int32)
                level.arrayIndices = _numbers([i for some in kept for i in some], np.uint8)
                level.arraySegmentsType = schema.SparseIndexVector.Int32Vector
                level.arrayIndicesType = schema.SparseIndexVector.Uint8Vector
                nodes = [node[i] for node, some in zip(nodes, kept, strict=True) for i in some]
            else:
                nodes = [part for node in nodes for part in node]
            levels.append(level)
        sparsity = schema.SparsityParametersT()
        sparsity.traversalOrder = list(order)
        sparsity.blockMap = [*blocks] or None
        sparsity.dimMetadata = levels
        index = self.constant(name, np.array(nodes, value.dtype), **quantization)
        self._tensors[index].shape = list(value.shape)
        self._tensors[index].sparsity = sparsity
        assert len(order) == rank + len(blocks)
        return index

    def variable(self, name: str, initial: np.ndarray | None = None) -> int:
        """Add a VAR_HANDLE; with an initial value, the model's first operator sets the variable.

        Variables with an initial value come before all operators except other handles.
        """
        if initial is not None:
            self._initial[name] = np.asarray(initial)
            if len(self._initial) == 1:
                self.op("CALL_ONCE", [], [], {"init_subgraph_index": 1})
        handle = self.tensor(f"{name}/handle", (), "resource")
        self.op("VAR_HANDLE", [], [handle], {"shared_name": name, "container": ""})
        return handle

    def build(self, outputs: Sequence[int]) -> bytes:
        subgraphs = [self._subgraph("main", outputs), *self._subgraphs]
        if self._initial:
            assert not self._subgraphs
            self._tensors, self._operators, self._inputs = [], [], []
            for name, initial in self._initial.items():
                value = self.constant(f"{name}/initial", initial)
                self.op("ASSIGN_VARIABLE", [self.variable(name), value], [], {})
            subgraphs.append(self._subgraph("initialisation", []))
        return self._packed(subgraphs)


def _numbers(values: Any, dtype: type) -> Any:
    kind = schema.Int32VectorT if dtype is np.int32 else schema.Uint8VectorT
    vector = kind()
    vector.values = np.asarray(values, dtype)
    return vector
