"""Build an image from generated code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from tvmtiny.errors import ImageError
from tvmtiny.host.files import write_text
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.host.unfinished import work_folder
from tvmtiny.images.image_format import ALIGNMENT, Image, ImageTensor
from tvmtiny.images.selftest import has_floats, selftest
from tvmtiny.images.stack import deepest_stack
from tvmtiny.project.qemu.flags import DEFAULT_OPTIMIZATION, compile_flags, link_flags
from tvmtiny.resources import shipped
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, TensorInfo
    from tvmtiny.frontend import Model

__all__ = ["build_image"]

#: Two addresses with few bits in common; code that is equal at both is position-independent.
_BASES = (0x20012340, 0x4567ABC0)

#: Sections of image.ld that must be empty, with a description of their content.
_FORBIDDEN = {
    ".image_addresses": "tables of addresses",
    ".image_variables": "variables with initial values",
    ".image_zeros": "variables",
}


def build_image(
    model: Model,
    artifact: Artifact,
    *,
    version: int = 1,
    minimum_firmware: int = 0,
    optimization: str = DEFAULT_OPTIMIZATION,
) -> Image:
    """Compile and link generated code as an image, without a signature.

    The code is linked at two addresses and must have the same bytes at both, which shows that it
    needs no relocation.

    Parameters
    ----------
    model
        Model from which `artifact` was compiled; its oracle gives the expected outputs of the
        self-test.
    artifact
        Generated code of `model` for the CPU of the board.
    version
        Version of the model, 0 to 2**32 - 1; a board rejects versions below one that it has run.
    minimum_firmware
        Lowest firmware version that can run the image, 0 to 2**32 - 1.
    optimization
        GCC's optimization option for the generated code.

    Returns
    -------
    Image
        The unsigned image.

    Raises
    ------
    ImageError
        The model takes its input row by row or in blocks of samples, or is to be trained; its code
        depends on its address; or a name or number does not fit the header.
    ToolMissingError
        There is no compiler.
    BuildError
        The compiler or the linker failed.
    """
    if artifact.stream is not None and artifact.stream.mode.pushes:
        raise ImageError(
            artifact.name,
            f"it takes its input in rows (--stream {artifact.stream.mode.value})",
            "images take whole inputs: compile the model with --stream none or inside",
        )
    if artifact.feed is not None:
        raise ImageError(
            artifact.name,
            "it takes samples in blocks (--frontend)",
            "images take whole inputs: compute the front end in the firmware",
        )
    if artifact.training is not None:
        raise ImageError(
            artifact.name,
            "it is to be trained (--trainable)",
            "an image has no function but run: leave --trainable out",
        )
    with work_folder("image") as directory:
        for name, text in artifact.files.items():
            write_text(directory / name, text)
        objects = _compile(artifact, directory, optimization)
        entry = f"tvmtiny_{artifact.name}_run_arena"
        code, start = _link(artifact, directory, objects, entry)
        graphs = [(directory / o).with_suffix(".ci").read_text(encoding="utf-8") for o in objects]
        stack = deepest_stack(graphs, entry)
    if stack is None:
        raise ImageError(
            artifact.name, "its stack has no bound", "this is a defect of tvmtiny: report it"
        )
    image = Image(
        artifact.name,
        artifact.target.cpu.name,
        artifact.target.cpu.features,
        version,
        minimum_firmware,
        artifact.arena_bytes,
        artifact.state_bytes,
        stack,
        tuple(_tensor(t) for t in artifact.inputs),
        tuple(_tensor(t) for t in artifact.outputs),
        code,
        artifact.constants_bytes,
        start & ~1,
        start & 1,
    )
    return replace(image, selftest=selftest(model, artifact, image))


def _compile(artifact: Artifact, directory: Path, optimization: str) -> list[str]:
    """Compile all sources and return the names of the objects."""
    cpu = artifact.target.cpu
    architecture = find_architecture(cpu.architecture)
    sources = [name for name in artifact.files if name.endswith(".c")]
    command = (
        find_tool(architecture.compiler),
        *compile_flags(cpu),
        optimization,
        *architecture.model_flags,
        *architecture.image_flags,
        "-DTVMTINY_IMAGE",
        # The firmware places the image as a whole, so no part of it has a section of its own.
        "-DTVMTINY_CONSTANTS_SECTION=",
        "-DTVMTINY_ARENA_SECTION=",
        "-fcallgraph-info=su",
        "-c",
        *sources,
    )
    run_tool(command, directory, directory / "compile_.log", architecture.library)
    return [f"{name.removesuffix('.c')}.o" for name in sources]


def _link(artifact: Artifact, directory: Path, objects: list[str], entry: str) -> tuple[bytes, int]:
    """Link at both addresses; return code with constants, and the offset of the entry point."""
    cpu = artifact.target.cpu
    architecture = find_architecture(cpu.architecture)
    script = (shipped("runtime") / "image" / "image.ld").read_text(encoding="utf-8")
    write_text(directory / "image_.ld", script)
    found = []
    for base in _BASES:
        command = (
            find_tool(architecture.compiler),
            *link_flags(cpu, "image_.ld"),
            f"-Wl,-e,{entry}",
            f"-Wl,--defsym=image_base={base:#x}",
            *objects,
            "-lm",
            "-o",
            "image_.elf",
        )
        run_tool(command, directory, directory / "link_.log", architecture.library)
        found.append(_read(directory / "image_.elf", artifact.name, base))
    if found[0] != found[1]:
        if has_floats(artifact):
            # The library for Armv6-M divides floats with tables of addresses.
            raise ImageError(
                artifact.name,
                f"GCC's library for floats has tables of addresses on {cpu.name}",
                "quantize the model to int8 (tvmtiny quantize), or choose another CPU, such as "
                "cortex-m3",
            )
        pairs = zip(found[0][0], found[1][0], strict=False)
        differing = sum(a != b for a, b in pairs)
        raise ImageError(
            artifact.name,
            f"{differing} bytes of its code depend on its address",
            "this is a defect of tvmtiny: report it with the model and the CPU",
        )
    return found[0]


def _read(elf: Path, name: str, base: int) -> tuple[bytes, int]:
    with elf.open("rb") as file:
        program = ELFFile(file)
        for section in program.iter_sections():
            held = _FORBIDDEN.get(section.name)
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]:
                if section.name != ".image":
                    raise ImageError(
                        name,
                        f"its code has {held or section.name} ({section['sh_size']} bytes)",
                        "an image can only have constants: report the model and the CPU",
                    )
                code = bytes(section.data())
        entry = int(program["e_entry"]) - base
    assert base % ALIGNMENT == 0
    return code, entry


def _tensor(tensor: TensorInfo) -> ImageTensor:
    return ImageTensor(
        tensor.c_name,
        tensor.dtype,
        tensor.shape,
        tensor.bytes,
        tensor.offset,
        tensor.scale,
        tensor.zero_point,
    )
