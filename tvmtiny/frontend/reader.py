"""Reading a .tflite file into plain data, and saying what is wrong with one that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmtiny.errors import ModelFormatError
from tvmtiny.ops.node import DTYPE_BYTES, Node, Quantization, Tensor

#: Bytes 4 to 8 of every TFLite file.
FILE_IDENTIFIER = b"TFL3"


@dataclass(frozen=True, eq=False)
class Graph:
    """The first subgraph of a TFLite model.

    Attributes
    ----------
    tensors
        By TFLite's tensor index.
    nodes
        In execution order.
    """

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    shape_signatures: Mapping[int, tuple[int, ...]]


def read_graph(content: bytes, path: str) -> Graph:
    """Parse a TFLite flatbuffer.

    Parameters
    ----------
    content
        The whole file.
    path
        Where it came from, for messages.

    Raises
    ------
    ModelFormatError
        If it is empty, truncated, or not a TFLite model.
    """
    if not content:
        raise ModelFormatError(path, "the file is empty")
    if content[4:8] != FILE_IDENTIFIER:
        raise ModelFormatError(path, "this is not a TFLite file (no TFL3 identifier at byte 4)")
    from ai_edge_litert import schema_py_generated as schema

    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        return _Reader(schema, model, path).graph()
    except ModelFormatError:
        raise
    except Exception as error:
        # The generated reader follows offsets without checking them, so that a damaged file can
        # end in almost any exception.
        raise ModelFormatError(path, f"the file is truncated or damaged ({error})") from error


class _Reader:
    def __init__(self, schema: Any, model: Any, path: str) -> None:
        self._schema = schema
        self._model = model
        self._path = path
        self._dtypes = {
            code: name.lower()
            for name, code in vars(schema.TensorType).items()
            if not name.startswith("_")
        }
        self._enums = {
            "padding": _names(schema.Padding),
            "fused_activation_function": _names(schema.ActivationFunctionType),
            "mode": _names(schema.MirrorPadMode),
            "weights_format": _names(schema.FullyConnectedOptionsWeightsFormat),
        }
        self._operators = _names(schema.BuiltinOperator)

    def graph(self) -> Graph:
        if not self._model.subgraphs:
            raise ModelFormatError(self._path, "the model has no subgraph")
        subgraph = self._model.subgraphs[0]
        tensors = tuple(self._tensor(i, t) for i, t in enumerate(subgraph.tensors))
        nodes = tuple(
            self._node(i, operator, tensors) for i, operator in enumerate(subgraph.operators or ())
        )
        signatures = {
            i: tuple(int(d) for d in t.shapeSignature)
            for i, t in enumerate(subgraph.tensors)
            if t.shapeSignature is not None and len(t.shapeSignature)
        }
        outputs = tuple(tensors[self._index(i, tensors)] for i in subgraph.outputs)
        if not outputs:
            raise ModelFormatError(self._path, "the model has no output")
        inputs = tuple(tensors[self._index(i, tensors)] for i in subgraph.inputs)
        # Upstream's importer tells inputs apart by name; it makes one up where there is none at
        # all, but not for an empty one.
        if sum(subgraph.tensors[t.index].name == b"" for t in inputs) > 1:
            raise ModelFormatError(self._path, "several inputs have an empty name")
        return Graph(tensors, nodes, inputs, outputs, signatures)

    def _index(self, index: int, tensors: tuple[Tensor, ...]) -> int:
        if not 0 <= index < len(tensors):
            raise ModelFormatError(
                self._path, f"tensor {index} is used, but there are only {len(tensors)}"
            )
        return int(index)

    def _tensor(self, index: int, raw: Any) -> Tensor:
        shape = () if raw.shape is None else tuple(int(d) for d in raw.shape)
        dtype = self._dtypes.get(raw.type, f"type {raw.type}")
        name = (raw.name or b"").decode("utf-8") or f"tensor_{index}"
        tensor = Tensor(index, name, shape, dtype, self._quantization(raw, name))
        buffer = self._model.buffers[raw.buffer] if raw.buffer else None
        if buffer is None or buffer.data is None or not len(buffer.data):
            return tensor
        if dtype not in DTYPE_BYTES:
            return tensor
        content = np.asarray(buffer.data, np.uint8).tobytes()
        if len(content) != tensor.nbytes:
            raise ModelFormatError(
                self._path,
                f"tensor {name} of shape {list(shape)} needs {tensor.nbytes} bytes of {dtype}, "
                f"its buffer holds {len(content)}",
            )
        data = np.frombuffer(content, dtype).reshape(shape)
        return Tensor(index, name, shape, dtype, tensor.quantization, data)

    def _quantization(self, raw: Any, name: str) -> Quantization | None:
        parameters = raw.quantization
        if parameters is None or parameters.scale is None or not len(parameters.scale):
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
                self._path, f"tensor {name} has {len(scales)} scales but {len(points)} zero points"
            )
        return Quantization(scales, points, int(parameters.quantizedDimension))

    def _node(self, index: int, raw: Any, tensors: tuple[Tensor, ...]) -> Node:
        code = self._model.operatorCodes[raw.opcodeIndex]
        # The field grew from 8 to 32 bits in TFLite 2.4; old files fill only the narrow one.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        operator = self._operators.get(number, f"BUILTIN_{number}")
        if operator == "CUSTOM":
            operator = f"CUSTOM:{(code.customCode or b'').decode('utf-8', 'replace')}"
        inputs = tuple(
            None if i < 0 else tensors[self._index(i, tensors)]
            for i in (() if raw.inputs is None else raw.inputs)
        )
        outputs = tuple(tensors[self._index(i, tensors)] for i in raw.outputs)
        if not outputs and operator not in ("ASSIGN_VARIABLE", "CALL_ONCE"):
            raise ModelFormatError(self._path, f"operator {operator} #{index} has no output")
        return Node(index, operator, code.version, inputs, outputs, self._options(raw))

    def _options(self, raw: Any) -> dict[str, Any]:
        options = {}
        for field, value in vars(raw.builtinOptions).items() if raw.builtinOptions else ():
            key = re.sub(r"(?<!^)([A-Z])", r"_\1", field).lower()
            options[key] = self._enums[key].get(value, value) if key in self._enums else value
        return options


def _names(enum: type) -> dict[int, str]:
    return {code: name for name, code in vars(enum).items() if not name.startswith("_")}
