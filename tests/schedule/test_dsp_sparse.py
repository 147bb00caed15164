"""Weights with blocks of zeros on the kernels for the DSP extension: choice, speed and size."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from zeroed_weights import implemented, run_with_zeros, stored_weights, zero_anywhere, zeroed

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_fully_connected import Dense
from tests.tools import on_qemu
from tvmtiny.compiler import optimized_nodes
from tvmtiny.schedule import Goal
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.sparse import block_mask, pack_sparse
from tvmtiny.schedule.scaling import Scaling
from tvmtiny.targets import resolve

BOARD = "mps2-an386"

_SPARSE = Conv((9, 10), 64, 32, (1, 1), zeros=0.75)


_implemented = partial(implemented, target=BOARD)


@pytest.mark.parametrize("goal", list(Goal))
def test_blocks_of_zeros_are_left_out(goal: Goal) -> None:
    dense = _implemented(replace(_SPARSE, zeros=0.0).model(), goal)
    sparse = _implemented(_SPARSE.model(), goal)
    assert sparse.decisions["sketch"] == "sparse"
    assert sparse.instructions < 0.5 * dense.instructions
    assert sparse.constants_bytes < 0.5 * dense.constants_bytes


@pytest.mark.parametrize("case", [_SPARSE, Dense((1, 120), 120, 16)])
def test_zeros_anywhere_change_nothing(case: Conv | Dense) -> None:
    model = replace(case, zeros=0.0).model() if isinstance(case, Conv) else case.model()
    dense, scattered = _implemented(model), _implemented(zeroed(model, zero_anywhere))
    assert scattered.decisions == dense.decisions
    assert scattered.constants_bytes == dense.constants_bytes


@pytest.mark.parametrize("zeros", [0.5, 0.8])
def test_costs_are_counted(zeros: float) -> None:
    """Measured figures of kernels beside figures derived from their parts."""
    case = replace(_SPARSE, zeros=zeros)
    (layer,) = tvmtiny.cost(tvmtiny.load(case.model(), name="sparse"), BOARD).layers
    assert layer.instructions == pytest.approx(_implemented(case.model()).instructions, rel=0.12)


def test_few_blocks_of_zeros_are_not_worth_it() -> None:
    assert _implemented(replace(_SPARSE, zeros=0.05).model()).decisions["sketch"] == "patches"
    assert _implemented(replace(_SPARSE, filters=31).model()).decisions["sketch"] == "patches"


def test_less_memory_is_offered() -> None:
    """A budget can trade the patch of a dense layer, or pixels of a tile, for instructions."""
    (node,) = optimized_nodes(tvmtiny.load(_SPARSE.model(), name="sparse"))
    cpu = resolve(BOARD).cpu
    (family,) = (f for f in tvmtiny.schedule.families.registry.families(cpu) if f.name == "dsp")
    chosen = _implemented(_SPARSE.model()).decisions
    tiles = [(d["sketch"], d["tile"]) for d in family.smaller(node, chosen)]
    assert tiles == [("sparse", "2x2"), ("sparse", "1x2"), ("direct", "1x4")]


def test_stream_of_a_tile() -> None:
    """Each step leads to the next block; the first block is stored last."""
    weights = np.zeros((2, 24), np.int8)
    weights[0, 4], weights[1, 13], weights[0, 20] = 1, 2, 3
    assert block_mask(weights).tolist() == [[False, True, False, True, False, True]]
    constants = (np.array([10, 11]), np.array([20, 21]))
    scaling = Scaling(constants[0].astype(np.int32), constants[1].astype(np.int32), 5)
    stream = pack_sparse(weights, scaling, packing.SPARSE_TILES["2x2"])
    halves = stream[:2].astype("<i4").view("<i2").tolist()
    # From the start to block 3, from its end to block 5, from there back to block 1.
    assert halves == [6, 3 * 16, 1 * 16, -5 * 16]
    assert stream[2:].tolist() == [10, 11, 0, 2 * 256, 3, 0, 1, 0, 20, 21]


@on_qemu
@pytest.mark.parametrize(("name", "faster"), [("kws", 1.2), ("ic", 1.8)])
def test_benchmark_models(name: str, faster: float) -> None:
    """Exact, faster, and at most 35 % of the weights, of which indices are a part."""
    instructions, compiled = run_with_zeros(name, BOARD)
    weights = [stored_weights(model, artifact.layers) for model, artifact in compiled]
    assert instructions[1] * faster < instructions[0]
    assert weights[1] <= 0.35 * weights[0]
