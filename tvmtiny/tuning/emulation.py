"""Estimate cycles of a candidate by executing its image in Unicorn, block by block.

The estimate is that of `tvmtiny.report.profile` for a single layer without firmware around it, and
without the cost of unaligned loads: Unicorn loses the state of an IT block if a hook observes one
of its loads, and all candidates of a layer read the same inputs anyway.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import unicorn

from tvmtiny.emulation.cycles import Block, block_cost, edges_cost, timings
from tvmtiny.emulation.unicorn_cpu import UnicornCpu
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.targets import Cpu
    from tvmtiny.tuning.candidate_program import CandidateRegion, Image

__all__ = ["PATTERN", "Emulation", "EmulationError", "cost_of_run", "emulate_image"]

_PAGE = 4096
_ADDRESS_MASK = 0xFFFFFFFF
_STACK_BYTES = 1 << 16
#: Return address of calls: executable memory that none of the boards has.
_RETURN = 0x0FFFF000
#: Value of all output bytes before a run, which remains where the run does not write.
PATTERN = 0x5A

_FAILURES = {
    unicorn.UC_ERR_FETCH_UNMAPPED: "executed at an address without memory",
    unicorn.UC_ERR_READ_UNMAPPED: "read at an address without memory",
    unicorn.UC_ERR_WRITE_UNMAPPED: "wrote to an address without memory",
    unicorn.UC_ERR_INSN_INVALID: "executed an instruction that does not exist",
}


class EmulationError(Exception):
    """The candidate crashed, or did not finish in time."""

    def __init__(self, message: str, timeout: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout


@dataclass(frozen=True)
class Emulation:
    """The result of running a candidate once.

    Attributes
    ----------
    instructions
        Number of instructions executed, from entry to return of the generated run function.
    estimated_cycles
        Cycles estimated from the timings in the CPU's manual.
    outputs
        Content of each output.
    """

    instructions: int
    estimated_cycles: int
    outputs: tuple[bytes, ...]


def emulate_image(
    image: Image, region: CandidateRegion, cpu: Cpu, inputs: Sequence[bytes], seconds: float
) -> Emulation:
    """Run a candidate once.

    Parameters
    ----------
    region
        Memory region that the candidate was linked for.
    cpu
        CPU for which `tvmtiny.emulation.unicorn_cpu.can_emulate` is true.
    inputs
        Content of each input.
    seconds
        Time limit in seconds of host time.

    Raises
    ------
    EmulationError
        The candidate crashed or took too long.
    """
    emulated = UnicornCpu(cpu)
    uc = emulated.uc
    origin = region.origin // _PAGE * _PAGE
    end = -(-(region.origin + region.length) // _PAGE) * _PAGE
    stack = origin - _STACK_BYTES - _PAGE
    uc.mem_map(stack, _STACK_BYTES)
    uc.mem_map(origin, end - origin)
    uc.mem_map(_RETURN, _PAGE)
    for address, data in (*image.segments, *zip(image.inputs, inputs, strict=True)):
        uc.mem_write(address, data)
    interrupts: list[int] = []

    def on_interrupt(machine: Any, number: int, _: object) -> None:
        interrupts.append(number)
        machine.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_INTR, on_interrupt)
    top = stack + _STACK_BYTES

    def call(entry: int, argument: int) -> None:
        uc.reg_write(emulated.stack_pointer, top)
        uc.reg_write(emulated.return_address, emulated.entry(_RETURN))
        uc.reg_write(emulated.arguments[0], argument)
        try:
            uc.emu_start(emulated.entry(entry), _RETURN, timeout=max(1, round(seconds * 1e6)))
        except unicorn.UcError as error:
            pc = uc.reg_read(emulated.program_counter)
            raise EmulationError(f"{_FAILURES.get(error.errno, str(error))} at {pc:#x}") from error
        if interrupts:
            pc = uc.reg_read(emulated.program_counter)
            raise EmulationError(f"exception {interrupts[0]} at {pc:#x}")
        if emulated.address(emulated.program_counter) != _RETURN:
            raise EmulationError(f"did not end within {seconds:g} s", timeout=True)

    call(image.prepare, PATTERN)
    edges: defaultdict[tuple[Block, Block], int] = defaultdict(int)
    uc.ctl_flush_tb()
    uc.hook_add(unicorn.UC_HOOK_BLOCK, _block_hook(edges))
    call(image.run, 0)
    status = uc.reg_read(emulated.arguments[0])
    if status != 0:
        raise EmulationError(f"the run function returned {status:#x}")

    def code(block: Block) -> bytes:
        return bytes(uc.mem_read(block & _ADDRESS_MASK, block >> 32))

    outputs = tuple(bytes(uc.mem_read(address, size)) for address, size in image.outputs)
    return Emulation(*cost_of_run(edges, code, cpu), outputs)


def _block_hook(edges: defaultdict[tuple[Block, Block], int]) -> Any:
    """Return the callback for blocks, which runs millions of times and so uses only locals."""
    previous: Block = 0

    def on_block(_uc: Any, address: int, size: int, _: object) -> None:
        nonlocal previous
        block = size << 32 | address
        edges[previous, block] += 1
        previous = block

    return on_block


def cost_of_run(
    counted: Mapping[tuple[Block, Block], int], code: Callable[[Block], bytes], cpu: Cpu
) -> tuple[int, int]:
    """Compute instructions and estimated cycles of a run.

    Parameters
    ----------
    counted
        Number of times that each block followed another; the first block follows 0.
    code
        Returns the machine code of a block.
    """
    table = timings(cpu.name)
    decode = find_architecture(cpu.architecture).decode
    assert decode is not None
    # Ignore the edge into the first block, and add one from the last block, which has no successor.
    edges = {edge: count for edge, count in counted.items() if edge[0]}
    runs = Counter[Block]()
    for (block, following), count in counted.items():
        runs[following] += count
        runs[block] -= count
    edges.update({(block, 0): left for block, left in runs.items() if left > 0 and block})
    costs = {
        block: block_cost(decode(code(block), block & _ADDRESS_MASK), table) for block, _ in edges
    }
    instructions, cycles = edges_cost(edges, costs, table, 0)
    assert cycles is not None
    return instructions, cycles
