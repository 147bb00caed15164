"""Pools around the micro-kernels of the DSP extension."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layer_cases import Layer, Operand, numbers
from pooling_cases import Pool, cases

import tvmtiny
from tests.ops.three_ways import SideBySide, check_host_together
from tests.tools import on_qemu
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Node, Oracle
from tvmtiny.ops.average_pool_2d import exact_mean
from tvmtiny.ops.shared.affine import wide_image
from tvmtiny.oracle import run_litert
from tvmtiny.schedule.families.dsp.pool import (
    implement_average_pool,
    implement_max_pool,
    implement_mean,
)
from tvmtiny.schedule.implementation import Goal

#: Global pools of MLPerf Tiny: keyword spotting, image classification, visual wake words.
GLOBAL = {
    "kws": ((25, 5), 64),
    "ic": ((8, 8), 64),
    "vww": ((3, 3), 256),
    "vww_alive": ((3, 3), 201),
}


def _global(name: str) -> Pool:
    size, channels = GLOBAL[name]
    return Pool("AVERAGE_POOL_2D", size, channels, size, size, zero_point=-128)


@cache
def _pools(operator: str) -> SideBySide:
    """The operator's own cases, with channels in whole words, in overlapping words, or too few."""
    table = {
        f"{name}_{channels}": replace(pool, channels=channels)
        for name, pool in cases(operator).items()
        if pool.dtype == "int8"
        for channels in (3, 4, 8, 5, 7)
    }
    table |= {
        "largest": Pool(operator, (16, 16), 4, (16, 16), (16, 16)),
        "too_large": Pool(operator, (16, 17), 4, (16, 17), (16, 17)),
        "too_many_scales": Pool(operator, (9, 9), 4, (9, 9), (3, 3), "SAME"),
    }
    if operator == "AVERAGE_POOL_2D":
        table |= {name: _global(name) for name in GLOBAL}
    return SideBySide(f"dsp_{operator.lower()}", table, 0.0)


def _mean(shape: tuple[int, ...], axes: tuple[int, ...], scale: float) -> Layer:
    x, y = Operand(shape, "int8", 0.0471, -3), Operand(_without(shape, axes), "int8", scale, 7)
    return Layer("MEAN", (x, numbers(axes)), y, {"keep_dims": False})


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(d for i, d in enumerate(shape) if i not in axes)


MEANS = SideBySide(
    "dsp_mean",
    {
        f"{shape}_{axes}_{scale}": _mean(shape, axes, scale)
        for shape, axes in (
            ((1, 5, 5, 8), (1, 2)),
            ((2, 3, 4, 7), (1, 2)),
            ((2, 3, 4, 8), (1,)),
            ((2, 3, 4, 8), (1, 3)),
            ((2, 3, 4, 3), (1, 2)),
            ((6, 16), (0,)),
        )
        for scale in (0.0471, 0.0113, 0.0093)
    },
    0.0,
)
OPERATORS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")


@pytest.mark.parametrize("operator", OPERATORS)
def test_pools_on_host(operator: str, tmp_path: Path) -> None:
    mates = (*map(_pools, OPERATORS), MEANS)
    check_host_together(_pools(operator), mates, "cortex-m4", tmp_path)


@on_qemu
@pytest.mark.parametrize("operator", OPERATORS)
def test_pools_on_board(operator: str) -> None:
    _pools(operator).check_board("mps2-an386")


def test_means_on_host(tmp_path: Path) -> None:
    check_host_together(MEANS, (*map(_pools, OPERATORS), MEANS), "cortex-m4", tmp_path)


@on_qemu
def test_means_on_board() -> None:
    MEANS.check_board("mps2-an386")


def _node(case: Pool | Layer) -> Node:
    return read_graph(case.model(), "test").nodes[0]


def test_every_count_has_a_scale() -> None:
    """One multiplication is exact for means of 1 to 256 values."""
    node = _node(next(iter(_pools("AVERAGE_POOL_2D").cases.values())))
    node = replace(node, options={**node.options, "fused_activation_function": "NONE"})
    for count in range(1, 257):
        found = exact_mean(node, count, wide_image, 16, 14)
        assert found is not None and found.shift == 14, count
        sums = np.arange(-128 * count, 127 * count + 1)
        got = (wide_image(found.factors[0], sums) + found.offset) >> found.shift
        wanted = np.sign(sums) * ((2 * np.abs(sums) + count) // (2 * count))
        np.testing.assert_array_equal(got, wanted)


def test_what_is_implemented() -> None:
    decided = Oracle.LITERT, Goal.BALANCED
    for operator, implement in zip(
        OPERATORS, (implement_average_pool, implement_max_pool), strict=True
    ):
        pool = Pool(operator, channels=4)
        assert implement(_node(pool), *decided) is not None
        assert implement(_node(replace(pool, channels=3)), *decided) is None
        same = replace(pool, padding="SAME", kernel=(3, 3))
        for goal, split in ((Goal.BALANCED, 1), (Goal.SIZE, 0)):
            found = implement(_node(same), Oracle.LITERT, goal)
            assert found is not None and found.decisions["split"] == split
    large = Pool("AVERAGE_POOL_2D", (16, 17), 4, (16, 17), (16, 17))
    assert implement_average_pool(_node(large), *decided) is None
    assert implement_mean(_node(_mean((1, 5, 5, 8), (1, 2), 0.0471)), *decided) is not None
    assert implement_mean(_node(_mean((2, 3, 4, 8), (1, 3), 0.0471)), *decided) is None


@on_qemu
@pytest.mark.parametrize(("name", "limit"), [("kws", 1.0), ("ic", 1.05), ("vww", 1.5)])
def test_global_pools_are_fast(name: str, limit: float) -> None:
    """Instructions per input element."""
    content = _global(name).model()
    model = tvmtiny.load(content, name=name)
    (shape,) = [t.shape for t in model.graph.inputs]
    x = np.random.default_rng(5).integers(-128, 128, shape).astype(np.int8)
    result = tvmtiny.run(tvmtiny.compile(model, "mps2-an386"), x)
    expected = run_litert(content, [x])[model.graph.outputs[0].index]
    np.testing.assert_array_equal(result.outputs[0].data, expected)
    assert result.instructions <= limit * x.size
