"""Names of files and tensors that break programs which mistake them for something else."""

from __future__ import annotations

import os

import numpy as np
from tflite_builder import ModelBuilder

#: Names by the kind of mistake. Undecodable bytes are surrogates, as in Python's own file names.
NAMES = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "up": "../../up",
    "option": "-o",
    "long option": "--help",
    "dashes": "--",
    "space": " a  b ",
    "newline": "new\nline",
    "carriage return": "all\rof it",
    "tab": "a\tb",
    "controls": "\x01\x07\x08\x0b\x7f\x85",
    "escape": "e\x1b[31mred\x1b]0;title\x07\x9b2J",
    "quotes": "a\"b'c",
    "substitution": "$(touch pwned)`touch pwned`${x}$$",
    "separators": "a;b&c|d>e<f(g)",
    "make": "%s%n %: #x $@",
    "template": "{{ x }}{% raw %}[bold]*?",
    "backslash": "a\\b\\",
    "comment": "*/ #error x /*",
    "line comment": "x // y ??/",
    "markup": "<b>&amp;</script><!--",
    "long": "x" * 247,
    "long words": "Ab $(x) " * 30,
    "unicode": "n\u00e4me \u540d\u524d \U0001f600",
    "combining": "a" + "\u0301" * 40,
    "right to left": "\u202e\u05d0\u2067reversed",
    "no width": "\u200b\ufeff\u2028",
    "undecodable": "\udcff\udc80x",
    "header": "stdint",
    "POSIX header": "signal",
    "program": "main",
    "C keyword": "int",
    "C++ keyword": "class",
    "macro": "INT32_MAX",
    "device": "con",
    "runtime": "tvmtiny_rpc",
    "digits": "123",
}

#: Characters that a file's name cannot hold.
_NO_FILE = {".": "._", "..": ".._", "../../up": "up", "a\\b\\": "a\\b\\"}


def file_name(name: str, suffix: str) -> str:
    """Turn `name` into a file's name, as far as file systems allow."""
    return f"{_NO_FILE.get(name, name).replace('/', '_')[: 255 - len(suffix)]}{suffix}"


def strays(text: str) -> str:
    """The characters in a command's output that a terminal would interpret or hide."""
    return "".join(sorted({c for c in text if not c.isprintable() and c != "\n"}))


def network(
    dtype: str, tensors: tuple[str, str, str], signature: tuple[str, str] | None = None
) -> bytes:
    """A dense layer and a RELU.

    Parameters
    ----------
    dtype
        int8 or float32.
    tensors
        Names of the input, of the tensor in between and of the output.
    signature
        Names of the input and the output in the signature.
    """
    b = ModelBuilder()
    whole = dtype == "int8"

    def scales(value: float) -> dict[str, float]:
        return {"scale": value} if whole else {}

    # Flatbuffers accept any bytes.
    first, between, last = (os.fsencode(name) for name in tensors)
    x = b.input(first, (1, 8), dtype, **scales(0.1))  # type: ignore[arg-type]
    values = np.arange(32).reshape(4, 8) % 7 - 3
    w = b.constant("w", values.astype(dtype), **scales(0.05))
    start = np.arange(4).astype("int32" if whole else dtype)
    bias = b.constant("bias", start, **scales(0.005))
    y = b.tensor(between, (1, 4), dtype, **scales(0.2))  # type: ignore[arg-type]
    z = b.tensor(last, (1, 4), dtype, **scales(0.2))  # type: ignore[arg-type]
    b.op("FULLY_CONNECTED", [x, w, bias], [y], {})
    b.op("RELU", [y], [z])
    if signature is not None:
        inner, outer = (os.fsencode(name) for name in signature)
        b.signature([(inner, x)], [(outer, z)])  # type: ignore[list-item]
    return b.build([z])
