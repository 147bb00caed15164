"""An int of 16 bits: equal results where the C supports them, a plain refusal elsewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import avr
import pytest
from host_runner import compile_sanitized, run_command, write_files

import tvmtiny
from tvmtiny import models
from tvmtiny.resources import shipped

_CORE = shipped("runtime") / "core"
_KERNELS = shipped("runtime") / "kernels"


@pytest.mark.parametrize("name", models.names())
def test_models(name: str, tmp_path: Path) -> None:
    """Results equal the reference, which other tests compare with C on the host."""
    avr.compiler()
    model = tvmtiny.load(models.path(name))
    artifact = tvmtiny.compile(model, "cortex-m0")
    samples = [tvmtiny.make_inputs(kind, artifact.inputs) for kind in ("ramp", "random:1")]
    printed = avr.run_artifact(artifact, samples, tmp_path)
    for outputs, inputs in zip(printed, samples, strict=True):
        tensors = model.reference(inputs)
        assert outputs == b"".join(tensors[t.index].tobytes() for t in model.graph.outputs)


#: Each pair combines values of `a` from all magnitudes with other values of `b`.
_HELPERS = """\
#include "tvmtiny_lstm.h"
#include "tvmtiny_math.h"
#include "tvmtiny_rows.h"

static void helpers(void)
{
  for (uint32_t n = 0u; n < 40u; ++n) {
    const int32_t a = (int32_t)(0x9e3779b9u * (n + 1u)) >> (n % 24u);
    const int32_t b = (int32_t)(0x85ebca6bu * (n + 7u)) >> (n % 7u);
    const int32_t positive = a & INT32_MAX;
    const int32_t q15 = a >> 16, small = -(int32_t)(n % 31u), size = positive | 0x80000;
    const int32_t weight = (int32_t)(n * 25u);
    int32_t results[] = {
      tvmtiny_requantize(a >> 8, b, small), tvmtiny_requantize_wide(a, b & 32767, 20),
      tvmtiny_requantize_once(a >> 8, b, small), tvmtiny_multiply_q31(a, b),
      tvmtiny_rounding_shift(a, n % 32u), tvmtiny_exp_q31(-positive), tvmtiny_saturate(a),
      tvmtiny_reciprocal_q31(positive), tvmtiny_softmax_headroom(positive),
      tvmtiny_bilinear(a >> 24, b >> 24, a >> 25, b >> 25, weight, 1024 - weight),
      tvmtiny_bilinear_wide(q15, b >> 16, q15, 77, weight, weight),
      tvmtiny_logistic_int16(a >> 10, 33000, 33111), tvmtiny_tanh_int16(a >> 10, 33000, 33111),
      tvmtiny_interpolate(q15 >> 1, b >> 17, (int32_t)n), tvmtiny_inverse_sqrt(positive),
      tvmtiny_inverse_sqrt_shift(positive), tvmtiny_log_q26(size),
      tvmtiny_multiply_q15(q15, b >> 16), tvmtiny_exp_q15(q15 < 0 ? q15 : -q15, 3),
      tvmtiny_logistic_q15(q15, 3), tvmtiny_tanh_q15(q15, 2),
      tvmtiny_quantize((float)a, 4000.0f, 3, -32768, 32767), tvmtiny_to_int32((float)a),
    };
    print(results, (uint32_t)sizeof(results));
  }
}
"""
_HOST = """\
#include <stdio.h>
#include <stdint.h>
static void print(const void *data, uint32_t bytes)
{
  for (uint32_t i = 0u; i < bytes; ++i) {
    printf("%02x", ((const uint8_t *)data)[i]);
  }
}
"""


def test_helpers(tmp_path: Path) -> None:
    """Functions of the runtime against the same C on the host."""
    avr.compiler()
    for path in _CORE.glob("*.h"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "host.c").write_text(
        f"{_HOST}{_HELPERS}int main(void) {{ helpers(); return 0; }}\n"
    )
    compile_sanitized(["host.c"], tmp_path, program="host")
    wanted = bytes.fromhex(run_command(["./host"], tmp_path))
    main = f"{avr.RUNTIME}{_HELPERS}int main(void) {{ start(); helpers(); stop(); return 0; }}\n"
    assert avr.run_main(main, tmp_path) == wanted


def _complaint(folder: Path, *headers: str) -> str:
    (folder / "main.c").write_text("".join(f'#include "{header}"\n' for header in headers))
    includes = [f"-I{path}" for path in (_CORE, *_KERNELS.iterdir())]
    command = [avr.compiler(), *avr.FLAGS, *includes, "-fsyntax-only", "main.c"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr


def _reached(header: Path, folders: list[Path]) -> set[str]:
    """The names of a header and of all that it includes."""
    found = {header.name}
    for name in re.findall(r'^#include "([^"]+)"', header.read_text(), re.MULTILINE):
        inner = next(path for folder in folders if (path := folder / name).is_file())
        found |= _reached(inner, folders)
    return found


def test_kernel_families_for_larger_cores_are_refused(tmp_path: Path) -> None:
    # The "thumb" kernels are for cores as small as Cortex-M0; test_models runs them here.
    headers = [path for path in _KERNELS.rglob("*.h") if path.parent.name != "thumb"]
    assert headers
    complaint = _complaint(tmp_path, *(header.name for header in headers))
    wanted = r"(\w+\.h):\d+:\d+: error: #error .*need an int of 32 bits: compile the model for"
    refused = set(re.findall(wanted, complaint))
    for header in headers:
        assert refused & _reached(header, [_CORE, *_KERNELS.iterdir()]), header.name


def test_short_doubles_are_refused(tmp_path: Path) -> None:
    complaint = _complaint(tmp_path, "tvmtiny_double.h")
    assert "a double of this compiler has less than 64 bits" in complaint


def test_models_for_a_core_with_dsp_are_refused(tmp_path: Path) -> None:
    compiler = avr.compiler()
    sources = write_files(
        tvmtiny.compile(tvmtiny.load(models.path("digits")), "cortex-m4"), tmp_path
    )
    done = subprocess.run(
        [compiler, *avr.FLAGS, "-c", *sources], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "such as cortex-m0" in done.stderr
