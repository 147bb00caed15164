"""IF against LiteRT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.control_models import Control, Value, less, made, plus
from tests.tflite_builder import ModelBuilder

OPERATOR = "IF"
FAMILY = "control"

_THREE = Value((3,), "float32")


def _then(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    return [made(b, "ADD", [x[0], x[1]], _THREE), x[1]]


def _otherwise(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    constant = b.constant("constant", np.arange(3, dtype=np.float32))
    return [made(b, "MUL", [x[0], constant], _THREE), constant]


def _branching(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    """A loop that takes one branch in some iterations and the other in the rest."""
    even = made(
        b,
        "EQUAL",
        [
            made(b, "FLOOR_MOD", [x[0], b.constant("two", np.int32(2))], Value()),
            b.constant("zero", np.int32(0)),
        ],
        Value((), "bool"),
    )
    return [plus(b, x[0]), *_chosen(Value((), "bool"), 1).add(b, [even, x[1], x[1]])]


def _chosen(condition: Value, results: int = 2) -> Control:
    graphs = tuple(_first(make, results) for make in (_then, _otherwise))
    return Control("IF", (_THREE, _THREE), graphs, condition, (_THREE,) * results)


def _first(make, results):
    return lambda b, x: make(b, x)[:results]


CASES = {
    "plain": _chosen(Value((), "bool")),
    "one_result": _chosen(Value((1,), "bool"), 1),
    "known": _chosen(Value((), "bool", value=False)),
    "in_a_loop": Control("WHILE", (Value(value=0), _THREE), (less(5), _branching), outputs=(1,)),
}
