"""Count executions of basic blocks in Unicorn, for each layer and for one inference.

Unicorn translates code as QEMU does, but calls back for every block. It does not emulate the board:
this module answers the host calls and the accesses to system registers of the start-up code and
harness in ``runtime``.
"""

from __future__ import annotations

import struct
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import unicorn
from elftools.elf.elffile import ELFFile

from tvmtiny.codegen.artifact import inference_function, layer_functions, layer_text
from tvmtiny.codegen.tensors import pack_inputs
from tvmtiny.emulation.cycles import Block
from tvmtiny.emulation.unicorn_cpu import UnicornCpu
from tvmtiny.errors import DeviceError, DeviceTimeoutError
from tvmtiny.host.elf import entry_of, function_at, functions_of, symbols_of

if TYPE_CHECKING:
    import numpy as np

    from tvmtiny.results import Firmware

__all__ = ["Region", "Trace", "emulate"]

_PAGE = 4096
_ADDRESS_MASK = 0xFFFFFFFF
_NOWHERE = 0xFFFFFFFE
_COUNTER_MASK = 0xFFFFFF

_SYS_OPEN, _SYS_CLOSE, _SYS_WRITE, _SYS_READ = 0x01, 0x02, 0x05, 0x06
_SYS_EXIT_EXTENDED = 0x20
_REFUSED = 0xFFFFFFFF

#: Function of the harness that executes most blocks of a short run, and none of the model's.
_PAINTS = "device_measure"


@dataclass(frozen=True)
class Region:
    """Activity in one part of the program.

    Attributes
    ----------
    edges
        Number of executions of each block, by the block and its successor.
    split_loads
        Additional accesses caused by splitting unaligned loads.
    flash_bytes, ram_bytes
        Bytes loaded from the memory region of the code, and from other regions.
    """

    edges: Mapping[tuple[Block, Block], int]
    split_loads: int
    flash_bytes: int = 0
    ram_bytes: int = 0


@dataclass(frozen=True)
class Trace:
    """Everything that the firmware executed and wrote.

    Attributes
    ----------
    layers
        The kernels of each layer, in the first inference.
    inference
        The second inference, from entry to return of the generated run function.
    code
        Machine code by block.
    output, layer_output
        Content that the firmware wrote to ``output.bin`` and ``layers.bin``.
    """

    layers: tuple[Region, ...]
    inference: Region
    code: Mapping[Block, bytes]
    output: bytes
    layer_output: bytes


def emulate(firmware: Firmware, inputs: Sequence[np.ndarray], timeout: float) -> Trace:
    """Run firmware of the QEMU platform until it exits.

    Parameters
    ----------
    firmware
        Firmware for a board whose CPU `tvmtiny.emulation.unicorn_cpu.can_emulate`.
    inputs
        One array for each input of the model, of its shape and dtype.
    timeout
        Time limit in seconds of host time.

    Raises
    ------
    InputDataError
        An input has the wrong shape or dtype, or the number of inputs is wrong.
    DeviceError
        The firmware faulted, timed out or reported an error.
    """
    machine = _Machine(firmware, pack_inputs(firmware.project.artifact.inputs, inputs))
    machine.run(timeout)
    return machine.trace()


class _Counter:
    """Counters of a region that is being executed."""

    def __init__(self) -> None:
        self.edges: defaultdict[tuple[Block, Block], int] = defaultdict(int)
        self.split_loads = 0
        self.flash_bytes = 0
        self.ram_bytes = 0


class _Machine:
    def __init__(self, firmware: Firmware, data: bytes) -> None:
        self._firmware = firmware
        self._data = data
        artifact = firmware.project.artifact
        self._cpu = _load(firmware)
        self._uc = self._cpu.uc
        functions = functions_of(firmware.elf)
        self._begin = functions["layer_begins"][0]
        self._end = functions["layer_ends"][0]
        self._run = functions[inference_function(artifact)][0]
        # The compiler may move parts of a function elsewhere, named after it with a suffix.
        own = (*layer_functions(artifact), "layer_begins")
        self._not_kernels = tuple(
            range(start, start + size)
            for name, (start, size) in functions.items()
            if name in own or name.startswith(tuple(f"{function}." for function in own))
        )
        self._flash = _code_region(firmware)
        self._outside = _Counter()
        self._inference = _Counter()
        self._layers = [_Counter() for _ in artifact.layers]
        self._layer: int | None = None
        self._current = self._outside
        self._counter = _COUNTER_MASK
        self._files: list[_File] = []
        self._exit_code: int | None = None
        self._exception: int | None = None

    def run(self, timeout: float) -> None:
        uc = self._uc
        if self._cpu.model.system is not None:
            uc.mmio_map(*self._cpu.model.system, self._read_system, None, _ignore, None)
        self._observe_blocks()
        uc.hook_add(unicorn.UC_HOOK_INTR, self._on_exception)
        stack, _ = symbols_of(self._firmware.elf)["device_stack_top"]
        uc.reg_write(self._cpu.stack_pointer, stack)
        deadline = time.monotonic() + timeout
        # Only the first inference observes loads, because the hook is slow.
        loads = uc.hook_add(unicorn.UC_HOOK_MEM_READ, self._on_load)
        self._start(entry_of(self._firmware.elf), self._run, deadline)
        if self._cpu.address(self._cpu.program_counter) == self._run:
            uc.hook_del(loads)
            uc.ctl_flush_tb()
            self._start(self._run, _NOWHERE, deadline)
        if self._exit_code is None:
            raise DeviceTimeoutError(timeout, f"{self._firmware.project.board.name} in Unicorn")
        if self._exit_code != 0:
            raise self._fault(f"the firmware ended with code {self._exit_code}")

    def _observe_blocks(self) -> None:
        """Call back for every block outside of the measuring function, which paints the stack."""
        start, size = functions_of(self._firmware.elf).get(_PAINTS, (_ADDRESS_MASK, 1))
        on_block = self._block_hook(range(start, start + size))
        for first, last in ((0, start - 1), (start + size, _ADDRESS_MASK)):
            self._uc.hook_add(unicorn.UC_HOOK_BLOCK, on_block, begin=first, end=last)

    def _start(self, address: int, until: int, deadline: float) -> None:
        stopped = True
        while stopped and self._exit_code is None:
            microseconds = max(1, round((deadline - time.monotonic()) * 1e6))
            try:
                self._uc.emu_start(self._cpu.entry(address), until, timeout=microseconds)
                stopped = False
            except unicorn.UcError as error:
                address = self._cpu.address(self._cpu.program_counter)
                if not self._is_trap(address):
                    raise self._fault(str(error)) from error
                self._answer()
                address += self._cpu.model.trap_bytes
        if self._exception is not None:
            raise self._fault(f"exception {self._exception}")

    def trace(self) -> Trace:
        layers = tuple(
            Region(
                {
                    edge: count
                    for edge, count in layer.edges.items()
                    if not any(edge[0] & _ADDRESS_MASK in part for part in self._not_kernels)
                },
                layer.split_loads,
                layer.flash_bytes,
                layer.ram_bytes,
            )
            for layer in self._layers
        )
        # The run function itself only loads bytes and aligned words.
        inference = Region(
            dict(self._inference.edges),
            sum(layer.split_loads for layer in layers),
            sum(layer.flash_bytes for layer in layers),
            sum(layer.ram_bytes for layer in layers),
        )
        blocks = {edge[0] for region in (*layers, inference) for edge in region.edges}
        code = {
            block: bytes(self._uc.mem_read(block & _ADDRESS_MASK, block >> 32)) for block in blocks
        }
        return Trace(
            layers, inference, code, self._written("output.bin"), self._written("layers.bin")
        )

    def _written(self, name: str) -> bytes:
        return b"".join(bytes(file.written) for file in self._files if file.name == name)

    def _block_hook(self, unobserved: range) -> Any:
        """Return the callback for blocks, which runs millions of times and so uses only locals.

        The callback observes the block after the run function even if that is in `unobserved`.
        """
        edges = self._current.edges
        previous: Block = 0
        stops = {self._begin, self._end, self._run}
        layer_argument = self._cpu.arguments[1]
        stream = self._firmware.project.artifact.stream
        left_out = 0 if stream is None else stream.counted
        caller = -1

        def on_block(uc: Any, address: int, size: int, _: object) -> None:
            nonlocal edges, previous, caller, left_out
            block = size << 32 | address
            edges[previous, block] += 1
            previous = block
            if address not in stops:
                return
            if address == self._begin:
                self._layer = uc.reg_read(layer_argument)
                self._current = self._outside if left_out else self._layers[self._layer]
                left_out = max(0, left_out - 1)
            elif address == self._end:
                self._layer = None
                self._current = self._outside
            elif address == self._run:
                self._current = self._inference
                caller = self._cpu.address(self._cpu.return_address)
                if caller in unobserved and caller not in stops:
                    uc.hook_add(unicorn.UC_HOOK_BLOCK, on_block, begin=caller, end=caller)
                stops.add(caller)
            elif address == caller:
                self._current = self._outside
            edges = self._current.edges

        return on_block

    def _on_load(
        self, _uc: Any, _access: int, address: int, size: int, _value: int, _: object
    ) -> None:
        if address in self._flash:
            self._current.flash_bytes += size
        else:
            self._current.ram_bytes += size
        # Pairs of words are never read as one unit, so they only need the alignment of a word.
        unaligned = address & (1 if size == 2 else 3)
        if unaligned and size > 1:
            # An unaligned halfword splits into two bytes, a word into two halfwords or into a byte,
            # a halfword and a byte.
            self._current.split_loads += 2 if size > 2 and unaligned & 1 else 1

    def _read_system(self, _uc: Any, offset: int, _size: int, _: object) -> int:
        model = self._cpu.model
        if model.system is None or offset + model.system[0] != model.falling_counter:
            return 0
        # The harness waits until the counter changes.
        self._counter = self._counter - 1 & _COUNTER_MASK
        return self._counter

    def _on_exception(self, uc: Any, number: int, _: object) -> None:
        if number != self._cpu.model.trap_exception:
            self._exception = number
            uc.emu_stop()
            return
        self._answer()
        pc = self._cpu.program_counter
        behind = uc.reg_read(pc) + self._cpu.model.trap_bytes
        uc.reg_write(pc, self._cpu.entry(behind))

    def _is_trap(self, address: int) -> bool:
        code = self._cpu.model.trap_code
        if code is None or function_at(self._firmware.elf, address) is None:
            return False
        return bytes(self._uc.mem_read(address, len(code))) == code

    def _answer(self) -> None:
        """Perform the host call that the program requests."""
        uc = self._uc
        operation, block, *_ = self._cpu.arguments
        uc.reg_write(operation, self._semihosting(uc.reg_read(operation), uc.reg_read(block)))

    def _semihosting(self, operation: int, block: int) -> int:
        """Answer a semihosting call, following the specification as far as the harness uses it."""
        if operation == _SYS_OPEN:
            address, _, length = self._words(block, 3)
            self._files.append(_File(bytes(self._uc.mem_read(address, length)).decode("ascii")))
            return len(self._files)
        if operation == _SYS_CLOSE:
            return 0
        if operation == _SYS_EXIT_EXTENDED:
            self._exit_code = self._words(block, 2)[1]
            self._uc.emu_stop()
            return 0
        if operation not in (_SYS_READ, _SYS_WRITE):
            return _REFUSED
        handle, address, length = self._words(block, 3)
        file = self._files[handle - 1]
        if operation == _SYS_WRITE:
            file.written += self._uc.mem_read(address, length)
            return 0
        part = self._data[file.position : file.position + length]
        file.position += len(part)
        self._uc.mem_write(address, part)
        return length - len(part)

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._uc.mem_read(address, 4 * count))

    def _fault(self, what: str) -> DeviceError:
        pc = self._uc.reg_read(self._cpu.program_counter)
        artifact = self._firmware.project.artifact
        function = function_at(self._firmware.elf, pc) or "no function"
        layer = None if self._layer is None else layer_text(artifact.layers, self._layer)
        return DeviceError(
            f"the emulation of {artifact.name} on {self._firmware.project.board.name} in Unicorn "
            f"stopped at {pc:#010x} in {function}, {layer or 'outside of any layer'}: {what}; "
            "tvmtiny run shows whether the firmware itself is at fault"
        )


class _File:
    def __init__(self, name: str) -> None:
        self.name = name
        self.position = 0
        self.written = bytearray()


def _ignore(_uc: Any, _offset: int, _size: int, _value: int, _: object) -> None:
    pass


def _code_region(firmware: Firmware) -> range:
    """Return the addresses of the memory region that holds the code."""
    entry = entry_of(firmware.elf)
    for region in firmware.project.board.regions:
        if region.origin <= entry < region.origin + region.length:
            return range(region.origin, region.origin + region.length)
    return range(0)


def _load(firmware: Firmware) -> UnicornCpu:
    board = firmware.project.board
    cpu = UnicornCpu(board.cpu)
    uc = cpu.uc
    for region in board.regions:
        uc.mem_map(region.origin, -(-region.length // _PAGE) * _PAGE)
    with firmware.elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments():
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
                uc.mem_write(segment["p_paddr"], segment.data())
    return cpu
