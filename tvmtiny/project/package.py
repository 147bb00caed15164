"""Package generated models as a folder for other build systems.

The folder contains the C files of all models, side by side, a CMake package for ``find_package``
and ``add_subdirectory``, and a fragment for Makefiles.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from tvmtiny.codegen.names import c_type, macro_stem
from tvmtiny.errors import InputError

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo

__all__ = [
    "SAMPLES",
    "PackagedModel",
    "expected_checksums",
    "package_files",
    "render",
    "sample_inputs",
]

#: Number of samples whose correct outputs firmware knows.
SAMPLES = 4


@dataclass(frozen=True, eq=False)
class PackagedModel:
    """A model in a package.

    Attributes
    ----------
    artifact
        The generated code.
    stack_bytes
        Deepest stack of a run in bytes, counted from its caller's frame; 0 if unknown.
    expected
        CRC-32 of the outputs for samples 0, 1, ...; see :func:`sample_inputs`.
    """

    artifact: Artifact
    stack_bytes: int = 0
    expected: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.artifact.name


def sample_inputs(tensors: Sequence[TensorInfo], index: int) -> list[np.ndarray]:
    """Generate the input data that firmware also generates, so that none need be transmitted.

    Parameters
    ----------
    tensors
        Inputs of the model.
    index
        Number of the sample; 0 is the ``ramp`` of `tvmtiny.make_inputs`.

    Returns
    -------
    list of numpy.ndarray
        One array for each input: element ``i`` has the bits ``(37 * i + 101 * index + 11) & 0xff``
        as int8 or uint8; float32 is that int8 divided by 128.
    """
    arrays = []
    for tensor in tensors:
        positions = np.arange(int(np.prod(tensor.shape)), dtype=np.int64)
        bits = ((37 * positions + 101 * index + 11) & 0xFF).astype(np.uint8)
        dtype = np.dtype(tensor.dtype)
        signed = bits.view(np.int8)
        if dtype.kind == "f":
            values = (signed / 128).astype(dtype)
        else:
            values = bits if dtype == np.uint8 else signed.astype(dtype)
        arrays.append(values.reshape(tensor.shape))
    return arrays


def expected_checksums(
    artifact: Artifact, reference: Callable[[list[np.ndarray]], Sequence[np.ndarray]]
) -> tuple[int, ...]:
    """Compute the checksums with which firmware verifies its outputs.

    Parameters
    ----------
    artifact
        The model.
    reference
        Computes the outputs for given inputs.

    Returns
    -------
    tuple of int
        CRC-32 of the concatenated outputs, one for each sample. Empty if an output is float, which
        may differ from the reference in the last bits.
    """
    if any(np.dtype(tensor.dtype).kind == "f" for tensor in artifact.outputs):
        return ()
    checksums = []
    for index in range(SAMPLES):
        outputs = reference(sample_inputs(artifact.inputs, index))
        little = [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in outputs]
        checksums.append(zlib.crc32(b"".join(little)))
    return tuple(checksums)


def render(name: str, **values: Any) -> str:
    """Render a template of this package."""
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> jinja2.Environment:
    templates = resources.files("tvmtiny.project").joinpath("templates")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: templates.joinpath(*name.split("/")).read_text(encoding="utf-8")
        ),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["string_literal"] = _string_literal
    environment.filters["elements"] = math.prod
    environment.filters["c_type"] = c_type
    environment.globals["macro_stem"] = macro_stem
    environment.filters["ramp"] = _ramp
    return environment


def _ramp(dtype: str, index: str) -> str:
    """Return element `index` of the ``ramp`` of `tvmtiny.make_inputs` as a C or C++ expression."""
    bits = f"37u * {index} + 11u"
    if dtype == "bool":
        return f"(({bits}) & 0xffu) != 0u"
    if dtype in ("int8", "uint8"):
        return f"({c_type(dtype)})({bits})"
    value = f"({c_type(dtype)})(int8_t)({bits})"
    return f"{value} / 128" if dtype.startswith("float") else value


def _string_literal(text: str) -> str:
    # JSON's escapes for ASCII match C's, except for control characters and trigraphs.
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return json.dumps(plain).replace("??", '?""?')


def package_files(models: Sequence[PackagedModel], table: str | None = None) -> dict[str, str]:
    """Return the files of a package by name.

    Parameters
    ----------
    models
        One or more models with distinct names.
    table
        Name of an additional C file, supplied by the caller, with the table of models.

    Raises
    ------
    InputError
        There is no model, or two models have the same name.
    """
    if not models:
        raise InputError("there is no model to package; name one or more")
    files: dict[str, str] = {}
    for model in models:
        for name, text in model.artifact.files.items():
            if files.setdefault(name, text) != text:
                raise InputError(f"two models would both write {name}; give them different names")
    sources = [name for name in files if name.endswith(".c")]
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise InputError(f"the models {', '.join(names)} need different names")
    values: Mapping[str, Any] = {"sources": sources, "table": table}
    files["sources.cmake"] = render("sources.cmake.j2", **values)
    files["tvmtiny_models-config.cmake"] = render("package.cmake.j2", **values)
    files["CMakeLists.txt"] = render("CMakeLists.txt.j2", **values)
    files["tvmtiny_models.mk"] = render("models.mk.j2", **values)
    return files
