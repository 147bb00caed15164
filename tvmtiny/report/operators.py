"""The support table of the docs."""

from __future__ import annotations

from tvmtiny.ops import Operator, operators

_HEAD = """\
# Supported operators

Written by `scripts/operator_table.py` from the operators in `tvmtiny/ops`. Do not edit.

Every padding, stride, dilation, fused activation, and per-tensor or per-channel scale that TFLite
allows for an operator is accepted. What is not is refused when the model is loaded, with all
problems in one message; `tvmtiny inspect MODEL` lists them per operator.

"Bit-exact" compares with the bytes of LiteRT's reference kernels, or of TensorFlow Lite for
Microcontrollers with `--oracle tflm`. Weights and biases are constants; int8 weights take an int32
bias.

"""


def operator_page() -> str:
    """The Markdown page: one row for each operator that is registered."""
    rows = [("operator", "activations", "results"), ("---", "---", "---")]
    rows += [(f"`{o.name}`", _dtypes(o), o.exactness) for o in operators()]
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _dtypes(operator: Operator) -> str:
    result = "" if operator.result is None else f" (result: {operator.result})"
    return ", ".join(operator.dtypes) + result
