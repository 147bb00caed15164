"""Estimate cycles of a candidate by executing it in QEMU, for CPUs that Unicorn lacks.

A driver of a few instructions calls the candidate, which QEMU loads at the address where the runner
would place it. QEMU logs the executed blocks.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tvmtiny.emulation.cycles import Block
from tvmtiny.host.background_process import start_background, stop_background
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.host.unfinished import work_folder
from tvmtiny.project.qemu.flags import compile_flags
from tvmtiny.project.qemu.options import machine_of_board
from tvmtiny.project.qemu.tracing import read_blocks
from tvmtiny.resources import shipped
from tvmtiny.targets.architectures import find_architecture
from tvmtiny.tuning.emulation import PATTERN, Emulation, EmulationError, cost_of_run

if TYPE_CHECKING:
    from tvmtiny.targets import Board
    from tvmtiny.tuning.candidate_program import CandidateRegion, Image

__all__ = ["can_emulate_in_qemu", "emulate_image_in_qemu"]

_DRIVER = Path("arch") / "arm" / "estimate" / "driver.c"
_LOG = "blocks.log"
_ADDRESS_MASK = 0xFFFFFFFF
_EXIT_OK, _EXIT_FAULT = 0, 3
_STATUS_BYTES = 4

#: Address of the driver's code, behind its vectors.
_TEXT = 0x400


def can_emulate_in_qemu(board: Board) -> bool:
    """Whether cycles of a candidate for `board` can be estimated this way."""
    return board.platform == "qemu" and board.cpu.architecture == "arm"


def emulate_image_in_qemu(
    image: Image, region: CandidateRegion, board: Board, inputs: Sequence[bytes], seconds: float
) -> Emulation:
    """Run a candidate once.

    Parameters
    ----------
    region
        Memory region that the candidate was linked for.
    board
        Board for which `can_emulate_in_qemu` is true.
    inputs
        Content of each input.
    seconds
        Time limit in seconds of host time.

    Raises
    ------
    EmulationError
        The candidate crashed or took too long.
    BuildError, ToolMissingError
        The driver cannot be built.
    """
    with work_folder("estimate") as directory:
        driver = _build_driver(image, region, board, directory)
        pieces = [*image.segments, *zip(image.inputs, inputs, strict=True)]
        loaders = []
        for number, (address, data) in enumerate(pieces):
            if data:
                (directory / f"{number}.bin").write_bytes(data)
                place = f"loader,file={number}.bin,addr={address:#x},force-raw=on"
                loaders += ["-device", place]
        options = ("-d", "in_asm,exec,nochain", "-D", _LOG, *loaders)
        _run(board, driver, directory, options, seconds)
        with (directory / _LOG).open(encoding="ascii", errors="replace") as log:
            edges = _count(image, read_blocks(log))
        written = (directory / "output.bin").read_bytes()
    status = int.from_bytes(written[:_STATUS_BYTES], "little")
    if status != 0:
        raise EmulationError(f"the run function returned {status:#x}")
    outputs, at = [], _STATUS_BYTES
    for _, size in image.outputs:
        outputs.append(written[at : at + size])
        at += size

    def code(block: Block) -> bytes:
        address, size = block & _ADDRESS_MASK, block >> 32
        for start, data in image.segments:
            if start <= address < start + len(data):
                return data[address - start : address - start + size]
        raise EmulationError(f"executed an address without code: {address:#x}")

    return Emulation(*cost_of_run(edges, code, board.cpu), tuple(outputs))


def _build_driver(image: Image, region: CandidateRegion, board: Board, directory: Path) -> Path:
    compiler = find_tool(find_architecture(board.cpu.architecture).compiler)
    outputs = ", ".join(f"{{ {address:#x}u, {size}u }}" for address, size in image.outputs)
    defined = {
        "STACK": f"{region.origin & ~7:#x}u",
        "PREPARE": f"{image.prepare | 1:#x}u",
        "RUN": f"{image.run | 1:#x}u",
        "PATTERN": f"{PATTERN:#x}u",
        "OUTPUTS": outputs,
    }
    origin = board.code.origin
    command = [
        compiler,
        *compile_flags(board.cpu),
        *("-Os", "-ffreestanding", "-nostdlib"),
        *(f"-DDRIVER_{name}={value}" for name, value in defined.items()),
        str(shipped("runtime") / _DRIVER),
        f"-Wl,--section-start=.vectors={origin:#x},-Ttext={origin + _TEXT:#x},-e,driver_reset",
        *("-o", "driver.elf"),
    ]
    run_tool(command, directory, directory / "driver.log")
    return directory / "driver.elf"


def _run(
    board: Board, driver: Path, directory: Path, options: Sequence[str], seconds: float
) -> None:
    command = (
        *machine_of_board(board).command(),
        *options,
        *("-nographic", "-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-kernel", driver.name),
    )
    with (directory / "qemu.log").open("wb") as log:
        process = start_background(command, output=log, directory=directory, remove=directory)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            message = f"did not end within {seconds:g} s"
            raise EmulationError(message, timeout=True) from None
        finally:
            stop_background(process)
    if code == _EXIT_FAULT:
        raise EmulationError("took an exception")
    if code != _EXIT_OK:
        said = " ".join((directory / "qemu.log").read_text(errors="replace").split())
        raise EmulationError(f"QEMU ended with code {code}: {said[:400]}")


def _count(image: Image, blocks: Iterable[Block]) -> dict[tuple[Block, Block], int]:
    """Count the edges between blocks from the run function's first block to its return."""
    edges: defaultdict[tuple[Block, Block], int] = defaultdict(int)
    inside = [(start, start + len(data)) for start, data in image.segments]
    previous, running = 0, False
    for block in blocks:
        address = block & _ADDRESS_MASK
        running = running or address == image.run & ~1
        if running:
            if not any(start <= address < end for start, end in inside):
                break
            edges[previous, block] += 1
            previous = block
    return edges
