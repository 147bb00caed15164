"""WHILE against LiteRT: the values that pass from one iteration to the next, and the results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.control_models import Control, Value, less, made, plus, recurrent
from tests.tflite_builder import ModelBuilder

OPERATOR = "WHILE"
FAMILY = "control"
FLOAT_TOLERANCE = 1e-5


def _sums(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    """Two values are exchanged, one of them with the other added."""
    return [plus(b, x[0]), x[2], made(b, "ADD", [x[1], x[2]], _FOUR)]


def _delayed(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    """The value before the last iteration, a constant, and a value from outside the loop."""
    return [
        plus(b, x[0]),
        # The order matters: LiteRT's loop takes the next iteration's value if the first one is
        # later.
        x[2],
        made(b, "MUL", [x[2], x[4]], _FOUR),
        b.constant("constant", np.arange(4, dtype=np.int32)),
        x[4],
    ]


def _nested(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    return [plus(b, x[0], 2, "int64"), *_INNER.add(b, [b.constant("zero", np.int32(0)), x[1]])[1:]]


def _doubled(b: ModelBuilder, x: Sequence[int]) -> Sequence[int]:
    return [plus(b, x[0]), made(b, "ADD", [x[1], x[1]], _FOUR)]


_FOUR = Value((4,))
_INNER = Control("WHILE", (Value(), _FOUR), (less(2), _doubled))

CASES = {
    "recurrent": recurrent(),
    "recurrent_last": recurrent(outputs=(2,)),
    "recurrent_joined": recurrent(joined=True, outputs=(1,)),
    "recurrent_int8": recurrent(dtype="int8", outputs=(1, 2)),
    "recurrent_int16": recurrent(dtype="int16"),
    "swapped": Control("WHILE", (Value(value=1), _FOUR, _FOUR), (less(6), _sums)),
    "delayed": Control("WHILE", (Value(value=0), _FOUR, _FOUR, _FOUR, _FOUR), (less(3), _delayed)),
    "no_turn": Control("WHILE", (Value(value=9), _FOUR, _FOUR), (less(6), _sums)),
    "nested_wide": Control(
        "WHILE", (Value((), "int64", value=0), _FOUR), (less(5, dtype="int64"), _nested)
    ),
}
