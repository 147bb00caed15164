#!/usr/bin/env python3
"""Calibrate the tables of ``tvmtiny cost``: tvmtiny/estimation/tables/<cpu>.json.

For each core, random networks are built one by one and executed in Unicorn. The measured cost of
their layers, and of the functions in them, is fitted to the features that
`tvmtiny.estimation.facts` extracts. The seeds differ from those of ``scripts/cost_error.py``.

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
from calibration_networks import KINDS, SIDE_BY_SIDE
from cost_fit import TRUST, Coefficients, Sample, fit_keys, fit_row
from object_cache import ObjectCache

import tvmtiny
from tvmtiny.compiler import arranged
from tvmtiny.emulation.cycles import block_cost, edges_cost, timings
from tvmtiny.emulation.unicorn_machine import emulate
from tvmtiny.estimation.facts import (
    WORK,
    Function,
    KernelFacts,
    entry_amounts,
    facts,
    facts_for,
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

#: First seed of the networks for calibration.
FIRST_SEED = 10_000

TARGETS = ("instructions", "cycles", "flash", "ram")

#: Index of the first of `TARGETS` that is not measured for functions by themselves.
FIRST_READ = 2


def board_for(cpu: str, folder: Path) -> Any:
    """Find or make a board with the CPU and 4 MB of each kind of memory, for Unicorn."""
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
    """Measure networks, each built by itself, and append them to `out`, one on each line.

    Networks that `out` already contains are not measured again.
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
    """Measure the cost of each layer, in total and by function, and of the run function."""
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


@dataclass
class Layer:
    """A measured layer and its known features.

    Attributes
    ----------
    amounts, apart
        Amounts and separate functions according to the compiler's inlining, which may differ from
        `Function.is_inlined`.
    measured
        Measured costs in the order of `TARGETS`.
    rest
        Measured costs without functions that remain functions, as far as that is known.
    """

    name: str
    keys: list[str]
    facts: KernelFacts
    amounts: Mapping[str, float]
    apart: list[Function]
    rough: Mapping[str, float]
    measured: list[float]
    rest: list[float]

    def sample(self) -> Sample:
        """Make a sample of the kernel itself; functions' reads are those of whole layers."""
        reads = dict(self.amounts)
        for function in self.apart:
            for event, count in function.events.items():
                name = function.read_by(event)
                reads[name] = reads.get(name, 0.0) + count
        amounts = [reads if i >= FIRST_READ else self.amounts for i in range(len(TARGETS))]
        return Sample(self.keys, amounts, self.rest, self.measured)


def fit(
    cpu: str,
    files: list[Path],
    like: str | None,
    update: bool,
    anew: Sequence[str],
    certainty: float,
) -> None:
    """Fit and write the table of a core.

    Parameters
    ----------
    like
        A core whose table provides prior values.
    update
        Whether the core's own table does so, too, and keeps what was not measured again.
    anew
        Beginnings of the kinds of functions, and of the names of amounts, that the own table
        provides no prior values for.
    certainty
        Weight of prior values, see `cost_fit.TRUST`.
    """
    target = resolve(cpu)
    networks = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            networks.append(known_network(json.loads(line), target))
    known = None
    if like is not None:
        known = json.loads((TABLES / f"{like}.json").read_text(encoding="utf-8"))
    if update:
        own = json.loads((TABLES / f"{cpu}.json").read_text(encoding="utf-8"))
        forget(own, tuple(anew))
        if known is not None:
            own["kernels"] = _merged(known["kernels"], own["kernels"])
            own["functions"] = _merged(known["functions"], own["functions"])
        known = own
    text = table_text(cpu, networks, known, certainty)
    (TABLES / f"{cpu}.json").write_text(text, encoding="utf-8")
    report(networks, read_table(text))


def forget(table: dict[str, Any], anew: tuple[str, ...]) -> None:
    """Remove amounts and kinds of functions whose names begin with one of `anew`."""

    def stays(name: str) -> bool:
        return not name.removeprefix("(").startswith(anew)

    rows = {
        key: {n: v for n, v in row.items() if stays(n)} for key, row in table["kernels"].items()
    }
    table["kernels"] = rows
    table["functions"] = {kind: row for kind, row in table["functions"].items() if stays(kind)}
    table["often_inlined"] = [kind for kind in table["often_inlined"] if stays(kind)]


def table_text(
    cpu: str,
    networks: Sequence[Measured],
    known: Mapping[str, Any] | None,
    certainty: float = TRUST,
) -> str:
    """Fit the table of a core and format it as JSON.

    Parameters
    ----------
    known
        Table of a similar core.
    certainty
        Weight of prior values, see `cost_fit.TRUST`.
    """
    layers = [layer for network in networks for layer in network.layers]
    functions: defaultdict[str, list[Sample]] = defaultdict(list)
    seen: defaultdict[str, list[bool]] = defaultdict(list)
    for network in networks:
        for sample in network.functions:
            functions[sample.keys[0]].append(sample)
        for kind, inlined in network.inlined:
            seen[kind].append(inlined)
    alike = known or {"kernels": {}, "functions": {}}
    kernels = fit_keys([layer.sample() for layer in layers], alike["kernels"], certainty)
    _drop_work_of_families(kernels, layers)
    functions_found = {
        kind: fit_row(
            found, {**as_inlined(kind, kernels), **alike["functions"].get(kind, {})}, certainty
        )
        for kind, found in functions.items()
    }
    often = {kind for kind, found in seen.items() if np.mean(found) > 0.5}
    entries = [n.entry for n in networks if n.record["kind"] not in SIDE_BY_SIDE]
    entry = fit_row(entries, alike.get("entry", {}), certainty) if entries else alike["entry"]
    counts = {"networks": len(networks), "layers": len(layers)}
    rough = fit_row([_same(layer.rough, layer.measured) for layer in layers], {})
    if known is not None and known["cpu"] == cpu:
        kernels = _merged(known["kernels"], kernels)
        functions_found = _merged(known["functions"], functions_found)
        often |= set(known["often_inlined"]) - seen.keys()
        counts = {name: number + known["provenance"][name] for name, number in counts.items()}
        rough = known["rough"]
    content = {
        "cpu": cpu,
        "unaligned": "thumb2" in resolve(cpu).cpu.features,
        "provenance": {
            "measured": "executed instructions and loads in Unicorn, cycles of the core's manual",
            "script": "scripts/calibrate_cost.py",
            **counts,
        },
        "targets": TARGETS,
        "often_inlined": sorted(often),
        "kernels": kernels,
        "functions": functions_found,
        "rough": rough,
        "entry": entry,
    }
    text = json.dumps(content, separators=(",", ":"), sort_keys=True)
    return text.replace(']},"', ']},\n"') + "\n"


def _drop_work_of_families(kernels: dict[str, Coefficients], layers: Sequence[Layer]) -> None:
    """Keep what a layer's work costs as a whole only in the rows of operators."""
    for layer in layers:
        operator = layer.keys[0].split()[0]
        for key in layer.keys:
            if key in kernels and not key.startswith(operator):
                row = kernels[key].items()
                kernels[key] = {name: cost for name, cost in row if not name.startswith(WORK)}


def _merged(
    old: Mapping[str, Coefficients], new: Mapping[str, Coefficients]
) -> dict[str, Coefficients]:
    """Return the rows of both; new values replace old ones."""
    return {key: {**old.get(key, {}), **new.get(key, {})} for key in {**old, **new}}


def as_inlined(kind: str, kernels: Mapping[str, Coefficients]) -> Coefficients:
    """Return the cost of a function's parts if it is inlined into its callers, for any key."""
    start = f"{kind}: "
    return {
        name.removeprefix(start): values
        for row in kernels.values()
        for name, values in row.items()
        if name.startswith(start)
    }


def _same(amounts: Mapping[str, float], took: Sequence[float], kind: str = "") -> Sample:
    """Make a sample whose amounts are the same for all targets."""
    return Sample([kind], [amounts] * len(TARGETS), took, took)


@dataclass
class Measured:
    """A measured network.

    Attributes
    ----------
    functions
        Costs of functions, with their kinds as keys.
    inlined
        For each function that is called more than once, its kind and whether it was inlined.
    entry
        Cost of the run function.
    """

    record: Mapping[str, Any]
    layers: list[Layer]
    functions: list[Sample]
    inlined: list[tuple[str, bool]]
    entry: Sample


def known_network(record: dict[str, Any], target: Any) -> Measured:
    """Combine the measurements of a network with its known features."""
    unaligned = "thumb2" in target.cpu.features
    built = arranged(network(record["kind"], record["seed"]), target, optimize=record["goal"])
    program = built.arrangement.program
    pairs = list(zip(program.calls, record["layers"], strict=True))
    kernels = {c.function: built.kernels[c.function] for c, found in pairs if found["kernel"]}
    known = facts(kernels.values(), unaligned=unaligned)
    layers, functions, inlined = [], [], []
    for index, (call, found) in enumerate(pairs):
        if not found["kernel"]:
            continue
        node, kernel = built.nodes[call.output.name], built.kernels[call.function]
        made = built.choices.get(node.index)
        layer_facts = facts_for(node, made, known[kernel.symbol])
        by = {name: np.array(took, float) for name, took in found["by"].items()}
        parts = {
            f.name: [n for n in by if n == f.name or n.startswith(f"{f.name}.")]
            for f in layer_facts.functions
        }
        apart_names = {name for name, symbols in parts.items() if symbols}
        amounts, apart = layer_facts.amounts(_other_than(apart_names))
        measured = [float(found[target]) for target in TARGETS]
        rest = list(measured)
        for function in apart:
            took = sum(by[name] for name in parts[function.name])
            functions.append(_same(function.events, [*took, 0.0, 0.0], function.kind))
            rest[0] -= took[0]
            rest[1] -= took[1]
        inlined += [
            (function.kind, not parts[function.name])
            for function in layer_facts.functions
            if not function.fixed and function.calls > 1
        ]
        layers.append(
            Layer(
                f"{record['kind']} {record['seed']}, layer {index}",
                list(keys(node, kernel)),
                layer_facts,
                amounts,
                apart,
                rough_amounts(node, made),
                measured,
                rest,
            )
        )
    used = np.sum([[f["instructions"], f["cycles"]] for f in record["layers"]], axis=0)
    rest = [record["total"] - used[0], record["cycles"] - used[1], 0.0, 0.0]
    busy = [len(call.arguments) for call, found in pairs if found["kernel"]]
    amounts = entry_amounts(busy, len(program.inputs) + len(program.outputs))
    return Measured(record, layers, functions, inlined, _same(amounts, rest))


def _other_than(names: set[str]) -> Callable[[Function], bool]:
    return lambda function: function.name not in names


def network(kind: str, seed: int) -> Any:
    """Load a generated network as a model."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{kind}{seed}.tflite"
        file.write_bytes(KINDS[kind](seed))
        return tvmtiny.load(file)


def report(networks: Sequence[Measured], table: Table) -> None:
    """Print the errors of the table for the layers and networks of the calibration."""
    errors: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    totals = []
    for network in networks:
        whole = 0.0
        for layer in network.layers:
            found = table.layer(layer.keys, layer.facts) or table.roughly(layer.rough)
            key = next((k for k in layer.keys if k in table.kernels), "rough")
            errors[key].append((found.instructions / max(layer.measured[0], 1) - 1, layer.name))
            whole += found.instructions
        used = sum(layer.measured[0] for layer in network.layers)
        total = network.record["total"]
        totals.append((whole + total - used) / total - 1)
    for key, found in sorted(errors.items()):
        worst = max(found, key=lambda error: abs(error[0]))
        median = np.median([abs(error) for error, _ in found])
        print(f"{len(found):4} {median:7.2%} {worst[0]:+8.2%} {key}: {worst[1]}")
    sizes = np.abs(totals)
    print(f"{len(sizes)} networks, median {np.median(sizes):.2%}, at most {sizes.max():.2%}")


def main() -> None:
    """Parse arguments and run the chosen action."""
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
    solve.add_argument("--like", help="a core whose table says what is likely")
    solve.add_argument("--update", action="store_true", help="keep what was not measured again")
    solve.add_argument("--anew", nargs="*", default=[], help="kinds and amounts to forget first")
    solve.add_argument("--certainty", type=float, default=TRUST, help="weight of known values")
    options = parser.parse_args()
    if options.action == "fit":
        known = options.like, options.update, options.anew, options.certainty
        fit(options.cpu, options.files, *known)
        return
    if options.objects:
        toolchain.run_tool = ObjectCache(options.objects, toolchain.run_tool).run
    seeds = range(options.first, options.first + options.count)
    collect(options.cpu, options.kind, options.goal, seeds, options.file)


if __name__ == "__main__":
    main()
