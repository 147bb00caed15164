"""Decode Thumb code to instructions with the operations under which their timing is listed.

Operations are the rows of the timing tables. Any other instruction is ``unlisted``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import capstone
from capstone import arm_const

from tvmtiny.targets.architectures.arm.helium import decode_helium
from tvmtiny.targets.architectures.record import UNLISTED, Instruction

__all__ = ["OPERATIONS", "decode"]

_WORDS = {
    "data_processing": """
        adc add addw adr and asr bfc bfi bic clz cmn cmp eor lsl lsr mov movs movt movw mvn neg orn
        orr rbit rev rev16 revsh ror rrx rsb rsc sbc sbfx sub subs subw sxtb sxth teq tst ubfx uxtb
        uxth""",
    "saturating_or_packed": """
        ssat usat ssat16 usat16 qadd qsub qdadd qdsub qadd8 qadd16 qasx qsax qsub8 qsub16 uqadd8
        uqadd16 uqasx uqsax uqsub8 uqsub16 sadd8 sadd16 sasx ssax ssub8 ssub16 uadd8 uadd16 uasx
        usax usub8 usub16 shadd8 shadd16 shasx shsax shsub8 shsub16 uhadd8 uhadd16 uhasx uhsax
        uhsub8 uhsub16 sel pkhbt pkhtb sxtb16 uxtb16 sxtab sxtah uxtab uxtah sxtab16 uxtab16 usad8
        usada8""",
    "multiply": "mul",
    "multiply_accumulate": "mla mls",
    "multiply_long": "smull umull",
    "multiply_accumulate_long": "smlal umlal umaal",
    "multiply_halfwords": """
        smulbb smulbt smultb smultt smulwb smulwt smlabb smlabt smlatb smlatt smlawb smlawt smuad
        smuadx smusd smusdx smlad smladx smlsd smlsdx smmul smmulr smmla smmlar smmls smmlsr""",
    "multiply_halfwords_long": """
        smlalbb smlalbt smlaltb smlaltt smlald smlaldx smlsld smlsldx""",
    "divide": "sdiv udiv",
    "load": """
        ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht ldrex ldrexb ldrexh lda ldab ldah
        ldaex ldaexb ldaexh""",
    "store": "str strb strh strt strbt strht strex strexb strexh stl stlb stlh stlex stlexb stlexh",
    "load_double": "ldrd",
    "store_double": "strd",
    "load_multiple": "ldm ldmdb pop",
    "store_multiple": "stm stmdb push",
    "branch": "b",
    "branch_link": "bl",
    "branch_register": "bx",
    "branch_link_register": "blx",
    "compare_and_branch": "cbz cbnz",
    "table_branch": "tbb tbh",
    "if_then": "it",
    "read_special_register": "mrs",
    "write_special_register": "msr",
    "change_state": "cps",
    "barrier": "dmb dsb",
    "instruction_barrier": "isb",
    "hint": "hint nop yield sev pld pldw pli",
    "fp_load": "vldr",
    "fp_store": "vstr",
    "fp_load_multiple": "vldmia vldmdb vpop",
    "fp_store_multiple": "vstmia vstmdb vpush",
    "fp_move": "vmov",
    "fp_status": "vmrs vmsr fmstat",
    "fp_arithmetic": """
        vabs vadd vsub vneg vmaxnm vminnm vselge vselgt vseleq vselvs""",
    "fp_compare": "vcmp vcmpe",
    "fp_convert": """
        vcvt vcvtr vcvta vcvtb vcvtm vcvtn vcvtp vcvtt vrinta vrintm vrintn vrintp vrintr vrintx
        vrintz""",
    "fp_multiply": "vmul vnmul",
    "fp_multiply_accumulate": "vmla vmls vnmla vnmls vfma vfms vfnma vfnms",
    "fp_divide": "vdiv",
    "fp_square_root": "vsqrt",
}
_OPERATIONS: Mapping[str, str] = {
    name: operation for operation, names in _WORDS.items() for name in names.split()
}

#: All operations that `decode` may return, except `UNLISTED`.
OPERATIONS = frozenset(_WORDS) | {
    "data_processing_to_pc",
    "load_to_pc",
    "load_multiple_to_pc",
    "store_immediate",
    "branch_conditional",
    "fp_load_double",
    "fp_store_double",
    "fp_load_multiple_doubles",
    "fp_store_multiple_doubles",
    "fp_move_core",
}

_BRANCHES = frozenset(
    {
        "branch",
        "branch_conditional",
        "branch_link",
        "branch_register",
        "branch_link_register",
        "compare_and_branch",
        "table_branch",
        "data_processing_to_pc",
        "load_to_pc",
        "load_multiple_to_pc",
    }
)
_PC = arm_const.ARM_REG_PC
_UNCONDITIONAL = (arm_const.ARM_CC_INVALID, arm_const.ARM_CC_AL)
_CORE_REGISTERS = frozenset(getattr(arm_const, f"ARM_REG_R{number}") for number in range(16))
# Values of the first five bits that mark a 32-bit instruction.
_WIDE = (0b11101, 0b11110, 0b11111)


@functools.cache
def _decoder() -> Any:
    mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, mode)
    decoder.detail = True
    return decoder


def decode(code: bytes, address: int) -> Iterator[Instruction]:
    """Decode straight-line code.

    Parameters
    ----------
    code
        Thumb instructions, little-endian.
    address
        Address of the first instruction, in bytes.

    Yields
    ------
    Instruction
        Each instruction in turn. One that Capstone cannot decode is ``unlisted`` but counted,
        because the first halfword determines its length.
    """
    offset = 0
    while offset < len(code):
        first = int.from_bytes(code[offset : offset + 2], "little")
        size = 4 if first >> 11 in _WIDE else 2
        word = code[offset : offset + size]
        second = int.from_bytes(word[2:], "little")
        vector = decode_helium(first, second) if size == 4 else None
        if vector is not None:
            yield vector
            offset += size
            continue
        found = next(_decoder().disasm(word, address + offset, 1), None)
        if found is None or found.size != size:
            yield Instruction(f"{word.hex()} (not decoded)", UNLISTED, size)
        else:
            yield _instruction(found)
        offset += size


def _instruction(found: Any) -> Instruction:
    name = _decoder().insn_name(found.id)
    operands = found.operands
    registers = [o.reg for o in operands if o.type == arm_const.ARM_OP_REG]
    operation = _operation(name, found, registers)
    reads, writes = found.regs_access()
    return Instruction(
        name,
        operation,
        found.size,
        _list_length(name, registers),
        frozenset(reads),
        frozenset(registers[:1] if operation == "load" else writes),
        _address(name, operands, registers),
        operation in _BRANCHES,
    )


def _operation(name: str, found: Any, registers: list[int]) -> str:
    operation = _OPERATIONS.get(name, UNLISTED)
    if operation in ("data_processing", "load") and registers[:1] == [_PC]:
        return f"{operation}_to_pc"
    if operation == "load_multiple" and _PC in registers:
        return "load_multiple_to_pc"
    # Instructions are decoded one by one, so the condition of an IT block is not visible here.
    if operation == "branch" and found.cc not in _UNCONDITIONAL:
        return "branch_conditional"
    if operation == "store" and not any(o.mem.index for o in _memory(found.operands)):
        return "store_immediate"
    doubles = any(_is_double(register) for register in registers)
    if operation in ("fp_load", "fp_store") and doubles:
        return f"{operation}_double"
    if operation in ("fp_load_multiple", "fp_store_multiple") and doubles:
        return f"{operation}_doubles"
    if operation == "fp_move" and not _CORE_REGISTERS.isdisjoint(registers):
        return "fp_move_core"
    return operation


def _memory(operands: Iterable[Any]) -> Iterator[Any]:
    return (o for o in operands if o.type == arm_const.ARM_OP_MEM)


def _is_double(register: int) -> bool:
    return arm_const.ARM_REG_D0 <= register <= arm_const.ARM_REG_D31


def _list_length(name: str, registers: list[int]) -> int:
    if name in ("push", "pop", "vpush", "vpop"):
        return len(registers)
    # The base register is the first operand.
    return len(registers) - 1 if name.startswith(("ldm", "stm", "vldm", "vstm")) else 0


def _address(name: str, operands: Iterable[Any], registers: list[int]) -> frozenset[int]:
    parts = {part for o in _memory(operands) for part in (o.mem.base, o.mem.index) if part}
    if name.startswith(("ldm", "stm", "vldm", "vstm")):
        parts.add(registers[0])
    return frozenset(parts)
