"""C names of kernels."""

from __future__ import annotations

import re
from functools import cache

from tvmtiny.resources import shipped


def kernel_symbol(model: str, function: str) -> str:
    """The C name of a kernel, which is no name of the runtime.

    Parameters
    ----------
    model
        Its name.
    function
        Name of the kernel's PrimFunc: that of the operator, and a number where there are more.
    """
    symbol = f"tvmtiny_{model}_{function}"
    # With SUM, a model called "lstm" would define tvmtiny_lstm_sum.
    return f"{symbol}_kernel" if symbol in _runtime_names() else symbol


@cache
def _runtime_names() -> frozenset[str]:
    """Whatever begins with ``tvmtiny_`` in the C of the runtime."""
    texts = [
        path.read_text(encoding="utf-8")
        for pattern in ("*.h", "*.c")
        for path in shipped("runtime").rglob(pattern)
    ]
    return frozenset(name for text in texts for name in re.findall(r"\btvmtiny_\w+", text))
