"""READ_VARIABLE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tflite_builder import ModelBuilder


@dataclass(frozen=True)
class Remembered:
    """The output is a variable plus the input; it is assigned to the variable or not."""

    dtype: str = "int8"
    assigned: bool = False

    def model(self) -> bytes:
        b = ModelBuilder()
        scale = {"scale": 0.1} if self.dtype == "int8" else {}
        x = b.input("x", (1, 6), self.dtype, **scale)
        variable = b.variable("sum", np.arange(-3, 3).astype(self.dtype).reshape(1, 6))
        before, y = (b.tensor(name, (1, 6), self.dtype, **scale) for name in ("before", "y"))
        b.op("READ_VARIABLE", [variable], [before], {})
        b.op("ADD", [x, before], [y], {})
        if self.assigned:
            b.op("ASSIGN_VARIABLE", [variable, y], [], {})
        return b.build([y])


OPERATOR = "READ_VARIABLE"
FAMILY = "state"
CASES = {"int8": Remembered(), "float32": Remembered("float32")}
FLOAT_TOLERANCE = 1e-7
