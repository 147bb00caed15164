"""Decode RISC-V code to instructions with the operations under which their timing is listed.

Operations are the rows of the timing tables. Any other instruction is ``unlisted``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import capstone
from capstone import riscv_const

from tvmtiny.targets.architectures.record import UNLISTED, Instruction

__all__ = ["OPERATIONS", "decode"]

_WORDS = {
    "computation": """
        add addi and andi auipc lui or ori sll slli slt slti sltiu sltu sra srai srl srli sub xor
        xori nop li mv neg not seqz snez sgtz sltz""",
    "multiply": "mul",
    "multiply_high": "mulh mulhsu mulhu",
    "divide": "div divu rem remu",
    "load": "lb lbu lh lhu lw lwsp",
    "store": "sb sh sw swsp",
    "branch": """
        beq bne blt bge bltu bgeu beqz bnez bgez bgtz blez bltz""",
    "jump": "jal jalr j jr ret",
    "csr": "csrrw csrrs csrrc csrrwi csrrsi csrrci csrr csrw",
    "fence": "fence fence.i",
}
_OPERATIONS: Mapping[str, str] = {
    name: operation for operation, names in _WORDS.items() for name in names.split()
}

#: All operations that `decode` may return, except `UNLISTED`.
OPERATIONS = frozenset(_WORDS)

#: Major opcodes OP and OP-IMM: computations on registers, and with an immediate.
_COMPUTES = frozenset({0x33, 0x13})

_BRANCHES = frozenset({"branch", "jump"})
# Compressed instructions whose name behind "c." differs from that of the full instruction.
_COMPRESSED = {
    "addi16sp": "addi",
    "addi4spn": "addi",
    "lwsp": "lw",
    "swsp": "sw",
    "nop": "addi",
}


@functools.cache
def _decoder() -> Any:
    mode = capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC
    decoder = capstone.Cs(capstone.CS_ARCH_RISCV, mode)
    decoder.detail = True
    return decoder


def decode(code: bytes, address: int) -> Iterator[Instruction]:
    """Decode straight-line code.

    Parameters
    ----------
    code
        Instructions of RV32IMC, Zba and Zbb, little-endian.
    address
        Address of the first instruction, in bytes.

    Yields
    ------
    Instruction
        Each instruction in turn. One that Capstone cannot decode is ``unlisted`` but counted,
        because the lowest two bits determine its length.
    """
    offset = 0
    while offset < len(code):
        size = 4 if code[offset] & 3 == 3 else 2
        word = code[offset : offset + size]
        found = next(_decoder().disasm(word, address + offset, 1), None)
        if found is None and word[0] & 0x7F in _COMPUTES:
            # Capstone supports neither Zba nor Zbb.
            yield Instruction("computation", "computation", size)
        elif found is None or found.size != size:
            yield Instruction(f"{word.hex()} (not decoded)", UNLISTED, size)
        else:
            yield _instruction(found)
        offset += size


def _instruction(found: Any) -> Instruction:
    short = found.mnemonic.removeprefix("c.")
    name = _COMPRESSED.get(short, short) if short != found.mnemonic else short
    operation = _OPERATIONS.get(name, UNLISTED)
    registers = [o.reg for o in found.operands if o.type == riscv_const.RISCV_OP_REG]
    address = frozenset(
        o.mem.base for o in found.operands if o.type == riscv_const.RISCV_OP_MEM and o.mem.base
    )
    writes = registers[:1] if operation not in ("store", "branch", UNLISTED) else []
    # Compressed computations also read their destination.
    reads = registers if short != found.mnemonic or not writes else registers[1:]
    return Instruction(
        name,
        operation,
        found.size,
        reads=frozenset(reads),
        writes=frozenset(writes),
        address=address,
        branches=operation in _BRANCHES,
    )
