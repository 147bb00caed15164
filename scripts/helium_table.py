"""Measure the tables of docs/helium.md again.

``python scripts/helium_table.py`` profiles one layer of each class on mps3-an547, compares its
outputs with LiteRT's reference kernels, and writes instructions and estimated cycles between ``<!--
products -->`` or ``<!-- elements -->`` and ``<!-- end -->``. ``--print`` does not change the page;
``--classes`` selects classes by parts of their names, separated by semicolons.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from layer_cases import Layer, Operand, numbers  # noqa: E402
from pooling_cases import Pool  # noqa: E402

import tvmtiny  # noqa: E402
from tests.ops.test_binary import _layer as binary  # noqa: E402
from tests.ops.test_conv_2d import Conv  # noqa: E402
from tests.ops.test_copies import _concatenation as concatenation  # noqa: E402
from tests.ops.test_copies import _pad as pad  # noqa: E402
from tests.ops.test_depthwise_conv_2d import Depthwise  # noqa: E402
from tests.ops.test_fully_connected import Dense  # noqa: E402
from tests.ops.test_mean import _layer as mean  # noqa: E402
from tests.ops.test_reduction import _layer as reduction  # noqa: E402
from tests.ops.test_resizing import _layer as resize  # noqa: E402
from tests.ops.test_rows import _layer as rows  # noqa: E402
from tests.ops.test_softmax import _layer as softmax  # noqa: E402
from tests.ops.test_svdf import Filter  # noqa: E402
from tests.ops.test_unidirectional_sequence_lstm import Lstm  # noqa: E402
from tests.schedule.test_dsp_half import conv as half_conv  # noqa: E402
from tests.schedule.test_dsp_half import dense as half_dense  # noqa: E402
from tests.schedule.test_mve_half import _depthwise as half_depthwise  # noqa: E402
from tvmtiny.report.profile import profile  # noqa: E402

PAGE = ROOT / "docs" / "helium.md"
BOARD = "mps3-an547"
_TABLE = r"(?<=^<!-- {name} -->\n).*?(?=^<!-- end -->$)"
_RELU = {"activation": "RELU", "zero_points": (-128, -128)}

#: Largest number of products per cycle, by dtype of the activations.
_MOST = {"int8": 8, "int16": 4, "float32": 2}


class Case(Protocol):
    """A model of one layer."""

    def model(self) -> bytes: ...


PRODUCTS: dict[str, Case] = {
    "1x1 convolution, 64 -> 64": Conv((12, 5), 64, 64, (1, 1), output_scale=1.5, **_RELU),
    "3x3 convolution, 16 -> 16": Conv((16, 16), 16, 16, output_scale=1.5, **_RELU),
    "3x3 convolution, 64 -> 64": Conv((8, 8), 64, 64, output_scale=1.5, **_RELU),
    "3x3 convolution, 8 -> 1": Conv((16, 16), 8, 1, output_scale=1.5, **_RELU),
    "first layer, 3 channels, stride 2": Conv((32, 32), 3, 8, stride=(2, 2), **_RELU),
    "3x3 depthwise": Depthwise((12, 12), 32, output_scale=1.0, **_RELU),
    "3x3 depthwise, stride 2": Depthwise((12, 12), 32, stride=(2, 2), output_scale=1.0, **_RELU),
    "10x8 depthwise, 1 channel, 8 filters": Depthwise((49, 40), 1, 8, (10, 8), (2, 2)),
    "dense, 640 -> 128": Dense((1, 640), 640, 128, output_scale=2.0),
    "dense, 128 -> 128": Dense((1, 128), 128, 128, output_scale=2.0),
    "LSTM, 28 inputs, 32 cells": Lstm(cells=32, inputs=28, steps=28, weight_scale=0.002),
    "SVDF, 128 filters, memory 10": Filter(inputs=40, units=128, rank=1, memory=10),
    "3x3 convolution, int16": half_conv((8, 8), 32, 32),
    "1x1 convolution, 64 -> 64, int16": half_conv((8, 8), 64, 64, (1, 1)),
    "3x5 depthwise, int16": half_depthwise((12, 12), 32),
    "dense, 256 -> 64, int16": half_dense(1, 256, 64),
    "3x3 convolution, float32": Conv((8, 8), 16, 16, dtype="float32"),
}

_SHAPE = (1, 8, 8, 16)
_X, _Y = Operand(_SHAPE, "int8", 0.05, 3), Operand(_SHAPE, "int8", 0.07, -2)
_OUT = Operand(_SHAPE, "int8", 0.1, 1)
_CHANNEL = Operand((1, 1, 1, 16), "int8", 0.07, -2)
_NONE = {"fused_activation_function": "NONE"}
_WIDE = Operand(_SHAPE, "int16", 0.001, 0)
_PLANES = replace(_X, shape=(1, 16, 8, 8))

ELEMENTS: dict[str, Case] = {
    "sum": Layer("ADD", (_X, _Y), _OUT, _NONE),
    "sum with a value per channel": Layer("ADD", (_X, _CHANNEL), _OUT, _NONE),
    "product": Layer("MUL", (_X, _Y), _OUT, _NONE),
    "product with a value per channel": Layer("MUL", (_X, _CHANNEL), _OUT, _NONE),
    "squared difference": binary("SQUARED_DIFFERENCE", "int8", (_SHAPE, _SHAPE)),
    "PRELU with a slope per channel": binary("PRELU", "int8", (_SHAPE, (1, 1, 16))),
    "sum, int16": Layer("ADD", (_WIDE, _WIDE), _WIDE, _NONE),
    "product, int16": Layer("MUL", (_WIDE, _WIDE), _WIDE, _NONE),
    "logistic, tanh and other functions": Layer("TANH", (_X,), Operand(_SHAPE, "int8", 1 / 128)),
    "softmax, 8 rows of 64": softmax((8, 64)),
    "L2 normalization, 8 rows of 128": rows("L2_NORMALIZATION", (8, 128)),
    "mean of 8x8, by input": mean(_SHAPE, [1, 2]),
    "mean of rows of 64, by input": mean((16, 64), [1]),
    "sum of rows of 64, by input": reduction("SUM", (16, 64), [1], scales=(0.05, 0.3)),
    "largest of rows of 64, by input": reduction("REDUCE_MAX", (16, 64), [1]),
    "larger of two": Layer("MAXIMUM", (_X, _X), _X, {}),
    "larger of two, int16": Layer("MAXIMUM", (_WIDE, _WIDE), _WIDE, {}),
    "comparison": Layer("LESS", (_X, _X), replace(_X, dtype="bool"), None),
    "comparison, different scales": Layer("LESS", (_X, _Y), replace(_X, dtype="bool"), None),
    "tanh, int16": Layer("TANH", (_WIDE,), replace(_WIDE, scale=2.0**-15), None),
    "exp, int16": Layer("EXP", (_WIDE,), _WIDE, None),
    "RELU, int16": Layer("RELU", (_WIDE,), replace(_WIDE, scale=0.0012), None),
    "dequantized": Layer("DEQUANTIZE", (_X,), replace(_X, dtype="float32"), {}),
    "average of 2x2, int16, by input": Pool("AVERAGE_POOL_2D", (8, 8), 16, dtype="int16"),
    "maximum of 2x2, int16, by input": Pool("MAX_POOL_2D", (8, 8), 16, dtype="int16"),
    "channels first": Layer("TRANSPOSE", (_X, numbers([0, 3, 1, 2])), _PLANES, None),
    "padding": pad(_SHAPE, (0, 0), (1, 1), (1, 1), (0, 0)),
    "two joined by channels": concatenation(3, _SHAPE, _SHAPE),
    "interpolated, 8x8 to 8x7": resize("RESIZE_BILINEAR", (8, 8), (8, 7), channels=16),
    "interpolated, int16": resize("RESIZE_BILINEAR", (8, 8), (8, 7), "int16", 16),
}


def measure(name: str, case: Case) -> tuple[float, float, str, str]:
    """Measure a layer: instructions, estimated cycles, dtype and schedule."""
    model = tvmtiny.load(case.model(), name="layer")
    artifact = tvmtiny.compile(model, BOARD)
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    dtype = artifact.inputs[0].dtype
    if not tvmtiny.check(model, artifact, result, inputs).exact and dtype != "float32":
        raise ValueError(f"{name} is not exact")
    layers = profile(artifact, *inputs).layers
    amount = sum(layer.macs for layer in layers) or model.graph.inputs[0].elements
    schedule = " / ".join(layer.schedule for layer in layers)
    instructions = sum(layer.instructions for layer in layers) / amount
    return instructions, sum(layer.estimated_cycles for layer in layers) / amount, dtype, schedule


def products(chosen: list[str]) -> list[str]:
    """Format the rows of layers with multiply-accumulate operations."""
    lines = ["| layer | instructions | estimated cycles | of the most | code |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for name in chosen:
        instructions, cycles, dtype, schedule = measure(name, PRODUCTS[name])
        share = 1 / (cycles * _MOST[dtype])
        lines.append(f"| {name} | {instructions:.2f} | {cycles:.2f} | {share:.0%} | {schedule} |")
    return lines


def elements(chosen: list[str]) -> list[str]:
    """Format the rows of layers without products."""
    lines = ["| layer | instructions | estimated cycles | code |", "| --- | ---: | ---: | --- |"]
    for name in chosen:
        instructions, cycles, _, schedule = measure(name, ELEMENTS[name])
        lines.append(f"| {name} | {instructions:.2f} | {cycles:.2f} | {schedule} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", help="parts of their names, separated by semicolons")
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    options = parser.parse_args()
    parts = options.classes.split(";") if options.classes else [""]
    page = PAGE.read_text(encoding="utf-8")
    for table, cases, lines in (
        ("products", PRODUCTS, products),
        ("elements", ELEMENTS, elements),
    ):
        found = "\n".join((*lines([n for n in cases if any(p in n for p in parts)]), ""))
        if options.print:
            print(found)
        pattern = re.compile(_TABLE.format(name=table), re.DOTALL | re.MULTILINE)
        page = pattern.sub(lambda _, text=found: text, page, count=1)
    if not options.print:
        PAGE.write_text(page, encoding="utf-8")
