"""ASSIGN_VARIABLE."""

from __future__ import annotations

from tests.ops.test_read_variable import FLOAT_TOLERANCE, Remembered

__all__ = ["CASES", "FAMILY", "FLOAT_TOLERANCE", "OPERATOR"]

OPERATOR = "ASSIGN_VARIABLE"
FAMILY = "state"
CASES = {"int8": Remembered(assigned=True), "float32": Remembered("float32", assigned=True)}
