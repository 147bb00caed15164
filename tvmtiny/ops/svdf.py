"""SVDF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from tvm import te, tirx

from tvmtiny.ops.shared.checks import check_activation, check_scale, check_shape
from tvmtiny.ops.shared.expressions import (
    Expression,
    clamp,
    float_output,
    int32,
    requantize,
    saturate,
)
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Compute, Operator, Oracle, Problem, register
from tvmtiny.ops.shared.quantization import (
    INT32_RANGE,
    INTEGER_RANGES,
    centred,
    clamp_float,
    quantize_multiplier,
    saturated,
)
from tvmtiny.ops.shared.quantization import requantize as requantize_reference


@register
class Svdf(Operator):
    """A filter over time; its state holds the last features of each filter.

    The inputs are an activation ``(batch, inputs)``, weights over features ``(filters, inputs)``,
    weights over time ``(filters, memory)``, an optional bias ``(units,)``, and the state
    ``(batch, filters * memory)``; `rank` filters form a unit. The second output is the new state,
    see `tvmtiny.frontend.variables`.

    int8 with an int16 state matches LiteRT's ``reference_ops::EvalIntegerSVDF``, which scales the
    features and the outputs with two roundings each, and wraps sums beyond 32 bits. The fused
    activation is the output's range. TFLM also supports an int8 state with int8 weights over time.
    float32 sums in the order of ``EvalFloatSVDF``.
    """

    name = "SVDF"
    output_count = None
    exactness = (
        "int8 bit-exact (two roundings, both oracles; a state of int8 with TFLM); float32 within "
        "rounding of sums"
    )

    def check_node(self, node: Node) -> Iterator[Problem]:
        if len(node.inputs) != 5 or None in (*node.inputs[:3], node.inputs[4]):
            yield Problem(f"{len(node.inputs)} inputs", "five, of which the bias may be absent")
            return
        if len(node.outputs) != 2:
            yield Problem("the state is not a variable", "a variable tensor as the last input")
            return
        x, features, times, state = (node.input(i) for i in (0, 1, 2, 4))
        bias, rank = node.inputs[3], int(node.options.get("rank", 0))
        constants = [t for t in (features, times, bias) if t is not None]
        if any(t.data is None for t in constants):
            yield Problem("weights or bias are computed at run time", "constant weights and bias")
            return
        if len(x.shape) != 2 or len(features.shape) != 2 or len(times.shape) != 2:
            yield Problem("an activation or weights without two dimensions", "matrices")
            return
        filters = features.shape[0]
        if rank < 1 or filters % rank:
            yield Problem(f"{filters} filters of rank {rank}", "a multiple of the rank")
            return
        shapes = (features.shape[1], times.shape[0], state.shape)
        if shapes != (x.shape[1], filters, (x.shape[0], filters * times.shape[1])):
            yield Problem(
                f"activation {list(x.shape)}, weights {list(features.shape)} and "
                f"{list(times.shape)}, state {list(state.shape)} do not fit",
                "weights [filters, inputs] and [filters, memory], state [batch, filters * memory]",
            )
            return
        yield from check_shape(node, (x.shape[0], filters // rank))
        if bias is not None and bias.elements != filters // rank:
            yield Problem(f"{bias.elements} bias values", f"{filters // rank}, one per unit")
        yield from _check_dtypes(node)

    def check_oracle(self, node: Node, oracle: Oracle) -> Iterator[Problem]:
        if node.input(4).dtype == "int8" and oracle is Oracle.LITERT:
            yield Problem(
                "a state of int8, for which LiteRT has no kernel",
                "a state of int16, or --oracle tflm, which has one",
            )

    def compute(self, node: Node, oracle: Oracle) -> tuple[Compute, Compute]:
        x, features, times, state = (node.input(i) for i in (0, 1, 2, 4))
        filters, memory = times.shape
        integer = x.dtype == "int8"
        wide = "int32" if integer else "float32"

        def remember(x: te.Tensor, w: te.Tensor, before: te.Tensor) -> te.Tensor:
            kc = te.reduce_axis((0, features.shape[1]), "kc")

            def product(n: tirx.Var, f: tirx.Var) -> Expression:
                value = x[n, kc].astype(wide)
                if integer and node.input(0).zero_point:
                    value = value - int32(node.input(0).zero_point)
                return te.sum(value * w[f, kc].astype(wide), axis=kc)

            acc = te.compute((x.shape[0], filters), product, name="acc")

            def value(n: tirx.Var, f: tirx.Var, m: tirx.Var) -> Expression:
                newest = acc[n, f]
                if integer:
                    multiplier, shift = feature_multiplier(node)
                    scaled = requantize(newest, int32(multiplier), int32(shift))
                    newest = clamp(scaled, *INTEGER_RANGES[state.dtype], "int32")
                    newest = (newest + int32(state_zero_point(node))).astype(state.dtype)
                older = before[n, f * memory + m + 1]
                return tirx.if_then_else(m < memory - 1, older, newest)

            return te.compute((x.shape[0], filters, memory), value, name="out")

        def unit(after: te.Tensor, w: te.Tensor, bias: te.Tensor) -> te.Tensor:
            rank = int(node.options["rank"])
            kr = te.reduce_axis((0, rank), "kr")
            km = te.reduce_axis((0, memory), "km")
            sums = _sum_dtype(node)

            def product(n: tirx.Var, u: tirx.Var) -> Expression:
                f = u * rank + kr
                value = after[n, f * memory + km].astype(sums)
                if state_zero_point(node):
                    value = value - tirx.const(state_zero_point(node), sums)
                return te.sum(value * w[f, km].astype(sums), axis=[kr, km])

            acc = te.compute(node.output.shape, product, name="acc")

            def value(n: tirx.Var, u: tirx.Var) -> Expression:
                if not integer:
                    return float_output(acc[n, u] + bias[u], node)
                multiplier, shift = output_multiplier(node)
                total = (acc[n, u] + bias[u].astype(sums)).astype("int32")
                return saturate(node, requantize(total, int32(multiplier), int32(shift)))

            return te.compute(node.output.shape, value, name="out")

        after = node.outputs[1]
        output = Compute((after, times, unit_bias(node)), unit)
        return output, Compute((x, features, state), remember, in_place=(2,))

    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        x, features, times, before = inputs[0], inputs[1], inputs[2], inputs[-1]
        filters, memory = times.shape
        integer = x.dtype == np.int8
        if integer:
            acc = centred(x, node.input(0)) @ features.astype(np.int64).T
            scaled = requantize_reference(acc, *feature_multiplier(node))
            limited = np.clip(scaled, *INTEGER_RANGES[str(before.dtype)])
            newest = (limited + state_zero_point(node)).astype(before.dtype)
        else:
            newest = x @ features.T
        after = np.empty((len(x), filters, memory), before.dtype)
        after[:, :, :-1] = before.reshape(after.shape)[:, :, 1:]
        after[:, :, -1] = newest
        wide = after.astype(np.int64) - state_zero_point(node) if integer else after
        sums = (wide * times).sum(axis=2).reshape(len(x), -1, int(node.options["rank"])).sum(axis=2)
        total = sums + unit_bias(node)
        after = after.reshape(before.shape)
        if not integer:
            return [clamp_float(total.astype(np.float32), node), after]
        wrapped = total.astype(np.int32)
        scaled = requantize_reference(wrapped, *output_multiplier(node)) + node.output.zero_point
        return [saturated(node, scaled).astype(np.int8), after]

    def macs(self, node: Node) -> int:
        return node.input(0).shape[0] * (prod(node.input(1).shape) + prod(node.input(2).shape))


def _check_dtypes(node: Node) -> Iterator[Problem]:
    integer = node.input(0).dtype == "int8"
    state = node.input(4).dtype if integer else "float32"
    state = "int16" if state not in ("int8", "float32") else state
    wanted = ("int8", state, "int32", state) if integer else ("float32",) * 4
    given = [None if t is None else t.dtype for t in node.inputs[1:]]
    if any(d not in (w, None) for d, w in zip(given, wanted, strict=True)):
        yield Problem(
            f"weights, bias and state of {', '.join(d for d in given if d)}", ", ".join(wanted)
        )
        return
    if not integer:
        yield from check_activation(node)
        return
    if node.activation not in ("NONE", "RELU"):
        yield Problem(f"fused activation {node.activation}", "NONE or RELU")
    scaled: list[Tensor] = [node.input(i) for i in (0, 1, 2, 4)]
    problems = [p for tensor in (*scaled, node.output) for p in check_scale(tensor)]
    yield from problems
    if not problems and max(feature_multiplier(node)[1], output_multiplier(node)[1]) > 30:
        yield Problem("a scale of the state or the output is too small", "scales that fit the sums")
    if node.input(1).shape[1] * 255 * 128 > INT32_RANGE[1]:
        yield Problem("sums of features can overflow 32 bits", "at most 65,000 inputs")


def state_zero_point(node: Node) -> int:
    """Return the zero point of an int8 state; 0 for others."""
    return node.input(4).zero_point if node.input(4).dtype == "int8" else 0


def unit_bias(node: Node) -> np.ndarray:
    """Return the bias, ``(units,)``; zeros for a layer without one."""
    bias = node.inputs[3]
    dtype = np.int32 if node.input(0).dtype == "int8" else np.float32
    units = node.output.shape[-1]
    return np.zeros(units, dtype) if bias is None or bias.data is None else bias.data.reshape(-1)


def _sum_dtype(node: Node) -> str:
    """Return the dtype of sums over time; 64 bits if they may exceed 32."""
    if node.input(0).dtype != "int8":
        return "float32"
    times = node.input(2).data
    assert times is not None
    units = np.abs(times.astype(np.int64)).reshape(node.output.shape[-1], -1).sum(axis=1)
    states = 2**15 if times.dtype == np.int16 else 2**8
    largest = units * states + np.abs(unit_bias(node).astype(np.int64))
    return "int32" if largest.max(initial=0) <= INT32_RANGE[1] else "int64"


def feature_multiplier(node: Node) -> tuple[int, int]:
    """Return multiplier and shift of features; LiteRT computes both in single precision."""
    x, features, state = (np.float32(node.input(i).scale) for i in (0, 1, 4))
    return quantize_multiplier(float(x * features / state))


def output_multiplier(node: Node) -> tuple[int, int]:
    """Return multiplier and shift of outputs."""
    state, times = (np.float32(node.input(i).scale) for i in (4, 2))
    return quantize_multiplier(float(state * times / np.float32(node.output.scale)))
