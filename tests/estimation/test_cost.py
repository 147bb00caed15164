"""Estimates against counted instructions, and the counts of a function's loops."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network
from rich.console import Console
from small_networks import Network, Value
from tools import on_qemu
from tvm import tirx

import tvmtiny
from tests.ops.test_depthwise_conv_2d import Depthwise
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tvmtiny import models
from tvmtiny.codegen.lower import Kernel
from tvmtiny.errors import InputError
from tvmtiny.estimation.counts import Call
from tvmtiny.estimation.facts import WORK, Function, KernelFacts, facts
from tvmtiny.estimation.kernels import instantiations, parts
from tvmtiny.estimation.table import table as measured_on
from tvmtiny.estimation.terms import shifted_sums
from tvmtiny.estimation.walk import walk
from tvmtiny.frontend import Model
from tvmtiny.report.cost_tables import cost_summary, cost_tables
from tvmtiny.schedule import nest
from tvmtiny.targets import Region

BOARDS = ("microbit", "mps2-an385", "mps2-an386", "mps2-an505")


def _network(seed: int, folder: Path) -> Model:
    file = folder / f"network{seed}.tflite"
    file.write_bytes(random_network(seed))
    return tvmtiny.load(file)


@on_qemu
@pytest.mark.parametrize("board", BOARDS)
def test_instructions_are_near_what_qemu_counts(board: str, tmp_path: Path) -> None:
    model = _network(3, tmp_path)
    artifact = tvmtiny.compile(model, board)
    counted = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    found = tvmtiny.cost(model, board)
    assert counted.instructions is not None
    assert abs(found.total.instructions / counted.instructions - 1) < 0.1
    assert [layer.index for layer in found.layers] == [layer.index for layer in artifact.layers]


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an505"])
def test_rows_longer_than_those_of_small_networks(board: str) -> None:
    case = Depthwise((10, 48), 4, activation="RELU", zero_points=(-128, -128), output_scale=1.0)
    model = tvmtiny.load(case.model(), name="wide")
    artifact = tvmtiny.compile(model, board)
    counted = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert counted.instructions is not None and "3x3" in artifact.layers[0].schedule
    found = tvmtiny.cost(model, board)
    assert abs(found.total.instructions / counted.instructions - 1) < 0.1


def _three_pads() -> tuple[Network, Value]:
    """Three small PADs, whose copies compilers join and unroll in part."""
    network = Network(0)
    x = network.pool(network.input(1, 3, 4, 1))
    for _ in range(3):
        x = network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0))
    return network, x


def _two_sums() -> tuple[Network, Value]:
    """Two sums of numbers of elements that are no multiples of four, by one function."""
    network = Network(0)
    x = network.input(1, 2, 3, 3)
    x = network.binary("ADD", x, x)
    x = network.pool(x)
    return network, network.binary("ADD", x, x)


def _patches_of(height: int, width: int, channels: int) -> tuple[Network, Value]:
    """A convolution whose patches do not consist of whole words, all or most of them at edges."""
    network = Network(0)
    x = network.logistic(network.input(1, height, width, channels))
    return network, network.conv(x, 8, (3, 3), padding="SAME")


def _planes_of(height: int, width: int, channels: int) -> tuple[Network, Value]:
    network = Network(0)
    x = network.logistic(network.input(1, height, width, channels))
    return network, network.depthwise(x, stride=2, padding="SAME")


def _pool_of(height: int, width: int, channels: int) -> tuple[Network, Value]:
    network = Network(0)
    x = network.logistic(network.input(1, height, width, channels))
    return network, network.pool(x, "MAX_POOL_2D")


def _whole_image_of(filters: int) -> tuple[Network, Value]:
    """A convolution whose filter is cut to the whole image."""
    network = Network(0)
    x = network.logistic(network.input(1, 2, 2, 3))
    return network, network.conv(x, filters, (3, 3), stride=2, padding="SAME")


def _rescaled(scale: float) -> tuple[Network, Value]:
    """A QUANTIZE that needs two roundings, by one bit or by more."""
    network = Network(0)
    return network, network.requantize(network.input(1, 6, 6, 4, scale=scale))


@on_qemu
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    "built",
    [
        _three_pads(),
        _two_sums(),
        _patches_of(2, 2, 1),
        _patches_of(6, 5, 6),
        _planes_of(14, 4, 1),
        _planes_of(5, 3, 1),
        _planes_of(6, 4, 1),
        _planes_of(1, 1, 1),
        _planes_of(2, 2, 6),
        _planes_of(5, 1, 4),
        _pool_of(4, 8, 6),
        _pool_of(2, 2, 9),
        _whole_image_of(8),
        _rescaled(1 / 256),
        _rescaled(0.03),
    ],
    ids=[
        *("pads", "sums", "2x2", "6x5", "14x4 planes", "5x3 planes", "6x4 planes"),
        *("1x1 planes", "2x2 planes", "5x1 planes", "4x8 pool", "2x2 pool", "whole image"),
        *("by 4", "by 1"),
    ],
)
def test_small_networks_of_one_kind(board: str, built: tuple[Network, Value]) -> None:
    network, output = built
    model = tvmtiny.load(network.build(output), name="small")
    artifact = tvmtiny.compile(model, board)
    counted = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    found = tvmtiny.cost(model, board).total
    assert counted.instructions is not None
    assert abs(found.instructions / counted.instructions - 1) < 0.1


@on_qemu
def test_layers_that_a_function_of_the_runtime_computes() -> None:
    model = tvmtiny.load(Lstm(12, 20, 6).model(), name="lstm")
    artifact = tvmtiny.compile(model, "mps2-an385")
    counted = tvmtiny.run(artifact, *tvmtiny.make_inputs("random:1", artifact.inputs))
    assert counted.instructions is not None
    assert "function of the runtime" in artifact.layers[0].schedule
    found = tvmtiny.cost(model, "mps2-an385").total
    assert not found.rough_layers
    assert abs(found.instructions / counted.instructions - 1) < 0.1


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m7"])
def test_memory_is_exact(cpu: str, tmp_path: Path) -> None:
    for seed, goal in ((5, "balanced"), (8, "speed")):
        model = _network(seed, tmp_path)
        artifact = tvmtiny.compile(model, cpu, optimize=goal)
        total = tvmtiny.cost(model, cpu, optimize=goal).total
        assert total.arena_bytes == artifact.arena_bytes
        assert total.constants_bytes == artifact.constants_bytes
        assert total.macs == artifact.macs


def test_a_core_without_measured_layers_is_refused() -> None:
    with pytest.raises(InputError, match=r"cortex-m4.*tvmtiny profile"):
        tvmtiny.cost(tvmtiny.load(models.path("sine")), "rv32imc")


@pytest.mark.parametrize(("dtype", "rough"), [("int8", 0), ("float32", 1)])
def test_layers_that_were_not_measured_are_called_rough(dtype: str, rough: int) -> None:
    network = Network(0, dtype)
    x = network.conv(network.input(1, 6, 6, 4), 8)
    model = tvmtiny.load(network.build(network.reshape(x, 1, 288)), name="conv")
    found = tvmtiny.cost(model, "cortex-m4")
    assert [layer.rough for layer in found.layers if layer.instructions] == [bool(rough)]
    assert found.total.rough_layers == cost_summary(found)["total"]["rough_layers"] == rough
    console = Console(width=200, record=True, file=StringIO())
    for table in cost_tables(found):
        console.print(table)
    text = console.export_text()
    assert (f"~{found.total.instructions:,}" in text) == bool(rough)
    assert ("1 layer contains parts that were not measured" in text) == bool(rough)


def test_loops_and_conditions_are_counted_at_all_points() -> None:
    out = nest.buffer("out", 64, "int8")

    def row(y: nest.Argument) -> list[tirx.Stmt]:
        inner = nest.loop(8, "x", lambda x: [nest.call("kernel", nest.address(out, x + y), 24)])
        return [tirx.IfThenElse(y < 6, inner, None)]

    found = walk(tirx.PrimFunc([out], nest.loop(16, "y", row)), True)
    (call,) = found.calls
    assert call.function == "kernel" and call.times == 48
    assert call.constant == (False, True)
    assert sorted(set(call.arguments[0])) == list(range(13))
    assert found.counts["turn"] == 16 and found.counts["inner turn"] == 48


def test_what_does_not_depend_on_a_loop_is_counted_before_it() -> None:
    x, out = nest.buffer("x", 64, "int32"), nest.buffer("out", 64, "int32")
    factor = x[0] * 7

    def turn(i: nest.Argument) -> list[tirx.Stmt]:
        return [tirx.BufferStore(out, x[i] * factor + factor, [i])]

    counts = walk(tirx.PrimFunc([x, out], nest.loop(50, "i", turn)), True).counts
    assert counts["multiply int"] == 51
    assert counts["load int32"] == 51
    assert counts["pointer"] == 100


@pytest.mark.parametrize(("unaligned", "moves", "loads"), [(True, 10 * 3, 0), (False, 0, 10 * 7)])
def test_copies_of_neighbouring_bytes_are_joined(unaligned: bool, moves: int, loads: int) -> None:
    x, out = nest.buffer("x", 70, "int8"), nest.buffer("out", 90, "int8")

    def row(y: nest.Argument) -> list[tirx.Stmt]:
        return [tirx.BufferStore(out, x[y * 7 + i], [y * 9 + 1 + i]) for i in range(7)]

    counts = walk(tirx.PrimFunc([x, out], nest.loop(10, "y", row)), unaligned).counts
    # A word, two bytes and one byte, or byte by byte.
    assert (counts["moves"], counts["load int8"]) == (moves, loads)


@pytest.mark.parametrize(
    ("rows", "size", "unrolled"), [(2, 3, True), (3, 2, True), (3, 4, False), (4, 2, False)]
)
def test_loops_of_few_copies_are_unrolled(rows: int, size: int, unrolled: bool) -> None:
    x, out = nest.buffer("x", 70, "int8"), nest.buffer("out", 90, "int8")

    def row(y: nest.Argument) -> list[tirx.Stmt]:
        return [tirx.BufferStore(out, x[y * size + i], [y * 9 + 1 + i]) for i in range(size)]

    counts = walk(tirx.PrimFunc([x, out], nest.loop(rows, "y", row)), True).counts
    assert counts["moves"] == rows * (size // 4 + size % 4 // 2 + size % 2)
    assert counts["inner turn"] == (0 if unrolled else rows)
    assert (counts["pointer"] == 0) == unrolled


def test_parts_of_patches_are_counted_as_the_kernel_runs_them() -> None:
    """Compare with a simulation of the loops of TVMTINY_GATHER."""
    height, width, channels, rows, columns = 5, 4, 4, 3, 3
    line = f"TVMTINY_GATHER(g, w8, {height}, {width}, {channels}, {rows}, {columns}, (-3), 2)"
    places = [(row, column) for row in range(-2, 4) for column in range(-2, 4)]
    row, column = (np.array(values) for values in zip(*places, strict=True))
    zeros = np.zeros(len(places), np.int64)
    call = Call("g", (zeros, row, column, zeros), (True, False, False, True), len(places), 1.0)
    (part,) = parts(call, instantiations((line,)), True)
    expected = {"whole": 0, "filled rows": 0, "taps inside": 0, "taps outside": 0}
    for top, left in places:
        if 0 <= left <= width - columns and 0 <= top <= height - rows:
            expected["whole"] += 1
            continue
        for y in range(top, top + rows):
            if not 0 <= y < height:
                expected["filled rows"] += 1
                continue
            for x in range(left, left + columns):
                expected["taps inside" if 0 <= x < width else "taps outside"] += 1
    assert {name: part.events[name] for name in expected} == expected
    assert part.events["patches"] == len(places)


def test_edges_of_joined_patches_are_counted_as_the_kernel_copies_them() -> None:
    """Compare with a simulation of TVMTINY_GATHER_BYTES."""
    height, width, channels, rows, columns = 5, 4, 3, 3, 3
    line = f"TVMTINY_GATHER_BYTES(g, w8, {height}, {width}, {channels}, {rows}, {columns}, (-3), 2)"
    places = [(row, column) for row in range(-3, 6) for column in range(-3, 5)]
    row, column = (np.array(values) for values in zip(*places, strict=True))
    zeros = np.zeros(len(places), np.int64)
    call = Call("g", (zeros, row, column, zeros), (True, False, False, True), len(places), 1.0)
    (part,) = parts(call, instantiations((line,)), True)
    expected = {"whole": 0, "edges": 0, "edges copied": 0}
    expected |= {"edge rows": 0, "edge words": 0, "edge bytes": 0}
    for top, left in places:
        lines = sum(0 <= y < height for y in range(top, top + rows))
        taps = sum(0 <= x < width for x in range(left, left + columns))
        if lines == rows and taps == columns:
            expected["whole"] += 1
            continue
        expected["edges"] += 1
        if lines and taps:
            expected["edges copied"] += 1
            expected["edge rows"] += lines
            expected["edge words"] += lines * (taps * channels // 4)
            expected["edge bytes"] += lines * (taps * channels % 4)
    assert {name: part.events[name] for name in expected} == expected
    # 27 bytes are seven words.
    edges = part.events["edges"]
    assert (part.events["filled 16 once"], part.events["filled words"]) == (edges, 3 * edges)


def test_taps_that_are_apart_are_counted_as_the_kernel_reads_them() -> None:
    """Compare with a simulation of the loops of TVMTINY_GATHER_SPREAD."""
    height, width, depth = 6, 5, 4
    line = f"TVMTINY_GATHER_SPREAD(g, w8, {height}, {width}, 8, {depth}, 3, 3, 2, 2, (-3), 2)"
    places = [(row, column) for row in range(-2, 4) for column in range(-2, 3)]
    row, column = (np.array(values) for values in zip(*places, strict=True))
    zeros = np.zeros(len(places), np.int64)
    call = Call("g", (zeros, row, column, zeros), (True, False, False, True), len(places), 1.0)
    (part,) = parts(call, instantiations((line,)), True)
    inside = sum(
        0 <= y < height and 0 <= x < width
        for top, left in places
        for y in (top, top + 2, top + 4)
        for x in (left, left + 2, left + 4)
    )
    assert part.events["expansions"] == inside
    assert part.events["words outside"] == (9 * len(places) - inside) * depth / 4


def test_columns_of_a_filter_are_counted_four_rows_at_a_time() -> None:
    values = tuple(np.array([value]) for value in (0, 0, 0, 6))
    for rows, fours, left in ((7, 2, 0), (8, 2, 0), (9, 2, 1), (10, 2, 2), (2, 0, 2)):
        line = f"TVMTINY_DEPTHWISE_COLUMN(g, 8, 5, {rows}, 15, 6, SIGNED)"
        call = Call("g", values, (True,) * 4, 1, 1.0)
        (part,) = parts(call, instantiations((line,)), True)
        assert part.kind == "depthwise column SIGNED" and not part.guessed
        assert (part.events["four pairs"], part.events["four last"]) == (12 * fours, 6 * fours)
        assert (part.events["rest"], part.events["two"]) == (6 * (left > 0), 6 * (left == 2))


@pytest.mark.parametrize(("pitch", "near"), [(14, True), (15, True), (16, False)])
def test_loads_near_others_are_counted_on_armv6m(pitch: int, near: bool) -> None:
    """Four bytes of a window, of which two are far if rows are 32 bytes apart."""
    x, out = nest.buffer("x", 200, "int8"), nest.buffer("out", 20, "int8")

    def turn(i: nest.Argument) -> list[tirx.Stmt]:
        taps = [x[i + offset] for offset in (0, pitch, 2 * pitch, 3 * pitch)]
        return [tirx.BufferStore(out, tirx.max(*taps[:2]) + tirx.max(*taps[2:]), [i])]

    function = tirx.PrimFunc([x, out], nest.loop(12, "i", turn))
    assert walk(function, False).counts["load int8 near others"] == 48 * near
    assert walk(function, True).counts["load int8 near others"] == 0


def test_edges_of_paired_patches_are_counted_row_by_row() -> None:
    """Against a simulation of the rows of TVMTINY_PAIRS_GATHER."""
    height, width, channels, out_width = 4, 5, 3, 5
    sizes = f"4, {height}, {width}, {channels}, 4, {out_width}"
    line = f"TVMTINY_PAIRS_GATHER(g, p, {sizes}, 3, 1, 9, 3, 1, 1, 1, 1, 1, (7))"
    position = np.arange(0, 20, 4)
    zeros = np.zeros(len(position), np.int64)
    call = Call("g", (zeros, zeros, position), (True, True, False), len(position), 1.0)
    gather, edge = parts(call, instantiations((line,)), True)
    expected = {"call": 0, "copy": 0, "copy 2": 0, "copy 4": 0}
    for pixel in range(20):
        top, left = pixel // out_width - 1, pixel % out_width - 1
        for y in range(top, top + 3):
            inside = range(max(left, 0), min(left + 3, width)) if 0 <= y < height else ()
            count = len(inside) * channels
            expected["call"] += count < 9
            expected["copy"] += 0 < count < 9
            expected["copy 2"] += count < 9 and count & 2 > 0
            expected["copy 4"] += count < 9 and count & 4 > 0
    assert {name: edge.events[name] for name in expected} == expected
    assert edge.events["fill 8"] == edge.events["fill 1"] == expected["call"]
    assert gather.events["edge rows"] == expected["call"]
    # Two words in a loop and a byte for each of the rows of 10 pairs of pixels.
    assert (gather.events["pack turns"], gather.events["rest of 1"]) == (60, 30)


@pytest.mark.parametrize(
    ("address", "count", "expected"),
    [
        (0, 27, {"aligned": 1, "16 bytes": 1, "words": 2, "bytes": 3}),
        (1, 9, {"head bytes": 3, "words": 1, "bytes": 2}),
        (3, 1, {"head bytes": 1, "cut": 1}),
    ],
)
def test_a_memset_is_counted_by_its_loops(
    address: int, count: int, expected: dict[str, int]
) -> None:
    values = tuple(np.array([value]) for value in (address, count, 0))
    fill, found = parts(Call("tvmtiny_plane_fill", values, (True,) * 3, 1, 1.0), {}, False)
    assert (fill.function, found.function) == ("tvmtiny_plane_fill", "memset")
    amounts = ("aligned", "head bytes", "16 bytes", "words", "bytes", "cut")
    assert {name: found.events[name] for name in amounts if found.events[name]} == expected


@pytest.mark.parametrize(
    ("factor", "sums"), [(5, 1), (4195328, 1), (327709, 4), (4194681, 4), (163865, 4)]
)
def test_sums_that_replace_a_product_are_those_of_gcc(factor: int, sums: int) -> None:
    assert shifted_sums(factor, 5) == sums


def test_a_function_with_one_caller_has_costs_for_its_constants() -> None:
    x = nest.buffer("x", 64, "int8")
    pack = "TVMTINY_DEPTHWISE_PACK({}, 2, 3, {}, 8, 0, 2, 1, (1))"

    def kernel(symbol: str) -> Kernel:
        name, width = symbol[0], 2 + (symbol == "b")
        call = nest.call(name, nest.address(x), 0, nest.address(x), 2)
        function = tirx.PrimFunc([x], call)
        preamble = (pack.format(name, width),)
        return Kernel(symbol, "", "", (), "", (), preamble, lowered=function)

    def kinds(*symbols: str) -> set[str]:
        found = facts(map(kernel, symbols), unaligned=True)
        return {f.kind for f in found[symbols[0]].functions if "edge" in f.name}

    assert kinds("a") == {"depthwise edge alone"}
    assert kinds("a", "b") == {"depthwise edge"}
    # Two layers that call the same packing function, and two functions for the same sizes.
    assert kinds("a1", "a2") == kinds("a", "c") == {"depthwise edge alone"}


def test_a_function_that_is_called_once_is_inlined() -> None:
    once = Function("g", "gather w8", {"call": 1.0}, 1, False)
    assert once.is_inlined(())
    twice = replace(once, calls=2)
    assert not twice.is_inlined(()) and twice.is_inlined({"gather w8"})
    assert not replace(once, fixed=True).is_inlined(())


@pytest.mark.parametrize(
    ("cache", "read", "distinct", "cycles"),
    [(0, 1000, 400, 312), (400, 1000, 400, 125), (399, 1000, 400, 312), (1024, 100, 400, 31)],
)
def test_a_flash_makes_the_core_wait_for_lines(
    cache: int, read: int, distinct: int, cycles: int
) -> None:
    flash = Region("flash", "flash", 0, 1 << 20, 5, 16, cache)
    assert flash.wait_cycles(read, distinct) == cycles


def test_wait_states_of_a_board_are_added_to_its_cycles(tmp_path: Path) -> None:
    text = resources.files("tvmtiny").joinpath("targets/boards/mps2-an386.toml").read_text()
    text = text.replace('name = "mps2-an386"', 'name = "waiting"')
    timing = "wait_states = 5\nline_bytes = 16\ncache_bytes = 64\n"
    text = text.replace('kind = "flash"\n', f'kind = "flash"\n{timing}')
    file = tmp_path / "waiting.toml"
    file.write_text(text)
    model = _network(3, tmp_path)
    waiting, plain = tvmtiny.cost(model, str(file)), tvmtiny.cost(model, "mps2-an386")
    assert plain.total.wait_cycles == 0 < waiting.total.wait_cycles
    assert (
        waiting.total.estimated_cycles - plain.total.estimated_cycles == waiting.total.wait_cycles
    )
    for layer in waiting.layers:
        most = round(layer.flash_read_bytes / 16 * 5)
        # The bytes read, rounded.
        assert layer.wait_cycles <= most + 1
        assert layer.constants_bytes <= 64 or layer.wait_cycles >= most - 1
    assert waiting.total.instructions == plain.total.instructions


def test_work_of_another_operator_is_no_estimate() -> None:
    """A layer whose function was not measured must not cost what an LSTM of its family does."""
    known = KernelFacts({f"{WORK}macs": 24.0, f"{WORK}one": 1.0}, ())
    names = ("DEPTHWISE_CONV_2D int8 dsp, single pixel", "DEPTHWISE_CONV_2D int8 dsp", "dsp")
    assert measured_on("cortex-m4").layer(names, known) is None
    assert measured_on("cortex-m4").layer(("UNIDIRECTIONAL_SEQUENCE_LSTM int8 dsp", "dsp"), known)
