"""Base class of operators that only move elements."""

from __future__ import annotations

from typing import ClassVar

from tvmtiny.ops.shared.operator import Operator


class Moving(Operator):
    """An operator that copies elements whatever they mean, so that it needs no scales."""

    dtypes: ClassVar[tuple[str, ...]] = (
        "int8",
        "uint8",
        "int16",
        "int32",
        "int64",
        "float32",
        "bool",
    )
    needs_scale: ClassVar[bool] = False
    exactness: ClassVar[str] = "bit-exact (values are copied)"
