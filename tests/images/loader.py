"""Build the loader of images with the firmware of these tests, and run its jobs."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from host_runner import compile_sanitized

from tvmtiny.codegen.placement import Placement
from tvmtiny.host.files import write_bytes, write_text
from tvmtiny.host.toolchain import CompileJob, compile_all, find_tool, run_tool
from tvmtiny.host.unfinished import work_folder
from tvmtiny.images.image_format import SignatureKind, feature_bits
from tvmtiny.images.signing import PublicKey
from tvmtiny.project.measurement import Measurement, instructions
from tvmtiny.project.qemu.flags import compile_flags, device_flags, link_flags
from tvmtiny.project.qemu.options import QemuOptions
from tvmtiny.project.qemu.platform import emulate_in
from tvmtiny.project.qemu.sources import link_script
from tvmtiny.project.runtime_files import c_files
from tvmtiny.resources import shipped
from tvmtiny.results import Firmware, FlashSizes, Project
from tvmtiny.targets import Board, Cpu, boards
from tvmtiny.targets.architectures import find_architecture

HERE = Path(__file__).parent
IMAGE = shipped("runtime") / "image"
IN_PLACE = 0xFFFFFFFF
_MEASUREMENT = struct.Struct("<i7I")

#: The folder where scripts/setup.sh puts the sources of Monocypher.
MONOCYPHER = Path(sys.prefix) / "src" / "monocypher"


def monocypher_or_skip() -> Path:
    """The folder with Monocypher's sources."""
    if not (MONOCYPHER / "monocypher.c").is_file():
        pytest.skip("not installed: the sources of Monocypher (scripts/setup.sh dev)")
    return MONOCYPHER


#: The sources of Mbed TLS that scripts/setup.sh brings, and what an application takes of them.
MBEDTLS = Path(sys.prefix) / "src" / "mbedtls"
_MBEDTLS = (
    *("asn1parse", "asn1write", "bignum", "constant_time", "ecdsa", "ecp", "ecp_curves", "md"),
    *("memory_buffer_alloc", "platform", "platform_util", "psa_crypto", "psa_crypto_aead"),
    *("psa_crypto_cipher", "psa_crypto_client", "psa_crypto_driver_wrappers", "psa_crypto_ecp"),
    *("psa_crypto_hash", "psa_crypto_mac", "psa_crypto_rsa", "psa_crypto_slot_management"),
    "sha256",
)


def mbedtls_or_skip() -> tuple[list[Path], list[str]]:
    """Sources and options of PSA Crypto for a board."""
    sources = [MBEDTLS / "library" / f"{name}.c" for name in _MBEDTLS]
    if not all(source.is_file() for source in sources):
        pytest.skip("not installed: the sources of Mbed TLS 2.28 (scripts/setup.sh dev)")
    folders = [MBEDTLS / "include", MBEDTLS / "library"]
    options = [f"-isystem{folder}" for folder in folders]
    options += [f"-I{HERE}", '-DMBEDTLS_CONFIG_FILE="psa_config.h"']
    return [*sources, HERE / "psa_device.c"], options


@dataclass(frozen=True)
class Platform:
    """The firmware's identity and permissions; ``struct tvmtiny_image_platform``."""

    cpu: Cpu
    key: PublicKey | None = None
    firmware_version: int = 5
    least_version: int = 2
    memory_bytes: int = 4096
    stack_bytes: int = 1024

    def header(self, more: Mapping[str, int] = {}) -> str:
        """``platform.h``."""
        lines = ['#include "tvmtiny_image.h"']
        lines += [f"#define {name} {value}u" for name, value in more.items()]
        keys = "(const struct tvmtiny_image_key *)0, 0"
        if self.key is not None:
            function = ("", "tvmtiny_image_monocypher", "tvmtiny_image_psa")[self.key.kind]
            data, name = (", ".join(map(str, b)) for b in (self.key.data, self.key.key_id))
            lines += [
                '#include "tvmtiny_image_verify.h"',
                f"static const uint8_t public_key[] = {{{data}}};",
                "static const struct tvmtiny_image_key keys[] = {",
                f"    {{{int(self.key.kind)}, {{{name}}}, public_key, {function}}}}};",
            ]
            keys = "keys, 1"
        numbers = (
            feature_bits(self.cpu.features),
            self.firmware_version,
            self.least_version,
            self.memory_bytes,
            self.stack_bytes,
        )
        values = ", ".join(f"{number}u" for number in numbers)
        lines.append(
            "static const struct tvmtiny_image_platform platform = "
            f'{{"{self.cpu.name}", {values}, {keys}}};'
        )
        return "\n".join(lines) + "\n"


def verifying(platform: Platform) -> tuple[list[Path], list[str]]:
    """Sources and options for the signatures of a platform."""
    if platform.key is None:
        return [], []
    if platform.key.kind is SignatureKind.ECDSA_P256:
        if not Path("/usr/include/psa/crypto.h").is_file():
            pytest.skip("not installed: libmbedtls-dev")
        return [IMAGE / "verify" / "tvmtiny_image_psa.c"], [f"-I{IMAGE / 'verify'}", "-DWITH_PSA"]
    folder = monocypher_or_skip()
    own = [IMAGE / "verify" / f"{n}.c" for n in ("tvmtiny_sha512", "tvmtiny_image_monocypher")]
    return [*own, folder / "monocypher.c"], [f"-I{IMAGE / 'verify'}", f"-isystem{folder}"]


def statuses_on_host(directory: Path, platform: Platform, images: Sequence[bytes]) -> list[int]:
    """Return the loader's verdict on each image, computed on this machine under sanitizers."""
    write_text(directory / "platform.h", platform.header())
    sources, options = verifying(platform)
    own = [HERE / "loader_host.c", *sorted(IMAGE.glob("*.c"))]
    own += [source for source in sources if not _of_others(source)]
    options = [f"-I{directory}", f"-I{IMAGE}", *options, "-D_ISOC11_SOURCE"]
    libraries = ["-lmbedcrypto"] if "-DWITH_PSA" in options else []
    others = [source for source in sources if _of_others(source)]
    compile_sanitized(own, directory, [*options, *libraries], "loader", others)
    data = b"".join(len(image).to_bytes(4, "little") + image for image in images)
    done = subprocess.run([directory / "loader"], input=data, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()[-2000:]
    return list(struct.unpack(f"<{len(images)}i", done.stdout))


def _of_others(path: Path) -> bool:
    return path.name == "monocypher.c" or path.is_relative_to(MBEDTLS)


def _quiet(source: str) -> tuple[str, ...]:
    return ("-w", "-Wno-error", "-Wno-pedantic") if _of_others(Path(source)) else ()


def build_program(
    board: Board,
    directory: Path,
    files: Mapping[str, str],
    stack_bytes: int,
    project: Project,
    more: Sequence[Path] = (),
    options: Sequence[str] = (),
) -> Firmware:
    """Build a program of these files for a board, with the files of `more` in their places."""
    architecture = find_architecture(board.cpu.architecture)
    script = link_script(board, Placement(), stack_bytes, 0)
    for name, text in {**files, "link.ld": script}.items():
        write_text(directory / name, text)
    compiler = find_tool(architecture.compiler)
    flags = (*compile_flags(board.cpu), *device_flags(board.cpu), *QemuOptions.of(board).flags)
    names = [*(name for name in files if name.endswith(".c")), *map(str, more)]
    objects = [f"{Path(name).stem}.o" for name in names]
    jobs = [
        CompileJob(
            # The library has warnings of its own.
            (compiler, *flags, *options, *_quiet(name), "-c", name, "-o", made),
            directory / "log",
        )
        for name, made in zip(names, objects, strict=True)
    ]
    compile_all(jobs, directory, 1, architecture.library)
    linked = (*link_flags(board.cpu, "link.ld"), *objects, "-lgcc", "-o", "program.elf")
    run_tool((compiler, *linked), directory, directory / "link.log")
    return Firmware(directory / "program.elf", project, FlashSizes(0, 0, 0), 0)


@dataclass
class Loader:
    """The firmware for a board.

    Attributes
    ----------
    buffer_bytes
        RAM for images.
    place_bytes
        Flash for each image of the job that swaps them.
    """

    board: Board
    directory: Path
    platform: Platform
    stack_bytes: int = 16384
    buffer_bytes: int = 65536
    place_bytes: int = 65536

    def build(self, project: Project) -> Firmware:
        """Build the firmware; errors name the board and model of `project`."""
        sources = find_architecture(self.board.cpu.architecture).sources
        files = {
            **c_files("device", "device/harness", sources, "image"),
            "main.c": (HERE / "loader_main.c").read_text(),
            "platform.h": self.platform.header(
                {
                    "BUFFER_BYTES": self.buffer_bytes,
                    "MEMORY_BYTES": self.platform.memory_bytes,
                    "PLACE_BYTES": self.place_bytes,
                }
            ),
        }
        verifiers, options = verifying(self.platform)
        if "-DWITH_PSA" in options:
            more, flags = mbedtls_or_skip()
            verifiers, options = [*verifiers, *more], [*options, *flags]
        return build_program(
            self.board, self.directory, files, self.stack_bytes, project, verifiers, options
        )

    def run(
        self,
        firmware: Firmware,
        jobs: Sequence[tuple[int, int, int, int]],
        files: Mapping[str, bytes],
        placed: Mapping[int, bytes],
    ) -> tuple[bytes, bytes]:
        """Run jobs with images at addresses.

        Returns
        -------
        tuple of bytes
            Results, and the outputs of the last run.
        """
        words = [word for job in jobs for word in job]
        with work_folder("loader") as directory:
            for name, data in files.items():
                write_bytes(directory / name, data)
            packed = struct.pack(f"<{len(words) + 1}I", len(jobs), *words)
            write_bytes(directory / "jobs.bin", packed)
            options = []
            for address, data in placed.items():
                write_bytes(directory / f"{address:x}.tvmi", data)
                what = f"loader,file={address:x}.tvmi,addr={address:#x},force-raw=on"
                options += ["-device", what]
            emulate_in(firmware, directory, 300, options)
            output = directory / "output.bin"
            results = (directory / "results.bin").read_bytes()
            return results, output.read_bytes() if output.exists() else b""


def counted(board: Board, results: bytes) -> tuple[list[tuple[int, int, int]], bytes]:
    """Status, instructions and stack of each run, and the results that follow.

    The first measurement is of an empty call.
    """
    counter = find_architecture(board.cpu.architecture).counter
    hz = QemuOptions.of(board).counter_hz
    count = len(results) // _MEASUREMENT.size
    words = [_MEASUREMENT.unpack_from(results, i * _MEASUREMENT.size) for i in range(count)]
    # No host waits before a measurement begins.
    found = [Measurement(*word[:3], *word[4:]) for word in words]
    runs = [
        (m.status, instructions(m, found[0], counter, hz) if m.status == 0 else 0, m.stack_bytes)
        for m in found[1:]
    ]
    return runs, results[count * _MEASUREMENT.size :]


def board_named(name: str) -> Board:
    """Return a shipped board."""
    return boards()[name]
