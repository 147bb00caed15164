"""Generated code as a caller uses it: binding, arenas, several models, odd inputs and outputs."""

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
from tests.codegen.host_programs import COUNT, SHAPE, add_model, compiled, run_statements
from tvmtiny import models

_FILL = """
for (int i = 0; i < 6; ++i) {
  in_a[i] = (float)i;
  in_b[i] = 10.0f;
}
"""
_SUMS = [str(10 + i) for i in range(COUNT)]
_ARRAYS = {
    "in_a": "float in_a[6]",
    "in_b": "float in_b[6]",
    "result": "float result[6]",
    "scratch": "uint8_t scratch[TVMTINY_M_ARENA_BYTES + 16] TVMTINY_ALIGN(16)",
}


#: What programs do with the model of `add_model`.
_STATEMENTS = {
    "outside": f"""{_FILL}
    const struct tvmtiny_m_inputs inputs = {{ in_a, in_b }};
    const struct tvmtiny_m_outputs outputs = {{ result }};
    printf("%d\\n", (int)tvmtiny_m_run(&inputs, &outputs));
    for (int i = 0; i < 6; ++i) {{
      printf("%g %g %g\\n", (double)in_a[i], (double)in_b[i], (double)result[i]);
    }}""",
    "own": f"""{_FILL}
    struct tvmtiny_m_inputs inputs;
    struct tvmtiny_m_outputs outputs;
    float *slots[2];
    scratch[TVMTINY_M_ARENA_BYTES] = 99;
    tvmtiny_m_bind_arena(scratch, &inputs, &outputs);
    slots[0] = (float *)(void *)(scratch + TVMTINY_M_INPUT_A_OFFSET);
    slots[1] = (float *)(void *)(scratch + TVMTINY_M_INPUT_B_OFFSET);
    printf("%d %d\\n", inputs.a == slots[0], inputs.b == slots[1]);
    for (int i = 0; i < 6; ++i) {{
      slots[0][i] = in_a[i];
      slots[1][i] = in_b[i];
    }}
    printf("%d\\n", (int)tvmtiny_m_run_arena(scratch, &inputs, &outputs));
    for (int i = 0; i < 6; ++i) {{
      printf("%g\\n", (double)outputs.y[i]);
    }}
    printf("%d\\n", scratch[TVMTINY_M_ARENA_BYTES]);""",
    "misaligned": """
    const struct tvmtiny_m_inputs inputs = { in_a, in_b };
    const struct tvmtiny_m_outputs outputs = { result };
    for (int shift = 0; shift < 16; ++shift) {
      printf("%d\\n", (int)tvmtiny_m_run_arena(scratch + shift, &inputs, &outputs));
    }""",
    "null": """
    struct tvmtiny_m_inputs inputs = { in_a, in_b };
    struct tvmtiny_m_outputs outputs = { result };
    printf("%d\\n", (int)tvmtiny_m_run_arena(NULL, &inputs, &outputs));
    printf("%d\\n", (int)tvmtiny_m_run(NULL, &outputs));
    printf("%d\\n", (int)tvmtiny_m_run(&inputs, NULL));
    outputs.y = NULL;
    printf("%d\\n", (int)tvmtiny_m_run(&inputs, &outputs));
    outputs.y = result;
    inputs.b = NULL;
    printf("%d\\n", (int)tvmtiny_m_run(&inputs, &outputs));
    inputs.b = in_b;
    printf("%d\\n", (int)tvmtiny_m_run(&inputs, &outputs));""",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each of `_STATEMENTS` prints, all in one program."""
    blocks = [f'{{\n{text}\nprintf("end\\n");\n}}' for text in _STATEMENTS.values()]
    folder = tmp_path_factory.mktemp("statements")
    lines = iter(run_statements("\n".join(blocks), [compiled(add_model())], folder, _ARRAYS))
    return {name: list(iter(lines.__next__, "end")) for name in _STATEMENTS}


def test_inputs_and_outputs_outside_of_the_arena(printed: dict[str, list[str]]) -> None:
    status, *values = printed["outside"]
    assert status == "0"
    assert values[2::3] == _SUMS
    assert values[0::3] == [str(i) for i in range(COUNT)]


def test_own_arena(printed: dict[str, list[str]]) -> None:
    """The model's own arena is unused in this case and stays unchanged."""
    assert printed["own"] == ["1", "1", "0", *_SUMS, "99"]


def test_misaligned_arena(printed: dict[str, list[str]]) -> None:
    assert printed["misaligned"] == ["0"] + ["-2"] * 15


def test_null_pointers(printed: dict[str, list[str]]) -> None:
    assert printed["null"] == ["-1"] * 5 + ["0"]


def test_two_models_in_one_program(tmp_path: Path) -> None:
    loaded = [tvmtiny.load(models.path(name)) for name in ("temperature", "sine")]
    artifacts = [tvmtiny.compile(model, "cortex-m4") for model in loaded]
    calls, expected = [], []
    for model, artifact in zip(loaded, artifacts, strict=True):
        (x,) = tvmtiny.make_inputs("ramp", artifact.inputs)
        values = ", ".join(str(v) for v in x.ravel())
        name, field, result = artifact.name, artifact.inputs[0], artifact.outputs[0]
        elements = result.bytes
        calls.append(f"""{{
        static const int8_t x[] = {{ {values} }};
        static int8_t y[{elements}];
        const struct tvmtiny_{name}_inputs inputs = {{ .{field.c_name} = x }};
        const struct tvmtiny_{name}_outputs outputs = {{ .{result.c_name} = y }};
        if (tvmtiny_{name}_run(&inputs, &outputs) != TVMTINY_OK) {{
          return 1;
        }}
        for (int i = 0; i < {elements}; ++i) {{
          printf("%d\\n", y[i]);
        }}
        }}""")
        output = model.reference([x])[model.graph.outputs[0].index]
        expected += [str(v) for v in output.ravel()]
    # Run each model twice, alternating: neither may disturb the other.
    got = run_statements("\n".join(calls * 2), artifacts, tmp_path)
    assert got == expected * 2


def _passing() -> bytes:
    b = ModelBuilder()
    x = b.input("x", SHAPE, "float32")
    return b.build([x, x])


def _reshaping() -> bytes:
    """Reshape an input and a constant."""
    b = ModelBuilder()
    x = b.input("x", SHAPE, "float32")
    constant = b.constant("c", np.arange(6, dtype=np.float32))
    outputs = []
    for source in (x, constant):
        y = b.tensor(f"y{source}", (2, 3), "float32")
        b.op("RESHAPE", [source], [y], {"new_shape": [2, 3]})
        outputs.append(y)
    return b.build(outputs)


def _unread() -> bytes:
    b = ModelBuilder()
    x = b.input("x", SHAPE, "float32")
    b.input("unused", (3, 3), "float32")
    y = b.tensor("y", SHAPE, "float32")
    b.op("MUL", [x, x], [y], {"fused_activation_function": "NONE"})
    return b.build([y])


def _many(count: int) -> bytes:
    b = ModelBuilder()
    outputs = []
    for i in range(count):
        x = b.input(f"x{i}", (1, 3 + i), "int8", scale=0.1, zero_point=i)
        y = b.tensor(f"y{i}", (1, 3 + i), "float32")
        b.op("DEQUANTIZE", [x], [y], {}, version=2)
        z = b.tensor(f"z{i}", (1, 3 + i), "uint8", scale=0.2, zero_point=100)
        b.op("QUANTIZE", [x], [z], {}, version=2)
        outputs += [z, y]
    return b.build(outputs)


#: Models whose C runs in one program, and how each is made.
_MODELS: dict[str, Callable[[], bytes]] = {
    "input": partial(add_model, outputs=("a", "y")),
    "constant": partial(add_model, constant=True, outputs=("b", "y")),
    "twice": partial(add_model, outputs=("y", "a", "y")),
    "passing": _passing,
    "reshaping": _reshaping,
    "unread": _unread,
    "many1": partial(_many, 1),
    "many5": partial(_many, 5),
}
_Ran = dict[str, tuple[tvmtiny.Model, HostRun, HostResult]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> _Ran:
    """Each of `_MODELS`, its run, and what its C gave."""
    loaded = {name: tvmtiny.load(made(), name=name) for name, made in _MODELS.items()}
    runs = {}
    for name, model in loaded.items():
        artifact = tvmtiny.compile(model, "cortex-m4")
        runs[name] = HostRun(artifact, [tvmtiny.make_inputs("ramp", artifact.inputs)])
    results = run_each_on_host(runs, tmp_path_factory.mktemp("outputs"))
    return {name: (model, runs[name], results[name][0]) for name, model in loaded.items()}


def _outputs(ran: _Ran, name: str) -> list[np.ndarray]:
    """Assert that the outputs of a model are those of LiteRT, and return them."""
    model, run, result = ran[name]
    expected = model.reference(run.input_sets[0])
    for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
        np.testing.assert_array_equal(output.data, expected[tensor.index])
    return [output.data for output in result.outputs]


def test_output_that_is_an_input(ran: _Ran) -> None:
    passed, _ = _outputs(ran, "input")
    ramp = ((np.arange(COUNT) * 37 + 11) & 0xFF).astype(np.uint8).view(np.int8) / 128
    np.testing.assert_array_equal(passed.ravel(), ramp.astype(np.float32))


def test_output_that_is_a_constant(ran: _Ran) -> None:
    twos, _ = _outputs(ran, "constant")
    np.testing.assert_array_equal(twos, np.full(SHAPE, 2, np.float32))


def test_one_tensor_as_two_outputs(ran: _Ran) -> None:
    first, second, third = _outputs(ran, "twice")
    np.testing.assert_array_equal(first, third)
    assert (first != second).any()


def test_nothing_but_an_input_as_output(ran: _Ran) -> None:
    assert len(_outputs(ran, "passing")) == 2


def test_reshapes_of_inputs_and_constants_as_outputs(ran: _Ran) -> None:
    assert len(_outputs(ran, "reshaping")) == 2


def test_an_input_that_nothing_reads(ran: _Ran) -> None:
    assert len(_outputs(ran, "unread")) == 1


@pytest.mark.parametrize("count", [1, 5])
def test_many_inputs_and_outputs_of_several_types(count: int, ran: _Ran) -> None:
    assert len(_outputs(ran, f"many{count}")) == 2 * count
