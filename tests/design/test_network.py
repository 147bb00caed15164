"""Networks between training and .tflite file, and data sets: the part that needs no Keras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tests.design.keras_samples import stripes
from tvmtiny.design.data import Dataset, read_dataset
from tvmtiny.design.masks import Masks, masked
from tvmtiny.design.network import (
    Network,
    Op,
    calibrated_ranges,
    guessed_ranges,
    macs,
    to_tflite,
)
from tvmtiny.design.network_spaces import read_build, space_of
from tvmtiny.design.scales import rounded, weight_scales
from tvmtiny.design.search import search
from tvmtiny.design.training import outputs_of
from tvmtiny.errors import InputDataError, InputError
from tvmtiny.oracle import run_litert_outputs


def _network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    window |= {"dilation_h_factor": 1, "dilation_w_factor": 1}
    relu = {**window, "fused_activation_function": "RELU"}
    return Network(
        "x",
        (1, 6, 6, 1),
        (
            Op("CONV_2D", ("x",), "a", (1, 6, 6, 8), weights(8, 3, 3, 1), None, None, relu, ("a",)),
            Op(
                "CONV_2D",
                ("a",),
                "b",
                (1, 6, 6, 8),
                weights(8, 1, 1, 8),
                weights(8),
                None,
                relu,
                ("b",),
            ),
            Op(
                "MEAN",
                ("b",),
                "c",
                (1, 8),
                constant=np.array([1, 2], np.int32),
                options={"keep_dims": False},
            ),
            Op("FULLY_CONNECTED", ("c",), "d", (1, 3), weights(3, 8), weights(3), layers=("d",)),
            Op("SOFTMAX", ("d",), "e", (1, 3), options={"beta": 1.0}),
        ),
    )


def test_the_integers_are_near_the_floats() -> None:
    network, data = _network(), stripes()
    ranges = calibrated_ranges(network, data.x_train)
    assert ranges.keys() == {"x", "a", "b", "c", "d", "e"}
    model = tvmtiny.load(to_tflite(network, ranges), name="made")
    scale, zero = model.graph.inputs[0].scale, model.graph.inputs[0].zero_point
    frames = data.x_test[:8, None]
    steps = np.clip(np.rint(frames / scale) + zero, -128, 127).astype(np.int8)
    real = [o[0] for o in run_litert_outputs(to_tflite(network, None), [[x] for x in frames])]
    found = [o[0] for o in run_litert_outputs(model.content, [[x] for x in steps])]
    probabilities = (np.array(found, np.float32) + 128) / 256
    assert np.abs(probabilities - np.array(real)).max() < 0.03


def test_costs_know_the_network() -> None:
    network = _network()
    model = tvmtiny.load(to_tflite(network, guessed_ranges(network)), name="made")
    total = tvmtiny.cost(model, "cortex-m4").total
    assert total.macs == macs(network) == 36 * 8 * 9 + 36 * 64 + 24


def test_filters_that_are_pruned_are_gone() -> None:
    network = _network()
    kept = np.arange(8) < 4
    changed, found = masked(network, Masks(filters={"a": kept}, blocks={"b": 0.5}))
    assert not changed.ops[0].weights[4:].any()
    # With four inputs left, each pair of filters would lose its only block.
    assert found["b"].reshape(8, 8).sum() == 8 * 4
    model = tvmtiny.load(to_tflite(changed, guessed_ranges(network)), name="made")
    layers = tvmtiny.cost(model, "cortex-m4").layers
    assert layers[1].macs == 36 * 8 * 4


def test_a_precision_for_each_layer() -> None:
    """int4 weights between int8 activations, and int16 activations around one layer."""
    network, data = _network(), stripes()
    ranges = calibrated_ranges(network, data.x_train)
    content = to_tflite(network, ranges, precisions={"a": "int4", "b": "int16"})
    model = tvmtiny.load(content, name="mixed")
    convert, back = (n for n in model.graph.nodes if n.operator == "QUANTIZE")
    assert (convert.input(0).dtype, convert.output.dtype) == ("int8", "int16")
    assert (back.input(0).dtype, back.output.dtype) == ("int16", "int8")
    weights = model.graph.nodes[0].input(1).data
    assert weights is not None and np.abs(weights).max() <= 7
    wanted = outputs_of(to_tflite(network, None), data.x_test[:8])
    assert np.abs(outputs_of(content, data.x_test[:8]) - wanted).max() < 0.1
    for precisions in ({"c": "int4"}, {"a": "int2"}):
        with pytest.raises(InputError, match="cannot have the precision"):
            to_tflite(network, ranges, precisions=precisions)


def test_int4_scales_have_the_smallest_error() -> None:
    weights = np.random.default_rng(0).normal(0, 1, (4, 64)).astype(np.float32)

    def error(scales: np.ndarray) -> np.ndarray:
        near = rounded(weights, scales, 0, "int4") * scales[:, None]
        return ((near - weights) ** 2).sum(axis=1)

    largest = np.abs(weights).max(axis=1) / 7
    found = weight_scales(weights, 0, "int4")
    assert (found <= largest + 1e-6).all()
    assert (error(found) <= error(largest)).all() and error(found).sum() < error(largest).sum()


def test_weights_and_ranges_are_finite() -> None:
    network = _network()
    bad = replace(network.ops[0], weights=np.full((8, 3, 3, 1), np.nan, np.float32))
    broken = replace(network, ops=(bad, *network.ops[1:]))
    with pytest.raises(InputError, match="hold NaN or infinity"):
        to_tflite(broken, guessed_ranges(network))
    with pytest.raises(InputError, match="is not finite on the data"):
        to_tflite(network, {**guessed_ranges(network), "b": (0.0, float("inf"))})


def test_data_sets_that_cannot_be_used(tmp_path: Path) -> None:
    data = stripes()
    x, y = data.x_train, data.y_train
    broken = x.copy()
    broken[5, 0, 0, 0] = np.nan
    for arrays, words in (
        ((x, y * 0, x, y * 0), "only one class"),
        ((x.astype(float) * 1e300, y, x, y), "finite float32 numbers, got sample 0"),
        ((broken, y, x, y), "sample 5, the first of them"),
        ((x, y, x[:, :4], y), "the shape differs"),
        ((x, y.astype(float), x, y), "integers from 0"),
        ((x, np.minimum(y, 1), x, y), "unknown classes"),
        ((x[:0], y[:0], x, y), "wrong dtype or shape"),
        ((x, y[:3], x, y), "wrong dtype, shape or values"),
    ):
        with pytest.raises(InputDataError, match=words) as caught:
            Dataset(*arrays)
        assert "\n" not in str(caught.value)
    file = tmp_path / "data.npz"
    np.savez(file, x_train=x, y_train=y)
    with pytest.raises(InputDataError, match="without x_test"):
        read_dataset(file)
    file.write_bytes(b"nothing")
    with pytest.raises(InputDataError, match=r"not a .npz file"):
        read_dataset(file)
    np.savez(file, x_train=x, y_train=y, x_test=x, y_test=y)
    assert read_dataset(file).classes == 3


def test_build_functions_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_build(str(tmp_path / "missing.py"))
    file = tmp_path / "mine.py"
    file.write_text("def build(trial):\n    return 1\n", encoding="utf-8")
    assert read_build(f"{file}:build")(None) == read_build(str(file))(None) == 1
    with pytest.raises(InputError, match="has no function 'other'"):
        read_build(f"{file}:other")
    file.write_text("1 / 0", encoding="utf-8")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        read_build(str(file))
    file.write_text("def build(trial:", encoding="utf-8")
    with pytest.raises(InputError, match="SyntaxError: '\\(' was never closed"):
        read_build(str(file))
    file.write_text("raise SystemExit(0)", encoding="utf-8")
    with pytest.raises(InputError, match="SystemExit: 0"):
        read_build(str(file))
    with pytest.raises(InputError, match="there is no space"):
        space_of("huge", (6, 6, 1), 3)
    with pytest.raises(InputError, match="is for images"):
        space_of("ds-cnn", (6,), 3)


def test_objectives_and_trials() -> None:
    for arguments, words in (
        ({"objectives": ("speed",)}, "'speed'"),
        ({"objectives": ()}, "none, or one twice"),
        ({"trials": 0}, "at least 1"),
    ):
        with pytest.raises(InputError, match=words):
            search(lambda trial: None, stripes(), "cortex-m4", **arguments)
