"""C names of types and of the struct fields of tensors, whose own names can be any text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from tvmtiny.codegen.labels import labels
from tvmtiny.errors import InputError
from tvmtiny.frontend.names import identifier
from tvmtiny.ops.shared.graph import Graph

# Keywords of C and C++ in lower case, macros that compilers predefine, and lower-case macros
# without arguments that <stdint.h>, <stddef.h> and headers beside the model's define.
_KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
char32_t class co_await co_return co_yield compl complex concept const const_cast consteval
constexpr constinit continue decltype default delete do double dynamic_cast else enum errno
explicit export extern false float for friend goto i386 if imaginary inline int int8_t int16_t
int32_t int64_t intptr_t linux long mips mutable namespace new noexcept noreturn not not_eq
nullptr operator or or_eq private protected ptrdiff_t public register reinterpret_cast requires
restrict return short signed size_t sizeof static static_assert static_cast stderr stdin stdout
struct switch template this thread_local throw true try typedef typeid typename typeof uint8_t
uint16_t uint32_t uint64_t uintptr_t union unix unsigned using virtual void volatile wchar_t while
xor xor_eq
"""
_RESERVED = frozenset(_KEYWORDS.split())

_TYPES = {"bool": "bool", "float32": "float", "float64": "double"}

#: C99 compares the first 63 characters of a name. The shorter limit for labels leaves room for the
#: names of the model and of the macro.
_LONGEST_LABEL = 32
_LONGEST_NAME = 63


@dataclass(frozen=True)
class InterfaceNames:
    """The fields of a model's inputs and outputs, in the order of the model."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def c_type(dtype: str) -> str:
    """Return the C type of an element."""
    return _TYPES.get(dtype, f"{dtype}_t")


def interface_names(
    graph: Graph,
    inputs: Sequence[str] | str | None = None,
    outputs: Sequence[str] | str | None = None,
) -> InterfaceNames:
    """Name the inputs and outputs of a model for C.

    Parameters
    ----------
    graph
        The model's graph.
    inputs, outputs
        Requested names for the first inputs and outputs. All others are named by the model's
        signature, by their tensors, or ``input_<position>``; see `labels`.

    Raises
    ------
    InputError
        If there are more names than tensors, a name is given twice, or a name cannot be used in C
        and C++.
    """
    return InterfaceNames(
        _named("input", [t.name for t in graph.inputs], graph.input_labels, inputs),
        _named("output", [t.name for t in graph.outputs], graph.output_labels, outputs),
    )


def macro_stem(direction: str, position: int, field: str) -> str:
    """Return the stem of a tensor's macros and functions in lower case, such as ``input_image``.

    A field that is already called ``input_0`` is returned unchanged. The trailing underscore of a
    field that would otherwise be a keyword is dropped.
    """
    index = f"{direction}_{position}"
    return index if field == index else f"{direction}_{field.rstrip('_')}"


def _named(
    direction: str,
    tensors: Sequence[str],
    signature: Sequence[str],
    asked: Sequence[str] | str | None,
) -> tuple[str, ...]:
    chosen = [asked] if isinstance(asked, str) else list(asked or ())
    _check(direction, len(tensors), chosen)
    return tuple(field_names(labels(direction, signature, tensors), chosen))


def _check(direction: str, tensors: int, chosen: Sequence[str]) -> None:
    option = f"{direction}_names (--{direction}-name)"
    if len(chosen) > tensors:
        raise InputError(
            f"{option} has {len(chosen)} names, but the model has {tensors} {direction}"
            f"{'' if tensors == 1 else 's'}; give one for each {direction} at most, in the order "
            "that tvmtiny inspect shows"
        )
    for position, name in enumerate(chosen):
        text = name if isinstance(name, str) else ""
        shown = ascii(f"{text[:_LONGEST_NAME]}..." if len(text) > _LONGEST_NAME else name)
        if not re.fullmatch(r"[A-Za-z](_?[A-Za-z0-9])*", text) or len(text) > _LONGEST_NAME:
            raise InputError(
                f"{option}: {shown} is not a valid field name; use letters, digits and single "
                f"underscores between them, a letter first, {_LONGEST_NAME} characters at most"
            )
        if name in _RESERVED:
            raise InputError(f"{option}: {shown} is a keyword of C or C++; use another name")
        if name.lower() in [other.lower() for other in chosen[:position]]:
            raise InputError(
                f"{option}: {shown} is given twice (case is ignored, as macros are in upper case); "
                "give different names"
            )


def field_names(wanted: Sequence[str], chosen: Sequence[str] = ()) -> list[str]:
    """Make distinct C identifiers from the wanted names of tensors.

    A name that occurs more than once gets its position as a suffix.

    Parameters
    ----------
    wanted
        Names of all tensors.
    chosen
        Identifiers that replace the first names unchanged.
    """
    fixed = [name.lower() for name in chosen]
    names = [*fixed, *(_field(text) for text in wanted[len(chosen) :])]
    taken = {*fixed, *(name for name in names if names.count(name) == 1)}
    unique = list(chosen)
    for position, name in list(enumerate(names))[len(chosen) :]:
        if names.count(name) > 1:
            name = next(c for c in (f"{name}_{k}" for k in count(position)) if c not in taken)
            taken.add(name)
        unique.append(name)
    return unique


def _field(text: str) -> str:
    name = identifier(text)[:_LONGEST_LABEL].rstrip("_")
    # `identifier` never ends in an underscore, so no other tensor can have this name.
    return f"{name}_" if name in _RESERVED else name
