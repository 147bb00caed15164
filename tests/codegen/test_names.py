"""Tensor and model names come from files: whatever they hold, the C is valid and right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tvmtiny
from tests.codegen.programs import add_model, compiled

# What the code does is tested elsewhere.
_FLAGS = ("-O0",)

_INPUTS = [
    ("*/ int main(void) { return 1; } /*", "/* //"),
    ("a\nb", "\\\n#error injected"),
    ("größe", "入力"),
    ("int", "for"),
    ("inline", "restrict"),
    ("_Bool", "int_"),
    ("class", "new"),
    ("NULL", "uint8_t"),
    ("arena", "inputs"),
    ("outputs", "main"),
    ("", "x"),
    ("x", "X"),
    ("a/b", "a_b"),
    ("x", "x_0"),
    ("??/", '"'),
    ("0", "1x"),
    ("t0", "t1"),
    ("t2", "t1"),
    ("t1", "t0"),
    ("gv", "lv"),
    ("input.1", "input.0"),
    ("x" * 300, "y" * 300),
    ("%d%n", "{{ x }}"),
    ("TVMTINY_OK", "tvmtiny_m_run"),
    ("x", "x\0y"),
]


def _assert_right(content: bytes, folder: Path) -> None:
    model = tvmtiny.load(content, name="m")
    artifact = tvmtiny.compile(model, "cortex-m4")
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    (result,) = run_on_host(artifact, [inputs], folder, flags=_FLAGS)
    expected = model.reference(inputs)
    for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
        np.testing.assert_array_equal(output.data, expected[tensor.index])


@pytest.mark.parametrize("names", _INPUTS, ids=range(len(_INPUTS)))
def test_inputs(names: tuple[str, str], tmp_path: Path) -> None:
    _assert_right(add_model(names), tmp_path)


@pytest.mark.parametrize("name", ["*/", "int", "", "a", "\n", "ü", "x" * 300, "t0"])
def test_output(name: str, tmp_path: Path) -> None:
    _assert_right(add_model(output=name), tmp_path)


@pytest.mark.parametrize("inputs", [("A b", "a_b"), ("a_b_0", "a_b"), ("a_b_1", "a b")])
def test_outputs_whose_names_differ_only_in_c(inputs: tuple[str, str], tmp_path: Path) -> None:
    outputs = (inputs[0], "a.b", inputs[1], "a.b")
    _assert_right(add_model(inputs, output="a.b", outputs=outputs), tmp_path)


@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate])
@given(names=st.lists(st.text(max_size=12), min_size=3, max_size=3, unique=True))
def test_any_names(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    content = add_model((names[0], names[1]), output=names[2])
    _assert_right(content, tmp_path_factory.mktemp("names"))


@pytest.mark.parametrize(
    "name", ["tvmtiny", "stdint", "stddef", "int", "7up", "a-b", "ÄÖ", "*/", "main", "a_kernels"]
)
def test_model_name(name: str, tmp_path: Path) -> None:
    artifact = compiled(add_model(), name=name)
    assert artifact.name.isidentifier()
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path, flags=_FLAGS)
    np.testing.assert_array_equal(result.outputs[0].data, inputs[0] + inputs[1])
