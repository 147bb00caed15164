"""Write a float model layer by layer, for estimators that multiply and add."""

from __future__ import annotations

import numpy as np

from tvmtiny.frontend.writer import ModelWriter

__all__ = ["Network"]


class Network:
    """A network with one input of features, ``(1, features)``.

    Parameters
    ----------
    features
        The number of features.
    dtype, scale
        Dtype and scale of the input.
    """

    def __init__(self, features: int, dtype: str = "float32", scale: float | None = None) -> None:
        self.writer = ModelWriter("tvmtiny, from scikit-learn")
        self.input = self.writer.input("features", (1, features), dtype, scale=scale)
        self._names = 0

    def name(self, kind: str) -> str:
        """Return a new name for a tensor."""
        self._names += 1
        return f"{kind}_{self._names}"

    def constant(self, name: str, values: np.ndarray) -> int:
        """Add a float32 constant."""
        return self.writer.constant(self.name(name), np.asarray(values, np.float32))

    def dense(self, x: int, weights: np.ndarray, bias: np.ndarray, activation: str = "NONE") -> int:
        """Add a FULLY_CONNECTED with weights (outputs, inputs)."""
        filters, offsets = self.constant("weights", weights), self.constant("bias", bias)
        y = self.writer.tensor(self.name("dense"), (1, len(weights)), "float32")
        options = {"fused_activation_function": activation, "keep_num_dims": False}
        self.writer.op("FULLY_CONNECTED", [x, filters, offsets], [y], options)
        return y

    def unary(self, operator: str, x: int, count: int, dtype: str = "float32") -> int:
        """Add an operator with one operand; the result has the operand's shape."""
        y = self.writer.tensor(self.name(operator.lower()), (1, count), dtype)
        options = {"SOFTMAX": {"beta": 1.0}, "CAST": {}}.get(operator)
        self.writer.op(operator, [x], [y], options)
        return y

    def binary(self, operator: str, x: int, other: int, count: int, dtype: str = "float32") -> int:
        """Add an operator with two operands."""
        y = self.writer.tensor(self.name(operator.lower()), (1, count), dtype)
        self.writer.op(operator, [x, other], [y], {})
        return y

    def build(self, outputs: dict[str, int]) -> bytes:
        """Return the model with named outputs."""
        for name, index in outputs.items():
            self.writer.rename(index, name)
        self.writer.signature([("features", self.input)], [*outputs.items()])
        return self.writer.build([*outputs.values()])
