"""Count executions of basic blocks with QEMU, for CPUs that Unicorn does not support.

QEMU logs each block with its instructions when it is translated, and again each time it runs. When
its instruction clock requires it, QEMU ends a block early and logs the shorter block as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from elftools.elf.elffile import ELFFile

from tvmtiny.codegen.artifact import inference_function, layer_functions
from tvmtiny.codegen.tensors import pack_inputs
from tvmtiny.emulation.cycles import Block
from tvmtiny.emulation.unicorn_machine import Region, Trace
from tvmtiny.errors import DeviceError
from tvmtiny.host.elf import functions_of
from tvmtiny.host.files import write_bytes
from tvmtiny.host.unfinished import work_folder
from tvmtiny.project.qemu.platform import emulate_in

if TYPE_CHECKING:
    import numpy as np

    from tvmtiny.results import Firmware

__all__ = ["read_blocks", "trace_in_qemu"]

_LOG = "blocks.log"
_ADDRESS_MASK = 0xFFFFFFFF
_INSTRUCTION = re.compile(r"0x([0-9a-f]{8}):  ((?:[0-9a-f]{4} ?)+) ")
_RUN = re.compile(r"Trace \d+: (0x[0-9a-f]+) \[[0-9a-f]+/([0-9a-f]+)/")

Edges = defaultdict[tuple[Block, Block], int]


def trace_in_qemu(firmware: Firmware, inputs: Sequence[np.ndarray], timeout: float) -> Trace:
    """Run firmware of the QEMU platform until it exits, and count its blocks.

    Parameters
    ----------
    inputs
        One array for each input of the model, of its shape and dtype.
    timeout
        Time limit in seconds of host time.

    Raises
    ------
    InputDataError, DeviceError
        Raised as by `tvmtiny.emulation.unicorn_machine.emulate`.
    """
    data = pack_inputs(firmware.project.artifact.inputs, inputs)
    with work_folder("trace") as directory:
        write_bytes(directory / "input.bin", data)
        options = ("-d", "in_asm,exec,nochain", "-D", _LOG)
        emulate_in(firmware, directory, timeout, options)
        with (directory / _LOG).open(encoding="ascii", errors="replace") as log:
            layers, inference = _count(firmware, read_blocks(log))
        output, layer_output = (
            (directory / name).read_bytes() for name in ("output.bin", "layers.bin")
        )
    blocks = {edge[0] for edges in (*layers, inference) for edge in edges}
    return Trace(
        tuple(Region(edges, 0) for edges in layers),
        Region(inference, 0),
        _code(firmware, blocks),
        output,
        layer_output,
    )


def read_blocks(log: Iterable[str]) -> Iterable[Block]:
    """Yield blocks in execution order from a log of ``-d in_asm,exec,nochain``.

    Raises
    ------
    DeviceError
        A line of the log cannot be parsed.
    """
    known: dict[str, Block] = {}
    start = end = 0
    pending: Block | None = None
    for line in log:
        if line.startswith("Stopped execution"):
            # The block was not executed after all.
            pending = None
        elif line.startswith("Trace "):
            match = _RUN.match(line)
            if match is None:
                raise DeviceError(f"cannot parse QEMU's log: {line.strip()[:100]!r}")
            if end:
                known[match[1]] = (end - start) << 32 | start
                start = end = 0
            if pending is not None:
                yield pending
            pending = known[match[1]]
        elif line.startswith("IN:"):
            start = end = 0
        elif line.startswith("0x"):
            instruction = _INSTRUCTION.match(line)
            if instruction is not None:
                address = int(instruction[1], 16)
                start = start if end else address
                # QEMU prints machine code in halfwords on Arm and as whole words on RISC-V.
                end = address + len(instruction[2].replace(" ", "")) // 2
    if pending is not None:
        yield pending


def _count(firmware: Firmware, blocks: Iterable[Block]) -> tuple[list[Edges], Edges]:
    """Count the edges of each layer in the first inference, and those of the second inference."""
    artifact = firmware.project.artifact
    functions = functions_of(firmware.elf)
    begin, end = functions["layer_begins"][0], functions["layer_ends"][0]
    run = functions[inference_function(artifact)][0]
    own = (*layer_functions(artifact), "layer_begins")
    not_kernels = [
        _span(place)
        for name, place in functions.items()
        if name in own or name.startswith(tuple(f"{function}." for function in own))
    ]
    outside: Edges = defaultdict(int)
    inference: Edges = defaultdict(int)
    layers: list[Edges] = []
    current, previous = outside, 0
    # The harness measures the second inference, and may reach it by a jump instead of a call.
    harness = _span(functions["device_measure"])
    callers: tuple[range, ...] = ()
    for block in blocks:
        address = block & _ADDRESS_MASK
        current[previous, block] += 1
        if address == begin:
            layers.append(defaultdict(int))
            current = layers[-1]
        elif address == end:
            current = outside
        elif address == run:
            at = previous & _ADDRESS_MASK
            callers = (harness, *(span for span in map(_span, functions.values()) if at in span))
            current = inference
        elif any(address in span for span in callers):
            current, callers = outside, ()
        previous = block
    kernels: list[Edges] = []
    for edges in layers:
        kept: Edges = defaultdict(int)
        for edge, count in edges.items():
            if not any(edge[0] & _ADDRESS_MASK in part for part in not_kernels):
                kept[edge] = count
        kernels.append(kept)
    visits, counted = tuple(range(len(artifact.layers))), 0
    if artifact.stream is not None:
        visits, counted = artifact.stream.visits, artifact.stream.counted
    if len(kernels) != len(visits):
        raise DeviceError(
            f"QEMU logged {len(kernels)} layers of {artifact.name} instead of "
            f"{len(visits)}; check the space for temporary files (tvmtiny doctor)"
        )
    together: list[Edges] = [defaultdict(int) for _ in artifact.layers]
    for layer, edges in list(zip(visits, kernels, strict=True))[counted:]:
        for edge, count in edges.items():
            together[layer][edge] += count
    return together, inference


def _span(place: tuple[int, int]) -> range:
    """Return the address range of a function."""
    return range(place[0], place[0] + place[1])


def _code(firmware: Firmware, blocks: Iterable[Block]) -> dict[Block, bytes]:
    """Read the machine code of blocks from the program."""
    with firmware.elf.open("rb") as file:
        segments = [
            (int(segment["p_vaddr"]), segment.data())
            for segment in ELFFile(file).iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
        ]
    found = {}
    for block in blocks:
        address, size = block & _ADDRESS_MASK, block >> 32
        for start, data in segments:
            if start <= address < start + len(data):
                found[block] = data[address - start : address - start + size]
    return found
