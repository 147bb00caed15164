"""Count instructions per element of operators without products, by dtype and board.

Each case is a layer of a few hundred elements in a model of its own, so that it fits the smallest
board. Its instructions are divided by the number of elements of its output or its largest input,
whichever is larger. A dash marks an unsupported dtype.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from layer_cases import Layer, Operand, numbers, random_constant  # noqa: E402

import tvmtiny  # noqa: E402
from tvmtiny.errors import TvmtinyError  # noqa: E402
from tvmtiny.report.profile import profile  # noqa: E402

BOARDS = ("mps2-an386", "mps2-an385", "microbit")
DTYPES = ("int8", "int16", "float32")

_SHAPE = (1, 8, 8, 8)
_WINDOW = {"padding": "VALID", "filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 2}
_NONE = {"fused_activation_function": "NONE"}


@dataclass(frozen=True)
class _Case:
    """A layer for any dtype: shapes of its operands, followed by constants."""

    operator: str
    shapes: tuple[tuple[int, ...], ...] = (_SHAPE,)
    output: tuple[int, ...] = _SHAPE
    options: Mapping[str, Any] = field(default_factory=dict)
    constants: tuple[Any, ...] = ()
    before: tuple[Any, ...] = ()
    result: str | None = None
    scales: tuple[float, float] = (0.05, 0.06)
    zero_points: tuple[int, int] = (-3, 4)
    parts: int = 1

    def layer(self, dtype: str) -> Layer:
        symmetric = dtype == "int16"
        first, last = (0, 0) if symmetric else self.zero_points
        inputs = [Operand(shape, dtype, self.scales[0], first) for shape in self.shapes]
        if self.operator == "PRELU":
            slopes = "int8" if symmetric else dtype
            inputs[1] = random_constant(self.shapes[1], slopes, scale=0.01, zero_point=0)
        y = Operand(self.output, self.result or dtype, self.scales[1], last)
        every = (*map(numbers, self.before), *inputs, *map(numbers, self.constants))
        return Layer(self.operator, every, y, self.options or None, 2, (y,) * (self.parts - 1))


def _kept(**fields: Any) -> dict[str, Any]:
    """Make the fields of a case whose output has the scale of its input."""
    return {"scales": (0.05, 0.05), "zero_points": (-3, -3), **fields}


def _cases() -> dict[str, _Case]:
    cases: dict[str, _Case] = {}
    two = (_SHAPE, _SHAPE)
    for name in ("ADD", "SUB", "MUL", "DIV"):
        cases[name] = _Case(name, two, options=_NONE)
    for name in ("ADD", "SUB", "MUL"):
        cases[f"{name} scalar"] = _Case(name, (_SHAPE, (1,)), options=_NONE)
        cases[f"{name} channels"] = _Case(name, (_SHAPE, (8,)), options=_NONE)
        cases[f"{name} pixels"] = _Case(name, (_SHAPE, (1, 8, 8, 1)), options=_NONE)
    for name in ("MAXIMUM", "MINIMUM"):
        cases[name] = _Case(name, two, **_kept())
        cases[f"{name} scalar"] = _Case(name, (_SHAPE, (1,)), **_kept())
    cases["SQUARED_DIFFERENCE"] = _Case("SQUARED_DIFFERENCE", two)
    for name in ("EQUAL", "LESS"):
        cases[name] = _Case(name, two, result="bool")
    cases["PRELU"] = _Case("PRELU", (_SHAPE, (1, 1, 8)))
    for name in ("RELU", "RELU6", "ABS", "NEG", "HARD_SWISH", "LOGISTIC", "TANH", "EXP", "SQRT"):
        fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(name, (0.06, 4))
        cases[name] = _Case(name, scales=(0.05, fixed[0]), zero_points=(-3, fixed[1]))
    cases["LEAKY_RELU"] = _Case("LEAKY_RELU", options={"alpha": 0.3})
    cases["QUANTIZE"] = _Case("QUANTIZE")
    cases["DEQUANTIZE"] = _Case("DEQUANTIZE", result="float32")
    for name in ("MEAN", "SUM", "REDUCE_MAX"):
        extra = _kept() if name == "REDUCE_MAX" else {}
        keep = {"keep_dims": True}
        cases[f"{name} image"] = _Case(
            name, output=(1, 1, 1, 8), options=keep, constants=([1, 2],), **extra
        )
        cases[f"{name} channels"] = _Case(
            name, output=(1, 8, 8, 1), options=keep, constants=([3],), **extra
        )
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        options = {**_WINDOW, **_NONE}
        cases[name] = _Case(name, output=(1, 4, 4, 8), options=options, **_kept())
        line = {**options, "filter_height": 1, "stride_h": 1}
        cases[f"{name} 1-D"] = _Case(name, ((1, 1, 64, 8),), (1, 1, 32, 8), line, **_kept())
    cases["L2_NORMALIZATION"] = _Case(
        "L2_NORMALIZATION", options=_NONE, scales=(0.05, 1 / 128), zero_points=(-3, 0)
    )
    cases["SOFTMAX"] = _Case(
        "SOFTMAX",
        ((8, 64),),
        (8, 64),
        {"beta": 1.0},
        scales=(0.05, 1 / 256),
        zero_points=(-3, -128),
    )
    for name in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
        options = {"align_corners": False, "half_pixel_centers": False}
        cases[name] = _Case(name, ((1, 4, 4, 8),), options=options, constants=([8, 8],), **_kept())
    cases["TRANSPOSE channels"] = _Case("TRANSPOSE", constants=([0, 3, 1, 2],), **_kept())
    cases["TRANSPOSE rows"] = _Case("TRANSPOSE", constants=([0, 2, 1, 3],), **_kept())
    cases["TRANSPOSE quads"] = _Case(
        "TRANSPOSE", ((1, 8, 16, 4),), (1, 16, 8, 4), constants=([0, 2, 1, 3],), **_kept()
    )
    for axis, half in ((1, (1, 4, 8, 8)), (3, (1, 8, 8, 4))):
        options = {"axis": axis, **_NONE}
        cases[f"CONCATENATION {axis}"] = _Case(
            "CONCATENATION", (half, half), options=options, **_kept()
        )
        cases[f"SPLIT {axis}"] = _Case(
            "SPLIT", output=half, options={"num_splits": 2}, before=(axis,), parts=2, **_kept()
        )
        begin = [0, 0, 0, 0]
        cases[f"SLICE {axis}"] = _Case(
            "SLICE", output=half, constants=(begin, list(half)), **_kept()
        )
    cases["PAD"] = _Case(
        "PAD", ((1, 6, 6, 8),), constants=([[0, 0], [1, 1], [1, 1], [0, 0]],), **_kept()
    )
    return cases


def count(case: _Case, dtype: str, board: str) -> tuple[float, str] | None:
    """Return instructions per element and the schedule; None if the layer cannot be compiled."""
    layer = case.layer(dtype)
    try:
        model = tvmtiny.load(layer.model(), name="element")
        artifact = tvmtiny.compile(model, board, io="external")
    except TvmtinyError:
        return None
    if not artifact.layers:
        return 0.0, "no code"
    found = profile(artifact, *tvmtiny.make_inputs("ramp", artifact.inputs))
    elements = max(
        int(np.prod(o.shape)) * (case.parts if o is layer.output else 1)
        for o in (layer.output, *layer.inputs)
        if o.value is None
    )
    instructions = sum(part.instructions for part in found.layers)
    return instructions / elements, found.layers[0].schedule


def rows(
    names: list[str], dtypes: list[str], boards: list[str], tell: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table: one for each case, with figures by dtype and board."""
    for name, case in _cases().items():
        if names and not any(word in name for word in names):
            continue
        tell(name)
        figures = {
            (dtype, board): count(case, dtype, board) for dtype in dtypes for board in boards
        }
        yield {"layer": name, "figures": figures}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of names of layers; by default all")
    parser.add_argument("--boards", default=",".join(BOARDS))
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--json", action="store_true", help="with schedules")
    arguments = parser.parse_args()
    boards, dtypes = arguments.boards.split(","), arguments.dtypes.split(",")
    columns = [(dtype, board) for dtype in dtypes for board in boards]
    found = []
    if not arguments.json:
        print("|".join(["", "layer", *(f"{dtype} {board}" for dtype, board in columns), ""]))
        print("|".join(["", "---", *("---:" for _ in columns), ""]))
    for row in rows(arguments.names, dtypes, boards, lambda name: print(name, file=sys.stderr)):
        found.append(row)
        cells = [row["figures"][column] for column in columns]
        if not arguments.json:
            texts = ["-" if cell is None else f"{cell[0]:.1f}" for cell in cells]
            print("|".join(["", row["layer"], *texts, ""]), flush=True)
    if arguments.json:
        listed = [
            {
                "layer": row["layer"],
                **{
                    f"{dtype} {board}": cell and {"instructions": cell[0], "schedule": cell[1]}
                    for (dtype, board), cell in row["figures"].items()
                },
            }
            for row in found
        ]
        print(json.dumps(listed, indent=1))


if __name__ == "__main__":
    main()
