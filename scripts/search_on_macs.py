"""Compare searches guided by cycles with one guided by MACs, on scikit-learn's digits.

    scripts/search_on_macs.py CPU[,CPU] --trials 100 --seed 0 --out build/search

All searches train with the same options, seeds and number of trials. `tvmtiny.cost` estimates the
cost of each network on each core. For several levels of accuracy, the table lists the cycles of the
networks that each search found.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import tvmtiny
from tvmtiny.design.data import Dataset
from tvmtiny.design.network_spaces import space_of
from tvmtiny.design.search import Candidate, search
from tvmtiny.design.training import TrainOptions

#: Accuracy, MACs and cycles of a network.
Figures = tuple[float, int, int]

#: Difference of accuracies, of two of the 360 images, up to which networks are equally accurate.
CLOSE = 2 / 360

LEVELS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99)


def digits(seed: int = 0) -> Dataset:
    """Load 1,437 images for training and 360 for testing."""
    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    x, y = found.images[order][..., None] / 16, found.target[order]
    return Dataset(x[:1437], y[:1437], x[1437:], y[1437:])


def main() -> None:
    """Run the searches whose results `--out` does not contain yet, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cpus")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    cpus = given.cpus.split(",")
    data, options = digits(), TrainOptions(given.epochs, 128, 0.03, given.seed)
    kept = {}
    for guide in ("macs", *cpus):
        name = f"{guide}-{given.seed}"
        begun = time.process_time()
        objective = "macs" if guide == "macs" else "cycles"
        found = search(
            space_of("ds-cnn", data.shape, data.classes),
            data,
            cpus[0] if guide == "macs" else guide,
            objectives=("accuracy", objective),
            trials=given.trials,
            options=options,
            storage=f"sqlite:///{given.out / name}.db",
            folder=given.out / name,
        )
        file = given.out / f"{name}.json"
        if not file.exists():
            spent = time.process_time() - begun
            file.write_text(json.dumps({"cpu_seconds": spent, "trials": len(found.candidates)}))
        print(name, file.read_text(), flush=True)
        kept[guide] = [c for c in found.candidates if c.file is not None]
    for cpu in cpus:
        compare(cpu, kept["macs"], kept[cpu])
        orders(cpu, [candidate for found in kept.values() for candidate in found])


def compare(cpu: str, by_macs: list[Candidate], by_cycles: list[Candidate]) -> None:
    """Print the cycles of the networks that two searches found for levels of accuracy.

    A search by MACs names the network with the fewest MACs. Of the others that it tried, one may
    take fewer cycles, but only an estimate of cycles tells so.
    """
    ratios: dict[str, list[float]] = {"named": [], "tried": []}
    for level in LEVELS:
        sides = [
            [(c.macs, _cycles(c.file, cpu)) for c in found if (c.accuracy or 0.0) >= level]
            for found in (by_macs, by_cycles)
        ]
        if not all(sides):
            continue
        named, tried = min(sides[0])[1], min(cycles for _, cycles in sides[0])
        found = min(cycles for _, cycles in sides[1])
        ratios["named"].append(found / named)
        ratios["tried"].append(found / tried)
        print(
            f"{cpu}: accuracy {level:.3f}: by MACs {named:,}, the fewest of its trials {tried:,}; "
            f"by cycles {found:,}"
        )
    for name, listed in ratios.items():
        mean = np.exp(np.mean(np.log(listed)))
        print(f"{cpu}: cycles relative to those {name} by MACs, geometric mean: {mean - 1:+.1%}")


def orders(cpu: str, found: list[Candidate]) -> None:
    """Print how often the order of equally accurate networks by MACs is not that by cycles."""
    figures = {(c.accuracy or 0.0, c.macs, _cycles(c.file, cpu)) for c in found}
    pairs, more = 0, []
    for one, other in combinations(sorted(figures, key=lambda figure: figure[1]), 2):
        if abs(one[0] - other[0]) <= CLOSE and min(one[0], other[0]) >= LEVELS[0]:
            pairs += 1
            if one[1] < other[1] and one[2] > other[2]:
                more.append(one[2] / other[2] - 1)
    by_macs, by_cycles = ({f for f in figures if _on_front(f, figures, k)} for k in (1, 2))
    print(
        f"{cpu}: of {pairs} pairs of networks that are equally accurate, fewer MACs take more "
        f"cycles in {len(more)}, by {np.mean(more or [0]):.0%} on average; of {len(figures)} "
        f"networks, {len(by_macs)} are on the front by MACs, {len(by_cycles)} on that by cycles, "
        f"{len(by_macs & by_cycles)} on both"
    )


def _on_front(one: Figures, figures: set[Figures], cost: int) -> bool:
    return not any(
        other[0] >= one[0]
        and other[cost] <= one[cost]
        and (other[0] > one[0] or other[cost] < one[cost])
        for other in figures
    )


@cache
def _cycles(file: str | None, cpu: str) -> int:
    assert file is not None
    return tvmtiny.cost(tvmtiny.load(file), cpu).total.estimated_cycles


if __name__ == "__main__":
    main()
