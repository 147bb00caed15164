"""Options of custom operators: a map in the format of FlexBuffers."""

from __future__ import annotations

from typing import Any

from flatbuffers import flexbuffers

#: Of a map of numbers.
_MOST_BYTES = 4096


def custom_options(content: bytes) -> dict[str, Any]:
    """The numbers and truth values among the options of a custom operator.

    Parameters
    ----------
    content
        Of the field ``customOptions``.

    Returns
    -------
    dict
        Empty where the content is no map, or damaged: the operator misses options then.
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
    # Whatever its reader stumbles over in a damaged buffer.
    except Exception:
        return {}
