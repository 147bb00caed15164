"""Builds small .tflite models for tests with the object API of LiteRT's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

#: Operators whose options table is not named after them.
_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "EMBEDDING_LOOKUP": None,
    "L2_POOL_2D": "Pool2DOptions",
    "CEIL": None,
    "ELU": None,
    "FLOOR": None,
    "L2_NORMALIZATION": "L2NormOptions",
    "LOG": None,
    "LOGISTIC": None,
    "CUMSUM": "CumsumOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "PADV2": "PadV2Options",
    "PRELU": None,
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "REVERSE_V2": "ReverseV2Options",
    "RELU": None,
    "RELU6": None,
    "RELU_0_TO_1": None,
    "RELU_N1_TO_1": None,
    "ROUND": None,
    "RSQRT": None,
    "SIN": None,
    "SQRT": None,
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "SPLIT_V": "SplitVOptions",
    "SUM": "ReducerOptions",
    "TOPK_V2": "TopKV2Options",
    "SVDF": "SVDFOptions",
    "TANH": None,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
}

#: Fields of option tables that hold an enum, so that tests can give its name.
_ENUMS = {
    "padding": schema.Padding,
    "fused_activation_function": schema.ActivationFunctionType,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
    "quantized_bias_type": schema.TensorType,
    "in_data_type": schema.TensorType,
    "out_data_type": schema.TensorType,
    "mode": schema.MirrorPadMode,
}


class ModelBuilder:
    """One subgraph, filled tensor by tensor and operator by operator.

    Every method that adds a tensor returns its index, which is its TFLite tensor index too.

    Examples
    --------
    >>> b = ModelBuilder()
    >>> x = b.input("x", (1, 8, 8, 3), "int8", scale=0.5, zero_point=-3)
    >>> w = b.constant("w", np.ones((4, 3, 3, 3), np.int8), scales=[0.1, 0.2, 0.3, 0.4])
    >>> bias = b.constant("bias", np.zeros(4, np.int32))
    >>> y = b.tensor("y", (1, 8, 8, 4), "int8", scale=0.25)
    >>> options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    >>> b.op("CONV_2D", [x, w, bias], [y], options=options, version=3)
    >>> data = b.build(outputs=[y])
    """

    def __init__(self) -> None:
        self._tensors: list[schema.TensorT] = []
        self._buffers: list[schema.BufferT] = [_buffer(b"")]
        self._codes: list[schema.OperatorCodeT] = []
        self._operators: list[schema.OperatorT] = []
        self._inputs: list[int] = []
        self._initial: dict[str, np.ndarray] = {}
        self._signatures: list[schema.SignatureDefT] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: float | None = None,
        zero_point: int = 0,
        scales: Sequence[float] | None = None,
        zero_points: Sequence[int] | None = None,
        axis: int = 0,
        variable: bool = False,
    ) -> int:
        """Add an activation; `scale` quantizes per tensor, `scales` per slice along `axis`."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = [int(d) for d in shape]
        tensor.hasRank = True
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.buffer = 0
        tensor.isVariable = variable
        if scale is not None:
            scales, zero_points = [scale], [zero_point]
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = [float(s) for s in scales]
            quantization.zeroPoint = [int(z) for z in zero_points or [0] * len(scales)]
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def input(
        self, name: str, shape: Sequence[int], dtype: str = "int8", **quantization: Any
    ) -> int:
        """Add an input of the model; keywords as for `tensor`."""
        index = self.tensor(name, shape, dtype, **quantization)
        self._inputs.append(index)
        return index

    def constant(self, name: str, value: np.ndarray, **quantization: Any) -> int:
        """Add a constant with the dtype and shape of `value`; keywords as for `tensor`."""
        value = np.asarray(value)
        index = self.tensor(name, value.shape, value.dtype.name, **quantization)
        self._tensors[index].buffer = len(self._buffers)
        self._buffers.append(_buffer(value.astype(value.dtype.newbyteorder("<")).tobytes()))
        return index

    def int4_constant(self, name: str, value: np.ndarray, **quantization: Any) -> int:
        """Add a constant of 4-bit integers from -8 to 7; keywords as for `tensor`."""
        index = self.tensor(name, value.shape, "int4", **quantization)
        halves = np.append(value.reshape(-1), [0] * (value.size % 2)).astype(np.uint8) & 0xF
        self._tensors[index].buffer = len(self._buffers)
        self._buffers.append(_buffer((halves[::2] | halves[1::2] << 4).tobytes()))
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
        """Add a constant of which only what is not 0 is stored; more keywords as for `tensor`.

        Parameters
        ----------
        order
            The levels, each a dimension, or the rank and more for the block dimensions.
        compressed
            Those levels that store indices.
        blocks
            Sizes of blocks by the dimension that they lie along.
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
        """Add a VAR_HANDLE; with an initial value, the first operator of the model sets it.

        Variables with an initial value come in front of all operators but other handles.
        """
        if initial is not None:
            self._initial[name] = np.asarray(initial)
            if len(self._initial) == 1:
                self.op("CALL_ONCE", [], [], {"init_subgraph_index": 1})
        handle = self.tensor(f"{name}/handle", (), "resource")
        self.op("VAR_HANDLE", [], [handle], {"shared_name": name, "container": ""})
        return handle

    def op(
        self,
        operator: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        options: Mapping[str, Any] | None = None,
        version: int = 1,
        intermediates: Sequence[int] | None = None,
    ) -> None:
        """Append an operator.

        Parameters
        ----------
        operator
            TFLite's name, such as ``CONV_2D``.
        inputs
            None stands for an absent optional input.
        options
            The options table under its schema names in snake_case; enum values may be names.
            None leaves the table out.
        intermediates
            Tensors that carry the quantization of what is inside of the operator.
        """
        node = schema.OperatorT()
        node.opcodeIndex = self._code(operator, version)
        node.inputs = [-1 if index is None else index for index in inputs]
        node.outputs = list(outputs)
        node.intermediates = intermediates
        node.builtinOptionsType = schema.BuiltinOptions.NONE
        if options is not None:
            kind = _options_name(operator)
            assert kind is not None, f"{operator} has no options"
            node.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            node.builtinOptions = _fill(getattr(schema, f"{kind}T")(), options)
        self._operators.append(node)

    def signature(
        self,
        inputs: Sequence[tuple[str, int]],
        outputs: Sequence[tuple[str, int]],
        key: str = "serving_default",
        subgraph: int = 0,
    ) -> None:
        """Add a signature: names of the inputs and outputs of a subgraph, and their tensors."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, subgraph
        signature.inputs, signature.outputs = _entries(inputs), _entries(outputs)
        self._signatures.append(signature)

    def build(self, outputs: Sequence[int]) -> bytes:
        """The model with the given output tensors, as the bytes of a .tflite file."""
        subgraphs = [self._subgraph("main", outputs)]
        if self._initial:
            self._tensors, self._operators, self._inputs = [], [], []
            for name, initial in self._initial.items():
                value = self.constant(f"{name}/initial", initial)
                self.op("ASSIGN_VARIABLE", [self.variable(name), value], [], {})
            subgraphs.append(self._subgraph("initialisation", []))
        model = schema.ModelT()
        model.version = 3
        model.description = "test"
        model.operatorCodes = self._codes
        model.subgraphs = subgraphs
        model.buffers = self._buffers
        model.signatureDefs = self._signatures or None
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _subgraph(self, name: str, outputs: Sequence[int]) -> schema.SubGraphT:
        subgraph = schema.SubGraphT()
        subgraph.name = name
        subgraph.tensors = self._tensors
        subgraph.inputs = self._inputs
        subgraph.outputs = list(outputs)
        subgraph.operators = self._operators
        return subgraph

    def _code(self, operator: str, version: int) -> int:
        builtin = getattr(schema.BuiltinOperator, operator)
        for position, known in enumerate(self._codes):
            if (known.builtinCode, known.version) == (builtin, version):
                return position
        code = schema.OperatorCodeT()
        code.builtinCode = builtin
        # Readers take the larger of the two; 127 is the schema's placeholder for codes above it.
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.version = version
        self._codes.append(code)
        return len(self._codes) - 1


def _entries(tensors: Sequence[tuple[str, int]]) -> list[schema.TensorMapT]:
    entries = []
    for name, index in tensors:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        entries.append(entry)
    return entries


def _numbers(values: Any, dtype: type) -> Any:
    kind = schema.Int32VectorT if dtype is np.int32 else schema.Uint8VectorT
    vector = kind()
    vector.values = np.asarray(values, dtype)
    return vector


def _buffer(data: bytes) -> schema.BufferT:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, np.uint8) if data else None
    return buffer


def _options_name(operator: str) -> str | None:
    if operator in _OPTIONS:
        return _OPTIONS[operator]
    camel = "".join(part.capitalize() for part in operator.split("_")) + "Options"
    known = {name.lower(): name for name in vars(schema.BuiltinOptions)}
    return known[camel.lower()]


def _fill(table: Any, options: Mapping[str, Any]) -> Any:
    for name, value in options.items():
        head, *rest = name.split("_")
        field = head + "".join(part.capitalize() for part in rest)
        assert hasattr(table, field), f"{type(table).__name__} has no field {name}"
        if isinstance(value, str) and name in _ENUMS:
            value = getattr(_ENUMS[name], value.upper())
        setattr(table, field, value)
    return table
