"""Transformers of 16 bits as TensorFlow's converter writes them, in C and on a board."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from host_runner import run_on_host
from tflite_builder import ModelBuilder
from tools import on_qemu

import tvmtiny
from tvmtiny.oracle import oracle_tensors

STEPS, DEPTH, HEADS = 6, 8, 2
NONE = {"fused_activation_function": "NONE"}


class Block:
    """Layers of int16 with int8 weights; each method returns the tensor that it adds."""

    def __init__(self) -> None:
        self.b = ModelBuilder()
        self._rng = np.random.default_rng(19)

    def add(
        self,
        operator: str,
        inputs: list[int | None],
        shape: tuple[int, ...],
        scale: float | None,
        options: dict[str, Any] | None = None,
    ) -> int:
        dtype = "float32" if scale is None else "int16"
        y = self.b.tensor(f"{operator.lower()}{len(self.b._tensors)}", shape, dtype, scale=scale)
        self.b.op(operator, inputs, [y], options)
        return y

    def numbers(self, *values: int) -> int:
        return self.b.constant(f"numbers{len(self.b._tensors)}", np.array(values, np.int32))

    def constant(self, value: np.ndarray, scale: float) -> int:
        name = f"constant{len(self.b._tensors)}"
        return self.b.constant(name, value.astype(np.int16), scale=scale)

    def dense(self, x: int, scale: float, shape: tuple[int, ...] = (1, STEPS, DEPTH)) -> int:
        weights = self._rng.integers(-127, 128, (shape[-1], DEPTH)).astype(np.int8)
        scales = [0.004 * (1 + i % 3) for i in range(shape[-1])]
        name = f"weights{len(self.b._tensors)}"
        inputs = [x, self.b.constant(name, weights, scales=scales), None]
        return self.add("FULLY_CONNECTED", inputs, shape, scale, {"keep_num_dims": len(shape) == 3})

    def heads(self, x: int, order: tuple[int, ...], scale: float) -> int:
        parts = self.numbers(1, STEPS, HEADS, DEPTH // HEADS)
        shape = (1, STEPS, HEADS, DEPTH // HEADS)
        x = self.add("RESHAPE", [x, parts], shape, scale, {})
        turned = tuple(shape[axis] for axis in order)
        return self.add("TRANSPOSE", [x, self.numbers(*order)], turned, scale)

    def attention(self, x: int) -> int:
        query, key, value = (
            self.heads(self.dense(x, 1e-4), order, 1e-4)
            for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        )
        square = (1, HEADS, STEPS, STEPS)
        scores = self.add("BATCH_MATMUL", [query, key], square, 5e-4, {})
        root = self.constant(np.array(32767), 0.5 / 32767)
        scores = self.add("MUL", [scores, root], square, 2.5e-4, NONE)
        # A mask of zeros, for which the converter finds no scale.
        scores = self.add("SUB", [scores, self.zeros((1, 1, STEPS, STEPS))], square, 2.5e-4, NONE)
        weights = self.add("SOFTMAX", [scores], square, 1 / 32768, {"beta": 1.0})
        shape = (1, HEADS, STEPS, DEPTH // HEADS)
        mixed = self.add("BATCH_MATMUL", [weights, value], shape, 1e-4, {})
        shape = (1, STEPS, HEADS, DEPTH // HEADS)
        mixed = self.add("TRANSPOSE", [mixed, self.numbers(0, 2, 1, 3)], shape, 1e-4)
        row = self.numbers(1, STEPS, DEPTH)
        mixed = self.add("RESHAPE", [mixed, row], (1, STEPS, DEPTH), 1e-4, {})
        return self.dense(mixed, 1e-4)

    def normalized(self, x: int, scale: float) -> int:
        whole, one = (1, STEPS, DEPTH), (1, STEPS, 1)
        keep = {"keep_dims": True}
        mean = self.add("MEAN", [x, self.numbers(-1)], one, scale, keep)
        real = self.add("DEQUANTIZE", [mean], one, None, {})
        minus = self.add("NEG", [real], one, None, {})
        minus = self.add("QUANTIZE", [minus], one, scale, {})
        square = self.add("SQUARED_DIFFERENCE", [x, mean], whole, 4e-4, {})
        variance = self.add("MEAN", [square, self.numbers(-1)], one, 2e-4, keep)
        epsilon = self.constant(np.array(32767), 0.001 / 32767)
        variance = self.add("ADD", [variance, epsilon], one, 2e-4, NONE)
        inverse = self.add("RSQRT", [variance], one, 1e-3)
        gain = self.constant(self._rng.integers(9000, 32767, (1, 1, DEPTH)), 3e-5)
        gain = self.add("MUL", [inverse, gain], whole, 1e-3, NONE)
        left = self.add("MUL", [minus, gain], whole, 2e-4, NONE)
        right = self.add("MUL", [x, gain], whole, 2e-4, NONE)
        y = self.add("ADD", [right, left], whole, 2e-4, NONE)
        # The bias of a new layer.
        return self.add("ADD", [y, self.zeros((1, 1, DEPTH))], whole, 2e-4, NONE)

    def zeros(self, shape: tuple[int, ...]) -> int:
        """Zeros in the form that a FILL gives them, with a scale of 0."""
        value = self.b.constant(f"zero{len(self.b._tensors)}", np.array(0, np.int16), scale=0.0)
        y = self.b.tensor(f"zeros{len(self.b._tensors)}", shape, "int16", scale=0.0)
        self.b.op("FILL", [self.numbers(*shape), value], [y], {})
        return y


@cache
def transformer() -> tvmtiny.Model:
    block = Block()
    x = block.b.input("x", (1, STEPS, DEPTH), "int16", scale=1e-4)
    total = block.add("ADD", [x, block.attention(x)], (1, STEPS, DEPTH), 2e-4, NONE)
    y = block.normalized(total, 2e-4)
    wide = block.dense(block.dense(y, 2e-4), 2e-4)
    y = block.normalized(block.add("ADD", [y, wide], (1, STEPS, DEPTH), 4e-4, NONE), 4e-4)
    mean = block.add("MEAN", [y, block.numbers(1)], (1, DEPTH), 1e-4, {"keep_dims": False})
    # A recurrent layer begins with a product of weights and zeros.
    nothing = block.dense(block.zeros((1, DEPTH)), 3.6e-43, (1, DEPTH))
    mean = block.add("ADD", [mean, nothing], (1, DEPTH), 1e-4, NONE)
    classes = block.dense(mean, 1e-3, (1, 5))
    y = block.add("SOFTMAX", [classes], (1, 5), 1 / 32768, {"beta": 1.0})
    return tvmtiny.load(block.b.build([y]), name="transformer")


def test_on_this_machine(tmp_path: Path) -> None:
    model = transformer()
    artifact = tvmtiny.compile(model, "cortex-m4")
    samples = [tvmtiny.make_inputs(kind, artifact.inputs) for kind in ("random:1", "zeros")]
    for inputs, result in zip(samples, run_on_host(artifact, samples, tmp_path), strict=True):
        found: Any = result
        checked = tvmtiny.check(model, artifact, found, inputs)
        assert checked.exact, checked.first_mismatch
        assert checked.oracle == "litert-reference and numpy"
        assert checked.layers_compared > 45


@on_qemu
def test_on_a_board() -> None:
    model = transformer()
    artifact = tvmtiny.compile(model, "mps3-an547")
    inputs = tvmtiny.make_inputs("random:2", artifact.inputs)
    checked = tvmtiny.check(model, artifact, tvmtiny.run(artifact, *inputs), inputs)
    assert checked.exact, checked.first_mismatch


def test_numpy_references_are_litert() -> None:
    """All operators that LiteRT has a kernel for, with its own results as their inputs."""
    model = transformer()
    inputs = tvmtiny.make_inputs("random:3", tvmtiny.compile(model, "cortex-m4").inputs)
    _, values = oracle_tensors(model, inputs)
    for index, value in model.reference(inputs).items():
        if index in values and value.dtype != np.float32:
            np.testing.assert_array_equal(values[index], value, model.graph.tensors[index].name)
