"""The host runner detects the faults that it is made for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_runner import run_on_host
from tflite_builder import ModelBuilder

import tvmtiny

_SHAPE = (1, 6)


def _model() -> bytes:
    """``y = x + 2; z = y * 2`` with outputs ``z`` and ``x``, so that ``x`` lives to the end."""
    b = ModelBuilder()
    x = b.input("x", _SHAPE, "float32")
    two = b.constant("two", np.full(_SHAPE, 2, np.float32))
    y = b.tensor("y", _SHAPE, "float32")
    z = b.tensor("z", _SHAPE, "float32")
    b.op("ADD", [x, two], [y], {"fused_activation_function": "NONE"})
    b.op("MUL", [y, two], [z], {"fused_activation_function": "NONE"})
    return b.build([z, x])


def _artifact(statement: str = "") -> tvmtiny.Artifact:
    """The model's C with one more statement at the end of the kernel of MUL.

    ``X`` in the statement stands for the index of ``x`` relative to ``out``.
    """
    artifact = tvmtiny.compile(tvmtiny.load(_model(), name="m"), "cortex-m4")
    source = artifact.files["m_kernels.c"].rstrip()
    assert source.endswith("}") and source.rindex("tvmtiny_m_mul(") > source.rindex("_add(")
    index = (artifact.inputs[0].offset - artifact.layers[1].offset) // 4
    broken = f"{source[:-1]}  {statement.replace('X', str(index))}\n}}\n"
    return replace(artifact, files={**artifact.files, "m_kernels.c": broken})


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("out[X] = 0.0f;", "use-after-poison"),
        ("out[0] += out[X + 5];", "use-after-poison"),
        ("out[1000] = 0.0f;", "AddressSanitizer"),
        ("out[0] = (float)(0x7fffffff + (int)(out[0] * 0.0f + 1.0f));", "signed integer overflow"),
        ("int unused;", "unused variable"),
    ],
)
def test_broken_kernel(statement: str, message: str, tmp_path: Path) -> None:
    artifact = _artifact(statement)
    inputs = tvmtiny.make_inputs("zeros", artifact.inputs)
    with pytest.raises(pytest.fail.Exception, match=message):
        run_on_host(artifact, [inputs], tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_whole_kernel(compiler: str, tmp_path: Path) -> None:
    artifact = _artifact()
    sets = [tvmtiny.make_inputs(kind, artifact.inputs) for kind in ("zeros", "ramp")]
    results = run_on_host(artifact, sets, tmp_path, compiler, flags=("-O1",))
    for (x,), result in zip(sets, results, strict=True):
        np.testing.assert_array_equal(result.layers[0], x + 2)
        np.testing.assert_array_equal(result.layers[1], (x + 2) * 2)
        np.testing.assert_array_equal(result.outputs[0].data, (x + 2) * 2)
        np.testing.assert_array_equal(result.outputs[1].data, x)
