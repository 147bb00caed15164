"""Check that this machine has what tvmtiny needs, and tell how to install what is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from serial.tools import list_ports

from tvmtiny.errors import BuildError, InputError, ToolMissingError
from tvmtiny.host.elf import code_of
from tvmtiny.host.toolchain import find_tool, run_tool
from tvmtiny.host.unfinished import work_folder
from tvmtiny.native import HOST_COMPILER
from tvmtiny.project.zephyr.source_tree import OLDEST_VERSION, find_tree
from tvmtiny.targets import boards, cpus
from tvmtiny.targets.architectures import Architecture, architectures, find_architecture

__all__ = ["Finding", "Status", "diagnose"]

#: Host seconds after which a program that should only print its version counts as broken.
_TIMEOUT = 20.0

#: An instruction that GNU as 2.40 assembles as another one, and its correct encoding.
_NARROWING, _NARROWED = "vqshrnb.s32 q1, q0, #12", bytes.fromhex("94ee402f")


class Status(str, Enum):
    """Severity of a finding: ``MISSING`` disables a part of tvmtiny, ``NOTE`` does not."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    what
        Name of the checked item.
    status
        Severity of the finding.
    detail
        Version, location, or description of the problem.
    needed_for
        Functionality that needs the item.
    remedy
        Advice for the user; empty if no action is needed.
    """

    what: str
    status: Status
    detail: str
    needed_for: str
    remedy: str = ""


def diagnose(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Check this machine.

    Parameters
    ----------
    environment
        Environment variables of the caller; ``ZEPHYR_BASE`` names a Zephyr tree.
    """
    return (
        _python(),
        *_packages(),
        *(_compiler(architecture) for architecture in architectures()),
        *_assembler(),
        _host_compiler(),
        *(_emulator(architecture) for architecture in architectures()),
        *_zephyr(environment),
        *_serial_ports(),
        _temporary_space(),
    )


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", Status.OK, f"{found}, {sys.executable}", "everything")


def _packages() -> Iterator[Finding]:
    """Check the packages that tvmtiny requires, and their versions."""
    for text in requires("tvmtiny") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        remedy = f'pip install "{wanted}"'
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, Status.MISSING, "not installed", "tvmtiny", remedy)
            continue
        if requirement.specifier.contains(found, prereleases=True):
            yield Finding(requirement.name, Status.OK, found, "tvmtiny")
        else:
            detail = f"{found}, but {wanted} is needed"
            yield Finding(requirement.name, Status.MISSING, detail, "tvmtiny", remedy)


def _compiler(architecture: Architecture) -> Finding:
    what, purpose = architecture.compiler.name, "building firmware"
    library = architecture.library
    missing = Status.NOTE if architecture.optional else Status.MISSING
    # Flags of any of the CPUs: headers and archives are installed for all of them or for none.
    flags = next((c.flags for c in cpus().values() if c.architecture == architecture.name), ())
    try:
        compiler = find_tool(architecture.compiler)
        detail = _first_line([compiler, "--version"])
        with work_folder("doctor") as directory:
            (directory / "try.c").write_text("#include <stdint.h>\nint main(void) { return 0; }\n")
            # GCC refuses spec files that it is given twice.
            own = dict.fromkeys((*flags, *architecture.compile_flags, *architecture.link_flags))
            command = (compiler, *own, "try.c", "-o", "try.elf")
            run_tool(command, directory, directory / "try.log", library)
    except ToolMissingError as error:
        return Finding(what, missing, error.why, purpose, _install(error.package))
    except BuildError as error:
        remedy = _install(f"{architecture.compiler.package} {library.package}")
        return Finding(what, missing, error.first_error_line, purpose, remedy)
    return Finding(what, Status.OK, f"{detail}, with {library.name}", purpose)


def _host_compiler() -> Finding:
    what, purpose = HOST_COMPILER.name, "running models on this machine, as evaluate does"
    try:
        compiler = find_tool(HOST_COMPILER)
    except ToolMissingError as error:
        return Finding(what, Status.NOTE, "not installed", purpose, _install(error.package))
    return Finding(what, Status.OK, _first_line([compiler, "--version"]), purpose)


def _assembler() -> Iterator[Finding]:
    """Check how the compiler's assembler encodes VQSHRN; generated code uses the raw encoding."""
    architecture = find_architecture("arm")
    try:
        compiler = find_tool(architecture.compiler)
        with work_folder("doctor") as directory:
            (directory / "try.s").write_text(f".syntax unified\n.thumb\n.text\n{_NARROWING}\n")
            flags = ("-march=armv8.1-m.main+mve", "-mfloat-abi=hard", "-c")
            command = (compiler, *flags, "try.s", "-o", "try.o")
            run_tool(command, directory, directory / "try.log")
            found = code_of(directory / "try.o")
    except (ToolMissingError, BuildError):
        # The compiler is missing, which another finding reports, or too old for Helium.
        return
    what, purpose = "assembler for Helium", "own code for Cortex-M55 and M85"
    if found == _NARROWED:
        yield Finding(what, Status.OK, "VQSHRN assembles correctly", purpose)
        return
    detail = "assembles VQSHRN, also in intrinsics, as VQRSHRN, which rounds"
    remedy = "avoid VQSHRN in own code, or write its instruction word as generated code does"
    yield Finding(what, Status.NOTE, detail, purpose, remedy)


def _emulator(architecture: Architecture) -> Finding:
    what, purpose = architecture.emulator.name, "running without a board"
    missing = Status.NOTE if architecture.optional else Status.MISSING
    try:
        emulator = find_tool(architecture.emulator)
    except ToolMissingError as error:
        return Finding(what, missing, "not installed", purpose, _install(error.package))
    detail = _first_line([emulator, "--version"])
    known = set(re.findall(r"^(\S+)", _output([emulator, "-machine", "help"]), re.MULTILINE))
    wanted = {
        str(board.options["machine"])
        for board in boards().values()
        if board.platform == "qemu" and board.cpu.architecture == architecture.name
    }
    if wanted - known:
        lacking = f"{detail}, without the machines {', '.join(sorted(wanted - known))}"
        return Finding(what, Status.NOTE, lacking, purpose, "install QEMU 7.2 or newer")
    return Finding(what, Status.OK, detail, purpose)


def _zephyr(environment: Mapping[str, str]) -> Iterator[Finding]:
    purpose = "Zephyr applications"
    base = environment.get("ZEPHYR_BASE")
    if not base:
        remedy = "set ZEPHYR_BASE to a Zephyr tree, as Zephyr's zephyr-env.sh does"
        yield Finding("Zephyr", Status.NOTE, "ZEPHYR_BASE is not set", purpose, remedy)
        return
    yield _zephyr_tree(Path(base), purpose)
    for tool, package in (("west", "pip install west"), ("cmake", ""), ("ninja", "")):
        yield _tool(tool, purpose, package or _install({"ninja": "ninja-build"}.get(tool, tool)))


def _zephyr_tree(base: Path, purpose: str) -> Finding:
    oldest = ".".join(map(str, OLDEST_VERSION))
    try:
        tree = find_tree(base, oldest=None)
    except InputError:
        detail = f"ZEPHYR_BASE is {base}, which is not a Zephyr tree"
        return Finding(
            "Zephyr", Status.MISSING, detail, purpose, "set ZEPHYR_BASE to a Zephyr tree"
        )
    detail = f"{tree.version[0]}.{tree.version[1]} in {base}"
    if tree.version < OLDEST_VERSION:
        return Finding("Zephyr", Status.MISSING, detail, purpose, f"use Zephyr {oldest} or newer")
    return Finding("Zephyr", Status.OK, detail, purpose)


def _tool(name: str, purpose: str, remedy: str) -> Finding:
    output = _output([name, "--version"])
    if not output:
        return Finding(name, Status.MISSING, "not installed", purpose, remedy)
    return Finding(name, Status.OK, output.splitlines()[0].strip(), purpose)


def _serial_ports() -> Iterator[Finding]:
    purpose = "attached boards"
    ports = sorted(list_ports.comports(), key=lambda port: str(port.device))
    if not ports:
        yield Finding("serial ports", Status.NOTE, "none", purpose)
    for port in ports:
        what = f"serial port {port.device}"
        if os.access(port.device, os.R_OK | os.W_OK):
            yield Finding(what, Status.OK, str(port.description), purpose)
        else:
            remedy = "sudo usermod -a -G dialout $USER, then log in again"
            yield Finding(what, Status.MISSING, "no permission", purpose, remedy)


#: Space for a project with the largest models, its objects and its log, with a margin.
_SPACE_BYTES = 64 << 20


def _temporary_space() -> Finding:
    what, purpose = "temporary files", "building firmware"
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder):
            state = os.statvfs(folder)
    except OSError as error:
        remedy = "make the folder writable, or set TMPDIR to one that is"
        return Finding(what, Status.MISSING, f"{folder}: {error.strerror}", purpose, remedy)
    free = state.f_bavail * state.f_frsize
    detail = f"{folder}, {free >> 20:,} MB free"
    if free < _SPACE_BYTES:
        return Finding(what, Status.MISSING, detail, purpose, "free some space, or set TMPDIR")
    return Finding(what, Status.OK, detail, purpose)


def _install(package: str) -> str:
    return f"sudo apt-get install {package}"


def _first_line(command: list[str]) -> str:
    lines = _output(command).splitlines()
    return lines[0].strip() if lines else "does not state its version"


def _output(command: list[str]) -> str:
    """Return the output of a program; empty if it is missing or fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
