"""Rewrite integer operators such as QLinearConv as real operators between scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["with_scales"]

#: Operators of onnxruntime, in its own domain.
_DOMAIN = "com.microsoft"
#: The real operator, and the number of leading operands that have scale and zero point.
_KINDS = {
    "QGemm": ("Gemm", 2),
    "QLinearAdd": ("Add", 2),
    "QLinearAveragePool": ("AveragePool", 1),
    "QLinearConcat": ("Concat", 0),
    "QLinearConv": ("Conv", 2),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", 1),
    "QLinearLeakyRelu": ("LeakyRelu", 1),
    "QLinearMatMul": ("MatMul", 2),
    "QLinearMul": ("Mul", 2),
    "QLinearReduceMean": ("ReduceMean", 1),
    "QLinearSigmoid": ("Sigmoid", 1),
    "QLinearSoftmax": ("Softmax", 1),
}
#: Attributes that the real operators lack.
_DROPPED = ("channels_last", "opset")


def with_scales(model: Any) -> Any:
    """Rewrite every such operator as DequantizeLinear, operator, QuantizeLinear.

    Parameters
    ----------
    model
        An ``onnx.ModelProto``, which is not changed.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    constants = {t.name: t for t in made.graph.initializer}
    nodes: list[Any] = []
    for node in made.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            # onnxruntime defined these types before ONNX did.
            node.domain = ""
        known = _KINDS.get(node.op_type)
        mixed = any(a.name == "channels_last" and a.i for a in node.attribute)
        if known is None or mixed or node.domain not in ("", _DOMAIN):
            nodes.append(node)
            continue
        nodes += _rewritten(node, made.graph, constants)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _rewritten(node: Any, graph: Any, constants: dict[str, Any]) -> Iterator[Any]:
    import onnx

    kind, count = _KINDS[node.op_type]
    inputs = list(node.input)
    if kind == "Concat":
        result, groups = inputs[:2], [inputs[i : i + 3] for i in range(2, len(inputs), 3)]
        rest: list[str] = []
    else:
        groups = [inputs[3 * i : 3 * i + 3] for i in range(count)]
        rest = inputs[3 * count :]
        # The bias of QGemm precedes the result's scale; that of QLinearConv follows it.
        bias = rest[:1] if node.op_type == "QGemm" else rest[2:3]
        result = rest[1:3] if node.op_type == "QGemm" else rest[:2]
        rest = [name for name in bias if name]
    base = node.name or node.output[0]
    weights = node.op_type in ("QGemm", "QLinearConv")
    names = []
    for position, group in enumerate(groups):
        name = f"{base}/operand_{position}"
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        axis = (0 if kind == "Conv" or transposed else 1) if position == 1 else 0
        yield onnx.helper.make_node("DequantizeLinear", group, [name], name, axis=axis)
        names.append(name)
    if rest and weights:
        names.append(f"{base}/bias")
        scale = _bias_scale(groups, graph, constants, f"{base}/bias_scale")
        yield onnx.helper.make_node("DequantizeLinear", [rest[0], scale], names[-1:], axis=0)
    inner = f"{base}/real"
    attributes = [a for a in node.attribute if a.name not in _DROPPED]
    real = onnx.helper.make_node(kind, names, [inner], base)
    real.attribute.extend(attributes)
    yield real
    yield onnx.helper.make_node("QuantizeLinear", [inner, *result], list(node.output), base)


def _bias_scale(
    groups: Sequence[Sequence[str]], graph: Any, constants: dict[str, Any], name: str
) -> str:
    """Add a constant: the scale of data times the scale of weights."""
    import onnx

    product = np.float32(1)
    for group in groups:
        if group[1] in constants:
            scale = onnx.numpy_helper.to_array(constants[group[1]])
            product = product * scale.reshape(-1 if scale.size > 1 else ())
    tensor = onnx.numpy_helper.from_array(np.asarray(product, np.float32), name)
    graph.initializer.append(tensor)
    constants[name] = tensor
    return name
