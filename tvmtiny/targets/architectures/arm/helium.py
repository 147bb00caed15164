"""Decode instructions of Helium (MVE) and low-overhead loops, which Capstone does not support.

Encodings are distinguished only as far as timing requires.
"""

from __future__ import annotations

from tvmtiny.targets.architectures.record import Instruction

__all__ = ["OPERATIONS", "decode_helium"]

#: All operations that `decode_helium` may return.
OPERATIONS = frozenset(
    {
        "loop_end",
        "loop_start",
        "vector_gather",
        "vector_integer",
        "vector_load",
        "vector_move",
        "vector_multiply",
        "vector_scatter",
        "vector_store",
    }
)


def decode_helium(first: int, second: int) -> Instruction | None:
    """Decode a 32-bit instruction.

    Parameters
    ----------
    first, second
        Halfwords of the instruction.

    Returns
    -------
    Instruction or None
        For a gather or scatter, `registers` is the number of its elements. None if the code is not
        an instruction of these extensions.
    """
    operation, elements = _operation(first, second)
    if operation is None:
        return None
    name = operation.replace("_", " ")
    return Instruction(name, operation, 4, elements, branches=operation.startswith("loop"))


def _operation(first: int, second: int) -> tuple[str | None, int]:
    vector = second >> 9 & 7 == 7
    group = first >> 8 & 0xEF
    if first >> 9 & 0x77 == 0x76 and vector:
        return _memory(first, second)
    if group == 0xEE and vector:
        return ("vector_multiply" if _multiplies(first, second) else "vector_integer"), 0
    if group == 0xEF and second & 1 == 0:
        product = second >> 8 & 15 in (9, 12, 13) and second & 0x10 != 0
        return ("vector_multiply" if product else "vector_integer"), 0
    if first & 0xFF90 == 0xEE80 and second & 0xF5F == 0xB10:
        return "vector_integer", 0
    if first & 0xFF80 == 0xF000 and second & 0xF001 == 0xC001:
        return ("loop_end" if first & 0xF == 0xF else "loop_start"), 0
    if first & 0xFFEE == 0xEEEC and second & 0xF10 == 0xA10:
        # VMSR and VMRS with predicates.
        return "vector_move", 0
    if first & 0xFF80 == 0xF000 and second == 0xE001:
        return "loop_start", 0
    if first & 0xFF80 == 0xF000 and second & 0xFFFF == 0xE801:
        return "vector_integer", 0
    return None, 0


def _memory(first: int, second: int) -> tuple[str | None, int]:
    load = bool(first & 0x10)
    if first & 0x1A0 == 0:
        return "vector_move", 0
    if first & 0x120 == 0:
        elements = 16 >> (second >> 7 & 3)
        return ("vector_gather" if load else "vector_scatter"), elements
    if first & 0x1000 and second & 0x1000:
        # Addresses in a vector, of words or double words.
        return ("vector_gather" if load else "vector_scatter"), 2 if second & 0x100 else 4
    return ("vector_load" if load else "vector_store"), 0


def _multiplies(first: int, second: int) -> bool:
    if first & 0xF0 == 0xF0:
        return True
    if first & 0x80 or second & 0x100:
        return False
    # At the largest element size, narrowing moves share the encoding of float products.
    return first & 0x30 != 0x30 or bool(second & 0x40)
