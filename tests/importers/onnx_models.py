"""Small ONNX models with random weights, float and quantized, as exporters write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class OnnxBuilder:
    """Adds nodes with random weights; methods take and return names of values.

    Parameters
    ----------
    seed
        Seed of all weights.
    opset
        Opset of ONNX's own operators.
    """

    def __init__(self, seed: int = 0, opset: int = 17) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self._opset = opset
        self._names = 0

    def name(self, kind: str) -> str:
        self._names += 1
        return f"{kind.lower()}_{self._names}"

    def input(self, *shape: int | str, name: str = "x", dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def constant(self, value: Any, name: str = "") -> str:
        name = name or self.name("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, *shape: int, scale: float | None = None) -> str:
        size = scale or 1.5 / np.sqrt(max(np.prod(shape[1:]), 1))
        return self.constant(self.rng.normal(0, size, shape).astype(np.float32))

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [self.name(kind) for _ in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, inputs, names, name=f"/net/{names[0]}", **attributes)
        )
        return names[0] if outputs == 1 else names

    def conv(self, x: str, channels: int, out: int, kernel: int = 3, **attributes: Any) -> str:
        groups = attributes.get("group", 1)
        weights = self.random(out, channels // groups, kernel, kernel)
        bias = self.random(out, scale=0.1)
        return str(self.op("Conv", x, weights, bias, **attributes))

    def norm(self, x: str, channels: int) -> str:
        parts = [self.random(channels, scale=0.3) for _ in range(3)]
        variance = self.constant(self.rng.uniform(0.5, 2, channels).astype(np.float32))
        return str(self.op("BatchNormalization", x, *parts, variance))

    def build(self, *outputs: str) -> onnx.ModelProto:
        """The model with the given values as outputs."""
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", self.inputs, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
        model.ir_version = 9
        return onnx.shape_inference.infer_shapes(model)


def image_classifier() -> onnx.ModelProto:
    """Convolutions with PyTorch's padding, batch normalization, pools, and a flattened image."""
    b = OnnxBuilder(1)
    x = b.input("batch", 3, 16, 16, name="image")
    y = b.op("Relu", b.norm(b.conv(x, 3, 8, strides=[2, 2], pads=[1, 1, 1, 1]), 8))
    y = b.op("Clip", b.conv(y, 8, 8, pads=[1, 1, 1, 1], group=8), *map(b.constant, _range(0, 6)))
    y = b.op("Relu", b.conv(y, 8, 12, 1))
    y = b.op("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    y = b.op("Flatten", y)
    y = b.op("Relu", b.op("Gemm", y, b.random(10, 12 * 16), b.random(10), transB=1))
    return b.build(b.op("Softmax", b.op("Gemm", y, b.random(10, 5), b.random(5)), axis=1))


def _range(low: float, high: float) -> Sequence[Any]:
    return np.float32(low), np.float32(high)


def residual() -> onnx.ModelProto:
    """Two branches that meet, a global pool, and a dense layer of MatMul and Add."""
    b = OnnxBuilder(2)
    x = b.input(1, 4, 8, 8)
    y = b.op("Relu", b.conv(x, 4, 8, pads=[1, 1, 1, 1]))
    z = b.conv(b.op("Relu", b.conv(y, 8, 8, pads=[1, 1, 1, 1])), 8, 8, pads=[1, 1, 1, 1])
    y = b.op("Relu", b.op("Add", z, y))
    y = b.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = b.op("GlobalAveragePool", b.op("LeakyRelu", b.conv(y, 8, 8, 1), alpha=0.1))
    y = b.op("Reshape", y, b.constant(np.array([0, -1], np.int64)))
    y = b.op("Add", b.op("MatMul", y, b.random(8, 6)), b.random(6))
    return b.build(b.op("Sigmoid", y))


def sound() -> onnx.ModelProto:
    """One-dimensional convolutions over time."""
    b = OnnxBuilder(3)
    x = b.input(1, 6, 40, name="features")
    weights = b.random(8, 6, 5)
    y = b.op("Tanh", b.op("Conv", x, weights, b.random(8), pads=[2, 2], strides=[2]))
    y = b.op("Conv", y, b.random(8, 1, 3), b.random(8), group=8, pads=[1, 1])
    y = b.op("MaxPool", b.op("Relu", y), kernel_shape=[2], strides=[2])
    y = b.op("Transpose", y, perm=[0, 2, 1])
    y = b.op("Add", b.op("MatMul", y, b.random(8, 4)), b.random(4))
    return b.build(b.op("ReduceMean", y, axes=[1], keepdims=0))


def segmentation() -> onnx.ModelProto:
    """Reduce and enlarge an image, by a transposed convolution and by resizing, with skips."""
    b = OnnxBuilder(4)
    x = b.input(1, 2, 8, 8)
    first = b.op("Relu", b.conv(x, 2, 6, pads=[1, 1, 1, 1]))
    y = b.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    y = b.op("Relu", b.conv(y, 6, 8, pads=[1, 1, 1, 1]))
    up = b.op("ConvTranspose", y, b.random(8, 6, 2, 2), b.random(6), strides=[2, 2])
    size = b.constant(np.array([1, 1, 2, 2], np.float32))
    big = b.op("Resize", y, "", size, mode="linear", coordinate_transformation_mode="half_pixel")
    y = b.op("Concat", first, up, big, axis=1)
    y = b.op("Slice", y, *(b.constant(np.array([n], np.int64)) for n in (2, 18, 1)))
    return b.build(b.conv(y, 16, 3, 1))


def attention() -> onnx.ModelProto:
    """A transformer's block: layer normalization, two heads, GELU."""
    b = OnnxBuilder(5)
    x = b.input(1, 6, 8, name="tokens")

    def dense(value: str, inputs: int, outputs: int) -> str:
        return str(b.op("Add", b.op("MatMul", value, b.random(inputs, outputs)), b.random(outputs)))

    def normed(value: str) -> str:
        return str(b.op("LayerNormalization", value, b.random(8), b.random(8), axis=-1))

    y = normed(x)
    heads = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        shaped = b.op("Reshape", dense(y, 8, 8), b.constant(np.array([1, 6, 2, 4], np.int64)))
        heads.append(b.op("Transpose", shaped, perm=perm))
    scores = b.op("Div", b.op("MatMul", heads[0], heads[1]), b.constant(np.float32(2)))
    y = b.op("Transpose", b.op("MatMul", b.op("Softmax", scores), heads[2]), perm=[0, 2, 1, 3])
    y = b.op("Reshape", y, b.constant(np.array([1, 6, 8], np.int64)))
    x = b.op("Add", dense(y, 8, 8), x)
    y = dense(normed(x), 8, 16)
    erf = b.op("Erf", b.op("Div", y, b.constant(np.float32(2**0.5))))
    y = b.op("Mul", b.op("Mul", y, b.op("Add", erf, b.constant(np.float32(1)))), _half(b))
    return b.build(b.op("Add", dense(y, 16, 8), x))


def _half(b: OnnxBuilder) -> str:
    return b.constant(np.float32(0.5))


def speech() -> onnx.ModelProto:
    """A GRU and an LSTM over a few frames, and a dense layer after the last one."""
    b = OnnxBuilder(7)
    x = b.op("Transpose", b.input(1, 6, 5, name="frames"), perm=[1, 0, 2])
    y, _ = b.op(
        "GRU",
        *(x, b.random(1, 12, 5), b.random(1, 12, 4), b.random(1, 24)),
        outputs=2,
        hidden_size=4,
        linear_before_reset=1,
    )
    y = b.op("Squeeze", y, b.constant(np.array([1], np.int64)))
    _, last, _ = b.op(
        "LSTM",
        *(y, b.random(1, 12, 4), b.random(1, 12, 3), b.random(1, 24)),
        outputs=3,
        hidden_size=3,
    )
    last = b.op("Squeeze", last, b.constant(np.array([0], np.int64)))
    return b.build(b.op("Gemm", last, b.random(3, 4), b.random(4)))


def shuffle() -> onnx.ModelProto:
    """Groups of channels that are mixed, and squeezed channel weights."""
    b = OnnxBuilder(6)
    x = b.input(1, 8, 6, 6)
    y = b.op("Relu", b.conv(x, 8, 8, 1, group=2))
    y = b.op("Reshape", y, b.constant(np.array([1, 2, 4, 6, 6], np.int64)))
    y = b.op("Transpose", y, perm=[0, 2, 1, 3, 4])
    y = b.op("Reshape", y, b.constant(np.array([1, 8, 6, 6], np.int64)))
    first, second = b.op("Split", y, outputs=2, axis=1)
    y = b.op("Concat", b.conv(first, 4, 4, pads=[1, 1, 1, 1]), second, axis=1)
    weights = b.op("HardSigmoid", b.conv(b.op("GlobalAveragePool", y), 8, 8, 1))
    y = b.op("HardSwish", b.op("Mul", y, weights))
    return b.build(b.op("PRelu", b.conv(y, 8, 4, 1), b.random(4, 1, 1)))


FLOAT = {
    f.__name__: f
    for f in (image_classifier, residual, sound, segmentation, attention, shuffle, speech)
}
