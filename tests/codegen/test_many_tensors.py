"""Models with many inputs and outputs copy them by one function."""

from __future__ import annotations

import pytest
from tflite_builder import ModelBuilder

import tvmtiny

ATTRIBUTE = "__attribute__((noinline))\n#endif\nstatic void tvmtiny_m_copy("


@pytest.mark.parametrize(
    ("tensors", "io", "expected"),
    [(16, "arena", False), (17, "arena", True), (17, "external", False)],
)
def test_copies_of_many_tensors_share_a_function(tensors: int, io: str, expected: bool) -> None:
    b = ModelBuilder()
    outputs = []
    for i in range(tensors):
        x = b.input(f"x{i}", (1, 2), "int8", scale=0.5)
        outputs.append(b.tensor(f"y{i}", (1, 2), "int8", scale=8.0))
        b.op("QUANTIZE", [x], [outputs[-1]], {})
    model = tvmtiny.load(b.build(outputs), name="m")
    artifact = tvmtiny.compile(model, "cortex-m4", io=io)
    assert (ATTRIBUTE in artifact.files["m.c"]) == expected
