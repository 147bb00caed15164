"""Cycles of a basic block: timings of its instructions, and their effect on the next one.

The instruction before a block is unknown, so the block's first instruction is given neither a bonus
nor a stall because of it. For a block that is reached by a branch, this is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tvmtiny.emulation.cycles.table import Timings
from tvmtiny.targets.architectures.record import UNLISTED, Instruction

__all__ = ["Block", "BlockCost", "block_cost", "edges_cost"]

#: A basic block: ``size << 32 | address``, both in bytes.
Block = int

# Cost of a branch that is not taken, and of an instruction that its IT block skips.
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
#: Vector instructions by the functional unit that they occupy for two cycles.
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
    """The cost of one execution of a block.

    Attributes
    ----------
    instructions
        Number of instructions.
    taken, not_taken
        Cycles if the branch at the end is taken, and if it is not. Equal for a block without a
        branch.
    unlisted
        Occurrences of each instruction that has no timing row; each counts as one cycle.
    """

    instructions: int
    taken: int
    not_taken: int
    unlisted: Mapping[str, int]

    def cycles(self, falls_through: bool) -> int:
        """Return the cycles, depending on whether execution continues directly behind the block."""
        return self.not_taken if falls_through else self.taken


def block_cost(block: Iterable[Instruction], timings: Timings | None) -> BlockCost:
    """Sum up the instructions of a block.

    Parameters
    ----------
    block
        Instructions of the block; only the last one may branch.
    timings
        Timings of the core that runs the block; None for no cycles.
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
    """Return the cycles that the preceding instruction adds, or saves if negative."""
    if before is None:
        return 0
    if now.operation == "if_then":
        return -timings.rule_cycles("if_then_folding") if before.size == 2 else 0
    depends = bool(before.writes & now.address)
    if now.operation in _ACCESSES and before.operation in _COMPUTATIONS and depends:
        return timings.rule_cycles("address_stall")
    # A store with an immediate offset takes one cycle regardless.
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
    """Compute instructions and estimated cycles of executed blocks.

    Parameters
    ----------
    edges
        Number of executions of each block, by the block and its successor.
    costs
        Cost of each block.
    split_loads
        Additional accesses caused by splitting unaligned loads.
    """
    instructions = 0
    cycles = 0 if timings is None else split_loads * timings.rule_cycles("unaligned_load")
    for (block, following), count in edges.items():
        cost = costs[block]
        falls_through = (block & 0xFFFFFFFF) + (block >> 32) == following & 0xFFFFFFFF
        instructions += count * cost.instructions
        cycles += count * cost.cycles(falls_through)
    return instructions, None if timings is None else cycles
