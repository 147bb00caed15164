"""Inputs and outputs as a caller's C uses them, and the same functions in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from host_runner import SANITIZERS, compiler_or_skip, run_command, run_main, write_files
from tflite_builder import ModelBuilder

import tvmtiny
from tests.codegen.host_programs import COUNT, add_model, compiled, run_statements
from tvmtiny.codegen.archive import metadata
from tvmtiny.errors import InputError
from tvmtiny.oracle import run_litert_outputs


def test_inputs_are_written_without_a_cast(tmp_path: Path) -> None:
    statements = """
    struct tvmtiny_m_inputs inputs;
    struct tvmtiny_m_outputs outputs;
    float *own = tvmtiny_m_input_a();
    float *passed = tvmtiny_m_arena_input_a(scratch);
    tvmtiny_m_bind(&inputs, &outputs);
    printf("%d %d\\n", inputs.a == own, inputs.b == tvmtiny_m_input_b());
    for (int i = 0; i < 6; ++i) {
      own[i] = (float)i;
      tvmtiny_m_input_b()[i] = 1.0f;
      passed[i] = (float)i;
      tvmtiny_m_arena_input_b(scratch)[i] = 10.0f;
    }
    printf("%d\\n", (int)tvmtiny_m_run(&inputs, &outputs));
    for (int i = 0; i < 6; ++i) {
      printf("%g\\n", (double)outputs.y[i]);
    }
    tvmtiny_m_bind_arena(scratch, &inputs, &outputs);
    printf("%d %d\\n", inputs.a == passed, (int)tvmtiny_m_run_arena(scratch, &inputs, &outputs));
    for (int i = 0; i < 6; ++i) {
      printf("%g\\n", (double)outputs.y[i]);
    }
    printf("%d\\n", tvmtiny_m_own_arena() != scratch);"""
    arrays = {"scratch": "uint8_t scratch[TVMTINY_M_ARENA_BYTES] TVMTINY_ALIGN(16)"}
    got = run_statements(statements, [compiled(add_model())], tmp_path, arrays)
    own, passed = ([str(i + by) for i in range(COUNT)] for by in (1, 10))
    assert got == ["1", "1", "0", *own, "1", "0", *passed, "1"]


@pytest.mark.parametrize("io", ["arena", "external"])
def test_macros_by_index(io: str, tmp_path: Path) -> None:
    """Any names work, including names that look like an index and C keywords."""
    b = ModelBuilder()
    names = ("input_1", "picture", "int", "serving_default_keras_tensor_4:0")
    xs = [b.input(n, (1, 2 + i), "int8", scale=i + 0.5) for i, n in enumerate(names)]
    outputs = []
    for i, x in enumerate(xs):
        outputs.append(b.tensor(f"y{i}", (1, 2 + i), "int8", scale=8.0, zero_point=i))
        b.op("QUANTIZE", [x], [outputs[-1]], {})
    model = tvmtiny.load(b.build(outputs), name="m")
    artifact = tvmtiny.compile(model, "cortex-m4", io=io)
    assert [t.c_name for t in artifact.inputs] == ["input_0", "picture", "int_", "input_3"]
    suffixes = ["BYTES", "ELEMENTS", "ZERO_POINT", *(["OFFSET"] if io == "arena" else [])]
    statements, expected = [], []
    for direction, tensors in (("INPUT", artifact.inputs), ("OUTPUT", artifact.outputs)):
        for i, tensor in enumerate(tensors):
            stem = f"TVMTINY_M_{direction}_{i}"
            statements += [f'printf("%d\\n", (int){stem}_{suffix});' for suffix in suffixes]
            statements.append(f'printf("%g\\n", (double){stem}_SCALE);')
            expected += [tensor.bytes, tensor.bytes, tensor.zero_point]
            expected += [tensor.offset] if io == "arena" else []
            expected.append(f"{tensor.scale:g}")
    got = run_statements("\n".join(statements), [artifact], tmp_path)
    assert got == [str(value) for value in expected]
    header = artifact.files["m.h"]
    for stem in ("INPUT_0", "INPUT_PICTURE", "INPUT_INT", "INPUT_3"):
        assert f"#define TVMTINY_M_{stem}_SCALE " in header


def _quantized(dtype: str, scale: float, zero_point: int, count: int) -> tuple[bytes, bytes]:
    """A QUANTIZE from float and a DEQUANTIZE."""
    b = ModelBuilder()
    x = b.input("x", (1, count), "float32")
    y = b.tensor("y", (1, count), dtype, scale=scale, zero_point=zero_point)
    b.op("QUANTIZE", [x], [y], {})
    back = ModelBuilder()
    z = back.input("z", (1, 1 << 16), dtype, scale=scale, zero_point=zero_point)
    real = back.tensor("real", (1, 1 << 16), "float32")
    back.op("DEQUANTIZE", [z], [real], {}, version=2)
    return b.build([y]), back.build([real])


def _reals(scale: float, zero_point: int, low: int, high: int) -> np.ndarray:
    """Halves, their neighbours in float32, random values, and values out of range."""
    factor = np.float32(scale)
    steps = np.arange(low - zero_point - 4, high - zero_point + 5, dtype=np.float32)
    around = np.concatenate([(steps + np.float32(part)) * factor for part in (0, 0.5)])
    near = [np.nextafter(around, np.float32(to)) for to in (-np.inf, np.inf)]
    random = np.random.default_rng(5).uniform(low, high, 4000) * scale * 1.5
    tiny = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38], np.float32)
    return np.concatenate([around, *near, random.astype(np.float32), tiny])


#: The dtype, scale and zero point of the output.
_QUANTIZATIONS = (
    ("int8", 0.0627451017, -128),
    ("int8", 1 / 3, 5),
    ("uint8", 0.0078431, 127),
    ("int16", 3.0517578e-05, 0),
    ("int16", 7.1, 0),
)
_CONVERT = """
#include "{name}.h"
static int convert_{name}(void)
{{
  static float real[{count}];
  FILE *const from = fopen("{name}_reals.bin", "rb");
  FILE *const to = fopen("{name}_values.bin", "wb");
  FILE *const back = fopen("{name}_back.bin", "wb");
  if (from == NULL || to == NULL || back == NULL || fread(real, 4, {count}, from) != {count}) {{
    return 1;
  }}
  for (uint32_t i = 0; i < {count}u; ++i) {{
    const {dtype}_t value = tvmtiny_{name}_quantize_output_y(real[i]);
    fwrite(&value, sizeof value, 1, to);
  }}
  for (int32_t i = {low}; i <= {high}; ++i) {{
    const float value = tvmtiny_{name}_dequantize_output_y(({dtype}_t)i);
    fwrite(&value, sizeof value, 1, back);
  }}
  return fclose(from) == 0 && fclose(to) == 0 && fclose(back) == 0 ? 0 : 2;
}}
"""


def test_quantize_and_dequantize(tmp_path: Path) -> None:
    """C, Python and LiteRT give the same bytes; LiteRT defines nothing for infinities and NaN."""
    artifacts, functions = [], []
    values, back = {}, {}
    for number, (dtype, scale, zero_point) in enumerate(_QUANTIZATIONS):
        name, low, high = f"m{number}", np.iinfo(dtype).min, np.iinfo(dtype).max
        reals = _reals(scale, zero_point, low, high)
        quantize, dequantize = _quantized(dtype, scale, zero_point, len(reals))
        artifacts.append(compiled(quantize, name))
        (output,) = artifacts[-1].outputs
        quantized = output.quantize(reals)
        assert quantized.dtype == dtype
        every = np.arange(low, high + 1).astype(dtype)
        filled = np.resize(every, (1, 1 << 16))
        (expected,) = next(run_litert_outputs(quantize, [[reals[None]]]))
        np.testing.assert_array_equal(quantized, expected[0], name)
        (expected,) = next(run_litert_outputs(dequantize, [[filled]]))
        np.testing.assert_array_equal(output.dequantize(filled), expected, name)
        beyond = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 1e12, -1e12], np.float32)
        edges = output.quantize(beyond)
        np.testing.assert_array_equal(edges, [high, low, low, high, low, high, low], name)
        values[name] = np.concatenate([quantized, edges])
        back[name] = output.dequantize(every).view(np.uint32)
        np.concatenate([reals, beyond]).tofile(tmp_path / f"{name}_reals.bin")
        count = len(values[name])
        functions.append(_CONVERT.format(name=name, count=count, dtype=dtype, low=low, high=high))
    calls = " || ".join(f"convert_{name}()" for name in values)
    main = f"#include <stdio.h>\n{''.join(functions)}int main(void)\n{{\n  return {calls};\n}}\n"
    for compiler, flags in (("gcc", SANITIZERS), ("clang", ("-O2",))):
        run_main(main, artifacts, tmp_path, compiler, flags)
        for name, wanted in values.items():
            got = np.fromfile(tmp_path / f"{name}_values.bin", wanted.dtype)
            np.testing.assert_array_equal(got, wanted, name)
            got = np.fromfile(tmp_path / f"{name}_back.bin", np.uint32)
            np.testing.assert_array_equal(got, back[name], name)


def test_quantize_keeps_shapes_and_refuses_what_has_no_scale() -> None:
    artifact = compiled(_quantized("int8", 0.5, 3, 4)[0])
    (real,), (output,) = artifact.inputs, artifact.outputs
    assert output.quantize([[0.25, -0.25], [1.0, 9e9]]).tolist() == [[4, 2], [5, 127]]
    assert output.dequantize([3, -128]).tolist() == [0.0, -65.5]
    for call in (real.quantize, real.dequantize):
        with pytest.raises(InputError, match="there is nothing to quantize"):
            call([1])
    for values in ([128], [1.0], [2**32]):
        with pytest.raises(InputError, match="are not int8"):
            output.dequantize(values)


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_from_cpp(standard: str, tmp_path: Path) -> None:
    """Names of C types are not used for fields in C++, and unused inputs leave no declaration."""
    b = ModelBuilder()
    x = b.input("int8_t", (1, 4), "int8", scale=0.5)
    y = b.tensor("errno", (1, 4), "uint8", scale=0.25, zero_point=128)
    b.op("QUANTIZE", [x], [y], {})
    write_files(compiled(b.build([y])), tmp_path)
    (tmp_path / "use.cpp").write_text(
        """#include <cerrno>
        #include "m.h"
        float use(uint8_t *arena, float real);
        float use(uint8_t *arena, float real)
        {
          int8_t *const slot = tvmtiny_m_arena_input_int8_t(arena);
          tvmtiny_m_input_int8_t()[0] = *slot = tvmtiny_m_quantize_input_int8_t(real);
          tvmtiny_m_outputs outputs;
          tvmtiny_m_inputs inputs;
          tvmtiny_m_bind(&inputs, &outputs);
          return tvmtiny_m_dequantize_output_errno(outputs.errno_[0]);
        }
        """
    )
    (tmp_path / "unused.cpp").write_text('#include "m.h"\n')
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Wconversion", "-Wcast-qual", "-Werror"]
    for source in ("use", "unused"):
        command = [compiler_or_skip("g++"), *flags, "-c", f"{source}.cpp"]
        run_command(command, tmp_path)
    symbols = run_command([compiler_or_skip("nm"), "unused.o"], tmp_path)
    assert symbols == ""
    used = run_command([compiler_or_skip("nm"), "-u", "use.o"], tmp_path).split()
    assert sorted(used[1::2]) == ["tvmtiny_m_bind", "tvmtiny_m_own_arena"]


def test_an_output_that_is_called_like_an_input() -> None:
    """Each model has its own slot in the archive, and data files may have the names of C files."""
    b = ModelBuilder()
    x = b.input("serving_default_sound:0", (1, 4), "int8", scale=0.5)
    y = b.tensor("StatefulPartitionedCall:0", (1, 4), "int8", scale=0.25)
    b.op("QUANTIZE", [x], [y], {})
    b.signature([("sound", x)], [("sound", y)])
    artifact = compiled(b.build([y]))
    slots = metadata(artifact)["modules"]["m"]["memory"]["sids"]
    offsets = {name: slot["arena_offset"] for name, slot in slots.items()}
    (real,), (output,) = artifact.inputs, artifact.outputs
    assert offsets == {"sound": real.offset, "output_sound": output.offset}


@pytest.mark.parametrize("name", ["sound", "serving_default_sound:0"])
def test_data_files_have_either_name(name: str, tmp_path: Path) -> None:
    artifact = compiled(add_model(("serving_default_sound:0", "b")))
    data = {name: np.full((1, COUNT), 2, np.float32), "b": np.ones((1, COUNT), np.float32)}
    np.savez(tmp_path / "data.npz", **data)
    first, _ = tvmtiny.make_inputs(str(tmp_path / "data.npz"), artifact.inputs)
    np.testing.assert_array_equal(first, data[name])
