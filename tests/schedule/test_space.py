"""The search space of layers: its contents, and the exact results of every candidate."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from host_main import HostRun
from host_runner import run_each_on_host
from tvm.ir import assert_structural_equal

import tvmtiny
from tests.binary_cases import _A, _layer
from tests.ops.test_batch_matmul import _layer as _product
from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_fully_connected import Dense
from tests.ops.test_svdf import Filter
from tests.ops.test_transpose_conv import _layer as _transposed
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tests.ops.three_ways import Case, SideBySide
from tests.pooling_cases import Pool
from tests.schedule.candidates import Candidates, node_of
from tests.tools import on_qemu
from tvmtiny.compiler import compile_layer, optimized_nodes
from tvmtiny.ops import Oracle
from tvmtiny.schedule import Goal, decisions_key, implement, space
from tvmtiny.targets import resolve

#: Boards whose CPUs have micro-kernels.
BOARDS = {"cortex-m4": "mps2-an386", "cortex-m3": "mps2-an385"}

#: A layer that is clamped at its zero point, so its rounding needs no sign.
_RELU = {"activation": "RELU", "zero_points": (-128, -128)}

#: Scales for which the micro-kernel has exact integers.
_SUM = _layer(replace(_A, scale=0.06))

CONVOLUTIONS: dict[str, Case] = {
    "conv": Conv((4, 6), 8, 5),
    "conv_relu_s2": Conv((7, 8), 4, 6, stride=(2, 2), output_scale=1.0, **_RELU),
    "conv_valid": Conv((6, 6), 4, 4, kernel=(2, 3), padding="VALID", batch=2),
    "conv_bytes": Conv((5, 5), 3, 4),
    "conv_dilated": Conv((7, 8), 3, 4, dilation=(2, 2), weight_range=(-25, 25)),
    "conv_groups": Conv((5, 6), 8, 12, groups=2, stride=(1, 2)),
    "conv_groups_bytes": Conv((4, 5), 6, 9, groups=3, dilation=(2, 1)),
    "depthwise_one_channel": Depthwise((9, 6), 1, 8, kernel=(5, 3), stride=(2, 2)),
    "depthwise_multiplier": Depthwise((5, 6), 3, 4),
    "pointwise": Conv((3, 3), 7, 5, kernel=(1, 1)),
    "nibbles": Conv((5, 6), 8, 6, weight_range=(-8, 7), output_scale=0.05, batch=2),
    "nibbles_bytes": Conv((4, 5), 3, 5, weight_range=(-8, 7), output_scale=0.05),
    "nibbles_pointwise": Conv((3, 3), 21, 5, (1, 1), weight_range=(-8, 7), **_RELU),
    "sparse": Conv((5, 6), 8, 6, zeros=0.8, batch=2),
    "sparse_bytes": Conv((4, 5), 7, 4, zeros=0.7, output_scale=1.0, **_RELU),
    "sparse_near": Conv((5, 11), 4, 8, zeros=0.85, output_scale=1.0, **_RELU),
    "sparse_dilated": Conv((7, 8), 8, 4, dilation=(2, 2), zeros=0.8, stride=(2, 1)),
    "sparse_pointwise": Conv((3, 3), 41, 6, kernel=(1, 1), zeros=0.8),
    "sparse_small_weights": Conv((2, 3), 24, 3, (1, 1), zeros=0.8, weight_range=(-25, 25)),
    "sparse_all_zero": Conv((1, 1), 24, 4, kernel=(1, 1), zeros=1.0),
    "dense": Dense((1, 24), 24, 6),
    "dense_batch": Dense((5, 20), 20, 7),
}
#: Layers without exact constants: their range does not end where bytes saturate, their sums are too
#: long, or their weights have a zero point.
UNPROVEN: dict[str, Case] = {
    "conv_relu6": Conv((5, 7), 4, 6, activation="RELU6", batch=2),
    "conv_relu6_bytes": Conv((4, 5), 3, 5, kernel=(2, 2), activation="RELU6"),
    "dense_long": Dense((1, 2100), 2100, 4, output_scale=3.0),
    "dense_rows_relu6": Dense((5, 20), 20, 7, activation="RELU6", per_channel=True),
    "dense_zero_point": Dense((3, 21), 21, 6, weight_zero_point=-128),
    "dense_halves": Dense((1, 20), 20, 5, input_scale=0.0437, weight_scale=0.0213),
}
OTHERS: dict[str, Case] = {
    "depthwise": Depthwise((6, 7), 6),
    "depthwise_relu": Depthwise((8, 9), 8, output_scale=1.0, **_RELU),
    "depthwise_relu_s2": Depthwise((8, 9), 5, stride=(2, 2), output_scale=1.0, **_RELU),
    "depthwise_column": Depthwise((9, 1), 8, kernel=(3, 1), padding="VALID"),
    "depthwise_multiplied": Depthwise((6, 7), 3, multiplier=2, dilation=(1, 2)),
    "add": _SUM,
    "sub": replace(_SUM, operator="SUB"),
    "average_pool": Pool(channels=8, padding="SAME"),
    "max_pool": Pool("MAX_POOL_2D", channels=8, padding="SAME"),
}
PRODUCTS: dict[str, Case] = {
    "product": _product(5, 21, 7, ((2, 1), (3,))),
    "product_transposed": _product(4, 18, 9, ((), ()), (False, True), zero_points=(-128, 127, 4)),
    "product_of_rows": _product(1, 9, 11, ((2,), (2,)), zero_points=(3, -4, -128)),
    "product_long": _product(3, 600, 10, ((), ()), scales=(0.05, 0.03, 4.0)),
    "product_wide": _product(2, 5, 70, ((), ()), (False, True), scales=(0.5, 0.5, 0.1)),
}
EVERY = CONVOLUTIONS | UNPROVEN | OTHERS | PRODUCTS
#: Plain C is the same for the others.
SCALAR = {
    name: EVERY[name]
    for name in ("conv", "pointwise", "dense", "depthwise", "add", "average_pool", "product")
} | {
    "product_of_int16": _product(4, 6, 8, ((2,), ()), dtype="int16", scales=(1e-4, 2e-4, 1e-3)),
    "transposed": _transposed((3, 4), (4, 3), (2, 2), 3, 6),
}


@pytest.mark.parametrize("cpu", BOARDS)
@pytest.mark.parametrize("name", ["convolutions", "others"])
def test_every_decision_is_exact_on_the_host(
    name: str, cpu: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cases = CONVOLUTIONS if name == "convolutions" else OTHERS
    candidates = Candidates(name, cases, cpu, scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_host(cpu, tmp_path)
    values = set(candidates.values())
    if cpu == "cortex-m3":
        _check_variety_without_dsp(name, values)
    elif name == "convolutions":
        for sketch, tile in itertools.product(("patches", "block"), ("3x2", "2x2", "1x4")):
            assert (sketch, "tile", tile) in values
        assert {("block", "tile", "4x2"), ("direct", "tile", "1x4")} <= values
        assert {("block", "tile", "2x4"), ("block", "weights", "p8")} <= values
        assert ("patches", "weights", "w4") in values
    elif name == "unproven":
        values = set(candidates.values())
        tiles = {("sums", "tile", tile) for tile in ("3x2", "2x2", "1x4")}
        assert {*tiles, ("sums_direct", "tile", "1x4"), ("sums", "weights", "w16")} <= values
    else:
        assert {("words", "words", words) for words in (0, 1, 2)} <= values


def _check_variety_without_dsp(name: str, values: set[tuple[str, str, object]]) -> None:
    if name == "convolutions":
        assert {("pairs", "chunk", chunk) for chunk in (1, 2, 3, 4, 6, 8)} <= values
        assert {("pairs", "pixels", 2), ("pairs", "pixels", 4)} <= values
        assert {("quads", "chunk", chunk) for chunk in (1, 2, 4, 8)} <= values
        assert {("single", "tile", tile) for tile in (1, 2, 4)} <= values
        assert {("sparse_pairs", "chunk", chunk) for chunk in (1, 2, 4)} <= values
    else:
        assert {("plane", "sketch", "plane"), ("plane3x3", "unroll", 4)} <= values


def test_every_scalar_decision_is_exact_on_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    candidates = Candidates("scalar", SCALAR, "cortex-m3", scalar=True)
    candidates.force(monkeypatch)
    candidates.layers.check_host("cortex-m3", tmp_path)
    assert {sketch for sketch, _, _ in candidates.values()} == {"scalar"}


@on_qemu
@pytest.mark.parametrize(
    ("layer", "most"),
    [
        (_product(24, 48, 24, ((), ())), 4.0),
        (_transposed((4, 4), (4, 4), (2, 2), 16, 16), 5.8),
        (Lstm(cells=32, inputs=28, steps=2), 10.5),
        (Filter(inputs=40, units=64, rank=1, memory=10), 5.9),
    ],
    ids=["product", "transposed", "lstm", "svdf"],
)
def test_instructions_of_plain_c(layer: Case, most: float) -> None:
    layers = SideBySide("plain", {"layer": layer}, 0.0)
    artifact = tvmtiny.compile(layers.load(), BOARDS["cortex-m3"])
    result = tvmtiny.run(artifact, *layers.input_sets[0])
    # Sums are in registers, so that the arena has only the inputs and outputs.
    assert artifact.arena_bytes < 1.1 * sum(t.bytes for t in (*artifact.inputs, *artifact.outputs))
    assert result.instructions < most * sum(done.macs for done in artifact.layers)


@on_qemu
@pytest.mark.parametrize("cpu", BOARDS)
def test_every_decision_is_exact_on_a_board(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = Candidates("board", EVERY, BOARDS[cpu], scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_board(BOARDS[cpu])


@on_qemu
def test_every_decision_is_exact_on_a_small_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cortex-M0 has assembly of its own, and 16 KB of RAM here, which not all layers share."""
    values = set()
    for names in (
        ("conv", "conv_dilated", "pointwise", "dense"),
        ("sparse", "sparse_small_weights"),
    ):
        cases = {name: CONVOLUTIONS[name] for name in names}
        candidates = Candidates("small", cases, "microbit", scalar=False)
        candidates.force(monkeypatch)
        candidates.layers.check_board("microbit")
        values.update(candidates.values())
    assert {("pairs", "chunk", chunk) for chunk in (1, 2, 3, 4, 6, 8)} <= values
    assert {("pairs", "pixels", 2), ("pairs", "pixels", 4)} <= values
    assert {("sparse_pairs", "pixels", 2), ("sparse_pairs", "pixels", 4)} <= values


@pytest.mark.parametrize(
    ("name", "cpu"), [(name, cpu) for cpu in ("cortex-m4", "cortex-m3") for name in EVERY]
)
def test_default_is_in_the_space(name: str, cpu: str) -> None:
    node, target = node_of(EVERY[name]), resolve(cpu).cpu
    for goal in Goal:
        found = space(node, target, Oracle.LITERT, goal)
        assert found.default in found
        default = implement(node, target, Oracle.LITERT, goal)
        again = implement(node, target, Oracle.LITERT, goal, found.default)
        assert default is not None and again is not None
        assert_structural_equal(again.function, default.function)


@pytest.mark.parametrize("name", ["conv", "depthwise_relu", "add"])
def test_a_space_counts_its_candidates(name: str) -> None:
    found = space(node_of(EVERY[name]), resolve("cortex-m4").cpu, Oracle.LITERT)
    candidates = [decisions_key(decisions) for decisions in found]
    assert len(found) == len(candidates) == len(set(candidates)) > 4
    assert candidates == [decisions_key(decisions) for decisions in found]
    assert all(decisions in found for decisions in found)
    assert {"sketch": "scalar"} not in found
    assert None not in found


def test_a_reshape_leaves_nothing_to_decide() -> None:
    model = tvmtiny.load(tvmtiny_models("digits"))
    reshapes = [node for node in optimized_nodes(model) if node.operator == "RESHAPE"]
    assert reshapes
    for node in reshapes:
        assert len(space(node, resolve("cortex-m4").cpu, Oracle.LITERT)) == 0
        assert compile_layer(model, node, "cortex-m4") is None


def tvmtiny_models(name: str) -> Path:
    """Path of a shipped model."""
    return Path(tvmtiny.__file__).parent / "models" / f"{name}.tflite"


def test_weights_that_do_not_fit_a_format_are_refused() -> None:
    """Two weights of -128 do not fit the int8 format; the rule takes the other format by itself."""
    node = node_of(Conv((4, 6), 8, 6, weight_range=(-128, -127)))
    cpu = resolve("cortex-m4").cpu
    default = implement(node, cpu, Oracle.LITERT, Goal.BALANCED)
    assert default is not None and default.decisions["weights"] == "w16"
    narrow = {**default.decisions, "weights": "w8"}
    assert implement(node, cpu, Oracle.LITERT, Goal.BALANCED, narrow) is None


def test_a_layer_alone_computes_the_same(tmp_path: Path) -> None:
    case = replace(Conv((4, 6), 8, 5), output_scale=0.3)
    model = tvmtiny.load(case.model(), name="whole")
    (node,) = optimized_nodes(model)
    artifact = compile_layer(model, node, "cortex-m4")
    assert artifact is not None and len(artifact.layers) == 1
    whole = tvmtiny.compile(model, "cortex-m4")
    inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
    runs = {"alone": HostRun(artifact, [inputs]), "whole": HostRun(whole, [inputs])}
    for (result,) in run_each_on_host(runs, tmp_path).values():
        expected = model.reference(inputs)[node.output.index]
        assert (result.outputs[0].data == expected).all()
