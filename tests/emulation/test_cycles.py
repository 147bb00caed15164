"""Cycle estimates of hand-assembled code, against the examples and tables of the manuals."""

from __future__ import annotations

import pytest

from tvmtiny.emulation.cycles import Cost, block_cost, timed_cores, timings
from tvmtiny.emulation.cycles.table import parse_timings
from tvmtiny.targets import cpus
from tvmtiny.targets.architectures.arm import helium
from tvmtiny.targets.architectures.arm.thumb import OPERATIONS, decode
from tvmtiny.targets.architectures.record import UNLISTED, Instruction
from tvmtiny.targets.architectures.riscv import code as riscv

# Source, machine code, and cycles when the branch at the end is taken.
LOADS_AND_STORES = [
    # The four examples of ARM DDI 0439, section 3.3.2.
    ("ldr r0,[r1]; ldr r1,[r2]", "08681168", 3),
    ("ldr r0,[r1,r2]; str r0,[r3,#20]", "88585861", 3),
    ("ldr r0,[r1,r2]; str r1,[r3,r2]", "88589950", 3),
    ("ldr r0,[r1,r5]; ldr r1,[r2]; ldr r2,[r3,#4]", "485911685a68", 4),
    # Statements in the rest of that section.
    ("ldr r0,[r1]; ldr r2,[r0]", "08680268", 4),
    ("ldr r0,[r1],#4; ldr r2,[r1],#4", "51f8040b51f8042b", 3),
    ("str r0,[r1,r2]; ldr r3,[r4]", "88502368", 4),
    ("str r0,[r1,#4]; ldr r3,[r4]", "48602368", 3),
    ("adds r1,#4; ldr r0,[r1]", "04310868", 4),
    ("adds r1,#4; ldr r0,[r2]", "04311068", 3),
    ("ldrd r0,r1,[r2]; ldr r3,[r4]", "d2e900012368", 5),
    ("strd r0,r1,[r2]", "c2e90001", 3),
    ("stm r0!,{r1-r8}", "a0e8fe01", 9),
    ("ldr pc,[r0]", "d0f800f0", 5),
    ("tbb [r0,r1]", "d0e801f0", 6),
]
CORTEX_M4 = [
    *LOADS_AND_STORES,
    ("push {r4-r7,lr}", "f0b5", 6),
    ("pop {r4-r7,pc}", "f0bd", 8),
    ("cmp r0,#0; it eq; moveq r1,r2", "002808bf1146", 2),
    ("cmp.w r0,#0; it eq; moveq r1,r2", "b0f1000f08bf1146", 3),
    ("subs r0,#1; bne .-2", "0138fdd1", 4),
    ("cbz r0,.+8", "10b1", 3),
    ("b .+8", "02e0", 3),
    ("bl .+8", "00f002f8", 3),
    ("bx lr", "7047", 3),
    ("smmla r0,r1,r2,r3; ssat r0,#8,r0,asr #5", "51fb023020f34710", 2),
    ("udiv r0,r1,r2", "b1fbf2f0", 7),
    ("smull r0,r1,r2,r3", "82fb0301", 1),
    ("smlal r0,r1,r2,r3", "c2fb0301", 1),
    ("mla r0,r1,r2,r3", "01fb0230", 1),
    ("vfma.f32 s0,s1,s2", "a0ee810a", 3),
    ("vdiv.f32 s0,s1,s2", "80ee810a", 14),
    ("vldmia r0!,{s0-s3}", "b0ec040a", 5),
    ("vpush {d8-d9}", "2ded048b", 5),
    ("vldr d0,[r0]", "90ed000b", 3),
    ("vmov s0,r0", "00ee100a", 2),
    ("vmov.f32 s0,s1", "b0ee600a", 1),
    # vadd waits for vmul; the second vadd waits for nothing.
    (
        "vldr s0,[r0]; vmul.f32 s1,s0,s0; vadd.f32 s2,s1,s0; vadd.f32 s3,s0,s0",
        "90ed000a60ee000a30ee801a70ee001a",
        6,
    ),
    # A tile of two pixels and two channels: 16 multiply-accumulates in 10 instructions.
    (
        "ldm r0!,{r4-r7}; ldm r1!,{r8-r11}; 8 smlad",
        "f0c8b1e8000f24fb082225fb092224fb0a3325fb0b3326fb08cc27fb09cc26fb0aee27fb0bee",
        18,
    ),
]
CORTEX_M55 = [
    ("vldrb.8 q0,[r5],#16; vldrw.32 q4,[r5,#-16]", "b5ec101e15ed049f", 3),
    ("vldrb.u8 q7,[r0,q4]", "90fc08ee", 16),
    ("vldrw.u32 q7,[q4,#4]!", "b8fd01fe", 4),
    ("vldrd.u64 q7,[q4,#8]!", "b8fd01ff", 2),
    ("vstrb.32 q7,[r2,q6]", "82ec0cef", 4),
    ("vmladav.s8 r0,q0,q4; vldrb.8 q0,[r5],#16", "f0ee080fb5ec101e", 2),
    ("vmladav.s8 r0,q0,q4; vmladava.s8 lr,q3,q5", "f0ee080ff6ee2aef", 3),
    ("vmla.s32 q0,q2,r11; vmulh.s32 q0,q0,q1", "25ee4b0e21ee030e", 3),
    ("vfma.f32 q0,q4,r5; vqmovnb.s16 q6,q6", "39ee450e33ee0dce", 2),
    ("vadd.i32 q0,q0,q2; vmul.i32 q0,q1,q2", "20ef440822ef5409", 2),
    ("vmov q2[2],q2[0],r0,r4; le lr,.", "14ec004f0ff003c0", 1),
    ("wls lr,r1,.+8; dls lr,r1", "41f003c041f001e0", 2),
    ("vmsr p0,r5; vmrs r12,p0", "edee105afdee10ca", 3),
]
CORTEX_M3 = [
    *LOADS_AND_STORES,
    ("mla r0,r1,r2,r3", "01fb0230", 2),
    ("smull r0,r1,r2,r3", "82fb0301", 5),
    ("smlal r0,r1,r2,r3", "c2fb0301", 7),
    ("muls r0,r1,r0", "4843", 1),
    ("subs r0,#1; bne .-2", "0138fdd1", 4),
]
CORTEX_M0 = [
    ("ldr r0,[r1]; ldr r1,[r2]", "08681168", 4),
    ("ldr r0,[r1,r2]; str r0,[r3,#20]", "88585861", 4),
    ("adds r1,#4; ldr r0,[r1]", "04310868", 3),
    ("muls r0,r1,r0", "4843", 1),
    ("subs r0,#1; bne .-2", "0138fdd1", 4),
    ("b .+8", "02e0", 3),
    ("bl .+8", "00f002f8", 4),
    ("bx lr", "7047", 3),
    ("push {r4,lr}", "10b5", 3),
    ("pop {r4,pc}", "10bd", 6),
    ("mrs r0,primask", "eff31080", 4),
]
CORTEX_M0PLUS = [
    ("ldr r0,[r1]; ldr r1,[r2]", "08681168", 4),
    ("subs r0,#1; bne .-2", "0138fdd1", 3),
    ("b .+8", "02e0", 2),
    ("bl .+8", "00f002f8", 3),
    ("bx lr", "7047", 2),
    ("push {r4,lr}", "10b5", 3),
    ("pop {r4,pc}", "10bd", 5),
    ("mrs r0,primask", "eff31080", 3),
]
RV32IMC = [
    ("mul a0,a0,a1; add a2,a2,a0", "3305b5022a96", 4),
    ("mulh a0,a0,a1; sra a0,a0,a2", "3315b5023355c540", 5),
    ("lb a0,0(a1); sb a0,4(a1)", "038505002382a500", 4),
    ("c.lwsp a0,0(sp); c.swsp a0,4(sp)", "02452ac2", 4),
    ("addi a0,a0,-1; bnez a0,.-4", "1305f5ffe31e05fe", 4),
    ("c.addi a0,-1; c.bnez a0,.-2", "7d157dfd", 4),
    ("jal .+8", "ef008000", 2),
    ("c.jr ra", "8280", 2),
    ("divu a0,a0,a1", "3355b502", 38),
    ("csrr a0,minstret", "732520b0", 1),
]
RV32IMC_ZBA_ZBB = [("sh1add a0,a1,a2; min a0,a0,a1; sext.b a0,a0", "33a5c5203345b50a13154560", 3)]
CASES = [
    (core, *case)
    for core, cases in (
        ("cortex-m0", CORTEX_M0),
        ("cortex-m0plus", CORTEX_M0PLUS),
        ("cortex-m3", CORTEX_M3),
        ("cortex-m4", CORTEX_M4),
        ("cortex-m55", CORTEX_M55),
        ("rv32imc", RV32IMC),
        ("rv32imc_zba_zbb", RV32IMC_ZBA_ZBB),
    )
    for case in cases
]


def instructions(code: str) -> list[Instruction]:
    return list(decode(bytes.fromhex(code), 0x1000))


@pytest.mark.parametrize(("core", "source", "code", "cycles"), CASES)
def test_cycles_of_a_block(core: str, source: str, code: str, cycles: int) -> None:
    decoded = riscv.decode if core.startswith("rv32") else decode
    cost = block_cost(decoded(bytes.fromhex(code), 0x1000), timings(core))
    assert not cost.unlisted
    assert cost.cycles(falls_through=False) == cycles


@pytest.mark.parametrize(("core", "not_taken"), [("cortex-m4", 2), ("cortex-m0", 2)])
def test_branch_that_is_not_taken_costs_one_cycle(core: str, not_taken: int) -> None:
    cost = block_cost(instructions("0138fdd1"), timings(core))
    assert cost.instructions == 2
    assert cost.cycles(falls_through=True) == not_taken < cost.cycles(falls_through=False)


def test_block_without_a_branch_costs_the_same_wherever_it_goes() -> None:
    cost = block_cost(instructions("08681168"), timings("cortex-m4"))
    assert cost.cycles(falls_through=True) == cost.cycles(falls_through=False)


def test_every_instruction_is_counted_even_undecodable_ones() -> None:
    # nop, a 32-bit encoding that is undefined, nop.
    found = instructions("00bfffffffff00bf")
    assert [instruction.operation for instruction in found] == ["hint", UNLISTED, "hint"]
    cost = block_cost(found, timings("cortex-m4"))
    assert cost.instructions == cost.taken == 3
    assert sum(cost.unlisted.values()) == 1


def test_instruction_that_the_core_has_no_row_for_is_unlisted() -> None:
    cost = block_cost(instructions("51fb0230"), timings("cortex-m3"))
    assert dict(cost.unlisted) == {"smmla": 1}


@pytest.mark.parametrize("core", timed_cores())
def test_tables_are_complete_and_say_where_each_row_is_from(core: str) -> None:
    table = timings(core)
    assert table.core == core and core in cpus()
    features = cpus()[core].features
    if cpus()[core].architecture == "riscv":
        assert set(table.rows) == riscv.OPERATIONS
        assert all(
            row.source == "Ibex Reference Guide, pipeline details" for row in table.rows.values()
        )
        assert "Ibex" in table.assumptions[0]
        return
    vectors = helium.OPERATIONS if "mve" in features else frozenset()
    assert set(table.rows) - vectors <= OPERATIONS and vectors <= set(table.rows)
    missing = OPERATIONS - set(table.rows)
    if "thumb2" in features:
        assert not {name for name in missing if not name.startswith(("fp_", "multiply_halfwords"))}
    if "dsp" in features:
        assert not {name for name in missing if not name.startswith("fp_")}
    if "fpu" in features:
        assert not missing
    for name, row in table.rows.items():
        assert row.source.startswith("ARM DDI "), name
        if row.manual is not None:
            assert row.assumed, name
    assert any("wait states" in text for text in table.assumptions)


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m33", "cortex-m55"])
def test_rows_without_a_manual_say_so(core: str) -> None:
    table = timings(core)
    scalar = [row for name, row in table.rows.items() if name not in helium.OPERATIONS]
    assert all("no instruction timings" in (row.assumed or "") for row in scalar)
    assert all(row.assumed for row in table.rows.values())
    assert "no instruction timings" in table.assumptions[0]


@pytest.mark.parametrize(
    ("text", "cost", "cycles"),
    [
        ("2", Cost(2), 2),
        ("1+N", Cost(1, 1), 4),
        ("1+2N", Cost(1, 2), 7),
        ("1+N+P", Cost(1, 1, 1), 6),
        ("P + 3", Cost(3, 0, 1), 5),
    ],
)
def test_cost_expressions(text: str, cost: Cost, cycles: int) -> None:
    assert Cost.parse(text) == cost
    assert cost.cycles(registers=3, refill=2) == cycles


@pytest.mark.parametrize("text", ["", "1+", "1+X", "-1", "1 to 3"])
def test_bad_cost_expressions(text: str) -> None:
    with pytest.raises(ValueError, match="not a sum"):
        Cost.parse(text)


TABLE = """
core = "cortex-m4"
manual = "m"
document = "d"
assumptions = []
refill = { cycles = 2 }
rules = { %s = { cycles = 1, section = "1" } }
timings = { load = { cycles = "%s", section = "1" } }
"""


def test_bad_tables_are_refused() -> None:
    assert parse_timings(TABLE % ("address_stall", "1"), "cortex-m4").rule_cycles("address_stall")
    with pytest.raises(ValueError, match=r"cortex-m4\.toml: load: 'x'"):
        parse_timings(TABLE % ("address_stall", "x"), "cortex-m4")
    with pytest.raises(ValueError, match=r"unknown rules \['magic'\]"):
        parse_timings(TABLE % ("magic", "1"), "cortex-m4")
    with pytest.raises(ValueError, match="must be the file's name"):
        parse_timings(TABLE % ("address_stall", "1"), "cortex-m3")
    with pytest.raises(KeyError):
        timings("cortex-m85")
