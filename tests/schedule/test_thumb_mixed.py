"""Layers of Cortex-M0 and M3 whose workspace holds some inputs as bytes."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
from small_networks import Network

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case
from tests.schedule.candidates import Candidates
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule import Goal, Implementation, implement
from tvmtiny.schedule.families.thumb.mixed import kept_bytes
from tvmtiny.schedule.implementation import PREAMBLE_ATTR
from tvmtiny.schedule.shrink import smaller_implementations
from tvmtiny.targets import resolve

#: A layer that is clamped at its zero point, so its rounding needs no sign.
_RELU = {"activation": "RELU", "zero_points": (-128, -128)}

#: Steps that overlap, sums of any sign, and weights that allow long chunks or only short ones.
CASES: dict[str, Case] = {
    "signed": Conv((3, 3), 28, 9, (1, 1)),
    "small_weights": Conv((2, 5), 44, 6, (1, 1), weight_range=(-25, 25), output_scale=1.0, **_RELU),
    "medium_weights": Conv((2, 3), 68, 12, (1, 1), weight_range=(-100, 100), batch=2),
    "dense": Dense((5, 28), 28, 6),
}


def _node(case: Case) -> Node:
    return optimized_nodes(tvmtiny.load(case.model(), name="case"))[0]


def _candidates(monkeypatch: pytest.MonkeyPatch, board: str) -> Candidates:
    candidates = Candidates("mixed", CASES, board, scalar=False, only={"sketch": "mixed"})
    candidates.force(monkeypatch)
    return candidates


def _mixed(case: Case) -> Implementation | None:
    decisions = {"sketch": "mixed", "chunk": 8, "codes": 3, "unroll": 32}
    cpu = resolve("cortex-m3").cpu
    return implement(_node(case), cpu, Oracle.LITERT, Goal.BALANCED, decisions)


def test_some_inputs_stay_bytes() -> None:
    assert {depth: kept_bytes(depth) for depth in (8, 13, 14, 28, 64, 128, 512, 640)} == {
        8: 0,
        13: 0,
        14: 2,
        28: 4,
        64: 16,
        128: 20,
        512: 56,
        640: 64,
    }


def test_every_decision_is_exact_on_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _candidates(monkeypatch, "cortex-m3").layers.check_host("cortex-m3", tmp_path)


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an385", "microbit"])
def test_every_decision_is_exact_on_a_board(board: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _candidates(monkeypatch, board).layers.check_board(board)


def test_the_cases_have_all_kernels() -> None:
    lengths, rounding = set(), set()
    for case in CASES.values():
        found = _mixed(case)
        assert found is not None
        for line in str(found.function.attrs[PREAMBLE_ATTR]).splitlines():
            arguments = line.strip(")").split(", ")
            lengths.add(int(arguments[6]))
            rounding.add(arguments[-1])
    assert lengths == {2, 3, 4} and rounding == {"PLAIN", "SIGNED"}


def test_weights_that_no_chunk_can_have_are_refused() -> None:
    """Two weights of -128 may exceed the lower half of a sum."""
    assert _mixed(Conv((3, 3), 28, 5, (1, 1), weight_range=(-128, -127))) is None


def test_the_first_smaller_workspace_costs_little() -> None:
    node, cpu = _node(Conv((6, 4), 128, 32, (1, 1), weight_range=(-75, 75))), resolve("cortex-m3")
    fastest = implement(node, cpu.cpu, Oracle.LITERT, Goal.BALANCED)
    assert fastest is not None and fastest.decisions["sketch"] == "pairs"
    arguments = node, fastest, cpu.cpu, Oracle.LITERT, Goal.BALANCED
    slower = list(smaller_implementations(*arguments))
    assert [i.decisions["sketch"] for i in slower] == ["mixed", "pairs", "quads"]
    assert fastest.instructions < slower[0].instructions < 1.08 * fastest.instructions
    assert sorted(i.instructions for i in slower) == [i.instructions for i in slower]
    arguments = node, slower[0], cpu.cpu, Oracle.LITERT, Goal.BALANCED
    assert [i.decisions["sketch"] for i in smaller_implementations(*arguments)] == [
        "pairs",
        "quads",
    ]


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m3"])
def test_a_layer_in_place_needs_less_than_words_for_all_inputs(cpu: str) -> None:
    network = Network(5)
    x = network.input(1, 6, 4, 128)
    y = network.conv(x, 128, (1, 1))
    model = tvmtiny.load(network.builder.build([y.index]))
    tensor, words = prod((6, 4, 128)), 8 * 128
    artifact = tvmtiny.compile(model, cpu, ram_budget=tensor + words - 72)
    assert artifact.arena_bytes < tensor + words - 72
    assert "20 inputs as bytes" in artifact.layers[0].schedule
