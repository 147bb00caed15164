"""C names of kernels."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tvmtiny.resources import shipped

_TEMPLATES = Path(__file__).parent / "templates"


def kernel_symbol(model: str, function: str) -> str:
    """The C name of a kernel, which is neither one of the runtime nor one of the model's file.

    Parameters
    ----------
    model
        Its name.
    function
        Name of the kernel's PrimFunc: that of the operator, and a number where there are more.
    """
    symbol = f"tvmtiny_{model}_{function}"
    # With SUM, a model called "lstm" would define tvmtiny_lstm_sum; FILL is no way to fill states.
    taken = symbol in _runtime_names() or function in _model_names()
    return f"{symbol}_kernel" if taken else symbol


@cache
def _model_names() -> frozenset[str]:
    """What follows the prefix in the names of a model's own functions and data."""
    texts = [path.read_text(encoding="utf-8") for path in _TEMPLATES.glob("*.j2")]
    return frozenset(name for text in texts for name in re.findall(r"\{\{ prefix \}\}_(\w+)", text))


@cache
def _runtime_names() -> frozenset[str]:
    """Whatever begins with ``tvmtiny_`` in the C of the runtime."""
    texts = [
        path.read_text(encoding="utf-8")
        for pattern in ("*.h", "*.c")
        for path in shipped("runtime").rglob(pattern)
    ]
    return frozenset(name for text in texts for name in re.findall(r"\btvmtiny_\w+", text))
