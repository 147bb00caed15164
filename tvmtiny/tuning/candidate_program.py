"""Build a candidate as a program, linked at the address where the runner will place it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tvmtiny.errors import BuildError
from tvmtiny.host.files import make_directory, write_text
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.project.candidate_firmware import BLOCK_BYTES
from tvmtiny.project.qemu.flags import DEFAULT_OPTIMIZATION, compile_flags, link_flags
from tvmtiny.project.runtime_files import render
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.codegen import Artifact
    from tvmtiny.codegen.artifact import TensorInfo
    from tvmtiny.targets import Board

__all__ = ["CandidateRegion", "Image", "TooBigError", "build_image", "read_image"]

#: Page size of emulators, and least size of a region that has pages to spare.
_PAGE, _ROOMY = 4096, 1 << 16

_RUN = "tvmtiny_candidate_run"
_PREPARE = "tvmtiny_candidate_prepare"
_INPUT = "tvmtiny_candidate_input_"

_CONSTANTS = '-DTVMTINY_CONSTANTS_SECTION=__attribute__((section(".candidate_constants")))'
_OVERFLOW = re.compile(r"region [`'](?:inputs|constants|program)' overflowed by (\d+) byte")

#: Least size of an area for constants.
_LEAST_PLACE = 1024


@dataclass(frozen=True)
class CandidateRegion:
    """The memory region in which a board holds candidates.

    Attributes
    ----------
    origin, length
        Start address, and size in bytes.
    """

    origin: int
    length: int


@dataclass(frozen=True)
class _Area:
    """A part of the region in the linker script."""

    name: str
    origin: int
    length: int


@dataclass(frozen=True)
class TooBigError(Exception):
    """The candidate exceeds the region by `bytes`."""

    bytes: int

    def __str__(self) -> str:
        return f"the candidate needs {self.bytes:,} bytes more than the runner has"


@dataclass(frozen=True)
class Image:
    """Everything that a board needs to run a candidate.

    Attributes
    ----------
    segments
        Addresses with the bytes to write there.
    kept
        Start addresses among them that are only ever used for the same bytes.
    prepare, run
        Entry points; ``prepare(pattern)`` restores the inputs and overwrites the outputs.
    inputs
        Address from which ``prepare`` copies each input.
    activations
        Address and size of each input where the layer reads it.
    outputs
        Address and size of each output.
    code_bytes, constants_bytes
        Flash that the layer takes in a model, in bytes.
    """

    segments: tuple[tuple[int, bytes], ...]
    kept: frozenset[int]
    prepare: int
    run: int
    inputs: tuple[int, ...]
    activations: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, int], ...]
    code_bytes: int
    constants_bytes: int


def build_image(
    artifact: Artifact,
    board: Board,
    region: CandidateRegion,
    directory: Path,
    optimization: str = DEFAULT_OPTIMIZATION,
) -> Path:
    """Compile and link one layer.

    Parameters
    ----------
    artifact
        Result of `tvmtiny.compiler.compile_layer`.
    region
        Memory region to link the image for.
    directory
        Directory for sources, logs and the program; created if it does not exist.

    Returns
    -------
    Path
        Path of the program.

    Raises
    ------
    BuildError
        The compiler or the linker failed; the error names the log.
    TooBigError
        The candidate does not fit `region`.
    ToolMissingError
        There is no compiler.
    """
    architecture = find_architecture(board.cpu.architecture)
    compiler = find_tool(architecture.compiler)
    prefix = f"tvmtiny_{artifact.name}"
    make_directory(directory)
    files = {
        **artifact.files,
        "candidate.c": render("runner/candidate.c.j2", artifact=artifact, prefix=prefix),
        "candidate.ld": render(
            "runner/candidate.ld.j2",
            board=board.name,
            sections=architecture.sections,
            areas=_areas(artifact, region),
            page_bytes=_PAGE if region.length >= _ROOMY else BLOCK_BYTES,
        ),
    }
    for name, text in files.items():
        write_text(directory / name, text)
    flags = (compiler, *compile_flags(board.cpu), optimization)
    # Compile all files in one call, and the entry points together with the model: starting the
    # compiler takes longer than compiling most files.
    sources = [name for name in files if name.endswith(".c") and name != f"{artifact.name}.c"]
    command = (*flags, _CONSTANTS, "-c", *sources)
    run_tool(command, directory, directory / "compile.log", architecture.library)
    objects = [name.removesuffix(".c") + ".o" for name in sources]
    log = directory / "link.log"
    try:
        own = (*link_flags(board.cpu, "candidate.ld"), f"-Wl,-u,{_PREPARE}")
        command = (compiler, *own, *objects, "-lm", "-o", "candidate.elf")
        run_tool(command, directory, log, architecture.library)
    except BuildError as error:
        found = _OVERFLOW.search(log.read_text(encoding="utf-8"))
        if found is not None:
            raise TooBigError(int(found[1])) from error
        raise
    return directory / "candidate.elf"


def read_image(elf: Path, artifact: Artifact, region: CandidateRegion) -> Image:
    """Read the image from a program of `build_image`."""
    areas = {area.name: area.origin for area in _areas(artifact, region)}
    with elf.open("rb") as file:
        program = ELFFile(file)
        # Read sections, because segments start at page boundaries and include headers of the file.
        segments = tuple(
            (int(section["sh_addr"]), bytes(section.data()))
            for section in program.iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_type"] != "SHT_NOBITS"
        )
        symbols = {
            symbol.name: (int(symbol["st_value"]), int(symbol["st_size"]))
            for section in program.iter_sections()
            if isinstance(section, SymbolTableSection)
            for symbol in section.iter_symbols()
        }
    arena = symbols[f"tvmtiny_{artifact.name}_arena"][0]
    code = symbols["candidate_code_end"][0] - symbols["candidate_code_start"][0]
    # The entry points do not belong to the layer.
    code -= symbols[_PREPARE][1] + symbols[_RUN][1]

    def places(tensors: tuple[TensorInfo, ...]) -> tuple[tuple[int, int], ...]:
        return tuple((arena + (t.offset or 0), t.bytes) for t in tensors)

    kept = frozenset(areas[name] for name in ("constants",) if name in areas)
    return Image(
        segments,
        kept,
        symbols[_PREPARE][0],
        symbols[_RUN][0],
        tuple(symbols[f"{_INPUT}{position}"][0] for position in range(len(artifact.inputs))),
        places(artifact.inputs),
        places(artifact.outputs),
        code,
        artifact.constants_bytes,
    )


def _areas(artifact: Artifact, region: CandidateRegion) -> tuple[_Area, ...]:
    """Assign areas to the parts of a candidate; a small region is a single area.

    Transferring data to a board takes far longer than running it. All candidates of a layer read
    the same inputs, and many use the same constants, so the areas of both are chosen by a hash of
    their content.
    """
    if region.length < _ROOMY:
        return (_Area("program", region.origin, region.length),)
    quarter = region.length // 4 // _PAGE * _PAGE
    inputs = sum(t.bytes + 16 for t in artifact.inputs)
    shapes = repr([(t.dtype, t.shape) for t in artifact.inputs]).encode()
    return (
        _Area("program", region.origin, quarter),
        _place("inputs", region.origin + quarter, quarter, inputs, shapes),
        _place(
            "constants",
            region.origin + 2 * quarter,
            2 * quarter,
            artifact.constants_bytes + 64,
            artifact.parameters,
        ),
    )


def _place(name: str, origin: int, length: int, needed: int, content: bytes) -> _Area:
    size = max(_LEAST_PLACE, 1 << (needed - 1).bit_length())
    if size >= length:
        return _Area(name, origin, length)
    number = int.from_bytes(hashlib.sha256(content).digest()[:8], "little") % (length // size)
    return _Area(name, origin + number * size, size)
