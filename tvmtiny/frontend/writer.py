"""Writing of .tflite files with the object API of LiteRT's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import flatbuffers
import numpy as np

from tvmtiny.frontend.flatbuffer import schema
from tvmtiny.frontend.reader import FILE_IDENTIFIER

__all__ = ["ModelWriter", "packed"]

#: Options tables whose name does not follow from the operator's; None for no table.
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
    "BIDIRECTIONAL_SEQUENCE_LSTM": "BidirectionalSequenceLSTMOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
}

#: Fields of options tables that hold an enum, which can be given by name.
_ENUMS = {
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
    "quantized_bias_type": "TensorType",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "mode": "MirrorPadMode",
}


AnyWriter = TypeVar("AnyWriter", bound="ModelWriter")


class ModelWriter:
    """Builds a model, tensor by tensor and operator by operator.

    Every method that adds a tensor returns its TFLite tensor index.

    Parameters
    ----------
    description
        The description in the file, which names the tool that wrote it.

    Examples
    --------
    >>> b = ModelWriter()
    >>> x = b.input("x", (1, 8, 8, 3), "int8", scale=0.5, zero_point=-3)
    >>> w = b.constant("w", np.ones((4, 3, 3, 3), np.int8), scales=[0.1, 0.2, 0.3, 0.4])
    >>> bias = b.constant("bias", np.zeros(4, np.int32))
    >>> y = b.tensor("y", (1, 8, 8, 4), "int8", scale=0.25)
    >>> options = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    >>> b.op("CONV_2D", [x, w, bias], [y], options=options, version=3)
    >>> data = b.build(outputs=[y])
    """

    def __init__(self, description: str = "tvmtiny") -> None:
        self.description = description
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [buffer(b"")]
        self._codes: list[Any] = []
        self._operators: list[Any] = []
        self._inputs: list[int] = []
        self._signatures: list[Any] = []
        self._subgraphs: list[Any] = []

    def subgraph(self: AnyWriter, name: str, make: Callable[[AnyWriter], Sequence[int]]) -> int:
        """Add a subgraph for WHILE or IF.

        Parameters
        ----------
        make
            Adds inputs and operators to a writer of its own and returns the outputs.

        Returns
        -------
        int
            The subgraph's index.
        """
        inner = type(self)()
        inner._buffers, inner._codes = self._buffers, self._codes
        inner._subgraphs = self._subgraphs
        outputs = make(inner)
        self._subgraphs.append(inner._subgraph(name, outputs))
        return len(self._subgraphs)

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
        """Add an activation; `scale` quantizes the tensor, `scales` each slice along `axis`."""
        tensor = schema().TensorT()
        tensor.name = name
        tensor.shape = [int(d) for d in shape]
        tensor.hasRank = True
        tensor.type = getattr(schema().TensorType, dtype.upper())
        tensor.buffer = 0
        tensor.isVariable = variable
        if scale is not None:
            scales, zero_points = [scale], [zero_point]
        if scales is not None:
            quantization = schema().QuantizationParametersT()
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

    def rename(self, index: int, name: str) -> None:
        """Give a tensor another name."""
        self._tensors[index].name = name

    def constant(self, name: str, value: np.ndarray, **quantization: Any) -> int:
        """Add a constant with the dtype and shape of `value`; keywords as for `tensor`."""
        value = np.asarray(value)
        index = self.tensor(name, value.shape, value.dtype.name, **quantization)
        self._tensors[index].buffer = len(self._buffers)
        self._buffers.append(buffer(value.astype(value.dtype.newbyteorder("<")).tobytes()))
        return index

    def op(
        self,
        operator: str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        options: Mapping[str, Any] | None = None,
        version: int = 1,
        intermediates: Sequence[int] | None = None,
        custom_options: bytes | None = None,
    ) -> None:
        """Append an operator.

        Parameters
        ----------
        operator
            TFLite's name, such as ``CONV_2D``; ``CUSTOM:`` precedes the name of a custom operator.
        inputs
            Tensor indices; None for an absent optional input.
        outputs
            Tensor indices.
        options
            Fields of the options table, by schema name in snake_case; enum values may be names.
            None leaves the table out.
        version
            Version of the operator.
        intermediates
            Tensors that carry the quantization of values inside the operator.
        custom_options
            The options of a custom operator.
        """
        node = schema().OperatorT()
        node.opcodeIndex = self._code(operator, version)
        node.inputs = [-1 if index is None else index for index in inputs]
        node.outputs = list(outputs)
        node.intermediates = intermediates
        node.builtinOptionsType = schema().BuiltinOptions.NONE
        if options is not None:
            kind = _options_name(operator)
            assert kind is not None, f"{operator} has no options"
            node.builtinOptionsType = getattr(schema().BuiltinOptions, kind)
            node.builtinOptions = _fill(getattr(schema(), f"{kind}T")(), options)
        if custom_options is not None:
            node.customOptions = np.frombuffer(custom_options, np.uint8)
        self._operators.append(node)

    def signature(
        self,
        inputs: Sequence[tuple[str, int]],
        outputs: Sequence[tuple[str, int]],
        key: str = "serving_default",
        subgraph: int = 0,
    ) -> None:
        """Add a signature, which names the inputs and outputs of a subgraph."""
        signature = schema().SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, subgraph
        signature.inputs, signature.outputs = _entries(inputs), _entries(outputs)
        self._signatures.append(signature)

    def build(self, outputs: Sequence[int]) -> bytes:
        """Return the model with the given output tensors as the bytes of a .tflite file."""
        return self._packed([self._subgraph("main", outputs), *self._subgraphs])

    def _packed(self, subgraphs: Sequence[Any]) -> bytes:
        model = schema().ModelT()
        model.version = 3
        model.description = self.description
        model.operatorCodes = self._codes
        model.subgraphs = list(subgraphs)
        model.buffers = self._buffers
        model.signatureDefs = self._signatures or None
        return packed(model)

    def _subgraph(self, name: str, outputs: Sequence[int]) -> Any:
        subgraph = schema().SubGraphT()
        subgraph.name = name
        subgraph.tensors = self._tensors
        subgraph.inputs = self._inputs
        subgraph.outputs = list(outputs)
        subgraph.operators = self._operators
        return subgraph

    def _code(self, operator: str, version: int) -> int:
        name, _, custom = operator.partition(":")
        builtin = getattr(schema().BuiltinOperator, name)
        for position, known in enumerate(self._codes):
            if (known.builtinCode, known.version) == (builtin, version) and (
                (known.customCode or "") == custom
            ):
                return position
        code = schema().OperatorCodeT()
        code.builtinCode = builtin
        # Readers use the larger of both fields; 127 is the schema's placeholder for larger codes.
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.customCode = custom or None
        code.version = version
        self._codes.append(code)
        return len(self._codes) - 1


def _entries(tensors: Sequence[tuple[str, int]]) -> list[Any]:
    entries = []
    for name, index in tensors:
        entry = schema().TensorMapT()
        entry.name, entry.tensorIndex = name, index
        entries.append(entry)
    return entries


def packed(model: Any) -> bytes:
    """Return the content of the .tflite file of a ``ModelT``."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def buffer(data: bytes) -> Any:
    """Return a buffer with the content of a constant."""
    made = schema().BufferT()
    made.data = np.frombuffer(data, np.uint8) if data else None
    return made


@cache
def _options_name(operator: str) -> str | None:
    if operator in _OPTIONS:
        return _OPTIONS[operator]
    camel = "".join(part.capitalize() for part in operator.split("_")) + "Options"
    known = {name.lower(): name for name in vars(schema().BuiltinOptions)}
    return known[camel.lower()]


def _fill(table: Any, options: Mapping[str, Any]) -> Any:
    for name, value in options.items():
        head, *rest = name.split("_")
        field = head + "".join(part.capitalize() for part in rest)
        assert hasattr(table, field), f"{type(table).__name__} has no field {name}"
        if isinstance(value, str) and name in _ENUMS:
            value = getattr(getattr(schema(), _ENUMS[name]), value.upper())
        setattr(table, field, value)
    return table
