"""Kernels for RISC-V: C on the host, assembly on a board, and their streams."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from zeroed_weights import Zeroed

import tvmtiny
from tests.ops.test_conv_2d import Conv
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_fully_connected import Dense
from tests.ops.three_ways import Case, SideBySide, check_host_together
from tests.schedule.candidates import Candidates
from tests.schedule.test_dsp_depthwise import RANDOM as RANDOM_DEPTHWISE
from tests.schedule.test_thumb import SHAPES
from tests.tools import on_qemu_boards
from tvmtiny.schedule.families.riscv.packing import (
    fill_tiles,
    pack_bytes,
    pack_pairs,
    pack_words,
)
from tvmtiny.schedule.matrix_layer import Layer
from tvmtiny.schedule.product_chunks import by_chunk, provable, proven_channels
from tvmtiny.schedule.scaling import Scaling

#: Shapes that kernels around packed pixels distinguish; tiles of three channels take many pixels.
SHAPED = SideBySide(
    "riscv_shapes",
    {**SHAPES, "many_pixels": replace(SHAPES["pixels"], size=(6, 7), filters=11)},
    0.0,
)
#: The same with instructions for minimum and maximum.
BOARD, MORE = "riscv-virt", "riscv-virt-zbb"


@pytest.mark.parametrize("layers", [SHAPED, RANDOM_DEPTHWISE], ids=lambda layers: layers.name)
def test_on_host(layers: SideBySide, tmp_path: Path) -> None:
    _check_host(layers, tmp_path)


def _check_host(layers: SideBySide, folder: Path) -> None:
    mates = (SHAPED, RANDOM_DEPTHWISE, _of_bunched_weights())
    check_host_together(layers, mates, BOARD, folder)


@on_qemu_boards(BOARD, MORE)
@pytest.mark.parametrize("layers", [SHAPED, RANDOM_DEPTHWISE], ids=lambda layers: layers.name)
def test_on_board(layers: SideBySide, board: str) -> None:
    layers.check_board(board)
    schedules = [layer.schedule for layer in layers.compile(board).layers]
    wanted = "4 pixels,4 patches,2 pixels,w8" if layers is SHAPED else "3x3,any"
    for word in wanted.split(","):
        assert any(word in schedule for schedule in schedules), word


@pytest.mark.parametrize("tile", [3, 6, 8])
def test_every_channel_is_in_a_tile_with_chunks_that_are_proven_for_it(tile: int) -> None:
    rng = np.random.default_rng(tile)
    for count in range(1, 40):
        longest = rng.choice([2, 4, 8], count)
        classes = {c: np.flatnonzero(longest == c).tolist() for c in set(longest.tolist())}
        filled = fill_tiles(classes, tile, lambda chunk, longest=longest: longest >= chunk)
        assert {c for channels in filled.values() for c in channels} == set(range(count))
        for chunk, channels in filled.items():
            assert len(channels) % tile == 0 and chunk in classes
            assert all(longest[channel] >= chunk for channel in channels)
        assert sum(map(len, filled.values())) < count + tile


def _bunched(weights: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Weights with chunks of 8 proven for every second filter, and chunks of 6 for the others.

    Two chunks of 8 each have four large neighbours, so a chunk of 6 between them has six.
    """
    filters, depth = weights.shape
    large = np.where(np.isin(np.arange(depth) % 16 // 4, (1, 2)), 63, 0)
    return np.where(np.arange(filters)[:, None] % 2, large, 42).astype(np.int8)


@pytest.mark.parametrize("tile", [3, 6, 8])
def test_channels_only_move_to_chunks_that_are_proven(tile: int) -> None:
    for count in range(2, 60):
        weights = _bunched(np.zeros((count, 48), np.int8), np.random.default_rng(0))
        layer = Layer(weights, 1, None, 0)
        classes = by_chunk(layer, provable, 8, 2, lambda chunk: 1 / chunk)
        assert set(classes) == {6, 8}
        filled = fill_tiles(classes, tile, partial(proven_channels, layer, provable))
        assert {c for channels in filled.values() for c in channels} == set(range(count))
        for chunk, channels in filled.items():
            assert len(channels) % tile == 0 and provable(weights[channels], chunk).all()


@cache
def _of_bunched_weights() -> SideBySide:
    cases = {
        "dense": Dense((1, 192), 192, 26, output_scale=4.0),
        "rows": Dense((40, 384), 384, 82, output_scale=4.0),
    }
    return SideBySide("bunched", {key: Zeroed(case, _bunched) for key, case in cases.items()}, 0.0)


@on_qemu_boards(BOARD)
def test_layers_of_two_chunk_lengths_on_board(board: str) -> None:
    _of_bunched_weights().check_board(board)


def test_layers_of_two_chunk_lengths_on_host(tmp_path: Path) -> None:
    _check_host(_of_bunched_weights(), tmp_path)
    for layer in _of_bunched_weights().compile(BOARD).layers:
        assert "chunks of 8 and 6" in layer.schedule


def test_streams() -> None:
    weights = np.arange(-20, 20, dtype=np.int8).reshape(8, 5)
    constants = np.arange(8, dtype=np.int32)
    scaling = Scaling(constants + 100, constants + 200, 12)
    stream = pack_pairs(weights, scaling, [7, 0, 3], 2, 3)
    # Five inputs in chunks of two, then up to whole words.
    columns = stream[:5].view(np.int8)[:18].reshape(6, 3)
    np.testing.assert_array_equal(columns[:5].T, weights[[7, 0, 3]])
    assert not columns[5].any() and not stream[:5].view(np.int8)[18:].any()
    assert stream[5:].tolist() == [7, 107, 207, 0, 100, 200, 3, 103, 203]
    words = pack_words(weights, scaling, list(range(8)))
    inputs = words[:20].reshape(5, 4)
    low = (inputs & 0xFFFF).astype(np.uint16).view(np.int16)
    np.testing.assert_array_equal(low.T, weights[::2])
    np.testing.assert_array_equal((inputs - low).T >> 16, weights[1::2])
    assert words[20:23].tolist() == [0, 100, 200]
    # The sums of the first two of four channels include the carries of three chunks.
    single = pack_bytes(weights, scaling, list(range(8)), 3, 8)
    np.testing.assert_array_equal(
        single[:10].view(np.uint8).reshape(5, 8).T, weights.astype(int) + 128
    )
    initial = [value + 100 - 3 * 2**23 * (value % 4 < 2) for value in range(8)]
    assert single[10:].reshape(8, 3)[:, 1].tolist() == initial
    assert single[10:13].tolist() == [0, initial[0], 200]


_RELU = {"activation": "RELU", "zero_points": (-128, -128), "output_scale": 1.0}

#: Layers with every decision; some have rows longer than the unrolled part.
DECIDED: dict[str, Case] = {
    "pixels": Conv((3, 4), 21, 7, kernel=(1, 1), weight_range=(-25, 25), **_RELU),
    "single": Conv((1, 1), 75, 13, kernel=(1, 1), weight_range=(-9, 9), **_RELU),
    "single_sparse": Conv((1, 1), 40, 6, kernel=(1, 1), zeros=0.8),
    "patches": Conv((4, 5), 5, 4, dilation=(2, 1), weight_range=(-25, 25)),
    "sparse": Conv((4, 5), 8, 4, zeros=0.7, weight_range=(-25, 25)),
    "sparse_far": Conv((2, 2), 1600, 2, (1, 1), zeros=0.998),
    "wide": Depthwise((3, 23), 2, **_RELU),
    "wide_s2": Depthwise((5, 41), 2, stride=(2, 2), **_RELU),
    "far": Depthwise((3, 7), 520, **_RELU),
}


@on_qemu_boards(BOARD)
def test_every_decision_is_exact(
    board: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    candidates = Candidates("riscv", DECIDED, "rv32imc", scalar=False)
    candidates.force(monkeypatch)
    candidates.layers.check_host("rv32imc", tmp_path)
    candidates.layers.check_board(board)
    values = set(candidates.values())
    for sketch in ("riscv_pairs", "riscv_words", "riscv_bytes"):
        longer = () if sketch == "riscv_pairs" else (12, 16, 24, 32)
        assert {(sketch, "chunk", chunk) for chunk in (1, 2, 3, 4, 6, 8, *longer)} <= values
        assert {(sketch, "unroll", unroll) for unroll in (8, 16, 32)} <= values
    assert {("riscv_bytes", "tile", tile) for tile in (4, 8, 12)} <= values
    assert {("riscv_pairs", "pixels", pixels) for pixels in (2, 4)} <= values
    assert {("riscv_sparse", "pixels", pixels) for pixels in (2, 4)} <= values
    assert ("riscv_sparse_single", "sketch", "riscv_sparse_single") in values
    assert {("riscv_sparse", "chunk", chunk) for chunk in (1, 2, 4)} <= values
    assert {("riscv_3x3", "unroll", unroll) for unroll in (1, 2, 3, 4, 6)} <= values
    assert ("riscv_filter", "sketch", "riscv_filter") in values


def test_weights_are_bytes_where_the_goal_or_a_budget_wants_it() -> None:
    model = tvmtiny.load(Dense((1, 128), 128, 64, output_scale=2.0).model(), name="dense")
    wanted = {"size": "w8", "balanced": "w8", "speed": "w16"}
    for goal, word in wanted.items():
        (layer,) = tvmtiny.compile(model, BOARD, optimize=goal).layers
        assert word in layer.schedule, layer.schedule
    for budget, word in (10_000, "w8"), (20_000, "w16"):
        artifact = tvmtiny.compile(model, BOARD, optimize="speed", flash_budget=budget)
        assert word in artifact.layers[0].schedule, artifact.layers[0].schedule
