"""Constant folding: the nodes that disappear, and results that stay the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import HostResult, run_each_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.frontend import Model
from tvmtiny.oracle import run_litert
from tvmtiny.report.inspection import inspect_model


def _ints(b: ModelBuilder, *values: int) -> int:
    return b.constant(f"c{len(b._tensors)}", np.array(values, np.int32))


def _flatten(batch: bool = True) -> tuple[ModelBuilder, int]:
    """The form of Keras' Flatten: the batch is taken from the shape of the input."""
    b = ModelBuilder()
    x = b.input("x", (1, 2, 3, 4), "float32")
    shape = b.tensor("shape", (4,), "int32")
    b.op("SHAPE", [x], [shape], {"out_type": 2})
    n = b.tensor("n", (), "int32")
    slices = [_ints(b, i) for i in (0, 1, 1)]
    b.op("STRIDED_SLICE", [shape, *slices], [n], {"shrink_axis_mask": 1})
    rest = b.constant("rest", np.array(24, np.int32))
    packed = b.tensor("packed", (2,), "int32")
    b.op("PACK", [n, rest], [packed], {"values_count": 2, "axis": 0})
    y = b.tensor("y", (1, 24), "float32")
    b.op("RESHAPE", [x, packed], [y], {} if batch else None)
    if batch:
        b._tensors[x].shapeSignature = [-1, 2, 3, 4]
        b._tensors[y].shapeSignature = [-1, 24]
    return b, y


def _operators(model: Model) -> list[str]:
    return [node.operator for node in model.graph.nodes]


def _axes() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 3, 4), "float32")
    axes = b.tensor("axes", (1,), "int32")
    b.op("CONCATENATION", [_ints(b, 1)], [axes], {"axis": 0})
    y = b.tensor("y", (1, 4), "float32")
    b.op("MEAN", [x, axes], [y], {"keep_dims": False})
    return b.build([y])


def _shape() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (2, 3), "float32")
    shape = b.tensor("shape", (2,), "int32")
    b.op("SHAPE", [x], [shape], {"out_type": 2})
    y = b.tensor("y", (3, 2), "float32")
    b.op("TRANSPOSE", [x, _ints(b, 1, 0)], [y], {})
    return b.build([shape, y, shape])


def _large() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (64, 64), "float32")
    value = b.constant("value", np.array(2.5, np.float32))
    filled = b.tensor("filled", (64, 64), "float32")
    b.op("FILL", [_ints(b, 64, 64), value], [filled], {})
    y = b.tensor("y", (64, 64), "float32")
    b.op("ADD", [x, filled], [y], {"fused_activation_function": "NONE"})
    return b.build([y])


def _flattened(batch: bool) -> bytes:
    b, y = _flatten(batch)
    return b.build([y])


#: Models whose C runs in one program, and how each is made.
_MODELS: dict[str, Callable[[], bytes]] = {
    "flat0": partial(_flattened, False),
    "flat1": partial(_flattened, True),
    "axes": _axes,
    "shape": _shape,
    "large": _large,
}
_Ran = dict[str, tuple[tvmtiny.Model, HostRun, HostResult]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> _Ran:
    """Each of `_MODELS`, its run, and what its C gave."""
    loaded = {name: tvmtiny.load(made(), name=name) for name, made in _MODELS.items()}
    runs = {}
    for name, model in loaded.items():
        inputs = tvmtiny.make_inputs("random:1", model.graph.inputs)
        runs[name] = HostRun(tvmtiny.compile(model, "cortex-m4"), [inputs])
    results = run_each_on_host(runs, tmp_path_factory.mktemp("folded"))
    return {name: (model, runs[name], results[name][0]) for name, model in loaded.items()}


def _assert_right(ran: _Ran, name: str) -> tuple[Model, tvmtiny.Artifact]:
    model, run, result = ran[name]
    (inputs,) = run.input_sets
    expected = run_litert(_MODELS[name](), inputs)
    for index, value in model.reference(inputs).items():
        np.testing.assert_allclose(value, expected[index], 1e-5)
    for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
        np.testing.assert_allclose(output.data, expected[tensor.index], 1e-5)
    return model, run.artifact


@pytest.mark.parametrize("batch", [False, True])
def test_shape_of_a_flattened_tensor(batch: bool, ran: _Ran) -> None:
    model, artifact = _assert_right(ran, f"flat{batch:d}")
    assert _operators(model) == ["RESHAPE"]
    assert artifact.layers == ()


def test_inspection_lists_folded_nodes(tmp_path: Path) -> None:
    b, y = _flatten()
    path = tmp_path / "flatten.tflite"
    path.write_bytes(b.build([y]))
    inspection = inspect_model(path)
    assert inspection.supported
    names = [node.operator for node in inspection.nodes]
    assert names == ["SHAPE", "STRIDED_SLICE", "PACK", "RESHAPE"]
    assert not any(node.problems for node in inspection.nodes)


def test_operators_that_want_constants_get_them(ran: _Ran) -> None:
    assert _operators(_assert_right(ran, "axes")[0]) == ["MEAN"]


def test_a_constant_as_output(ran: _Ran) -> None:
    assert _operators(_assert_right(ran, "shape")[0]) == ["TRANSPOSE"]


def test_large_results_are_computed_at_run_time(ran: _Ran) -> None:
    model, artifact = _assert_right(ran, "large")
    assert _operators(model) == ["FILL", "ADD"]
    assert artifact.constants_bytes < 100


def test_what_is_not_supported_is_not_folded() -> None:
    b = ModelBuilder()
    b.input("x", (1, 3), "float32")
    y = b.tensor("y", (2, 3), "float32")
    constant = b.constant("c", np.zeros((1, 4), np.float32))
    b.op("TILE", [constant, _ints(b, 2, 1)], [y], {})
    with pytest.raises(UnsupportedModelError, match="but the inputs and options give"):
        tvmtiny.load(b.build([y]))
