#!/usr/bin/env python3
"""Print the table of docs/speed.md of models with zeros in their weights.

The weights of all convolutions and dense layers are changed, three of four blocks of two filters
and four inputs are set to zero, and both models run on a board in QEMU.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from zeroed_weights import stored_weights, zeroed  # noqa: E402

import tvmtiny  # noqa: E402


@dataclass(frozen=True)
class Measured:
    """Instructions of an inference, and bytes of weights with their indices and of constants."""

    instructions: int
    weights: int
    constants: int


def measured(content: bytes, name: str, board: str) -> Measured:
    """Compile a model, run it, and compare its output with the reference."""
    model = tvmtiny.load(content, name=name)
    artifact = tvmtiny.compile(model, board)
    inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    expected = model.reference(inputs)[model.graph.outputs[0].index]
    if not (result.outputs[0].data == expected).all():
        raise SystemExit(f"{name}: the output differs from the reference")
    return Measured(
        result.instructions, stored_weights(model, artifact.layers), artifact.constants_bytes
    )


def main() -> None:
    """Parse the arguments and print a row for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="int8 .tflite files")
    parser.add_argument("--board", default="mps2-an386")
    given = parser.parse_args()
    print("| model | instructions, dense | sparse | weights, dense | sparse | constants | sparse |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for path in given.models:
        content, name = path.read_bytes(), path.stem.removesuffix("_int8")
        dense, sparse = (measured(c, name, given.board) for c in (content, zeroed(content)))
        cells = [
            f"{getattr(side, field):,}"
            for field in ("instructions", "weights", "constants")
            for side in (dense, sparse)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
