"""C names of kernels."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tvmtiny.resources import shipped

_TEMPLATES = Path(__file__).parent / "templates"


def kernel_symbol(model: str, function: str) -> str:
    """Return a C name for a kernel that collides with no name of the runtime or of the model.

    Parameters
    ----------
    model
        Name of the model.
    function
        Name of the kernel's PrimFunc: the operator, with a number if there are several.
    """
    symbol = f"tvmtiny_{model}_{function}"
    # A model called "lstm" with a SUM would define tvmtiny_lstm_sum, which the runtime has, and a
    # FILL would take the name of the function that fills the states.
    taken = symbol in _runtime_names() or function in _model_names()
    return f"{symbol}_kernel" if taken else symbol


@cache
def _model_names() -> frozenset[str]:
    """Return the suffixes of the names of a model's own functions and data."""
    texts = [path.read_text(encoding="utf-8") for path in _TEMPLATES.glob("*.j2")]
    return frozenset(name for text in texts for name in re.findall(r"\{\{ prefix \}\}_(\w+)", text))


@cache
def _runtime_names() -> frozenset[str]:
    """Return all names in the runtime's C that begin with ``tvmtiny_``, or the ends of longer ones.

    A search for the beginnings of words takes ten times as long.
    """
    texts = [
        path.read_text(encoding="utf-8")
        for pattern in ("*.h", "*.c")
        for path in shipped("runtime").rglob(pattern)
    ]
    return frozenset(name for text in texts for name in re.findall(r"tvmtiny_\w+", text))
