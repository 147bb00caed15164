"""Reading of .tflite files into plain data, with messages for files that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any, TypeVar

import numpy as np

from tvmtiny.errors import ModelFormatError
from tvmtiny.errors.base import short_name
from tvmtiny.frontend.bidirectional import with_directions
from tvmtiny.frontend.custom import custom_options
from tvmtiny.frontend.flatbuffer import FlatbufferError, schema, unpack_model
from tvmtiny.frontend.sparse import SparsityError, dense
from tvmtiny.frontend.variables import resolve_variables
from tvmtiny.ops import find_operator
from tvmtiny.ops.shared.graph import Graph
from tvmtiny.ops.shared.node import DTYPE_BYTES, Node, Quantization, Tensor
from tvmtiny.ops.shared.quantization import INT32_RANGE, INTEGER_RANGES

__all__ = ["FILE_IDENTIFIER", "Graph", "read_graph"]

#: Bytes 4 to 8 of every TFLite file.
FILE_IDENTIFIER = b"TFL3"

#: Key of the signature in exports of TensorFlow and Keras.
_SERVING = b"serving_default"

#: The verifier's limit of dimensions.
_MOST_DIMENSIONS = 8

#: Most elements of a sparse constant; the verifier accepts no tensor of that many bytes.
_MOST_ELEMENTS = 1 << 26

#: Options that hold indices of subgraphs, and the names of the graphs in a node's options.
SUBGRAPHS = {
    "WHILE": {"cond_subgraph_index": "cond", "body_subgraph_index": "body"},
    "IF": {"then_subgraph_index": "then", "else_subgraph_index": "else"},
}

#: Most nodes in all subgraphs that nodes run; a subgraph counts once for each node that runs it.
_MOST_INNER_NODES = 10_000

AnyItem = TypeVar("AnyItem")


def read_graph(content: bytes, path: str) -> Graph:
    """Parse a TFLite flatbuffer.

    Parameters
    ----------
    content
        The content of the file.
    path
        Path of the file, for error messages.

    Returns
    -------
    Graph
        The first subgraph.

    Raises
    ------
    ModelFormatError
        If the file is empty, truncated, or not a TFLite model.
    """
    if not content:
        raise ModelFormatError(path, "the file is empty")
    if content[4:8] != FILE_IDENTIFIER:
        raise ModelFormatError(path, "this is not a TFLite file (no TFL3 identifier at byte 4)")
    try:
        model = unpack_model(content)
    except FlatbufferError as error:
        raise ModelFormatError(path, f"the file is truncated or damaged ({error})") from error
    return _Reader(schema(), model, content, path).graph()


class _Reader:
    def __init__(self, schema: Any, model: Any, content: bytes, path: str) -> None:
        self._content = content
        self._schema = schema
        self._model = model
        self._path = path
        self._dtypes = {code: name.lower() for code, name in _names(schema.TensorType).items()}
        self._enums = {
            "padding": _names(schema.Padding),
            "fused_activation_function": _names(schema.ActivationFunctionType),
            "mode": _names(schema.MirrorPadMode),
            "weights_format": _names(schema.FullyConnectedOptionsWeightsFormat),
        }
        self._operators = _names(schema.BuiltinOperator)
        #: Subgraphs that nodes run, with their number of nodes, including nested subgraphs.
        self._inner: dict[int, tuple[Graph, int]] = {}
        #: Subgraphs that are being read, and the nodes counted so far in the innermost of them.
        self._open, self._inside = {0}, 0

    def graph(self) -> Graph:
        """Return the first subgraph."""
        graph = resolve_variables(with_directions(self._subgraph(0)), self._subgraph)
        if not graph.outputs:
            raise ModelFormatError(self._path, "the model has no output")
        signature = self._signature()
        if signature is None:
            return graph
        return replace(
            graph,
            input_labels=_labels(signature.inputs, graph.inputs),
            output_labels=_labels(signature.outputs, graph.outputs),
        )

    def _signature(self) -> Any | None:
        """Return the signature of the first subgraph; among several, the one for serving."""
        signatures = [s for s in _present(self._model.signatureDefs) if s.subgraphIndex == 0]
        return next(
            (s for s in signatures if s.signatureKey == _SERVING),
            signatures[0] if signatures else None,
        )

    def _subgraph(self, index: int) -> Graph:
        subgraph = self._item(self._model.subgraphs, index, "subgraph")
        raw = _present(subgraph.tensors)
        tensors = _with_empty_constants(
            subgraph, tuple(self._tensor(i, t) for i, t in enumerate(raw))
        )
        nodes = tuple(
            self._node(i, operator, tensors)
            for i, operator in enumerate(_present(subgraph.operators))
        )
        signatures = {
            i: tuple(int(d) for d in t.shapeSignature)
            for i, t in enumerate(raw)
            if t.shapeSignature is not None and len(t.shapeSignature)
        }
        inputs, outputs = (
            tuple(self._item(tensors, i, "tensor") for i in _present(indices))
            for indices in (subgraph.inputs, subgraph.outputs)
        )
        return Graph(tensors, nodes, inputs, outputs, signatures)

    def _item(self, items: Sequence[AnyItem] | None, index: int, what: str) -> AnyItem:
        count = len(_present(items))
        if items is None or not 0 <= index < count:
            raise ModelFormatError(
                self._path, f"{what} {index} is used, but there are only {count}"
            )
        return items[index]

    def _tensor(self, index: int, raw: Any) -> Tensor:
        shape = () if raw.shape is None else tuple(int(d) for d in raw.shape)
        dtype = self._dtypes.get(raw.type, f"type {raw.type}")
        name = self._name(raw, index)
        variable = bool(raw.isVariable)
        tensor = Tensor(
            index, name, shape, dtype, self._quantization(raw, name, dtype), None, variable
        )
        buffer = self._item(self._model.buffers, raw.buffer, "buffer") if raw.buffer else None
        if buffer is None:
            return tensor
        data = buffer.data
        if buffer.offset > 1:
            # Some writers place large data after the flatbuffer.
            end = buffer.offset + buffer.size
            if end > len(self._content):
                reason = f"the data of tensor {short_name(name, 60)} lies outside the file"
                raise ModelFormatError(self._path, reason)
            data = np.frombuffer(self._content[buffer.offset : end], np.uint8)
        if data is None or not len(data):
            return tensor
        if dtype == "int4":
            # LiteRT, too, computes with int4 weights as with int8 ones.
            tensor = replace(tensor, dtype="int8", from_int4=True)
            data = _nibbles(data, shape)
        if tensor.dtype not in DTYPE_BYTES:
            return tensor
        content = data.tobytes()
        if raw.sparsity is not None:
            content = self._unpacked(content, raw.sparsity, tensor)
        if len(content) != tensor.nbytes:
            raise ModelFormatError(
                self._path,
                f"tensor {short_name(name, 60)} of shape {list(shape)} needs {tensor.nbytes} bytes "
                f"of {tensor.dtype}, but its buffer holds {len(content)}",
            )
        kept = _without_leading_ones(tensor)
        if len(kept) > _MOST_DIMENSIONS:
            return tensor
        data = np.frombuffer(content, tensor.dtype).reshape(kept)
        return replace(tensor, shape=kept, data=data)

    def _unpacked(self, content: bytes, sparsity: Any, tensor: Tensor) -> bytes:
        """Return the bytes of a sparse constant as a dense one."""
        try:
            if tensor.elements > _MOST_ELEMENTS or len(content) % DTYPE_BYTES[tensor.dtype]:
                raise SparsityError("its size is invalid")
            return dense(np.frombuffer(content, tensor.dtype), sparsity, tensor.shape).tobytes()
        except SparsityError as error:
            reason = f"the sparse tensor {tensor.name} is damaged ({error})"
            raise ModelFormatError(self._path, reason) from error

    def _name(self, raw: Any, index: int) -> str:
        try:
            return (raw.name or b"").decode("utf-8") or f"tensor_{index}"
        except UnicodeDecodeError as error:
            raise ModelFormatError(
                self._path, f"the file is damaged (the name of tensor {index} is not valid UTF-8)"
            ) from error

    def _quantization(self, raw: Any, name: str, dtype: str) -> Quantization | None:
        parameters = raw.quantization
        if parameters is None:
            return None
        blocks = self._schema.QuantizationDetails.BlockwiseQuantization
        if parameters.detailsType == blocks and parameters.details is not None:
            # No operator accepts a scale of 0.
            return Quantization((0.0,), (0,), block=max(1, int(parameters.details.blockSize)))
        if parameters.scale is None or not len(parameters.scale):
            return None
        scales = tuple(float(s) for s in parameters.scale)
        points = (
            tuple(int(z) for z in parameters.zeroPoint)
            if parameters.zeroPoint is not None and len(parameters.zeroPoint)
            else (0,) * len(scales)
        )
        if len(points) == 1:
            points *= len(scales)
        if len(points) != len(scales):
            raise ModelFormatError(
                self._path,
                f"tensor {short_name(name, 60)} has {len(scales)} scales but {len(points)} "
                "zero points",
            )
        # Otherwise no number would stand for a real zero, which borders and states are filled with.
        low, high = INTEGER_RANGES.get("int8" if dtype == "int4" else dtype, INT32_RANGE)
        beyond = next((point for point in points if not low <= point <= high), None)
        if beyond is not None:
            raise ModelFormatError(
                self._path,
                f"tensor {short_name(name, 60)} has the zero point {beyond}, but {dtype} takes "
                f"those from {low} to {high}",
            )
        return Quantization(scales, points, int(parameters.quantizedDimension))

    def _node(self, index: int, raw: Any, tensors: tuple[Tensor, ...]) -> Node:
        code = self._item(self._model.operatorCodes, raw.opcodeIndex, "operator code")
        # The field grew from 8 to 32 bits in TFLite 2.4; old files fill only the narrow one.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        operator = self._operators.get(number, f"BUILTIN_{number}")
        if operator == "CUSTOM":
            operator = f"CUSTOM:{(code.customCode or b'').decode('utf-8', 'replace')}"
        inputs = tuple(
            None if i == -1 else self._item(tensors, i, "tensor") for i in _present(raw.inputs)
        )
        outputs = tuple(self._item(tensors, i, "tensor") for i in _present(raw.outputs))
        if not outputs and operator not in ("ASSIGN_VARIABLE", "CALL_ONCE"):
            raise ModelFormatError(self._path, f"operator {operator} #{index} has no output")
        inner = tuple(self._item(tensors, i, "tensor") for i in _present(raw.intermediates))
        options = self._options(raw)
        if find_operator(operator) is not None and raw.customOptions is not None:
            options.update(custom_options(bytes(raw.customOptions)))
        for key, name in SUBGRAPHS.get(operator, {}).items():
            options[name] = self._inner_graph(int(options.pop(key, -1)))
        return Node(index, operator, code.version, inputs, outputs, options, inner)

    def _inner_graph(self, index: int) -> Graph:
        """Return a subgraph that a node runs, including nested subgraphs."""
        if index in self._open:
            raise ModelFormatError(self._path, f"subgraph {index} calls itself")
        if index not in self._inner:
            outside, self._inside = self._inside, 0
            self._open.add(index)
            graph = self._subgraph(index)
            self._open.remove(index)
            self._inner[index] = graph, len(graph.nodes) + self._inside
            self._inside = outside
        graph, nodes = self._inner[index]
        self._inside += nodes
        if self._inside > _MOST_INNER_NODES:
            raise ModelFormatError(
                self._path, f"its loops and branches have more than {_MOST_INNER_NODES} operators"
            )
        return graph

    def _options(self, raw: Any) -> dict[str, Any]:
        options = {}
        for field, value in vars(raw.builtinOptions).items() if raw.builtinOptions else ():
            key = _key(field)
            options[key] = self._enums[key].get(value, value) if key in self._enums else value
        return options


def _without_leading_ones(constant: Tensor) -> tuple[int, ...]:
    """Return the shape of a constant, without leading dimensions of 1 that exceed the limit.

    Operators read the constant as they would read the shorter one: LiteRT accepts an axis, for
    instance, in any number of dimensions. Outputs with that many dimensions are refused.
    """
    shape = constant.shape
    spare = len(shape) - _MOST_DIMENSIONS
    several = constant.quantization is not None and len(constant.quantization.scales) > 1
    # Scales along a dimension refer to it by position.
    return shape if spare <= 0 or several or set(shape[:spare]) != {1} else shape[spare:]


def _with_empty_constants(subgraph: Any, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Give a value to tensors without elements that are neither inputs nor results.

    Such tensors hold no data: axes of a reduction, or the shape of a scalar.
    """
    others = {int(i) for i in _present(subgraph.inputs)}
    for operator in _present(subgraph.operators):
        others.update(int(i) for i in _present(operator.outputs))
    return tuple(
        replace(tensor, data=np.zeros(tensor.shape, tensor.dtype))
        if tensor.index not in others
        and tensor.shape == (0,)
        and tensor.dtype in ("int32", "int64")
        and not tensor.variable
        else tensor
        for tensor in tensors
    )


def _nibbles(data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Unpack signed 4-bit integers, two per byte with the lower half first, to int8.

    The result has the wrong length if the data does not fit `shape`.
    """
    halves = np.stack([data << 4, data & 0xF0], axis=-1).reshape(-1).view(np.int8) >> 4
    odd_one = prod(shape) % 2
    return halves[: len(halves) - odd_one]


def _labels(entries: Sequence[Any] | None, tensors: Sequence[Tensor]) -> tuple[str, ...]:
    """Return the names that a signature gives `tensors`; empty for tensors without an entry.

    A tensor that occurs twice uses one entry for each occurrence. Entries of other tensors are
    ignored.
    """
    names: dict[int, list[str]] = {}
    for entry in _present(entries):
        name = (entry.name or b"").decode("utf-8", "replace")
        names.setdefault(entry.tensorIndex, []).append(name)
    return tuple(names[t.index].pop(0) if names.get(t.index) else "" for t in tensors)


def _present(items: Sequence[AnyItem] | None) -> Sequence[AnyItem]:
    """Return an optional vector of the file, empty if the file omits it."""
    return () if items is None else items


@cache
def _key(field: str) -> str:
    """Return the key of an option whose field in the schema is ``camelCase``."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", field).lower()


@cache
def _names(enum: type) -> Mapping[int, str]:
    return {code: name for name, code in vars(enum).items() if not name.startswith("_")}
