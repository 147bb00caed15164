"""Shapes that are open inside a model whose inputs have fixed shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import run_each_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.errors import DynamicShapeError
from tvmtiny.oracle import oracle_tensors

#: The form that a converter writes for a Keras model without a batch size.
OPEN = -1
STEPS, FEATURES, UNITS = 5, 6, 4


class Open:
    """A model whose tensors have an open first dimension, or more, with a 1 in its place."""

    def __init__(self, shape: Sequence[int] = (OPEN, STEPS, FEATURES)) -> None:
        self.b = ModelBuilder()
        self.x = self.tensor("x", shape)
        self.b._inputs.append(self.x)

    def tensor(self, name: str, shape: Sequence[int], dtype: str = "float32") -> int:
        index = self.b.tensor(name, tuple(1 if n == OPEN else n for n in shape), dtype)
        self.b._tensors[index].shapeSignature = list(shape)
        return index

    def op(
        self,
        operator: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: dict[str, object] | None = None,
    ) -> int:
        result = self.tensor(f"{operator.lower()}{len(self.b._tensors)}", shape)
        self.b.op(operator, list(inputs), [result], options)
        return result

    def numbers(self, *values: int) -> int:
        return self.b.constant(f"numbers{len(self.b._tensors)}", np.array(values, np.int32))

    def weights(self, *shape: int) -> int:
        values = np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)
        return self.b.constant(f"weights{len(self.b._tensors)}", values)


def _folded() -> bytes:
    """``Dense`` over sequences, as ``tf.tensordot`` does it: all steps are rows of one matrix."""
    m = Open()
    b = m.b
    shape = b.tensor("shape", (3,), "int32")
    b.op("SHAPE", [m.x], [shape], {"out_type": 2})
    front, rows = b.tensor("front", (2,), "int32"), b.tensor("rows", (), "int32")
    b.op("GATHER", [shape, m.numbers(0, 1)], [front], {"axis": 0})
    b.op("REDUCE_PROD", [front, m.numbers(0)], [rows], {"keep_dims": False})
    matrix, whole = b.tensor("matrix", (2,), "int32"), b.tensor("whole", (3,), "int32")
    depth = b.constant("depth", np.array(FEATURES, np.int32))
    b.op("PACK", [rows, depth], [matrix], {"axis": 0, "values_count": 2})
    b.op("CONCATENATION", [front, m.numbers(UNITS)], [whole], {"axis": 0})
    x = m.op("RESHAPE", [m.x, matrix], (OPEN, OPEN), {})
    x = m.op("FULLY_CONNECTED", [x, m.weights(UNITS, FEATURES)], (OPEN, UNITS), {})
    x = m.op("RELU", [x], (OPEN, OPEN))
    x = m.op("RESHAPE", [x, whole], (OPEN, STEPS, UNITS), {})
    axes = m.numbers(-1)
    mean = m.op("MEAN", [x, axes], (OPEN, STEPS, 1), {"keep_dims": True})
    return b.build([m.op("SUB", [x, mean], (OPEN, STEPS, UNITS), {})])


def _distributed() -> bytes:
    """``TimeDistributed(Conv2D)``: the steps become a batch of images, separated afterwards."""
    m = Open((OPEN, STEPS, 4, 4, 2))
    x = m.op("RESHAPE", [m.x, m.numbers(-1, 4, 4, 2)], (OPEN, 4, 4, 2), {})
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    inputs = [x, m.weights(3, 2, 2, 2), m.weights(3)]
    x = m.op("CONV_2D", inputs, (OPEN, 3, 3, 3), options)
    pool = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "filter_height": 3}
    x = m.op("MAX_POOL_2D", [x], (OPEN, 1, 1, 3), {**pool, "filter_width": 3})
    x = m.op("SQUEEZE", [x], (OPEN, 3), {"squeeze_dims": [1, 2]})
    x = m.op("RESHAPE", [x, m.numbers(-1, STEPS, 3)], (OPEN, STEPS, 3), {})
    return m.b.build([x])


def _in_front() -> bytes:
    """Steps come first, as in recurrent layers, so the batch is another dimension."""
    m = Open()
    x = m.op("TRANSPOSE", [m.x, m.numbers(1, 0, 2)], (STEPS, OPEN, FEATURES))
    one = m.numbers(0, 0, 0), m.numbers(1, 0, 0), m.numbers(1, 1, 1)
    masks = {"begin_mask": 6, "end_mask": 6, "shrink_axis_mask": 1}
    first = m.op("STRIDED_SLICE", [x, *one], (OPEN, FEATURES), masks)
    both = m.op("CONCATENATION", [first, first], (OPEN, 2 * FEATURES), {"axis": 1})
    wide = m.op("EXPAND_DIMS", [both, m.numbers(0)], (1, OPEN, 2 * FEATURES), {})
    halves = [m.tensor(f"half{i}", (1, OPEN, FEATURES)) for i in range(2)]
    axis = m.b.constant("axis", np.array(2, np.int32))
    m.b.op("SPLIT", [axis, wide], halves, {"num_splits": 2})
    left = m.op("GATHER", [x, m.numbers(2, 4)], (2, OPEN, FEATURES), {"axis": 0})
    right = m.op("TRANSPOSE", [halves[1], m.numbers(0, 2, 1)], (1, FEATURES, OPEN))
    product = m.op("BATCH_MATMUL", [left, right], (2, OPEN, OPEN), {})
    top = m.op("REDUCE_MAX", [product, m.numbers(0)], (OPEN, OPEN), {"keep_dims": False})
    return m.b.build([top])


MODELS = {"folded": _folded, "distributed": _distributed, "in_front": _in_front}


def test_open_inside(tmp_path: Path) -> None:
    models = {name: tvmtiny.load(build(), name=name) for name, build in MODELS.items()}
    runs = {}
    for name, model in models.items():
        artifact = tvmtiny.compile(model, "cortex-m4")
        inputs = [tvmtiny.make_inputs(f"random:{seed}", artifact.inputs) for seed in (1, 2)]
        runs[name] = HostRun(artifact, inputs)
    for name, results in run_each_on_host(runs, tmp_path).items():
        for sample, result in zip(runs[name].input_sets, results, strict=True):
            oracle, values = oracle_tensors(models[name], sample)
            assert oracle == "litert-reference"
            for output, tensor in zip(result.outputs, models[name].graph.outputs, strict=True):
                expected = values[tensor.index]
                assert output.data.shape == expected.shape
                np.testing.assert_allclose(output.data, expected, 1e-5, 1e-5, err_msg=name)


def test_open_inputs_are_refused() -> None:
    m = Open((OPEN, OPEN, FEATURES))
    with pytest.raises(DynamicShapeError, match=r"'x' has the dynamic shape \?x\?x6"):
        tvmtiny.load(m.b.build([m.op("RELU", [m.x], (OPEN, OPEN, FEATURES))]))


def test_shapes_that_depend_on_data_are_refused() -> None:
    m = Open()
    shape = m.b.input("shape", (2,), "int32")
    y = m.op("RESHAPE", [m.x, shape], (OPEN, OPEN), {})
    with pytest.raises(DynamicShapeError, match=r"the dynamic shape \?x\?"):
        tvmtiny.load(m.b.build([y]))
