"""Tensor and model names come from files: with any content, the C is valid and right."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import WARNINGS, compiler_or_skip, run_all_on_host, run_command, write_files
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tvmtiny
from tests.codegen.host_programs import add_model, compiled
from tvmtiny.codegen.symbols import kernel_symbol
from tvmtiny.frontend.names import model_name

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
    ("TVMTINY_OK", "tvmtiny_@_run"),
    ("x", "x\0y"),
]


_OUTPUTS = ["*/", "int", "", "a", "\n", "ü", "x" * 300, "t0"]
#: Names of inputs that are outputs as well and differ only in characters that C drops.
_PASSED_ON = [("A b", "a_b"), ("a_b_0", "a_b"), ("a_b_1", "a b")]
_MODELS = ["tvmtiny", "stdint", "stddef", "int", "7up", "a-b", "ÄÖ", "*/", "main", "a_kernels"]


#: Any character that UTF-8 can encode. Hypothesis would first sort all of them by category.
_CHARACTERS = st.one_of(
    st.integers(0, 0x7F), st.integers(0x80, 0xD7FF), st.integers(0xE000, sys.maxunicode)
).map(chr)


def _any_names() -> list[list[str]]:
    found: list[list[str]] = []
    text = st.lists(_CHARACTERS, max_size=12).map("".join)

    @settings(max_examples=5, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(names=st.lists(text, min_size=3, max_size=3, unique=True))
    def draw(names: list[str]) -> None:
        found.append(names)

    draw()
    return found


def _contents() -> Iterator[tuple[str, bytes]]:
    """Names of models and their tensors; ``@`` in a tensor's name stands for the model's name."""
    for i, names in enumerate(_INPUTS):
        first, second = (name.replace("@", f"input{i}") for name in names)
        yield f"input{i}", add_model((first, second))
    for i, name in enumerate(_OUTPUTS):
        yield f"output{i}", add_model(output=name)
    for i, (first, second) in enumerate(_PASSED_ON):
        outputs = (first, "a.b", second, "a.b")
        yield f"passed{i}", add_model((first, second), output="a.b", outputs=outputs)
    for i, (first, second, output) in enumerate(_any_names()):
        yield f"any{i}", add_model((first, second), output=output)
    yield from ((name, add_model()) for name in _MODELS)


@pytest.fixture(scope="module")
def assert_right(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Compare the results of one of the models, all of which are in one program."""
    models = {name: tvmtiny.load(content, name=name) for name, content in _contents()}
    # Some models end up with the same name and content.
    runs: dict[str, HostRun] = {}
    for model in models.values():
        if model.name not in runs:
            artifact = tvmtiny.compile(model, "cortex-m4")
            inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
            runs[model.name] = HostRun(artifact, [inputs])
    results = run_all_on_host([*runs.values()], tmp_path_factory.mktemp("names"))
    by_name = dict(zip(runs, results, strict=True))

    def compare(name: str) -> None:
        model = models[name]
        (inputs,), (result,) = runs[model.name].input_sets, by_name[model.name]
        expected = model.reference(inputs)
        for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, expected[tensor.index])

    return compare


@pytest.mark.parametrize("number", range(len(_INPUTS)))
def test_inputs(number: int, assert_right: Callable[[str], None]) -> None:
    assert_right(f"input{number}")


@pytest.mark.parametrize("number", range(len(_OUTPUTS)))
def test_output(number: int, assert_right: Callable[[str], None]) -> None:
    assert_right(f"output{number}")


@pytest.mark.parametrize("number", range(len(_PASSED_ON)))
def test_outputs_whose_names_differ_only_in_c(
    number: int, assert_right: Callable[[str], None]
) -> None:
    assert_right(f"passed{number}")


def test_any_names(assert_right: Callable[[str], None]) -> None:
    for number in range(len(_any_names())):
        assert_right(f"any{number}")


@pytest.mark.parametrize("name", _MODELS)
def test_model_name(name: str, assert_right: Callable[[str], None]) -> None:
    assert model_name(name).isidentifier()
    assert_right(name)


#: Headers that a file with a model's name could hide from a program in the same folder.
_HEADERS = ["assert", "math", "signal", "stddef", "stdint", "string", "time"]
_POSIX_HEADERS = ["fcntl", "poll", "pthread", "sched", "semaphore", "unistd"]


def test_generated_files_hide_no_header(tmp_path: Path) -> None:
    """C and POSIX headers: one program includes them all beside models with the same names."""
    sources, artifacts = [], []
    for name in (*_HEADERS, *_POSIX_HEADERS, "main"):
        artifact = compiled(add_model(), name=name)
        assert f"tvmtiny_{artifact.name}_run" in artifact.files[f"{artifact.name}.h"]
        artifacts.append(artifact)
    assert len({artifact.name for artifact in artifacts}) == len(artifacts)
    for artifact in artifacts:
        sources += write_files(artifact, tmp_path)
    includes = [f"#include <{name}.h>\n" for name in (*_HEADERS, *_POSIX_HEADERS)]
    # Starting a compiler for each file would take most of the time.
    includes += [f'#include "{source}"\n' for source in sources]
    assert "main.c" not in sources
    (tmp_path / "main.c").write_text("".join(includes) + "int main(void) { return SIGINT == 0; }\n")
    command = [compiler_or_skip("gcc"), *WARNINGS, "-D_POSIX_C_SOURCE=200809L", "-I."]
    run_command([*command, "main.c", "-o", "program"], tmp_path)
    run_command(["./program"], tmp_path)


def test_no_header_of_the_c_library_or_the_compiler_is_hidden(tmp_path: Path) -> None:
    compiler = compiler_or_skip("arm-none-eabi-gcc")
    done = subprocess.run(
        [compiler, "-xc", "-E", "-v", "-"], input="", capture_output=True, text=True
    )
    folders = re.findall(r"^ (/.*)$", done.stderr, re.MULTILINE)
    headers = {path.stem.lower() for folder in folders for path in Path(folder).glob("*.h")}
    assert {"stdint", "stdio"} <= headers
    assert [name for name in headers if model_name(name) == name] == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("signal", "model_signal"),
        ("Main", "model_main"),
        ("aux", "model_aux"),
        ("tvmtiny_x", "model_tvmtiny_x"),
        ("x" * 64, "x" * 64),
        ("x" * 65, f"{'x' * 55}_{zlib.crc32(b'x' * 65):08x}"),
        ("x" * 66, f"{'x' * 55}_{zlib.crc32(b'x' * 66):08x}"),
        ("$(touch x) \"'`\n", "touch_x"),
    ],
)
def test_names_that_are_taken_or_too_long(text: str, wanted: str) -> None:
    assert model_name(text) == wanted


@pytest.mark.parametrize(("model", "operator"), [("lstm", "sum"), ("softmax", "exp")])
def test_no_kernel_is_called_like_a_function_of_the_runtime(model: str, operator: str) -> None:
    assert kernel_symbol("m", operator) == f"tvmtiny_m_{operator}"
    assert kernel_symbol(model, operator) == f"tvmtiny_{model}_{operator}_kernel"


@pytest.mark.parametrize("function", ["fill", "copy", "run", "reset", "arena", "run_layers"])
def test_kernels_hide_nothing_of_their_own_model(function: str) -> None:
    assert kernel_symbol("m", function) == f"tvmtiny_m_{function}_kernel"
