"""Updates of models in flash, with power cuts at every operation of the flash."""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from host_runner import (
    LINKER,
    SANITIZERS,
    WARNINGS,
    compile_sanitized,
    compiler_or_skip,
    run_command,
)
from tools import on_qemu_boards

from tests.images.loader import IMAGE, Platform, board_named, build_program
from tests.images.test_loader import built, project
from tvmtiny.host.files import write_bytes, write_text
from tvmtiny.host.unfinished import work_folder
from tvmtiny.images.link_delta import make_pieces
from tvmtiny.project.qemu.platform import emulate_in
from tvmtiny.project.runtime_files import c_files
from tvmtiny.targets import cpus
from tvmtiny.targets.architectures import find_architecture

HERE = Path(__file__).parent


def build_simulation(folder: Path, sanitized: bool) -> Path:
    """Compile the simulation; hashing takes most of its time, so the hash is always optimized.

    `test_loader.test_hashes` runs the hash under sanitizers without the optimizer.
    """
    write_text(folder / "platform.h", Platform(cpus()["cortex-m0"], firmware_version=9).header())
    hashing = IMAGE / "tvmtiny_sha256.c"
    sources = [*IMAGE.glob("*.c"), *(IMAGE / "slots").glob("*.c"), HERE / "slots_host.c"]
    sources.remove(hashing)
    include = [f"-I{path}" for path in (folder, IMAGE, IMAGE / "slots")]
    command = [compiler_or_skip("gcc"), *WARNINGS, *(SANITIZERS if sanitized else ()), *include]
    run_command([*command, "-O3", "-c", str(hashing)], folder)
    if sanitized:
        return compile_sanitized(sources, folder, include, "slots", objects=[f"{hashing.stem}.o"])
    files = [*map(str, sources), f"{hashing.stem}.o"]
    run_command([*command, "-O2", *files, *LINKER, "-o", "slots"], folder)
    return folder / "slots"


def images(folder: Path, name: str = "sine") -> list[Path]:
    """Two versions of a model, of different sizes."""
    _, old = built(name, "microbit")
    new = replace(old, version=old.version + 1, code=old.code + bytes(132))
    files = [folder / "old.tvmi", folder / "new.tvmi"]
    for file, image in zip(files, (old, new), strict=True):
        file.write_bytes(image.pack())
    return files


def delta(folder: Path, files: list[Path]) -> Path:
    """Write the difference of two images as offset, size and bytes of each piece."""
    old, new = (file.read_bytes() for file in files)
    pieces = list(make_pieces(old, new, piece_bytes=64, output=1280))
    file = folder / "delta"
    file.write_bytes(
        b"".join(struct.pack("<2I", piece.offset, len(piece.data)) + piece.data for piece in pieces)
    )
    return file


#: Records in the log at the start: few, or so many that each operation meets a full page.
RECORDS = (0, 58, 60, 61, 62, 63, 64)


@pytest.mark.parametrize("sanitized", (False, True))
def test_a_power_cut_at_every_operation(sanitized: bool, tmp_path: Path) -> None:
    program = build_simulation(tmp_path, sanitized)
    records = RECORDS[:1] if sanitized else RECORDS
    files = images(tmp_path)
    done = subprocess.run(
        [program, *files, delta(tmp_path, files), *map(str, records)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    cuts, old, new = map(int, re.findall(r"\d+", done.stdout))
    assert cuts > (1000 if sanitized else 10_000)
    assert old > 100 and new > 10


def cut_on_microbit(folder: Path, first: int, step: int, end: int) -> tuple[int, int, int, int]:
    """Cut the power at every `step`-th operation of updates by resetting the emulated board.

    Returns
    -------
    tuple of int
        The operation after the last cut, how often the old and the new model ran after a cut, and
        how often neither ran or an update could not be completed.
    """
    where = board_named("microbit")
    artifact, image = built("digits", "microbit")
    images = [image.pack(), replace(image, code=image.code + bytes(132)).pack()]
    platform = Platform(where.cpu, memory_bytes=artifact.arena_bytes, least_version=0)
    places = (0x20000, 0x28000)
    architecture = find_architecture(where.cpu.architecture)
    names = ("FIRST", "SECOND")
    more = {f"{name}_PLACE": place for name, place in zip(names, places, strict=True)}
    more |= {f"{name}_BYTES": len(data) for name, data in zip(names, images, strict=True)}
    more["MEMORY_BYTES"] = platform.memory_bytes
    header = platform.header(more)
    files = {
        **c_files("device", "device/harness", architecture.sources),
        **c_files("image", "image/slots", "image/flash"),
        "main.c": (HERE / "slots_main.c").read_text(),
        "platform.h": header,
    }
    files = {name: text for name, text in files.items() if "zephyr" not in name}
    firmware = build_program(where, folder, files, 2048, project(artifact, "microbit"))
    state = struct.Struct("<8I")
    with work_folder("slots") as directory:
        write_bytes(directory / "state.bin", state.pack(0, first, step, end, 0, 0, 0, 0))
        options = []
        for place, data in zip(places, images, strict=True):
            write_bytes(directory / f"{place:x}.tvmi", data)
            options += ["-device", f"loader,file={place:x}.tvmi,addr={place:#x},force-raw=on"]
        emulate_in(firmware, directory, 1200, options)
        _, cut, _, _, old, new, wrong, _ = state.unpack((directory / "state.bin").read_bytes())
    return cut, old, new, wrong


@on_qemu_boards("microbit")
def test_resets_of_a_board_with_flash(board: str, tmp_path: Path) -> None:
    cut, old, new, wrong = cut_on_microbit(tmp_path, 0, 149, 1 << 31)
    assert wrong == 0
    assert old > 15 and cut > 149 * 15
    # The new model runs after cuts at the last operations.
    cut, old, new, wrong = cut_on_microbit(tmp_path, cut - 149, 1, 1 << 31)
    assert wrong == 0 and new > 0


ZEPHYR = """
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
struct device;
int flash_erase(const struct device *dev, off_t offset, size_t size);
int flash_write(const struct device *dev, off_t offset, const void *data, size_t len);
size_t flash_get_write_block_size(const struct device *dev);
"""


def test_driver_for_zephyr_compiles(tmp_path: Path) -> None:
    """Compile with the declarations of Zephyr's <zephyr/drivers/flash.h>, from 3.3 to 4.1."""
    for name, text in (("drivers/flash.h", ZEPHYR), ("device.h", "struct device;\n")):
        header = tmp_path / "zephyr" / name
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(text)
    include = [f"-I{path}" for path in (tmp_path, IMAGE, IMAGE / "slots", IMAGE / "flash")]
    source = IMAGE / "flash" / "tvmtiny_flash_zephyr.c"
    run_command([compiler_or_skip("gcc"), *WARNINGS, *include, "-c", str(source)], tmp_path)
