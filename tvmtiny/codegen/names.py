"""Names in C: of types, and of struct fields for tensors, whose own names can be anything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from tvmtiny.frontend.model import identifier

# Keywords of C and C++ in lower case, and macros that compilers predefine.
_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
constinit continue decltype default delete do double dynamic_cast else enum explicit export extern
false float for friend goto if inline int linux long mutable namespace new noexcept not not_eq
nullptr operator or or_eq private protected public register reinterpret_cast requires restrict
return short signed sizeof static static_assert static_cast struct switch template this
thread_local throw true try typedef typeid typename typeof union unix unsigned using virtual void
volatile wchar_t while xor xor_eq
"""
_RESERVED = frozenset(_KEYWORDS.split())

_TYPES = {"bool": "bool", "float32": "float", "float64": "double"}


def c_type(dtype: str) -> str:
    """The type of an element."""
    return _TYPES.get(dtype, f"{dtype}_t")


def field_names(tensors: Sequence[str]) -> list[str]:
    """Distinct C identifiers for tensor names.

    A name that is not the only one of its kind gets its position as a suffix.
    """
    names = [_field(tensor) for tensor in tensors]
    taken = {name for name in names if names.count(name) == 1}
    unique = []
    for position, name in enumerate(names):
        if names.count(name) > 1:
            name = next(c for c in (f"{name}_{k}" for k in count(position)) if c not in taken)
            taken.add(name)
        unique.append(name)
    return unique


def _field(tensor: str) -> str:
    name = identifier(tensor)
    # `identifier` gives no trailing underscore, so that this is no other tensor's name.
    return f"{name}_" if name in _RESERVED else name
