"""Options of custom operators: maps in the format of FlexBuffers."""

from __future__ import annotations

from typing import Any

from flatbuffers import flexbuffers

#: Largest map of numbers that is read.
_MOST_BYTES = 4096


def custom_options(content: bytes) -> dict[str, Any]:
    """Return the numbers and booleans among the options of a custom operator.

    Parameters
    ----------
    content
        Content of the field ``customOptions``.

    Returns
    -------
    dict
        Options by name; empty if the content is not a map, or is damaged. The operator then reports
        the missing options.
    """
    if not 3 <= len(content) <= _MOST_BYTES:
        return {}
    try:
        root = flexbuffers.GetRoot(content)
        if not root.IsMap:
            return {}
        entries = root.AsMap
        found: dict[str, Any] = {}
        for key, value in zip(entries.Keys, entries.Values, strict=True):
            if value.IsBool:
                found[str(key.AsKey)] = bool(value.AsBool)
            elif value.IsInt:
                found[str(key.AsKey)] = int(value.AsInt)
            elif value.IsFloat:
                found[str(key.AsKey)] = float(value.AsFloat)
        return found
    # The reader raises exceptions of many types for a damaged buffer.
    except Exception:
        return {}
