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

Every padding, stride, dilation, fused activation, and per-tensor or per-channel scale that TFLite
allows for an operator is accepted. What is not is refused when the model is loaded, with all
problems in one message; `tvmtiny inspect MODEL` lists them per operator.

"Bit-exact" compares with the bytes of LiteRT's reference kernels, or of TensorFlow Lite for
Microcontrollers with `--oracle tflm`. Weights and biases are constants; int8 weights take an int32
bias.

Constants in float16 behind `DEQUANTIZE` become float32, and sparse ones dense, when a model is
loaded. Models of uint8, as converters made them before 2020, become int8 models then: the values
inside are 128 less, results are those of LiteRT's kernels for uint8, and inputs and outputs stay
uint8 in C and in Python.

The columns LiteRT and TFLM say which dtypes their kernels run, as `scripts/kernel_types.py` found
by a model of one operator for each, with {versions}.
"=" stands for ours, "-" for none, and nothing where that was not tried.

"""

#: Paragraphs that follow the table.
_REST = (
    "## What others have",
    "TFLM registers no operator that is not in the table{tflm}. `CALL_ONCE` and `VAR_HANDLE` need "
    "no code: variables become states of the model. A float `BIDIRECTIONAL_SEQUENCE_LSTM` becomes "
    "two `UNIDIRECTIONAL_SEQUENCE_LSTM` and what reverses and joins their steps. Of TFLM's custom "
    "operators two kinds are missing: `TFLM_DECODE`, which expands constants that its own tool "
    "compressed (compile the model from before that step), and commands of NPUs such as `ethos-u`.",
    "A `WHILE` becomes a loop in C around the calls of its operators, so that code and constants "
    "are the same for any number of turns. That number has to follow from constants, as it does in "
    "recurrent layers of Keras, and shapes must stay the same from turn to turn. Where the body "
    "gives one of its inputs, unchanged, as a value that comes later, LiteRT's loop takes the next "
    "turn's value for it; here and in TFLM it is that of the turn.",
    "dtypes that TFLM's kernels run and ours do not: {dtypes}. For those that LiteRT has no kernel "
    "for, results are TFLM's with either oracle. TFLM's logical operators do not look at dtypes; "
    "ours take bool.",
    "TFLM computes `UNIDIRECTIONAL_SEQUENCE_LSTM` in another way than LiteRT, and for other types: "
    "with `--oracle tflm` a layer without peepholes, projection and coupled gates has its results. "
    "So it has with either oracle where LiteRT cannot compute it: int16, and cells with a scale "
    "above 2^-9 or below 2^-15. Layers with these parts are LiteRT's, whatever the oracle. Layer "
    "normalization is refused.",
    "Slopes of a `PRELU` are int8 for int16 activations: LiteRT takes any others for bytes. "
    "Weights with scales by blocks have no kernel in LiteRT but in its delegates, and are refused.",
    "Operators that LiteRT registers and that are in neither: {litert}.",
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
