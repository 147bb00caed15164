"""Proposals of ``tvmtiny advise``, and their gains after the change."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from small_networks import Network

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.tools import MLPERF_TINY, on_qemu
from tvmtiny.design.advise import Advice
from tvmtiny.design.figures import Budget, parse_deadline
from tvmtiny.design.variants import block_zeros, with_weights
from tvmtiny.errors import InputError

CPU = "cortex-m4"


def _chain(filters: int = 16) -> bytes:
    network = Network(3)
    x = network.input(1, 12, 12, 8)
    x = network.conv(x, filters, (3, 3), padding="SAME")
    x = network.conv(x, 24)
    return network.build(network.dense(network.mean(x, 1, 2), 10, depth=24))


@cache
def _found() -> Advice:
    model = tvmtiny.load(_chain(), name="chain")
    return tvmtiny.advise(model, CPU, Budget(ram_bytes=10_000_000, cycles=100_000))


def test_what_is_missing_and_what_takes_most() -> None:
    found = _found()
    assert found.over == ("cycles",)
    assert (
        found.now.cycles
        == tvmtiny.cost(tvmtiny.load(_chain(), name="chain"), CPU).total.estimated_cycles
    )
    cycles = [layer.cycles for layer in found.layers]
    assert cycles == sorted(cycles, reverse=True)
    assert found.layers[0].operator == "CONV_2D"
    assert any("few inputs" in reason for reason in found.layers[0].reasons)
    gains = [h.predicted.cycles for h in found.hints if h.predicted and not h.enough]
    assert gains and min(gains) < found.now.cycles


def test_fewer_filters_take_what_was_predicted() -> None:
    (hint,) = (h for h in _found().hints if h.kind == "filters" and "8 filters" in h.change)
    assert hint.predicted is not None
    follows = tvmtiny.cost(tvmtiny.load(_chain(8), name="chain"), CPU).total
    assert hint.predicted.cycles == pytest.approx(follows.estimated_cycles, rel=0.1)
    assert hint.predicted.flash_bytes == pytest.approx(follows.constants_bytes, rel=0.1)
    assert hint.predicted.ram_bytes == pytest.approx(follows.arena_bytes, rel=0.1)


def test_zeros_are_the_least_weights() -> None:
    weights = np.arange(-16, 16, dtype=np.int8).reshape(2, 16)
    weights[1] = 0
    assert block_zeros(weights, 0.75).any(axis=0).nonzero()[0].tolist() == [0, 1, 2, 3]
    assert block_zeros(weights, 0.5).any(axis=0).nonzero()[0].tolist() == list(range(8))
    assert (block_zeros(weights[:, :4], 1.0) == weights[:, :4]).all()


def test_layers_without_exact_constants() -> None:
    case = Dense((1, 640), 640, 32, output_scale=2.0, weight_zero_point=5)
    (layer,) = tvmtiny.advise(tvmtiny.load(case.model(), name="sums"), CPU).layers
    assert any("no constants are exact" in reason for reason in layer.reasons)


def test_float_layers_are_named() -> None:
    model = tvmtiny.load(replace(Conv((5, 5)), dtype="float32").model(), name="real")
    found = tvmtiny.advise(model, CPU)
    assert found.layers[0].reasons[0] == "computes in float"
    assert [hint.kind for hint in found.hints if hint.predicted is None] == ["float"]


@on_qemu
def test_streaming_takes_what_was_predicted() -> None:
    file = MLPERF_TINY / "vww_int8.tflite"
    if not file.is_file():
        pytest.skip(f"{file} is missing")
    model = tvmtiny.load(file)
    found = tvmtiny.advise(model, "mps2-an386", Budget(ram_bytes=32 * 1024))
    hint = found.hints[0]
    assert hint.options["stream"] == "inside" and hint.enough and hint.predicted is not None
    artifact = tvmtiny.compile(model, "mps2-an386", **hint.options)
    assert artifact.arena_bytes == hint.predicted.ram_bytes <= 32 * 1024
    result = tvmtiny.run(artifact, *tvmtiny.make_inputs("ramp", artifact.inputs))
    assert result.instructions == pytest.approx(hint.predicted.instructions, rel=0.1)


def test_budgets_that_nothing_meets_are_not_named() -> None:
    model = tvmtiny.load(_chain(), name="chain")
    found = tvmtiny.advise(model, CPU, Budget(ram_bytes=500))
    hints = [hint for hint in found.hints if "ram_budget" in hint.options]
    assert hints and not any(hint.enough for hint in hints)
    for hint in hints:
        assert hint.predicted is not None
        artifact = tvmtiny.compile(model, CPU, **hint.options)
        assert artifact.arena_bytes == hint.predicted.ram_bytes


def test_other_weights() -> None:
    model = tvmtiny.load(_chain(), name="chain")
    index = model.graph.nodes[0].input(1).index
    zeros = np.zeros_like(model.graph.nodes[0].input(1).data)
    changed = with_weights(model, {index: zeros})
    assert not changed.graph.nodes[0].input(1).data.any()
    assert changed.graph.nodes[1] is not model.graph.nodes[1]
    assert model.graph.nodes[0].input(1).data.any()


@pytest.mark.parametrize(
    ("text", "cycles"), [("1500000", 1_500_000), ("1.5M", 1_500_000), ("20ms@80MHz", 1_600_000)]
)
def test_deadlines(text: str, cycles: int) -> None:
    assert parse_deadline(text) == cycles


@pytest.mark.parametrize("text", ["", "20ms", "soon", "-4", "1M@80MHz", "0", "5ms@0MHz"])
def test_no_deadlines(text: str) -> None:
    with pytest.raises(InputError, match="is not a deadline"):
        parse_deadline(text)


def test_no_budget() -> None:
    with pytest.raises(InputError, match="give a positive number"):
        tvmtiny.advise(tvmtiny.load(_chain()), CPU, Budget(ram_bytes=0))
