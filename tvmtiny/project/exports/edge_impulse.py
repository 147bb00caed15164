"""Export as the C++ file that Edge Impulse's inferencing SDK runs instead of its own engine.

The SDK calls a compiled model through five functions (init, input, output, invoke and reset) that
are named after the learning block. Its deployments compile ``tflite-model/*.cpp`` and no other
files there, so the export is a single C++ file that contains all of the generated C.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.project.exports.library import Files, Format, Package

#: Types by name, as in TfLiteType of the C API.
_TYPES = {
    "bool": "kTfLiteBool",
    "float32": "kTfLiteFloat32",
    "int8": "kTfLiteInt8",
    "int16": "kTfLiteInt16",
    "int32": "kTfLiteInt32",
    "int64": "kTfLiteInt64",
    "uint8": "kTfLiteUInt8",
}

_INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def _write(package: Package) -> Files:
    if len(package.artifacts) != 1:
        raise InputError(
            f"Edge Impulse's SDK takes one model per file, not {len(package.artifacts)}; export "
            "each by itself, with the SDK's name as --library-name"
        )
    (model,) = package.artifacts
    prefix = package.library.name
    if not _IDENTIFIER.fullmatch(prefix):
        raise InputError(
            "the library's name is the prefix of the SDK's functions and cannot be "
            f"{quoted(prefix)}; give the name of the replaced file, such as tflite_learn_5"
        )
    if model.external:
        change = "io=arena (--io arena), the default"
        if model.stream is not None and model.stream.mode.pushes:
            change = f"stream=none or inside, not {model.stream.mode.value}"
        raise InputError(
            "Edge Impulse's SDK writes a whole input into the model's arena; compile the model "
            f"with {change}"
        )
    unknown = [t for t in (*model.inputs, *model.outputs) if t.dtype not in _TYPES]
    if unknown:
        raise InputError(
            f"Edge Impulse's SDK has no type for {unknown[0].name}, which is {unknown[0].dtype}; "
            f"allowed: {', '.join(_TYPES)}"
        )
    text = package.render(
        "edge_impulse.cpp.j2",
        model=model,
        prefix=prefix,
        types=_TYPES,
        code=one_unit(package.sources()),
    )
    return {f"tflite-model/{prefix}_compiled.cpp": text}


def one_unit(files: Mapping[str, str]) -> str:
    """Join C files and their headers into one translation unit.

    Parameters
    ----------
    files
        Sources, and the headers that they include with quotes, by name. Includes of other headers
        are kept.
    """
    seen: set[str] = set()

    def expanded(name: str) -> str:
        def header(match: re.Match[str]) -> str:
            if match[1] not in files:
                return match[0]
            if match[1] in seen:
                return f"/* {match[1]} is above. */"
            seen.add(match[1])
            return expanded(match[1])

        return f"/* {name} */\n{_INCLUDE.sub(header, files[name]).rstrip()}\n"

    return "\n".join(expanded(name) for name in files if name.endswith(".c"))


EDGE_IMPULSE = Format(
    "edge-impulse", "for Edge Impulse's inferencing SDK", _write, library_name="trained_model"
)
