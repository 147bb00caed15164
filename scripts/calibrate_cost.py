#!/usr/bin/env python3
"""Calibrates the tables of ``tvmtiny cost``: tvmtiny/estimation/tables/<cpu>.json.

Random networks are built for each core, one by one, and executed in Unicorn; what their layers and
the functions in them take is fitted to what `tvmtiny.estimation.facts` says of them. The seeds are
other ones than those of ``scripts/cost_error.py``.

    scripts/calibrate_cost.py collect cortex-m4 /tmp/m4.jsonl     measure
    scripts/calibrate_cost.py fit cortex-m4 /tmp/m4.jsonl         write the table
"""

from __future__ import annotations

import argparse
import json
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
from object_cache import ObjectCache
from random_networks import random_network
from small_networks import Network
from zeroed_weights import zeroed

import tvmtiny
from tvmtiny.compiler import arranged
from tvmtiny.emulation.cycles import block_cost, edges_cost, timings
from tvmtiny.emulation.unicorn_machine import emulate
from tvmtiny.estimation.facts import (
    Function,
    KernelFacts,
    entry_amounts,
    facts,
    keys,
    rough_amounts,
)
from tvmtiny.estimation.table import Table, read_table
from tvmtiny.host import toolchain
from tvmtiny.host.elf import functions_of
from tvmtiny.report.firmware import built_firmware
from tvmtiny.targets import boards, resolve
from tvmtiny.targets.architectures import find_architecture

TABLES = ROOT / "tvmtiny" / "estimation" / "tables"

#: Seeds from here on are for calibration.
FIRST_SEED = 10_000

#: A key is fitted by itself if it has as many layers as this.
LEAST_LAYERS = 6

#: Errors are relative to at least this.
LEAST_WEIGHED = 30.0

#: Of the regularization, where columns have length 1.
_RIDGE = 0.003

TARGETS = ("instructions", "cycles", "flash", "ram")

#: The first of `TARGETS` of which functions are not measured by themselves.
FIRST_READ = 2


def larger_network(seed: int) -> bytes:
    """A chain with wider layers than `random_network` has."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    size = [int(d) for d in choose.integers(5, 14, 2)]
    x = network.input(1, *size, int(choose.choice([1, 2, 3, 4, 8, 16])))
    for _ in range(4):
        height, width, channels = x.shape[1:]
        kind = choose.integers(10)
        stride = int(choose.integers(1, 3))
        if kind < 3:
            x = network.conv(x, int(choose.choice([4, 8, 10, 16, 24, 32, 48])))
        elif kind < 5 and height * width * channels < 1500:
            kernel = tuple(int(k) for k in choose.choice([1, 3, 3, 5], 2))
            x = network.conv(
                x, int(choose.choice([4, 8, 16, 20])), kernel, stride=stride, padding="SAME"
            )
        elif kind < 7:
            x = network.depthwise(x, stride=stride, padding="SAME")
        elif kind == 7:
            x = network.binary("ADD", x, x)
        elif kind == 8 and min(height, width) > 1:
            x = network.pool(x, str(choose.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])))
        elif kind == 9:
            x = network.logistic(x)
    if choose.integers(2):
        x = network.dense(x, int(choose.integers(2, 33)), depth=int(np.prod(x.shape)))
        x = network.softmax(x)
    return network.build(x)


def dense_network(seed: int) -> bytes:
    """A chain of dense layers."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    x = network.input(1, int(choose.integers(4, 400)))
    for _ in range(4):
        x = network.dense(x, int(choose.choice([4, 7, 8, 10, 12, 30, 32, 64, 96, 128])))
    return network.build(x)


def sparse_network(seed: int) -> bytes:
    """Like `larger_network`, where three of four blocks of weights are zero."""
    return zeroed(larger_network(seed))


KINDS = {
    "random": random_network,
    "larger": larger_network,
    "dense": dense_network,
    "sparse": sparse_network,
}


def board_for(cpu: str, folder: Path) -> Any:
    """A board with the CPU and 4 MB of each memory, as Unicorn runs it."""
    own = [b for b in boards().values() if b.cpu.name == cpu and b.platform == "qemu"]
    large = [b for b in own if sum(r.length for r in b.regions) >= 2**23]
    if large:
        return resolve(large[0].name).board
    text = (ROOT / "tvmtiny/targets/boards/mps2-an385.toml").read_text(encoding="utf-8")
    file = folder / f"large-{cpu}.toml"
    text = text.replace('"cortex-m3"', f'"{cpu}"').replace(
        'name = "mps2-an385"', f'name = "l{cpu}"'
    )
    file.write_text(text, encoding="utf-8")
    return resolve(str(file)).board


def collect(cpu: str, kind: str, goal: str, seeds: Sequence[int], out: Path) -> None:
    """Measure networks, each built by itself, and append them to `out`, one a line.

    What `out` has is not measured again.
    """
    table = timings(cpu)
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    there = {(r["kind"], r["goal"], r["seed"]) for r in map(json.loads, lines)}
    with TemporaryDirectory() as name, out.open("a", encoding="utf-8") as file:
        board = board_for(cpu, Path(name))
        for seed in seeds:
            if (kind, goal, seed) not in there:
                record = {"kind": kind, "goal": goal, "seed": seed}
                record |= measured(network(kind, seed), board, table, goal)
                file.write(json.dumps(record) + "\n")
                file.flush()


def measured(model: Any, board: Any, table: Any, goal: str) -> dict[str, Any]:
    """What each layer of a model takes, in all and by function, and the run function."""
    artifact = tvmtiny.compile(model, resolve(board), optimize=goal)
    with built_firmware(artifact, board) as firmware:
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-128, 128, t.shape).astype(t.dtype) for t in artifact.inputs]
        trace = emulate(firmware, inputs, 600.0)
        named = sorted((start, name) for name, (start, _) in functions_of(firmware.elf).items())
    decode = find_architecture(board.cpu.architecture).decode
    assert decode is not None
    costs = {
        block: block_cost(decode(code, block & 0xFFFFFFFF), table)
        for block, code in trace.code.items()
    }
    total = edges_cost(trace.inference.edges, costs, table, trace.inference.split_loads)
    starts = [start for start, _ in named]
    layers = []
    for layer, region in zip(artifact.layers, trace.layers, strict=True):
        found = edges_cost(region.edges, costs, table, region.split_loads)
        parts: defaultdict[str, dict[Any, int]] = defaultdict(dict)
        for edge, count in region.edges.items():
            function = named[bisect_right(starts, edge[0] & 0xFFFFFFFF) - 1][1]
            parts[function][edge] = count
        layers.append(
            {
                "kernel": layer.kernel,
                "instructions": found[0],
                "cycles": found[1],
                "flash": region.flash_bytes,
                "ram": region.ram_bytes,
                "by": {
                    name: list(edges_cost(edges, costs, table, 0)[:2])
                    for name, edges in parts.items()
                },
            }
        )
    return {"total": total[0], "cycles": total[1], "layers": layers}


# ---- Fitting --------------------------------------------------------------------------------

#: Amounts, and what they took.
Rows = list[tuple[Mapping[str, float], list[float]]]


@dataclass
class Layer:
    """A measured layer and what is known of it.

    Attributes
    ----------
    amounts, apart
        With what the compiler did inline, which may be other than `Function.is_inlined` says.
    measured
        In the order of `TARGETS`.
    rest
        The same without functions that stay functions, as far as that is known.
    """

    name: str
    keys: list[str]
    facts: KernelFacts
    amounts: Mapping[str, float]
    apart: list[Function]
    rough: Mapping[str, float]
    measured: list[float]
    rest: list[float]


def fit(cpu: str, files: list[Path]) -> None:
    """Write the table of a core."""
    target = resolve(cpu)
    unaligned = "thumb2" in target.cpu.features
    networks: list[tuple[dict[str, Any], list[Layer]]] = []
    functions: defaultdict[str, Rows] = defaultdict(list)
    entries: Rows = []
    seen: defaultdict[str, list[bool]] = defaultdict(list)
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            layers, interface = known_layers(record, target, unaligned, functions, seen)
            networks.append((record, layers))
            used = np.sum([[f["instructions"], f["cycles"]] for f in record["layers"]], axis=0)
            rest = [record["total"] - used[0], record["cycles"] - used[1], 0.0, 0.0]
            entries.append((entry_amounts(len(layers), interface), rest))
    every = [layer for _, layers in networks for layer in layers]
    groups: defaultdict[str, list[Layer]] = defaultdict(list)
    for layer in every:
        for key in layer.keys:
            groups[key].append(layer)
    rows = {kind: coefficients(found) for kind, found in sorted(functions.items())}
    content = {
        "cpu": cpu,
        "unaligned": unaligned,
        "provenance": {
            "measured": "executed instructions and loads in Unicorn, cycles of the core's manual",
            "script": "scripts/calibrate_cost.py",
            "networks": len(networks),
            "layers": len(every),
        },
        "targets": TARGETS,
        "often_inlined": sorted(kind for kind, found in seen.items() if np.mean(found) > 0.5),
        "kernels": {
            key: coefficients([(layer.amounts, layer.rest) for layer in group], group)
            for key, group in sorted(groups.items())
            if len(group) >= LEAST_LAYERS
        },
        "functions": rows,
        "rough": coefficients([(layer.rough, layer.measured) for layer in every]),
        "entry": coefficients(entries),
    }
    text = json.dumps(content, separators=(",", ":"), sort_keys=True).replace(']},"', ']},\n"')
    (TABLES / f"{cpu}.json").write_text(text + "\n", encoding="utf-8")
    report(networks, read_table(text))


def known_layers(
    record: dict[str, Any],
    target: Any,
    unaligned: bool,
    functions: defaultdict[str, Rows],
    seen: defaultdict[str, list[bool]],
) -> tuple[list[Layer], int]:
    """The measured layers of a network, and how many inputs and outputs that has.

    Parameters
    ----------
    functions
        Gets what functions took, by kind.
    seen
        Gets for each kind that is called more than once whether it was inlined.
    """
    built = arranged(network(record["kind"], record["seed"]), target, optimize=record["goal"])
    program = built.arrangement.program
    pairs = list(zip(program.calls, record["layers"], strict=True))
    kernels = {c.function: built.kernels[c.function] for c, found in pairs if found["kernel"]}
    known = facts(kernels.values(), unaligned=unaligned)
    layers = []
    for index, (call, found) in enumerate(pairs):
        if not found["kernel"]:
            continue
        node, kernel = built.nodes[call.output.name], built.kernels[call.function]
        by = {name: np.array(took, float) for name, took in found["by"].items()}
        parts = {
            f.name: [n for n in by if n == f.name or n.startswith(f"{f.name}.")]
            for f in known[kernel.symbol].functions
        }
        apart_names = {name for name, symbols in parts.items() if symbols}
        amounts, apart = known[kernel.symbol].amounts(_other_than(apart_names))
        measured = [float(found[target]) for target in TARGETS]
        rest = list(measured)
        for function in apart:
            took = sum(by[name] for name in parts[function.name])
            functions[function.kind].append((function.events, [*took, 0.0, 0.0]))
            rest[0] -= took[0]
            rest[1] -= took[1]
        for function in known[kernel.symbol].functions:
            if not function.fixed and function.calls > 1:
                seen[function.kind].append(not parts[function.name])
        layers.append(
            Layer(
                f"{record['kind']} {record['seed']}, layer {index}",
                list(keys(node, kernel)),
                known[kernel.symbol],
                amounts,
                apart,
                rough_amounts(node, built.choices.get(node.index)),
                measured,
                rest,
            )
        )
    return layers, len(program.inputs) + len(program.outputs)


def _other_than(names: set[str]) -> Callable[[Function], bool]:
    return lambda function: function.name not in names


def network(kind: str, seed: int) -> Any:
    """A network as a model."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{kind}{seed}.tflite"
        file.write_bytes(KINDS[kind](seed))
        return tvmtiny.load(file)


def coefficients(rows: Rows, layers: Sequence[Layer] = ()) -> dict[str, list[float]]:
    """What each amount costs, by non-negative least squares of relative errors.

    Parameters
    ----------
    layers
        Where given, errors are relative to what these took in all, and bytes that are read are
        those of their functions, too.
    """
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * len(TARGETS))
    for position in range(len(TARGETS)):
        amounts = [dict(row) for row, _ in rows]
        if layers and position >= FIRST_READ:
            for own, layer in zip(amounts, layers, strict=True):
                for function in layer.apart:
                    for event, count in function.events.items():
                        name = function.read_by(event)
                        own[name] = own.get(name, 0.0) + count
        names = sorted({name for row in amounts for name in row})
        matrix = np.array([[row.get(name, 0.0) for name in names] for row in amounts])
        values = np.array([took[position] for _, took in rows])
        whole = [layer.measured[position] for layer in layers] or values
        weights = 1 / np.maximum(np.abs(whole), LEAST_WEIGHED)
        solved = non_negative(matrix * weights[:, None], values * weights)
        for name, value in zip(names, solved, strict=True):
            if value:
                found[name][position] = float(f"{value:.5g}")
    return dict(found)


def report(networks: list[tuple[dict[str, Any], list[Layer]]], table: Table) -> None:
    """Print how far layers and networks of the calibration are from the table."""
    errors: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    totals = []
    for record, layers in networks:
        whole = 0.0
        for layer in layers:
            found = table.layer(layer.keys, layer.facts) or table.roughly(layer.rough)
            key = next((k for k in layer.keys if k in table.kernels), "rough")
            errors[key].append((found.instructions / max(layer.measured[0], 1) - 1, layer.name))
            whole += found.instructions
        used = sum(layer.measured[0] for layer in layers)
        totals.append((whole + record["total"] - used) / record["total"] - 1)
    for key, found in sorted(errors.items()):
        worst = max(found, key=lambda error: abs(error[0]))
        median = np.median([abs(error) for error, _ in found])
        print(f"{len(found):4} {median:7.2%} {worst[0]:+8.2%} {key}: {worst[1]}")
    sizes = np.abs(totals)
    print(f"{len(sizes)} networks, median {np.median(sizes):.2%}, at most {sizes.max():.2%}")


def non_negative(matrix: np.ndarray, values: np.ndarray, turns: int = 3000) -> np.ndarray:
    """Minimize ``|matrix x - values|`` for x >= 0: Lawson and Hanson's active sets."""
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    a = matrix / scale
    # Slightly towards 0, since some amounts are nearly proportional to others.
    products = a.T @ a + _RIDGE**2 * np.eye(a.shape[1])
    wanted = a.T @ values
    x = np.zeros(a.shape[1])
    active = np.zeros(a.shape[1], bool)
    for _ in range(turns):
        gradient = wanted - products @ x
        gradient[active] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        active[best] = True
        while active.any():
            solved = np.zeros_like(x)
            solved[active] = np.linalg.solve(products[np.ix_(active, active)], wanted[active])
            negative = active & (solved <= 0)
            if not negative.any():
                x = solved
                break
            step = np.min(x[negative] / np.maximum(x[negative] - solved[negative], 1e-30))
            x = x + step * (solved - x)
            active &= x > 1e-12
            x[~active] = 0
    return x / scale


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    measure = actions.add_parser("collect", help="measure networks")
    measure.add_argument("cpu")
    measure.add_argument("file", type=Path)
    measure.add_argument("--kind", choices=KINDS, default="random")
    measure.add_argument("--goal", default="balanced")
    measure.add_argument("--count", type=int, default=150)
    measure.add_argument("--first", type=int, default=FIRST_SEED)
    measure.add_argument("--objects", type=Path, help="keeps what is compiled for all networks")
    solve = actions.add_parser("fit", help="write a table")
    solve.add_argument("cpu")
    solve.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.action == "fit":
        fit(options.cpu, options.files)
        return
    if options.objects:
        toolchain.run_tool = ObjectCache(options.objects, toolchain.run_tool).run
    seeds = range(options.first, options.first + options.count)
    collect(options.cpu, options.kind, options.goal, seeds, options.file)


if __name__ == "__main__":
    main()
