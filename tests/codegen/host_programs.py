"""Small models, and programs that call their generated code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from host_runner import run_main
from tflite_builder import ModelBuilder

import tvmtiny

SHAPE = (1, 6)
COUNT = 6


def add_model(
    inputs: Sequence[str] = ("a", "b"),
    output: str = "y",
    *,
    constant: bool = False,
    outputs: Sequence[str] = (),
) -> bytes:
    """``y = a + b`` in float32.

    Parameters
    ----------
    inputs
        Names of the two inputs.
    constant
        Whether the second operand is a constant of twos.
    outputs
        Names of the output tensors, in order; by default `output`.
    """
    b = ModelBuilder()
    first = b.input(inputs[0], SHAPE, "float32")
    second = (
        b.constant(inputs[1], np.full(SHAPE, 2, np.float32))
        if constant
        else b.input(inputs[1], SHAPE, "float32")
    )
    y = b.tensor(output, SHAPE, "float32")
    b.op("ADD", [first, second], [y], {"fused_activation_function": "NONE"})
    indices = {inputs[0]: first, inputs[1]: second, output: y}
    return b.build([indices[name] for name in outputs or (output,)])


def compiled(content: bytes, name: str = "m") -> tvmtiny.Artifact:
    """The generated C of a model."""
    return tvmtiny.compile(tvmtiny.load(content, name=name), "cortex-m4")


@cache
def compiled_file(path: Path, cpu: str) -> tuple[tvmtiny.Model, tvmtiny.Artifact]:
    """Return a model loaded from a file and its C; equal arguments give the same objects."""
    model = tvmtiny.load(path)
    return model, tvmtiny.compile(model, cpu)


def run_statements(
    statements: str,
    artifacts: Sequence[tvmtiny.Artifact],
    directory: Path,
    declarations: Mapping[str, str] | None = None,
) -> list[str]:
    """The lines that a ``main`` of C `statements` prints, built with sanitizers.

    Parameters
    ----------
    declarations
        Arrays outside of ``main``, by name; those that `statements` do not name are left out.
    """
    includes = "".join(f'#include "{artifact.name}.h"\n' for artifact in artifacts)
    used = [text for name, text in (declarations or {}).items() if name in statements]
    arrays = "".join(f"static {text};\n" for text in used)
    body = f"int main(void)\n{{\n{statements}\nreturn 0;\n}}\n"
    main = f"#include <stdio.h>\n{includes}{arrays}{body}"
    return run_main(main, artifacts, directory).split()
