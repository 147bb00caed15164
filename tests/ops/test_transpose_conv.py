"""TRANSPOSE_CONV against LiteRT's reference kernels."""

from __future__ import annotations

from dataclasses import replace

import layer_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import Layer, Operand, numbers, random_constant

OPERATOR = "TRANSPOSE_CONV"
FAMILY = "products"
FLOAT_TOLERANCE = 3e-6


def _layer(
    size: tuple[int, int] = (3, 4),
    kernel: tuple[int, int] = (3, 3),
    stride: tuple[int, int] = (2, 2),
    depth: int = 3,
    channels: int = 2,
    padding: str = "SAME",
    bias: bool = True,
    dtype: str = "int8",
    per_channel: bool = True,
    batch: int = 1,
    activation: str = "NONE",
    zero_points: tuple[int, int] = (-3, 5),
    output_scale: float = 0.4,
) -> Layer:
    valid = padding == "VALID"
    rows = [
        s * n + (max(k - s, 0) if valid else 0)
        for s, n, k in zip(stride, size, kernel, strict=True)
    ]
    integer = dtype != "float32"
    if dtype == "int16":
        zero_points = (0, 0)
    scale = 0.001 if dtype == "int16" else 0.05
    x = Operand((batch, *size, depth), dtype, scale, zero_points[0])
    y = Operand((batch, *rows, channels), dtype, output_scale, zero_points[1])
    scales = tuple(0.02 * (1 + i % 3) for i in range(channels if per_channel else 1))
    weights = random_constant(
        (channels, *kernel, depth),
        "int8" if integer else dtype,
        scales=scales if integer else (),
    )
    inputs = [numbers(y.shape), weights, x]
    if bias:
        values = np.arange(channels) * 700 - 300
        wide = {"int8": "int32", "int16": "int64"}.get(dtype, dtype)
        inputs.append(numbers(values / (1 if integer else 1000), wide))
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    options["fused_activation_function"] = activation
    return Layer(OPERATOR, tuple(inputs), y, options, 4 if activation != "NONE" else 3)


CASES = {
    "same": _layer(),
    "valid": _layer(padding="VALID"),
    "no_bias": _layer(bias=False),
    "stride_1": _layer(stride=(1, 1)),
    "stride_1_valid": _layer(stride=(1, 1), padding="VALID", kernel=(2, 3)),
    "even_kernel": _layer(kernel=(4, 2)),
    "stride_above_kernel": _layer(kernel=(2, 1), stride=(3, 2)),
    "large_kernel": _layer(size=(2, 2), kernel=(5, 5), stride=(2, 3)),
    "per_tensor": _layer(per_channel=False),
    "batch_2": _layer(batch=2, size=(2, 2)),
    "relu": _layer(activation="RELU"),
    "relu6": _layer(activation="RELU6", output_scale=0.05, zero_points=(127, -128)),
    "int16": _layer(dtype="int16", output_scale=0.003),
    "int16_no_bias": _layer(dtype="int16", output_scale=0.003, bias=False, padding="VALID"),
    "float": _layer(dtype="float32"),
    "float_valid_relu6": _layer(dtype="float32", padding="VALID", activation="RELU6"),
}


@pytest.mark.parametrize("layer", CASES.values(), ids=CASES)
def test_reference_is_litert(layer: Layer) -> None:
    cases.assert_is_litert(layer, 1e-4 if layer.output.dtype == "float32" else 0.0)


_small = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    size=_small,
    kernel=_small,
    stride=_small,
    depth=st.integers(1, 4),
    channels=st.integers(1, 4),
    padding=st.sampled_from(["SAME", "VALID"]),
    zero_points=st.tuples(cases.zero_point, cases.zero_point),
    output_scale=st.floats(0.01, 1.0),
)
def test_any_layer(**fields: object) -> None:
    cases.assert_is_litert(_layer(**fields))  # type: ignore[arg-type]


def test_odd_nodes_are_refused() -> None:
    layer = _layer()
    node = layer.node()
    cases.assert_refused(OPERATOR, replace(node, inputs=node.inputs[:2]), "inputs are missing")
    options = {**node.options, "stride_h": 0}
    cases.assert_refused(OPERATOR, replace(node, options=options), "stride or filter size below 1")
    options = {**node.options, "padding": "FULL"}
    cases.assert_refused(OPERATOR, replace(node, options=options), "padding FULL")
    flat = replace(node.input(1), shape=(2, 27))
    inputs = (node.inputs[0], flat, *node.inputs[2:])
    cases.assert_refused(OPERATOR, replace(node, inputs=inputs), "without four dimensions")
    narrow = replace(node.input(2), shape=(1, 3, 4, 2))
    inputs = (*node.inputs[:2], narrow, *node.inputs[3:])
    cases.assert_refused(OPERATOR, replace(node, inputs=inputs), "do not fit weights")
