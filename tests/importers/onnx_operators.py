"""ONNX models of one operator, layer or body each, for comparisons with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx_models import OnnxBuilder


def _single(kind: str, *shapes: tuple[int, ...], **attributes: Any) -> Callable[[], Any]:
    """A model of one operator whose operands are inputs."""

    def build() -> Any:
        b = OnnxBuilder(opset=attributes.get("opset", 17))
        rest = {k: v for k, v in attributes.items() if k not in ("opset", "extra", "outputs")}
        names = [b.input(*shape, name=f"x{i}") for i, shape in enumerate(shapes)]
        extra = [b.constant(e) if e is not None else "" for e in attributes.get("extra", ())]
        count = attributes.get("outputs", 1)
        made = b.op(kind, *names, *extra, outputs=count, **rest)
        return b.build(*([made] if count == 1 else made))

    return build


def _recurrent(
    kind: str, steps: int, way: str = "forward", states: bool = False, **attributes: Any
) -> Callable[[], Any]:
    """A layer over a sequence, with all the outputs that a long one has."""

    def build() -> Any:
        b, cells, count = OnnxBuilder(9), 4, 2 if way == "bidirectional" else 1
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
        x = b.input(steps, 2, 3, name="x")
        rows = [
            b.constant(b.rng.normal(0, 0.5, shape).astype(np.float32))
            for shape in (
                (count, gates * cells, 3),
                (count, gates * cells, cells),
                (count, 2 * gates * cells),
            )
        ]
        begin = []
        if states:
            names = ["h", "c"] if kind == "LSTM" else ["h"]
            begin = ["", *(b.input(count, 2, cells, name=name) for name in names)]
        outputs = 2 if kind != "LSTM" or steps > 16 else 3
        attributes.update(hidden_size=cells, direction=way)
        return b.build(*b.op(kind, x, *rows, *begin, outputs=outputs, **attributes))

    return build


def _scaled_conv() -> Any:
    """A convolution whose bias and scale are separate operators."""
    b = OnnxBuilder(8)
    y = b.op("Conv", b.input(*_IMAGE), b.random(4, 3, 3, 3))
    y = b.op("Mul", b.op("Add", y, b.random(1, 4, 1, 1)), b.random(4, 1, 1))
    return b.build(b.op("Add", b.constant(np.float32(0.5)), y))


def _hard_swish_parts(in_front: bool) -> Any:
    b = OnnxBuilder(8)
    x = b.input(*_IMAGE)
    y = b.op("Clip", b.op("Add", x, b.constant(F32(3))), b.constant(F32(0)), b.constant(F32(6)))
    if in_front:
        y = b.op("Mul", x, b.op("Mul", y, b.constant(F32(1 / 6))))
    else:
        y = b.op("Div", b.op("Mul", x, y), b.constant(F32(6)))
    return b.build(y)


_IMAGE = (1, 3, 6, 8)
F32 = np.float32


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _value(name: str, *shape: int, dtype: int = onnx.TensorProto.FLOAT) -> Any:
    return onnx.helper.make_tensor_value_info(name, dtype, shape)


def _with_bodies(nodes: list[Any], constants: dict[str, Any], outputs: Any, opset: int = 17) -> Any:
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    graph = onnx.helper.make_graph(nodes, "net", [_value("x", 1, 4)], outputs, tensors)
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def branches(condition: bool | None) -> Any:
    """An If inside an If; without `condition`, the outer condition is an input of the model."""
    node, graph = onnx.helper.make_node, onnx.helper.make_graph
    more = graph([node("Add", ["x", "one"], ["a"])], "more", [], [_value("a", 1, 4)])
    less = graph([node("Sub", ["x", "one"], ["a"])], "less", [], [_value("a", 1, 4)])
    inner = node("If", ["yes"], ["b"], then_branch=more, else_branch=less)
    first = graph([inner, node("Relu", ["b"], ["c"])], "first", [], [_value("c", 1, 4)])
    second = graph([node("Mul", ["x", "x"], ["c"])], "second", [], [_value("c", 1, 4)])
    constants = {"one": np.ones((1, 4), F32), "yes": np.array(True), "which": np.array(condition)}
    if condition is None:
        constants.pop("which")
    nodes = [node("If", ["which"], ["y"], then_branch=first, else_branch=second)]
    model = _with_bodies(nodes, constants, [_value("y", 1, 4)])
    if condition is None:
        model.graph.input.append(_value("which", dtype=onnx.TensorProto.BOOL))
    return model


def repeated(count: int | None, opset: int = 17, ends: bool = False) -> Any:
    """A Loop that adds its index to a carried value and returns all iterations' values."""
    node = onnx.helper.make_node
    whole, condition = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    body = onnx.helper.make_graph(
        [
            node("Cast", ["i"], ["real"], to=onnx.TensorProto.FLOAT),
            node("Add", ["v", "real"], ["sum"]),
            node("Mul", ["sum", "half"], ["next"]),
            node("Neg", ["next"], ["row"]),
            node("Less", ["i", "most"], ["go"]) if ends else node("Identity", ["was"], ["go"]),
        ],
        "body",
        [_value("i", dtype=whole), _value("was", dtype=condition), _value("v", 1, 4)],
        [_value("go", dtype=condition), _value("next", 1, 4), _value("row", 1, 4)],
        [onnx.numpy_helper.from_array(np.array(0.5, F32), "half")],
    )
    constants = {"count": np.array(count or 0, np.int64), "most": np.array(3, np.int64)}
    constants = {**constants, "on": np.array(True)}
    if count is None:
        constants.pop("count")
    nodes = [node("Loop", ["count", "on", "x"], ["y", "rows"], body=body)]
    outputs = [_value("y", 1, 4), _value("rows", count or 3, 1, 4)]
    model = _with_bodies(nodes, constants, outputs, opset)
    if count is None:
        model.graph.input.append(_value("count", dtype=whole))
    return model


#: Each operator, once per layout or opset that changes its conversion; builders of models.
SINGLE: dict[str, Callable[[], Any]] = {
    "add_channels": _single("Add", _IMAGE, (3, 1, 1)),
    "mul_row": _single("Mul", _IMAGE, (8,)),
    "sub": _single("Sub", (1, 6), (1, 6)),
    "div": _single("Div", _IMAGE, (1,)),
    "max_3": _single("Max", _IMAGE, _IMAGE, (1, 3, 1, 1)),
    "min": _single("Min", (2, 3), (3,)),
    "sum_3": _single("Sum", (2, 3), (3,), (2, 3)),
    "pow_2": _single("Pow", _IMAGE, extra=[F32(2)]),
    "pow_3": _single("Pow", _IMAGE, extra=[F32(3)]),
    "abs": _single("Abs", _IMAGE),
    "neg": _single("Neg", _IMAGE),
    "exp": _single("Exp", (1, 5)),
    "floor": _single("Floor", (1, 5)),
    "ceil": _single("Ceil", (1, 5)),
    "round": _single("Round", (1, 5)),
    "sin": _single("Sin", (1, 5)),
    "cos": _single("Cos", (1, 5)),
    "sign": _single("Sign", (1, 5)),
    "elu": _single("Elu", (1, 5)),
    "tanh": _single("Tanh", (1, 5)),
    "reciprocal": _single("Reciprocal", (1, 5)),
    "hard_swish": _single("HardSwish", _IMAGE),
    "hard_sigmoid": _single("HardSigmoid", _IMAGE, alpha=0.3),
    "leaky_relu": _single("LeakyRelu", _IMAGE, alpha=0.2),
    "gelu": _single("Gelu", (1, 9), opset=20),
    "clip": _single("Clip", _IMAGE, extra=[F32(-0.5), F32(0.7)]),
    "clip_6": _single("Clip", _IMAGE, extra=[None, F32(0.5)]),
    "clip_attributes": _single("Clip", _IMAGE, opset=10, min=-0.25, max=0.5),
    "softmax_last": _single("Softmax", (2, 3, 4)),
    "softmax_channels": _single("Softmax", _IMAGE, axis=1),
    "softmax_old": _single("Softmax", (2, 3, 4), opset=11, axis=1),
    "log_softmax": _single("LogSoftmax", (2, 5)),
    "reduce_mean": _single("ReduceMean", _IMAGE, axes=[2, 3], keepdims=0),
    "reduce_mean_18": _single("ReduceMean", _IMAGE, opset=18, extra=[_ints(1)]),
    "reduce_max": _single("ReduceMax", _IMAGE, axes=[-1]),
    "reduce_sum": _single("ReduceSum", _IMAGE, extra=[_ints(1, 2)], keepdims=0),
    "reduce_all": _single("ReduceSum", (2, 3)),
    "arg_max": _single("ArgMax", _IMAGE, axis=1),
    "arg_min": _single("ArgMin", _IMAGE, axis=-1, keepdims=0),
    "layer_norm": _single(
        "LayerNormalization", (2, 6), extra=[np.arange(6, dtype=F32), np.ones(6, F32)]
    ),
    "instance_norm": _single(
        "InstanceNormalization", _IMAGE, extra=[np.arange(3, dtype=F32), np.ones(3, F32)]
    ),
    "batch_norm": _single(
        "BatchNormalization",
        _IMAGE,
        extra=[np.arange(3, dtype=F32), np.ones(3, F32), np.ones(3, F32), np.full(3, 2, F32)],
    ),
    "transpose": _single("Transpose", (2, 3, 4), perm=[2, 0, 1]),
    "flatten": _single("Flatten", _IMAGE),
    "squeeze_old": _single("Squeeze", (1, 3, 1), opset=11, axes=[2]),
    "unsqueeze": _single("Unsqueeze", (3, 4), extra=[_ints(0, 3)]),
    "concat": _single("Concat", (1, 2, 3), (1, 4, 3), axis=-2),
    "split": _single("Split", _IMAGE, extra=[_ints(2, 4)], outputs=2, axis=2),
    "slice": _single("Slice", _IMAGE, extra=[_ints(1, 0), _ints(3, 100), _ints(1, 3)]),
    "slice_back": _single(
        "Slice", _IMAGE, extra=[_ints(-1, 5), _ints(-100, 0), _ints(1, 2), _ints(-1, -2)]
    ),
    "slice_old": _single("Slice", _IMAGE, opset=9, starts=[1], ends=[3], axes=[2]),
    "gather": _single("Gather", _IMAGE, extra=[_ints(2, 0, -1)], axis=1),
    "gather_one": _single("Gather", _IMAGE, extra=[np.array(-1, np.int64)], axis=2),
    "gather_many": _single("Gather", (4, 5), extra=[np.array([[0, 3], [1, 1]], np.int64)]),
    "pad": _single("Pad", _IMAGE, extra=[_ints(0, 1, 2, 0, 0, 0, 1, 3), F32(0.5)]),
    "pad_reflect": _single("Pad", _IMAGE, extra=[_ints(0, 0, 1, 1, 0, 0, 2, 0)], mode="reflect"),
    "tile": _single("Tile", (1, 2, 3), extra=[_ints(2, 1, 3)]),
    "expand": _single("Expand", (3, 1), extra=[_ints(2, 3, 4)]),
    "depth_to_space": _single("DepthToSpace", (1, 8, 2, 3), blocksize=2),
    "space_to_depth": _single("SpaceToDepth", (1, 2, 4, 6), blocksize=2),
    "resize_nearest": _single(
        "Resize",
        _IMAGE,
        extra=[None, F32([1, 1, 2, 2])],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "resize_corners": _single(
        "Resize",
        _IMAGE,
        extra=[None, None, _ints(1, 3, 11, 15)],
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    "global_max": _single("GlobalMaxPool", _IMAGE),
    "max_pool_ceil": _single("MaxPool", _IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "max_pool_1d": _single("MaxPool", (1, 4, 9), kernel_shape=[3], strides=[2], pads=[1, 1]),
    "average_pool_padded": _single(
        "AveragePool",
        _IMAGE,
        kernel_shape=[3, 3],
        strides=[1, 1],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
    ),
    "average_pool_same": _single(
        "AveragePool", _IMAGE, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]
    ),
    "conv_auto_pad": _single(
        "Conv", _IMAGE, extra=[np.ones((4, 3, 3, 3), F32)], auto_pad="SAME_LOWER", strides=[2, 2]
    ),
    "conv_dilated": _single(
        "Conv", _IMAGE, extra=[np.ones((4, 3, 2, 2), F32)], dilations=[2, 3], pads=[1, 0, 1, 2]
    ),
    "conv_transpose_cropped": _single(
        "ConvTranspose",
        _IMAGE,
        extra=[np.arange(3 * 2 * 9, dtype=F32).reshape(3, 2, 3, 3) / 50],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        output_padding=[1, 1],
    ),
    "conv_transpose_1d": _single(
        "ConvTranspose", (1, 3, 5), extra=[np.ones((3, 2, 4), F32)], strides=[2], pads=[1, 1]
    ),
    "gemm": _single(
        "Gemm", (2, 3), extra=[np.ones((3, 4), F32), np.ones((4,), F32)], alpha=0.5, beta=2.0
    ),
    "matmul": _single("MatMul", (2, 3, 4), (2, 4, 5)),
    "where": _single("Where", extra=[np.array([True, False, True]), *[np.ones(3, F32)] * 2]),
    "prelu": _single("PRelu", _IMAGE, (3, 1, 1)),
    "lstm": _recurrent("LSTM", 4),
    "lstm_one_step": _recurrent("LSTM", 1, states=True),
    "lstm_states": _recurrent("LSTM", 3, "reverse", states=True),
    "lstm_bidirectional": _recurrent("LSTM", 3, "bidirectional"),
    "lstm_long": _recurrent("LSTM", 19),
    "lstm_long_bidirectional": _recurrent("LSTM", 17, "bidirectional"),
    "gru": _recurrent("GRU", 4),
    "gru_before_reset": _recurrent("GRU", 3, "bidirectional", True, linear_before_reset=1),
    "gru_states": _recurrent("GRU", 2, "reverse", True),
    "rnn": _recurrent("RNN", 4, "bidirectional"),
    "gru_long": _recurrent("GRU", 40),
    "gru_long_bidirectional": _recurrent("GRU", 17, "bidirectional", True, linear_before_reset=1),
    "rnn_long": _recurrent("RNN", 19, "reverse"),
    "lstm_long_states": _recurrent("LSTM", 18, "bidirectional", states=True),
    "conv_scaled": _scaled_conv,
    "if_true": lambda: branches(True),
    "if_false": lambda: branches(False),
    "loop": lambda: repeated(5),
    "loop_once": lambda: repeated(1, opset=12),
    "hard_swish_divided": lambda: _hard_swish_parts(False),
    "hard_swish_multiplied": lambda: _hard_swish_parts(True),
}
