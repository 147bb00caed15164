"""Functions in assembly tell GCC which registers and memory they change."""

from __future__ import annotations

import re
from pathlib import Path

import tvmtiny

_KERNELS = Path(tvmtiny.__file__).parent / "runtime" / "kernels"
#: A function that consists of assembly, up to the end of its body.
_FUNCTION = re.compile(r"naked\b[^{]*\{(.*?)\n\s*\}", re.DOTALL)


def test_clobbers_are_stated() -> None:
    """GCC's -fipa-ra keeps values in registers that it does not see a local function change."""
    silent, count = [], 0
    for header in sorted(_KERNELS.rglob("*.h")):
        for body in _FUNCTION.findall(header.read_text(encoding="utf-8").replace("\\\n", "\n")):
            count += 1
            if '"memory"' not in body and "TVMTINY_RVV_CHANGED" not in body:
                silent.append(header.name)
    assert count > 5 and silent == []
