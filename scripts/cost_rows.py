#!/usr/bin/env python3
"""Exchange rows of a table of ``tvmtiny cost`` for those of another fit, where errors fall.

    scripts/cost_rows.py cortex-m4 NEW.json --counts COUNTS

A fit to few layers may improve some rows and spoil others. COUNTS is what ``scripts/cost_error.py``
counted. A row is exchanged if the mean square of the errors of all networks that use it falls
clearly, and if there are enough of them. What the table lacks is added. To judge the result, other
networks are needed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np
from calibrate_cost import TABLES, forget, network

from tvmtiny.codegen.requests import in_place
from tvmtiny.compiler import arranged
from tvmtiny.estimation.facts import KernelFacts, entry_amounts, facts_for, keys, rough_amounts
from tvmtiny.estimation.model import facts_of
from tvmtiny.estimation.table import Table, read_table, table
from tvmtiny.targets import resolve

#: Largest share of the mean square of errors with which a row is exchanged, and the least number
#: of networks.
_CLEARLY, _LEAST_NETWORKS = 0.85, 3

_PARTS = ("kernels", "functions")

#: Keys, facts and rough amounts of a layer.
Layer = tuple[list[str], KernelFacts, Mapping[str, float]]


class Network:
    """What is known about a counted network."""

    def __init__(self, seed: int, cpu: str, counted: int) -> None:
        built = arranged(network("random", seed), resolve(cpu))
        program, problem = built.arrangement.program, built.arrangement.problem
        busy = [call for call in program.calls if not in_place(call, problem)]
        known = facts_of(built, busy, table(cpu))
        self.counted = counted
        self.entry = entry_amounts(
            [len(call.arguments) for call in busy], len(program.inputs) + len(program.outputs)
        )
        self.layers: list[Layer] = []
        for call in busy:
            node, kernel = built.nodes[call.output.name], built.kernels[call.function]
            made = built.choices.get(node.index)
            layer_facts = facts_for(node, made, known[kernel.symbol])
            rough = rough_amounts(node, made)
            self.layers.append((list(keys(node, kernel)), layer_facts, rough))

    def rows(self) -> set[tuple[str, str]]:
        """Return the rows that an estimate may use."""
        kernels = {("kernels", key) for names, *_ in self.layers for key in names}
        functions = (f for _, facts, _ in self.layers for f in facts.functions)
        return kernels | {("functions", f.kind) for f in functions}

    def error(self, costs: Table) -> float:
        """Return the relative error of the instructions that a table gives."""
        total = costs.run_function(self.entry).instructions
        for names, facts, rough in self.layers:
            total += (costs.layer(names, facts) or costs.roughly(rough)).instructions
        return total / self.counted - 1


def exchanged(
    old: dict[str, Any], new: Mapping[str, Any], networks: Iterable[Network]
) -> tuple[dict[str, Any], list[str]]:
    """Return the old table with rows of the new one, and the names of exchanged rows."""
    users: defaultdict[tuple[str, str], list[Network]] = defaultdict(list)
    for found in networks:
        for row in found.rows():
            users[row].append(found)
    result = {**old, **{name: new[name] for name in ("provenance", "often_inlined")}}
    for part in _PARTS:
        rows = {key: {**row, **old[part].get(key, {})} for key, row in new[part].items()}
        result[part] = {**old[part], **rows}
    taken = []
    for part, key in sorted(users, key=lambda row: (-len(users[row]), row)):
        before, row, using = result[part].get(key), new[part].get(key), users[part, key]
        if row is None or row == before or len(using) < _LEAST_NETWORKS:
            continue
        now = _mean_square(result, using)
        result[part][key] = row
        if _mean_square(result, using) < _CLEARLY * now:
            taken.append(key)
        else:
            result[part][key] = before
    return result, taken


def _mean_square(content: Mapping[str, Any], networks: Iterable[Network]) -> float:
    costs = read_table(json.dumps(content))
    return float(np.mean([found.error(costs) ** 2 for found in networks]))


def main() -> None:
    """Parse arguments, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cpu")
    parser.add_argument("new", type=Path, help="a table of another fit")
    parser.add_argument("--counts", type=Path, required=True, help="counts of cost_error.py")
    parser.add_argument("--anew", nargs="*", default=[], help="kinds and amounts to forget first")
    options = parser.parse_args()
    path = TABLES / f"{options.cpu}.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    forget(old, tuple(options.anew))
    lines = map(json.loads, options.counts.read_text(encoding="utf-8").splitlines())
    counts = {r["seed"]: r["counts"][0] for r in lines if r["cpu"] == options.cpu}
    networks = [Network(seed, options.cpu, counted) for seed, counted in counts.items()]
    new = json.loads(options.new.read_text(encoding="utf-8"))
    result, taken = exchanged(old, new, networks)
    text = json.dumps(result, separators=(",", ":"), sort_keys=True)
    path.write_text(text.replace(']},"', ']},\n"') + "\n", encoding="utf-8")
    print("exchanged:", *taken, sep="\n  ")
    errors = np.abs([found.error(read_table(text)) for found in networks])
    print(f"{len(errors)} networks, median {np.median(errors):.2%}, at most {errors.max():.2%}")


if __name__ == "__main__":
    main()
