"""Small int8 networks with dead channels, layer by layer, for tests of graph passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np
from tflite_builder import ModelBuilder


@dataclass(frozen=True)
class Value:
    """A tensor of the network; `scale` is None in a float network."""

    index: int
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int


class Network:
    """Adds layers with random weights; each method takes and returns a `Value`.

    Parameters
    ----------
    seed
        Seed of all weights, scales and zero points.
    """

    def __init__(self, seed: int = 0, dtype: str = "int8") -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = ModelBuilder()
        self._dtype = dtype
        self._names = 0

    def input(self, *shape: int, scale: float = 0.05) -> Value:
        """Add an input of the network."""
        quantization = self._quantization(scale)
        index = self.builder.input(self._name("x"), shape, self._dtype, **quantization)
        return Value(index, shape, quantization.get("scale"), quantization.get("zero_point", 0))

    def conv(
        self,
        x: Value,
        channels: int,
        kernel: tuple[int, int] = (1, 1),
        dead: Sequence[int] = (),
        unread: Sequence[int] = (),
        zero_point: int | None = None,
        **options: Any,
    ) -> Value:
        """CONV_2D.

        Parameters
        ----------
        dead
            Output channels with filters of zeros.
        unread
            Input channels that all filters multiply by zero.
        """
        weights = self._weights((channels, *kernel, x.shape[3]))
        weights[list(dead)] = 0
        weights[..., list(unread)] = 0
        shape = (x.shape[0], *_output(x.shape[1:3], kernel, options), channels)
        return self._product("CONV_2D", x, weights, 0, shape, zero_point, _window(options))

    def depthwise(
        self,
        x: Value,
        kernel: tuple[int, int] = (3, 3),
        multiplier: int = 1,
        dead: Sequence[int] = (),
        zero_point: int | None = None,
        **options: Any,
    ) -> Value:
        """DEPTHWISE_CONV_2D; `dead` as for `conv`."""
        channels = x.shape[3] * multiplier
        weights = self._weights((1, *kernel, channels))
        weights[..., list(dead)] = 0
        shape = (x.shape[0], *_output(x.shape[1:3], kernel, options), channels)
        window = {**_window(options), "depth_multiplier": multiplier}
        return self._product("DEPTHWISE_CONV_2D", x, weights, 3, shape, zero_point, window)

    def dense(
        self, x: Value, channels: int, depth: int | None = None, dead: Sequence[int] = ()
    ) -> Value:
        """FULLY_CONNECTED."""
        depth = prod(x.shape[1:]) if depth is None else depth
        weights = self._weights((channels, depth))
        weights[list(dead)] = 0
        shape = (prod(x.shape) // depth, channels)
        return self._product("FULLY_CONNECTED", x, weights, 0, shape, None, {})

    def binary(self, operator: str, x: Value, y: Value) -> Value:
        """ADD or MUL."""
        shape = tuple(np.broadcast_shapes(x.shape, y.shape))
        options = {"fused_activation_function": "NONE"}
        return self._op(operator, [x, y], shape, self._quantization(0.1), options)

    def constant(self, *shape: int) -> Value:
        """Add a constant activation."""
        quantization = self._quantization(0.05)
        index = self.builder.constant(self._name("c"), self._weights(shape), **quantization)
        return Value(index, shape, quantization.get("scale"), quantization.get("zero_point", 0))

    def pool(self, x: Value, operator: str = "AVERAGE_POOL_2D", **options: Any) -> Value:
        """2x2 pooling with stride 2."""
        window = {**_window({"stride": 2, **options}), "filter_height": 2, "filter_width": 2}
        window.pop("dilation_h_factor"), window.pop("dilation_w_factor")
        size = _output(x.shape[1:3], (2, 2), {"stride": 2, **options})
        return self._op(operator, [x], (x.shape[0], *size, x.shape[3]), _same(x), window)

    def pad(self, x: Value, *paddings: tuple[int, int]) -> Value:
        """PAD."""
        index = self.builder.constant(self._name("paddings"), np.array(paddings, np.int32))
        shape = tuple(d + sum(p) for d, p in zip(x.shape, paddings, strict=True))
        return self._op("PAD", [x, Value(index, (), None, 0)], shape, _same(x), {})

    def concatenate(self, *parts: Value, axis: int = 3) -> Value:
        """CONCATENATION of tensors with equal quantization."""
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        options = {"axis": axis, "fused_activation_function": "NONE"}
        return self._op("CONCATENATION", list(parts), tuple(shape), _same(parts[0]), options)

    def mean(self, x: Value, *axes: int, keep_dims: bool = False) -> Value:
        """MEAN."""
        index = self.builder.constant(self._name("axes"), np.array(axes, np.int32))
        kept = [1 if i in axes else d for i, d in enumerate(x.shape)]
        shape = kept if keep_dims else [d for i, d in enumerate(x.shape) if i not in axes]
        operands = [x, Value(index, (), None, 0)]
        return self._op(
            "MEAN", operands, tuple(shape), self._quantization(0.03), {"keep_dims": keep_dims}
        )

    def resize(self, x: Value, height: int, width: int, operator: str, **options: bool) -> Value:
        """RESIZE_BILINEAR or RESIZE_NEAREST_NEIGHBOR."""
        size = self.builder.constant(self._name("size"), np.array([height, width], np.int32))
        wanted = {"align_corners": False, "half_pixel_centers": False, **options}
        shape = (x.shape[0], height, width, x.shape[3])
        return self._op(operator, [x, Value(size, (), None, 0)], shape, _same(x), wanted, version=3)

    def transpose_conv(
        self, x: Value, channels: int, kernel: tuple[int, int], stride: int, padding: str
    ) -> Value:
        """TRANSPOSE_CONV."""
        more = [max(k - stride, 0) if padding == "VALID" else 0 for k in kernel]
        size = [d * stride + m for d, m in zip(x.shape[1:3], more, strict=True)]
        shape = (x.shape[0], *size, channels)
        weights = self._weights((channels, *kernel, x.shape[3]))
        scales: dict[str, Any] = {}
        quantization: dict[str, Any] = {}
        if x.scale is not None:
            scales = {"scales": [0.003] * channels, "axis": 0}
            quantization = self._quantization(x.scale * 0.003 * 130 * sqrt(weights[0].size))
        operands = [
            Value(
                self.builder.constant(self._name("shape"), np.array(shape, np.int32)), (), None, 0
            ),
            Value(self.builder.constant(self._name("w"), weights, **scales), (), None, 0),
            x,
        ]
        options = {"padding": padding, "stride_h": stride, "stride_w": stride}
        options["fused_activation_function"] = "NONE"
        return self._op("TRANSPOSE_CONV", operands, shape, quantization, options, version=3)

    def reshape(self, x: Value, *shape: int) -> Value:
        """RESHAPE."""
        index = self.builder.constant(self._name("shape"), np.array(shape, np.int32))
        operands = [x, Value(index, (), None, 0)]
        options = {"new_shape": list(shape)}
        return self._op("RESHAPE", operands, shape, _same(x), options, version=1)

    def logistic(self, x: Value) -> Value:
        """LOGISTIC."""
        return self._op("LOGISTIC", [x], x.shape, {"scale": 1 / 256, "zero_point": -128}, None)

    def requantize(self, x: Value) -> Value:
        """QUANTIZE."""
        return self._op("QUANTIZE", [x], x.shape, self._quantization(0.07), {})

    def softmax(self, x: Value) -> Value:
        """SOFTMAX."""
        return self._op(
            "SOFTMAX", [x], x.shape, {"scale": 1 / 256, "zero_point": -128}, {"beta": 1.0}
        )

    def build(self, *outputs: Value) -> bytes:
        """The .tflite file."""
        return self.builder.build([value.index for value in outputs])

    def _product(
        self,
        operator: str,
        x: Value,
        weights: np.ndarray,
        axis: int,
        shape: tuple[int, ...],
        zero_point: int | None,
        options: dict[str, Any],
    ) -> Value:
        channels = weights.shape[axis]
        options.setdefault("fused_activation_function", "NONE")
        taps = weights.size // channels
        if x.scale is None:
            bias = self.rng.normal(size=channels).astype(np.float32)
            scales: dict[str, Any] = {}
            quantization: dict[str, Any] = {}
        else:
            bias = self.rng.integers(-4000, 4000, channels).astype(np.int32)
            spread = self.rng.uniform(0.002, 0.004, channels)
            scales = {"scales": spread.tolist(), "axis": axis}
            # Accumulators of random data should neither all saturate nor all vanish.
            quantization = self._quantization(x.scale * 0.003 * 130 * sqrt(taps))
            if zero_point is not None:
                quantization["zero_point"] = zero_point
        operands = [
            x,
            Value(self.builder.constant(self._name("w"), weights, **scales), (), None, 0),
            Value(self.builder.constant(self._name("b"), bias), (), None, 0),
        ]
        return self._op(operator, operands, shape, quantization, options, version=3)

    def _op(
        self,
        operator: str,
        operands: Sequence[Value],
        shape: tuple[int, ...],
        quantization: dict[str, Any],
        options: dict[str, Any] | None,
        version: int = 2,
    ) -> Value:
        index = self.builder.tensor(self._name("y"), shape, self._dtype, **quantization)
        self.builder.op(operator, [o.index for o in operands], [index], options, version)
        return Value(index, shape, quantization.get("scale"), quantization.get("zero_point", 0))

    def _weights(self, shape: Sequence[int]) -> np.ndarray:
        if self._dtype == "float32":
            return self.rng.normal(size=shape).astype(np.float32)
        return self.rng.integers(-127, 128, shape).astype(np.int8)

    def _quantization(self, scale: float) -> dict[str, Any]:
        if self._dtype == "float32":
            return {}
        return {"scale": scale, "zero_point": int(self.rng.integers(-128, 128))}

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"


def _same(x: Value) -> dict[str, Any]:
    return {} if x.scale is None else {"scale": x.scale, "zero_point": x.zero_point}


def _window(options: dict[str, Any]) -> dict[str, Any]:
    stride, dilation = options.get("stride", 1), options.get("dilation", 1)
    return {
        "padding": options.get("padding", "VALID"),
        "stride_h": stride,
        "stride_w": stride,
        "dilation_h_factor": dilation,
        "dilation_w_factor": dilation,
        "fused_activation_function": options.get("activation", "NONE"),
    }


def _output(
    size: tuple[int, ...], kernel: tuple[int, int], options: dict[str, Any]
) -> tuple[int, ...]:
    stride, dilation = options.get("stride", 1), options.get("dilation", 1)
    if options.get("padding", "VALID") == "SAME":
        return tuple(-(-d // stride) for d in size)
    return tuple(
        (d - (k - 1) * dilation - 1) // stride + 1 for d, k in zip(size, kernel, strict=True)
    )
