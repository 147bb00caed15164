#!/usr/bin/env python3
"""Calibrates the tables of ``tvmtiny cost``: tvmtiny/estimation/tables/<cpu>.json.

Layers of random networks are built for each core and executed in Unicorn; what they take is fitted,
layer by layer, to what `tvmtiny.estimation.facts` says of them. The seeds are other ones than those
of ``scripts/cost_error.py``.

    scripts/calibrate_cost.py collect cortex-m4 /tmp/m4.jsonl     measure
    scripts/calibrate_cost.py fit cortex-m4 /tmp/m4.jsonl         write the table
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
from merge_models import merge_models
from object_cache import ObjectCache
from random_networks import random_network
from small_networks import Network

import tvmtiny
from tvmtiny.compiler import arranged
from tvmtiny.emulation.cycles import block_cost, edges_cost, timings
from tvmtiny.emulation.unicorn_machine import emulate
from tvmtiny.estimation.facts import amounts, entry_amounts, keys
from tvmtiny.host import toolchain
from tvmtiny.report.firmware import built_firmware
from tvmtiny.targets import boards, resolve
from tvmtiny.targets.architectures import find_architecture

TABLES = ROOT / "tvmtiny" / "estimation" / "tables"

#: Seeds from here on are for calibration.
FIRST_SEED = 10_000

#: A key is fitted by itself if it has as many layers as this.
LEAST_LAYERS = 4

#: Layers that were built together with others are left out of keys with so many that were not.
LEAST_ALONE = 4

#: Of the regularization, where columns have length 1.
_RIDGE = 0.01

TARGETS = ("instructions", "cycles", "flash", "ram")


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


#: What each of so many batches is made of, and for what it is compiled.
KINDS = (
    (random_network, "balanced"),
    (larger_network, "balanced"),
    (random_network, "balanced"),
    (larger_network, "speed"),
    (dense_network, "balanced"),
    (dense_network, "speed"),
    (larger_network, "balanced"),
    (random_network, "speed"),
)


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


def collect(cpu: str, batches: int, first: int, size: int, out: Path) -> None:
    """Measure layers and append them to `out`, one a line.

    Parameters
    ----------
    size
        Networks that are built together. GCC inlines a micro-kernel that is called once, so that
        those that are built alone tell most.
    """
    table = timings(cpu)
    with TemporaryDirectory() as name, out.open("a", encoding="utf-8") as lines:
        board = board_for(cpu, Path(name))
        for batch in range(first, first + batches):
            make, goal = KINDS[batch % len(KINDS)]
            seeds = range(FIRST_SEED * size + size * batch, FIRST_SEED * size + size * (batch + 1))
            content = merge_models({f"n{seed}": make(seed) for seed in seeds})
            file = Path(name) / f"batch{batch}.tflite"
            file.write_bytes(content)
            for record in measured(tvmtiny.load(file), board, table, goal):
                lines.write(json.dumps({**record, "alone": size == 1}) + "\n")
            lines.flush()
            print(cpu, batch, goal, flush=True)


def measured(model: Any, board: Any, table: Any, goal: str) -> Iterator[dict[str, Any]]:
    """Facts and measured costs of each layer of a model."""
    target = resolve(board)
    built = arranged(model, target, optimize=goal)
    artifact = tvmtiny.compile(model, target, optimize=goal)
    with built_firmware(artifact, board) as firmware:
        rng = np.random.default_rng(0)
        inputs = [rng.integers(-128, 128, t.shape).astype(t.dtype) for t in artifact.inputs]
        trace = emulate(firmware, inputs, 600.0)
    decode = find_architecture(board.cpu.architecture).decode
    assert decode is not None
    costs = {
        block: block_cost(decode(code, block & 0xFFFFFFFF), table)
        for block, code in trace.code.items()
    }
    calls = built.arrangement.program.calls
    total = edges_cost(trace.inference.edges, costs, table, trace.inference.split_loads)
    used = [0, 0]
    for layer, region, call in zip(artifact.layers, trace.layers, calls, strict=True):
        found = edges_cost(region.edges, costs, table, region.split_loads)
        used = [used[0] + found[0], used[1] + found[1]]
        if not layer.kernel:
            continue
        node, kernel = built.nodes[call.output.name], built.kernels[call.function]
        assert kernel.symbol == layer.kernel
        yield {
            "keys": list(keys(node, kernel)),
            "amounts": dict(amounts(node, built.choices[node.index], kernel)),
            "instructions": found[0],
            "cycles": found[1],
            "flash": region.flash_bytes,
            "ram": region.ram_bytes,
        }
    yield {
        "keys": ["entry"],
        "amounts": dict(entry_amounts(len(calls), len(artifact.inputs) + len(artifact.outputs))),
        "instructions": total[0] - used[0],
        "cycles": total[1] - used[1],
        "flash": 0,
        "ram": 0,
    }


def fit(cpu: str, file: Path) -> None:
    """Write the table of a core."""
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        for key in record["keys"]:
            groups[key].append(record)
    for key, group in groups.items():
        alone = [record for record in group if record.get("alone")]
        groups[key] = alone if len(alone) >= LEAST_ALONE else group
    fitted = {
        key: coefficients(group)
        for key, group in sorted(groups.items())
        if len(group) >= LEAST_LAYERS or key in ("entry", "any")
    }
    table = {
        "cpu": cpu,
        "provenance": {
            "measured": "executed instructions and loads in Unicorn, cycles of the core's manual",
            "script": "scripts/calibrate_cost.py",
            "layers": len(records),
        },
        "targets": TARGETS,
        "keys": fitted,
    }
    text = json.dumps(table, indent=None, separators=(",", ":"), sort_keys=True)
    (TABLES / f"{cpu}.json").write_text(text.replace('"},"', '"},\n"') + "\n", encoding="utf-8")
    worst = []
    for record in [r for r in records if r.get("alone")] or records:
        key = next((k for k in record["keys"] if k in fitted), "any")
        guess = sum(fitted[key].get(n, [0.0])[0] * v for n, v in record["amounts"].items())
        worst.append((abs(guess / max(1, record["instructions"]) - 1), key, guess, record))
    worst.sort(key=lambda found: -found[0])
    errors = [found[0] for found in worst]
    print(f"{cpu}: {len(errors)} layers, median {np.median(errors):.2%}, most {errors[0]:.2%}")
    for error, key, guess, record in worst[:12]:
        print(f"  {error:.1%} {key}: {guess:.0f} instead of {record['instructions']}")


def coefficients(group: list[dict[str, Any]]) -> dict[str, list[float]]:
    """What each amount costs, by non-negative least squares of relative errors."""
    names = sorted({name for record in group for name in record["amounts"]})
    matrix = np.array([[r["amounts"].get(name, 0.0) for name in names] for r in group])
    found = np.zeros((len(names), len(TARGETS)))
    for position, target in enumerate(TARGETS):
        values = np.array([float(record[target]) for record in group])
        weights = 1 / np.maximum(values, 50.0)
        found[:, position] = non_negative(matrix * weights[:, None], values * weights)
    return {
        name: [float(f"{value:.5g}") for value in row]
        for name, row in zip(names, found, strict=True)
        if row.any()
    }


def non_negative(matrix: np.ndarray, values: np.ndarray, turns: int = 3000) -> np.ndarray:
    """Minimize ``|matrix x - values|`` for x >= 0: Lawson and Hanson's active sets."""
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    # Slightly towards 0, since some amounts are nearly proportional to others.
    a = np.vstack([matrix / scale, _RIDGE * np.eye(matrix.shape[1])])
    values = np.concatenate([values, np.zeros(matrix.shape[1])])
    x = np.zeros(a.shape[1])
    active = np.zeros(a.shape[1], bool)
    for _ in range(turns):
        gradient = a.T @ (values - a @ x)
        gradient[active] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        active[best] = True
        while True:
            solved = np.zeros_like(x)
            solved[active] = np.linalg.lstsq(a[:, active], values, rcond=1e-10)[0]
            negative = active & (solved <= 0)
            if not negative.any():
                x = solved
                break
            step = np.min(x[negative] / np.maximum(x[negative] - solved[negative], 1e-30))
            x = x + step * (solved - x)
            active &= x > 1e-12
            x[~active] = 0
            if not active.any():
                break
    return x / scale


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["collect", "fit"])
    parser.add_argument("cpu")
    parser.add_argument("file", type=Path)
    parser.add_argument("--batches", type=int, default=len(KINDS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--size", type=int, default=1, help="networks that are built together")
    parser.add_argument("--objects", type=Path, help="keeps what is compiled for all networks")
    options = parser.parse_args()
    if options.objects:
        toolchain.run_tool = ObjectCache(options.objects, toolchain.run_tool).run
    if options.action == "collect":
        collect(options.cpu, options.batches, options.first, options.size, options.file)
    else:
        fit(options.cpu, options.file)


if __name__ == "__main__":
    main()
