"""Cycles of a basic block: the rows of its instructions, and what each does to the next.

Nothing is known of the instruction before a block, so that its first instruction gets neither a
bonus nor a stall from it. Where it was reached by a branch, that is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tvmtiny.emulation.cycles.table import Timings
from tvmtiny.targets.architectures.architecture import UNLISTED, Instruction

__all__ = ["Block", "BlockCost", "block_cost", "edges_cost"]

#: A basic block: ``size << 32 | address``, both in bytes.
Block = int

# A branch that is not taken, and an instruction that its IT block skips.
_SKIPPED_CYCLES = 1
_UNLISTED_CYCLES = 1

_SINGLE_ACCESSES = frozenset({"load", "store", "store_immediate"})
_ACCESSES = _SINGLE_ACCESSES | {
    "load_to_pc",
    "load_double",
    "store_double",
    "load_multiple",
    "load_multiple_to_pc",
    "store_multiple",
    "fp_load",
    "fp_load_double",
    "fp_load_multiple",
    "fp_load_multiple_doubles",
    "fp_store",
    "fp_store_double",
    "fp_store_multiple",
    "fp_store_multiple_doubles",
}
_COMPUTATIONS = frozenset(
    {
        "data_processing",
        "saturating_or_packed",
        "multiply",
        "multiply_accumulate",
        "multiply_long",
        "multiply_accumulate_long",
        "multiply_halfwords",
        "multiply_halfwords_long",
        "divide",
    }
)
#: Vector instructions by the unit that they keep for two cycles.
_VECTOR_UNITS = {
    "vector_load": "memory",
    "vector_store": "memory",
    "vector_gather": "memory",
    "vector_scatter": "memory",
    "vector_multiply": "multiply",
    "vector_integer": "integer",
    "vector_move": "integer",
}
_FP_COMPUTATIONS = frozenset(
    {
        "fp_arithmetic",
        "fp_convert",
        "fp_multiply",
        "fp_multiply_accumulate",
        "fp_divide",
        "fp_square_root",
    }
)


@dataclass(frozen=True)
class BlockCost:
    """What one execution of a block costs.

    Attributes
    ----------
    instructions
        Number of its instructions.
    taken, not_taken
        Cycles, when the branch at its end is taken or not. They are the same without a branch.
    unlisted
        How often each instruction occurs that no row is for; they count one cycle.
    """

    instructions: int
    taken: int
    not_taken: int
    unlisted: Mapping[str, int]

    def cycles(self, falls_through: bool) -> int:
        """Cycles, when execution goes on right behind the block, or elsewhere."""
        return self.not_taken if falls_through else self.taken


def block_cost(block: Iterable[Instruction], timings: Timings | None) -> BlockCost:
    """Add up the instructions of a block.

    Parameters
    ----------
    block
        Its instructions; only the last may branch.
    timings
        Of the core that runs it; None for no cycles.
    """
    instructions = tuple(block)
    if timings is None:
        return BlockCost(len(instructions), 0, 0, {})
    unlisted: Counter[str] = Counter()
    cycles = own = 0
    before: Instruction | None = None
    for instruction in instructions:
        own = _own_cycles(instruction, timings, unlisted)
        own += _interaction(before, instruction, timings)
        cycles += own
        before = instruction
    ends_in_branch = before is not None and before.branches
    not_taken = cycles - own + _SKIPPED_CYCLES if ends_in_branch else cycles
    return BlockCost(len(instructions), cycles, not_taken, dict(unlisted))


def _own_cycles(instruction: Instruction, timings: Timings, unlisted: Counter[str]) -> int:
    row = timings.rows.get(instruction.operation)
    if row is None or instruction.operation == UNLISTED:
        unlisted[instruction.name] += 1
        return _UNLISTED_CYCLES
    return row.cycles.cycles(instruction.registers, timings.refill)


def _interaction(before: Instruction | None, now: Instruction, timings: Timings) -> int:
    """Cycles that the instruction before adds, or saves where negative."""
    if before is None:
        return 0
    if now.operation == "if_then":
        return -timings.rule_cycles("if_then_folding") if before.size == 2 else 0
    depends = bool(before.writes & now.address)
    if now.operation in _ACCESSES and before.operation in _COMPUTATIONS and depends:
        return timings.rule_cycles("address_stall")
    # A store with an immediate offset takes one cycle in any case.
    if now.operation in ("load", "store") and before.operation == "load" and not depends:
        return -timings.rule_cycles("pipelined_load")
    unit = _VECTOR_UNITS.get(now.operation)
    if unit is not None and unit == _VECTOR_UNITS.get(before.operation):
        return timings.rule_cycles("vector_unit")
    if before.operation in _FP_COMPUTATIONS and before.writes & now.reads:
        return timings.rule_cycles("fp_result_stall")
    return 0


def edges_cost(
    edges: Mapping[tuple[Block, Block], int],
    costs: Mapping[Block, BlockCost],
    timings: Timings | None,
    split_loads: int,
) -> tuple[int, int | None]:
    """Instructions, and estimated cycles, of blocks that ran.

    Parameters
    ----------
    edges
        How often each block ran, by the block and the one after it.
    costs
        Of every block.
    split_loads
        Accesses beyond the first that unaligned loads are split into.
    """
    instructions = 0
    cycles = 0 if timings is None else split_loads * timings.rule_cycles("unaligned_load")
    for (block, following), count in edges.items():
        cost = costs[block]
        falls_through = (block & 0xFFFFFFFF) + (block >> 32) == following & 0xFFFFFFFF
        instructions += count * cost.instructions
        cycles += count * cost.cycles(falls_through)
    return instructions, None if timings is None else cycles
