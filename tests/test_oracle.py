"""The LiteRT runner: the tensors it returns, the errors it raises, and its silence."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from merge_models import merge_models
from tflite_builder import ModelBuilder

from tests.ops.test_svdf import Filter
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tvmtiny.errors import InputDataError, OracleRefusalError, ToolMissingError
from tvmtiny.frontend.flatbuffer import schema
from tvmtiny.frontend.reader import read_graph
from tvmtiny.oracle import run_litert, run_litert_frames, run_litert_outputs


def _model() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.5, zero_point=-3)
    hidden = b.tensor("hidden", (2, 2), scale=0.5, zero_point=-3)
    b.tensor("unused", (5,), scale=0.5)
    shape = b.constant("shape", np.array([2, 2], np.int32))
    y = b.tensor("y", (2, 2), scale=1 / 256, zero_point=-128)
    b.op("RESHAPE", [x, shape], [hidden], {"new_shape": [2, 2]})
    b.op("LOGISTIC", [hidden], [y], version=2)
    return b.build([y])


X = np.array([[-128, -3, 0, 127]], np.int8)


def test_every_tensor_with_a_value_is_returned() -> None:
    values = run_litert(_model(), [X])
    assert {0, 1, 3, 4} <= values.keys() <= {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(values[0], X)
    np.testing.assert_array_equal(values[1], X.reshape(2, 2))
    np.testing.assert_array_equal(values[3], [2, 2])
    assert values[4].dtype == np.int8
    assert values[4][0, 1] == 0


@pytest.mark.parametrize("operator", ["SQUEEZE", "ELU", "CEIL", "ROUND", "SUM"])
def test_an_operator_without_a_reference_kernel_leaves_others_theirs(operator: str) -> None:
    def model(with_it: bool) -> bytes:
        b = ModelBuilder()
        x = b.input("x", (1, 200), "int16", scale=2.0**-12)
        y = b.tensor("y", (1, 200), "int16", scale=2.0**-15)
        b.op("TANH", [x], [y])
        if with_it:
            dtype = _dtype(operator)
            scales = {} if dtype == "float32" else {"scale": 0.1}
            other = b.input("other", (1, 4), dtype, **scales)
            shape = (1,) if operator == "SUM" else (4,) if operator == "SQUEEZE" else (1, 4)
            result = b.tensor("result", shape, dtype, **scales)
            axis = [b.constant("axis", np.array([1], np.int32))] if operator == "SUM" else []
            options = {"SQUEEZE": {"squeeze_dims": [0]}, "SUM": {"keep_dims": False}}
            b.op(operator, [other, *axis], [result], options.get(operator))
        return b.build([y])

    x = np.linspace(-32768, 32767, 200).astype(np.int16)[None]
    alone = run_litert(model(False), [x])
    both = run_litert(model(True), [x, np.zeros((1, 4), _dtype(operator))])
    np.testing.assert_array_equal(both[1], alone[1])
    assert both[3].size in (1, 4)


@pytest.mark.parametrize("layer", [Filter(), Lstm()], ids=["SVDF", "LSTM"])
def test_what_operators_remember_stays_theirs(layer: Filter | Lstm) -> None:
    # An LSTM also has intermediate tensors, whose indices its kernel trusts.
    merged = {"f": layer.model()}
    shape = read_graph(merged["f"], "f").inputs[0].shape
    frames = [[np.full(shape, v, np.int8)] for v in (3, -9, 100)]
    b = ModelBuilder()
    x, y = b.input("x", (1, 2), "float32"), b.tensor("y", (1, 2), "float32")
    b.op("ELU", [x], [y])
    merged["elu"] = b.build([y])
    other = [np.float32([[1, 2]])]
    alone = run_litert_frames(merged["f"], frames)
    both = run_litert_frames(merge_models(merged), [frame + other for frame in frames])
    for one, two in zip(alone, both, strict=True):
        for index, value in one.items():
            np.testing.assert_array_equal(two[index], value)


def _dtype(operator: str) -> str:
    return "float32" if operator in ("CEIL", "ROUND") else "int8"


def test_results_are_copies() -> None:
    first = run_litert(_model(), [X])
    kept = first[4].copy()
    run_litert(_model(), [X[:, ::-1].copy()])
    np.testing.assert_array_equal(first[4], kept)
    assert first[4].flags.owndata


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    run_litert(_model(), [X])
    with pytest.raises(OracleRefusalError):
        run_litert(b"not a model", [])
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


@pytest.mark.parametrize("content", [b"", b"not a model", _model()[:100]])
def test_unreadable_models(content: bytes) -> None:
    with pytest.raises(OracleRefusalError, match=r"net\.tflite"):
        run_litert(content, [X], path="net.tflite")


def test_a_model_that_the_kernels_refuse() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), scale=0.5)
    y = b.tensor("y", (1, 4), scale=0.5)
    b.op("LOGISTIC", [x], [y], version=2)
    with pytest.raises(OracleRefusalError, match=r"LOGISTIC.*--oracle tflm") as raised:
        run_litert(b.build([y]), [X])
    assert raised.value.step == "prepare"


def test_an_input_that_the_kernels_refuse() -> None:
    b = ModelBuilder()
    x, i = b.input("x", (2, 4), scale=0.5), b.input("i", (1,), "int32")
    y = b.tensor("y", (1, 4), scale=0.5)
    b.op("GATHER", [x, i], [y], {"axis": 0})
    model = b.build([y])
    values = np.arange(8, dtype=np.int8).reshape(2, 4)
    np.testing.assert_array_equal(run_litert(model, [values, np.int32([1])])[y], values[1:])
    wrong = [values, np.int32([7])]
    with pytest.raises(OracleRefusalError, match=r"on this input: .*out of bounds; Node"):
        run_litert(model, wrong)
    with pytest.raises(OracleRefusalError, match="give values that its operators accept"):
        next(run_litert_outputs(model, [wrong]))


@pytest.mark.parametrize("inputs", [[], [X, X], [X.reshape(4)], [X.astype(np.int16)]])
def test_inputs_that_do_not_fit(inputs: list[np.ndarray]) -> None:
    with pytest.raises(InputDataError, match="'x'"):
        run_litert(_model(), inputs)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ToolMissingError, match="pip install ai-edge-litert"):
        run_litert(_model(), [X])
    # An imported module is found even if its package is not.
    monkeypatch.delitem(sys.modules, "ai_edge_litert.schema_py_generated", raising=False)
    with pytest.raises(
        ToolMissingError, match=r"read \.tflite files; .*pip install ai-edge-litert"
    ):
        schema.__wrapped__()


def test_a_package_that_does_not_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ai_edge_litert").mkdir()
    broken = tmp_path / "ai_edge_litert" / "__init__.py"
    broken.write_text("raise OSError('libm.so.7: cannot open')\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ai_edge_litert"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    for use in (lambda: run_litert(_model(), [X]), schema.__wrapped__):
        with pytest.raises(ToolMissingError, match=r"fails \(OSError: libm\.so\.7: cannot open\)"):
            use()
