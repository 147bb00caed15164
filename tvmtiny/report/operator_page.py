"""Generate the docs' table of supported operators and dtypes, compared with LiteRT and TFLM."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from textwrap import fill
from typing import Any

from tvmtiny.frontend.legacy import UINT8_OPERATORS
from tvmtiny.ops import Operator, operators

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["operator_page"]

_HEAD = """\
# Supported operators

Written by `scripts/operator_table.py` from the operators in `tvmtiny/ops`. Do not edit.

tvmtiny accepts every padding, stride, dilation, fused activation, and per-tensor or per-channel
scale that TFLite allows for an operator. Everything else is refused when the model is loaded, with
all problems in one message; `tvmtiny inspect MODEL` lists the problems of each operator.

"Bit-exact" means the same bytes as LiteRT's reference kernels, or as TensorFlow Lite for
Microcontrollers with `--oracle tflm`. Weights and biases must be constants; int8 weights require
an int32 bias.

When a model is loaded, float16 constants behind `DEQUANTIZE` become float32, and sparse constants
become dense. Models in uint8, which converters wrote before 2020, become int8 models: the values
inside are 128 less, results are those of LiteRT's uint8 kernels, and inputs and outputs stay uint8
in C and in Python.

The columns LiteRT and TFLM show the dtypes that their kernels run. `scripts/kernel_types.py`
determined them with a model of one operator for each dtype, with
{versions}. "=" means the same dtypes as tvmtiny, "-" means none, and
an empty cell means that the operator was not tried.

"""

#: Paragraphs that follow the table.
_REST = (
    "## What others have",
    "TFLM registers no operator that is not in the table{tflm}. `CALL_ONCE` and `VAR_HANDLE` need "
    "no code: variables become states of the model. A float `BIDIRECTIONAL_SEQUENCE_LSTM` becomes "
    "two `UNIDIRECTIONAL_SEQUENCE_LSTM` and the operators that reverse and join their steps. Two "
    "kinds of TFLM's custom operators are not supported: `TFLM_DECODE`, which expands constants "
    "that TFLM's own tool compressed (compile the model from before that step), and commands of "
    "NPUs such as `ethos-u`.",
    "A `WHILE` becomes a loop in C around the calls of its operators, so code and constants do not "
    "depend on the number of iterations. This number must follow from constants, as it does in "
    "recurrent layers of Keras, and shapes must not change between iterations. If the body returns "
    "one of its inputs, unchanged, as a later value of the loop, LiteRT's loop uses the value of "
    "the next iteration; tvmtiny and TFLM use the value of the current one.",
    "dtypes that TFLM's kernels run and tvmtiny's do not: {dtypes}. For dtypes without a kernel in "
    "LiteRT, results are TFLM's with either oracle. TFLM's logical operators ignore dtypes; those "
    "of tvmtiny require bool.",
    "TFLM computes `UNIDIRECTIONAL_SEQUENCE_LSTM` differently from LiteRT, and for other dtypes. "
    "With `--oracle tflm`, a layer without peepholes, projection and coupled gates has TFLM's "
    "results. With either oracle, such a layer has TFLM's results if LiteRT cannot compute it: "
    "with int16, and with a scale of the cells above 2^-9 or below 2^-15. Layers with peepholes, "
    "projection or coupled gates have LiteRT's results with either oracle. Layer normalization is "
    "refused.",
    "With int16 activations, the slopes of a `PRELU` must be int8: LiteRT treats slopes of any "
    "other dtype as bytes. Weights with blockwise scales are refused: LiteRT has kernels for them "
    "only in its delegates.",
    "Operators that LiteRT registers and that neither TFLM nor tvmtiny has: {litert}.",
)

#: Supported operators that are not registered, because the front end resolves them.
_RESOLVED = frozenset({"BIDIRECTIONAL_SEQUENCE_LSTM", "CALL_ONCE", "VAR_HANDLE"})


def operator_page() -> str:
    """Render the Markdown page with one row for each registered operator."""
    rows: list[Sequence[str]] = [
        ("operator", "activations", "LiteRT", "TFLM", "results"),
        ("---", "---", "---", "---", "---"),
    ]
    rows += [_row(operator) for operator in operators()]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    others = _others()
    known = {operator.name for operator in operators()} | _RESOLVED
    tflm, litert = (
        [name for name in others["operators"][engine] if name not in known]
        for engine in ("tflm", "litert")
    )
    fields = {
        "tflm": f" but {_names(tflm)}" if tflm else "",
        "litert": _names([name for name in litert if name not in tflm]),
        "dtypes": ", ".join(_missing_dtypes()) or "none",
    }
    rest = "".join(f"\n{fill(text.format(**fields), 100)}\n" for text in _REST)
    return _HEAD.format(versions=others["versions"]) + table + rest


@functools.cache
def _others() -> dict[str, Any]:
    file = resources.files(__package__).joinpath("kernels.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _row(operator: Operator) -> tuple[str, ...]:
    own = _dtypes(operator)
    result = "" if operator.result is None else f" (result: {operator.result})"
    others = (_other(engine, operator, own) for engine in ("litert", "tflm"))
    return f"`{operator.name}`", ", ".join(own) + result, *others, operator.exactness


def _dtypes(operator: Operator) -> list[str]:
    """Return the dtypes of activations in files, including uint8 where nodes convert to int8."""
    own = list(operator.dtypes)
    if operator.name in UINT8_OPERATORS and "uint8" not in own:
        own.insert(1, "uint8")
    return own


def _other(engine: str, operator: Operator, own: Sequence[str]) -> str:
    found = _others()[engine].get(operator.name)
    if found is None:
        if operator.name.startswith("CUSTOM:"):
            return "" if engine == "tflm" or operator.in_litert else "-"
        return "" if operator.name in _others()["operators"][engine] else "-"
    if set(found) == set(own):
        return "="
    return ", ".join(found) or "-"


def _missing_dtypes() -> Iterator[str]:
    for operator in operators():
        found = set(_others()["tflm"].get(operator.name, ())) - set(_dtypes(operator))
        if found and not operator.name.startswith("LOGICAL"):
            yield f"`{operator.name}` {' and '.join(sorted(found))}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
