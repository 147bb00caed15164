"""Kernels for cores without the DSP extension: proofs, C on the host, assembly on a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide, check_host_together
from tests.schedule.test_dsp_depthwise import RANDOM as RANDOM_DEPTHWISE
from tests.tools import on_qemu
from tvmtiny.schedule.families.thumb.packing import provable_bytes
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import CHUNKS, START, by_chunk, provable

BOARD = "mps2-an385"

_RELU = Conv(activation="RELU", zero_points=(-128, -128), output_scale=1.0)

#: Shapes that the kernels distinguish, with weights small enough for chunks of every length.
SHAPES: dict[str, Case] = {
    "pixels": replace(_RELU, size=(5, 5), channels=17, filters=9, kernel=(1, 1)),
    "long_chunks": replace(
        _RELU, size=(4, 4), channels=37, filters=9, kernel=(1, 1), weight_range=(-25, 25)
    ),
    "lowest_weights": replace(
        _RELU, size=(2, 2), channels=9, filters=9, kernel=(1, 1), weight_range=(-128, -127)
    ),
    "stride_2": replace(_RELU, size=(9, 8), channels=5, filters=4, stride=(2, 2)),
    "batch": replace(_RELU, size=(3, 3), channels=3, batch=3),
    "dilated": Conv((9, 9), channels=3, filters=4, dilation=(3, 2), batch=2),
    "wide_filter": Conv((6, 5), channels=2, filters=3, kernel=(5, 4), padding="SAME"),
    "valid": Conv((6, 6), channels=4, filters=3, kernel=(2, 3), padding="VALID"),
    "deep": Conv((2, 2), channels=700, filters=3, kernel=(1, 1), weight_range=(-9, 9)),
    "deep_patches": replace(
        Conv((9, 10), 64, 2, (9, 9), padding="VALID", weight_range=(-9, 9)), stride=(2, 2)
    ),
    "whole_image": Conv((9, 9), 64, 2, (9, 9), padding="VALID", weight_range=(-9, 9)),
    "three_filters": Conv((1, 1), 16, 3, kernel=(1, 1), weight_range=(-9, 9)),
    "many_filters": Conv((2, 2), channels=8, filters=1365, kernel=(1, 1)),
    "too_many_filters": Conv((2, 2), channels=8, filters=1366, kernel=(1, 1)),
    "narrow_pixel": replace(
        _RELU, size=(1, 1), channels=64, filters=21, kernel=(1, 1), weight_range=(-9, 9)
    ),
    "narrow_pixels": Conv((1, 3), 96, 200, kernel=(1, 1), weight_range=(-30, 25)),
    "dense_tiles": Dense((1, 24), 24, 13, output_scale=2.0),
    "dense_three": Dense((1, 33), 33, 3, output_scale=2.0),
    "dense_one": Dense((3, 5), 5, 1, output_scale=2.0),
    "dense_deep": Dense((1, 640), 640, 16, output_scale=2.0),
}
SHAPED = SideBySide("thumb_shapes", SHAPES, 0.0)

#: Rows of one channel of any rest, from 32 bytes on in a loop, and planes with rows of padding.
PLANES = SideBySide(
    "thumb_planes",
    {
        **{
            f"{width}_columns": Depthwise((5, width), 1, padding="SAME", stride=(2, 2))
            for width in (2, 3, 4, 5, 6, 31, 33, 48, 66)
        },
        "valid": Depthwise((4, 5), 1, padding="VALID"),
        "dilated": Depthwise((6, 7), 1, padding="SAME", dilation=(3, 2)),
        "large_filter": Depthwise((2, 3), 1, kernel=(9, 7), padding="SAME"),
        "batch": Depthwise((3, 6), 1, padding="SAME", batch=3),
    },
    0.0,
)


#: Depthwise layers of one column of outputs, for each number of taps, near and far steps.
COLUMNS = SideBySide(
    "thumb_columns",
    {
        **{
            f"{rows}x{columns}_{activation.lower()}": Depthwise(
                (rows + 3, columns),
                2 + rows,
                kernel=(rows, columns),
                padding="VALID",
                activation=activation,
                zero_points=(-128, -128),
            )
            for rows, columns in ((2, 1), (3, 1), (2, 2), (5, 1), (2, 3), (6, 1))
            for activation in ("NONE", "RELU")
        },
        "same": Depthwise((5, 1), 3),
        "cut": Depthwise((7, 2), 5, stride=(2, 2)),
        "stride": Depthwise((9, 1), 1, kernel=(3, 1), stride=(3, 1)),
        "dilated": Depthwise((9, 3), 2, kernel=(3, 2), dilation=(2, 2), padding="VALID"),
        "wide": Depthwise((3, 300), 2, kernel=(1, 2), dilation=(1, 299), padding="VALID"),
        "far_output": Depthwise((4, 1), 300, kernel=(2, 1), padding="VALID"),
        "batch": Depthwise((4, 1), 3, kernel=(2, 1), padding="VALID", batch=3),
        "saturates": Depthwise((4, 1), 4, kernel=(2, 1), output_scale=0.001),
    },
    0.0,
)


@on_qemu
@pytest.mark.parametrize("board", [BOARD, "mps2-an386"])
def test_columns_on_board(board: str) -> None:
    COLUMNS.check_board(board)
    schedules = [layer.schedule for layer in COLUMNS.compile(board).layers]
    assert all(schedule.startswith("thumb, columns") for schedule in schedules) or board != BOARD


#: Depthwise filters that cover the whole input, or pixels.
WHOLE = SideBySide(
    "thumb_whole",
    {
        **{
            f"{rows}x{columns}_{activation.lower()}": Depthwise(
                (rows, columns),
                channels,
                kernel=(rows, columns),
                padding="VALID",
                activation=activation,
                zero_points=(-128, -128),
            )
            for channels, (rows, columns) in enumerate(((1, 1), (1, 2), (3, 1), (2, 2)), 1)
            for activation in ("NONE", "RELU")
        },
        "pixels": Depthwise((3, 2), 5, kernel=(1, 1)),
        "batch": Depthwise((2, 1), 3, kernel=(2, 1), padding="VALID", batch=3),
        "cut": Depthwise((2, 2), 300, stride=(2, 2)),
        "last_offset": Depthwise((2, 2), 1365, kernel=(2, 2), padding="VALID"),
        "saturates": Depthwise((1, 1), 40, kernel=(1, 1), output_scale=0.001),
    },
    0.0,
)


@on_qemu
@pytest.mark.parametrize("board", [BOARD, "mps2-an386"])
def test_whole_patches_on_board(board: str) -> None:
    WHOLE.check_board(board)
    schedules = [layer.schedule for layer in WHOLE.compile(board).layers]
    assert all(schedule.startswith("thumb, whole") for schedule in schedules) or board != BOARD


@on_qemu
def test_planes_of_one_channel_on_board() -> None:
    PLANES.check_board(BOARD)
    files = PLANES.compile(BOARD).files
    assert sum(str(text).count("TVMTINY_THUMB_PLANE(copy") for text in files.values()) >= len(
        PLANES.cases
    )


_ON_HOST = (SHAPED, RANDOM_DEPTHWISE, COLUMNS, WHOLE)


@pytest.mark.parametrize("layers", _ON_HOST, ids=lambda layers: layers.name)
def test_on_host(layers: SideBySide, tmp_path: Path) -> None:
    check_host_together(layers, _ON_HOST, BOARD, tmp_path)


@on_qemu
@pytest.mark.parametrize("layers", [SHAPED, RANDOM_DEPTHWISE], ids=lambda layers: layers.name)
def test_on_board(layers: SideBySide) -> None:
    layers.check_board(BOARD)
    schedules = {layer.name.split("/")[0]: layer.schedule for layer in layers.compile(BOARD).layers}
    wanted = "4 pixels,4 patches,8 channels,4 channels, and " if layers is SHAPED else "3x3,any"
    for word in wanted.split(","):
        assert any(word in schedule for schedule in schedules.values()), word
    scalar = {name for name, schedule in schedules.items() if "scalar" in schedule}
    # Kernels for patches compute two pixels at a time, and loops over tensor expressions compute a
    # deep pixel of three channels faster than kernels for one or two channels at a time.
    assert scalar == ({"deep_patches", "dense_three"} if layers is SHAPED else set())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    weights=st.lists(st.integers(-128, 127), min_size=8, max_size=8),
    spread=st.integers(1, 8),
    chunk=st.sampled_from(CHUNKS),
    seed=st.integers(0, 2**16),
)
def test_chunks_that_are_proven_are_exact(
    weights: list[int], spread: int, chunk: int, seed: int
) -> None:
    """Both sums come out of the packed products, also for the inputs that make them largest."""
    w = np.array([weights[:chunk]]) // spread
    rng = np.random.default_rng(seed)
    ends = np.where(w[0] > 0, 127, -128)
    sets = [ends, -1 - ends, rng.integers(-128, 128, chunk), rng.choice([-128, 127], chunk)]
    fits = True
    for low in sets:
        for high in sets:
            total = START + int(((low + 65536 * high) * w[0]).sum())
            wrapped = (total + 2**31) % 2**32 - 2**31
            upper = wrapped >> 16
            lower = (wrapped - START - (upper << 16) + 2**31) % 2**32 - 2**31
            exact = (upper, lower) == (int((high * w[0]).sum()), int((low * w[0]).sum()))
            fits &= exact
    assert fits or not provable(w, chunk)[0]
    # The proof refuses nothing but combinations that can fail, or nearly so.
    assert provable(w, chunk)[0] or np.abs(w).sum() * 128 > START


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), spread=st.integers(1, 40), chunk=st.sampled_from((1, 2, 4, 8)))
def test_chunks_of_bytes_that_are_proven_are_exact(seed: int, spread: int, chunk: int) -> None:
    """Weights less the smallest one are 0 to 255, so inputs of one sign are the worst."""
    rng = np.random.default_rng(seed)
    weights = (rng.integers(-128, 128, (2, 8)) // spread).astype(np.int8)
    low, high = (weights.astype(np.int64) - weights.min(axis=1, keepdims=True)).reshape(
        2, -1, chunk
    )
    fits = True
    for inputs in (np.full(chunk, -128), np.full(chunk, 127), rng.integers(-128, 128, chunk)):
        total = START + ((low + 65536 * high) * inputs).sum(axis=1)
        upper = ((total + 2**31) % 2**32 - 2**31) >> 16
        fits &= bool(np.array_equal(upper, (high * inputs).sum(axis=1)))
    assert fits or not provable_bytes(weights, chunk).all()


@pytest.mark.parametrize("proof", [provable, provable_bytes])
@pytest.mark.parametrize("longest", CHUNKS)
def test_each_channel_has_one_length_of_chunks(
    longest: int, proof: Callable[[np.ndarray, int], np.ndarray]
) -> None:
    rng = np.random.default_rng(longest)
    weights = (rng.integers(-127, 128, (40, 30)) // rng.integers(1, 9, (40, 1))).astype(np.int8)
    layer, totals = Layer(weights, 1, None, 0), []
    for most in (1, 2, 3):
        cost = {chunk: 30 / chunk * (3 * chunk + 4) for chunk in CHUNKS}
        classes = by_chunk(layer, proof, longest, most, cost.__getitem__)
        assert sorted(c for channels in classes.values() for c in channels) == list(range(40))
        assert len(classes) <= most and max(classes) <= longest
        for chunk, channels in classes.items():
            assert proof(weights[channels], chunk).all()
        totals.append(sum(cost[chunk] * len(channels) for chunk, channels in classes.items()))
    assert totals == sorted(totals, reverse=True)


@on_qemu
def test_dense_layers_on_cortex_m0() -> None:
    """One channel at a time, or four from words: the sums of more do not fit its registers."""
    side = SideBySide("dense_m0", {"layer": Dense((1, 128), 128, 16)}, 0.0)
    result = side.check_board("microbit")
    assert result.instructions <= 7.7 * side.compile("microbit").macs
