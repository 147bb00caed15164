"""Zephyr applications: written from models, built with west, flashed by west's runners."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tvmtiny.errors import BuildError, CapacityError, InputError
from tvmtiny.project.capacity import check_capacities
from tvmtiny.project.files import make_directory, write_text
from tvmtiny.project.package import PackagedModel, package_files, render
from tvmtiny.project.zephyr_board import ZephyrBoard, find_zephyr_board
from tvmtiny.project.zephyr_tree import ZephyrTree

__all__ = [
    "MODES",
    "Application",
    "ApplicationBuild",
    "ApplicationModel",
    "ApplicationOptions",
    "build_application",
    "create_application",
    "flash_application",
    "load_application",
]

MODES = ("standalone", "rpc", "shell")

_RECORD = "tvmtiny.json"
_TABLE = "table/tvmtiny_models.c"

# Of the main thread beside the model: the application's own frames, what logs a line, and what the
# processor saves at an interrupt.
_THREAD_STACK_BYTES = 640
# The shell's own commands are nested deeper.
_SHELL_STACK_BYTES = 2048
# The measured need is that of another compiler's options, and perhaps of another CPU.
_STACK_MARGIN = 1.125

# Of a kernel with a console, at the least.
_ZEPHYR_FLASH_BYTES = 8192
_ZEPHYR_RAM_BYTES = 2048

_USED = re.compile(r"^\s+(\w+):\s+(\d+) (B|KB|MB|GB)\s+(\d+) (B|KB|MB|GB)\s", re.MULTILINE)
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_OVERFLOW = re.compile(r"region [`'](?P<region>\w+)' overflowed by (?P<bytes>\d+) byte")
_LENGTH = re.compile(r"^\s*(\w+)\s*\(\w+\)\s*:\s*ORIGIN\s*=[^,]*,\s*LENGTH\s*=\s*(.+)$", re.M)


@dataclass(frozen=True)
class ApplicationOptions:
    """How an application is written.

    Attributes
    ----------
    mode
        ``standalone``, ``rpc`` or ``shell``.
    fragments
        Kconfig files to add.
    stack_bytes
        Of the main thread; by default from what the models need.
    arena_section, constants_section
        Sections of the linker script; by default with other data.
    """

    mode: str = "standalone"
    fragments: tuple[Path, ...] = ()
    stack_bytes: int | None = None
    arena_section: str | None = None
    constants_section: str | None = None


@dataclass(frozen=True)
class ApplicationModel:
    """A model of an application, and bytes that it takes."""

    name: str
    arena_bytes: int
    constants_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class Application:
    """A Zephyr application on disk.

    Attributes
    ----------
    directory
        Where it is.
    board
        What it was created for.
    mode
        What it does unless the build says otherwise.
    models
        What it runs.
    """

    directory: Path
    board: ZephyrBoard
    mode: str
    models: tuple[ApplicationModel, ...]


@dataclass(frozen=True)
class ApplicationBuild:
    """A built application.

    Attributes
    ----------
    application
        What it was built from.
    directory
        West's build directory.
    elf, log
        The program, and everything that was printed.
    zephyr_version
        Of the tree.
    zephyr_board
        That tree's name of the board.
    memory
        Bytes that the program takes of each region, and bytes that it has.
    """

    application: Application
    directory: Path
    elf: Path
    log: Path
    zephyr_version: tuple[int, int, int]
    zephyr_board: str
    memory: Mapping[str, tuple[int, int]] = field(hash=False)


def create_application(
    models: Sequence[PackagedModel],
    board: ZephyrBoard,
    directory: Path,
    options: ApplicationOptions | None = None,
) -> Application:
    """Write an application; no Zephyr tree is needed.

    Parameters
    ----------
    models
        What it runs; code for the board's CPU.
    board
        What it is for.
    directory
        Where to. Files that are there are overwritten, and others stay.
    options
        See there.

    Raises
    ------
    InputError
        The mode is unknown, a fragment cannot be read, or two models have the same name.
    CapacityError
        The models cannot fit the board; nothing was written.
    OutputPathError
        The directory cannot be written to.
    """
    chosen = options or ApplicationOptions()
    if chosen.mode not in MODES:
        raise InputError(f"there is no mode {chosen.mode!r}; known: {', '.join(MODES)}")
    stack = _main_stack(models, chosen)
    files = _files(models, board, chosen, stack)
    if board.board is not None:
        check_capacities(
            [model.artifact for model in models],
            board.board,
            stack,
            _ZEPHYR_RAM_BYTES,
            _ZEPHYR_FLASH_BYTES,
        )
    for name, text in files.items():
        make_directory((directory / name).parent)
        write_text(directory / name, text)
    return load_application(directory)


def _main_stack(models: Sequence[PackagedModel], options: ApplicationOptions) -> int:
    if options.stack_bytes is not None:
        return options.stack_bytes
    need = max((model.stack_bytes for model in models), default=0)
    return _round_up(round(need * _STACK_MARGIN) + _THREAD_STACK_BYTES)


def _round_up(count: int, unit: int = 64) -> int:
    return -(-count // unit) * unit


def _files(
    models: Sequence[PackagedModel], board: ZephyrBoard, options: ApplicationOptions, stack: int
) -> dict[str, str]:
    """All files by name; the record comes last."""
    files = _static_files()
    package = package_files(models, table=_TABLE)
    package[_TABLE] = render("models.c.j2", models=models)
    shell_stack = _round_up(stack - _THREAD_STACK_BYTES) + _SHELL_STACK_BYTES
    package["Kconfig"] = render(
        "Kconfig.j2",
        main_stack_bytes=stack,
        shell_stack_bytes=shell_stack,
        uses_float=any(_uses_float(model) for model in models),
    )
    package["application.cmake"] = render("application.cmake.j2", mode=options.mode)
    files.update({f"models/{name}": text for name, text in package.items()})
    if lines := _option_lines(board, options):
        files["conf/user/0-created.conf"] = render("options.conf.j2", options=lines)
    for number, path in enumerate(options.fragments, 1):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise InputError(f"the Kconfig fragment {path} cannot be read: {reason}") from error
        files[f"conf/user/{number}-{path.stem}.conf"] = text
    record = {
        "board": board.name,
        "cpu": board.cpu.name,
        "mode": options.mode,
        "models": [
            asdict(
                ApplicationModel(
                    model.name,
                    model.artifact.arena_bytes,
                    model.artifact.constants_bytes,
                    model.stack_bytes,
                )
            )
            for model in models
        ],
    }
    files[_RECORD] = json.dumps(record, indent=2) + "\n"
    return files


def _option_lines(board: ZephyrBoard, options: ApplicationOptions) -> list[tuple[str, str]]:
    lines = []
    if options.stack_bytes is not None:
        lines.append(("MAIN_STACK_SIZE", str(options.stack_bytes)))
    if board.compile_options:
        flags = " ".join(("-O2", *board.compile_options))
        lines.append(("TVMTINY_COMPILE_OPTIONS", f'"{flags}"'))
    if options.arena_section is not None:
        lines.append(("TVMTINY_ARENA_SECTION", f'"{options.arena_section}"'))
    if options.constants_section is not None:
        lines.append(("TVMTINY_CONSTANTS_SECTION", f'"{options.constants_section}"'))
    return lines


def _uses_float(model: PackagedModel) -> bool:
    artifact = model.artifact
    dtypes = [tensor.dtype for tensor in (*artifact.inputs, *artifact.outputs)]
    return any(
        dtype.startswith("float") for dtype in [*dtypes, *(x.dtype for x in artifact.layers)]
    )


def _static_files() -> dict[str, str]:
    """The parts of the application that no model changes."""
    root = Path(str(resources.files("tvmtiny.project"))) / "zephyr_app"
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def load_application(directory: Path) -> Application:
    """Read what was created in a directory.

    Raises
    ------
    InputError
        There is no application of tvmtiny.
    """
    try:
        record: Any = json.loads((directory / _RECORD).read_text(encoding="utf-8"))
        board, cpu, mode = str(record["board"]), str(record["cpu"]), str(record["mode"])
        models = tuple(
            ApplicationModel(
                str(model["name"]),
                int(model["arena_bytes"]),
                int(model["constants_bytes"]),
                int(model["stack_bytes"]),
            )
            for model in record["models"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{directory} holds no application of tvmtiny ({_RECORD} is missing or damaged); "
            "write one: tvmtiny project create --platform zephyr MODEL -o DIR"
        ) from None
    return Application(directory.resolve(), find_zephyr_board(board, cpu), mode, models)


def build_application(
    application: Application,
    tree: ZephyrTree,
    build_directory: Path | None = None,
    definitions: Mapping[str, str] | None = None,
) -> ApplicationBuild:
    """Build an application with west.

    Parameters
    ----------
    application
        What to build.
    tree
        With which Zephyr.
    build_directory
        By default ``build`` in the application.
    definitions
        CMake variables, such as ``TVMTINY_MODE``.

    Raises
    ------
    UnknownTargetError
        This Zephyr does not know the board.
    ToolMissingError, BuildError
        West is not installed, or failed.
    CapacityError
        The program does not fit the board.
    """
    directory = build_directory or application.directory / "build"
    given = dict(definitions or {})
    names = application.board.names
    # A board of the user's own is not in the tree.
    name = names[-1] if "BOARD_ROOT" in given else tree.board_name(names)
    log = directory.parent / f"{directory.name}.log"
    command = ["build", "--pristine=auto", "--board", name, "--build-dir", str(directory)]
    command += [str(application.directory), "--"]
    command += [f"-D{key}={value}" for key, value in given.items()]
    make_directory(directory.parent)
    try:
        output = tree.west(command, log)
    except BuildError as error:
        if too_small := _too_small(application, directory, log):
            raise too_small from error
        raise
    elf = directory / "zephyr" / "zephyr.elf"
    program = elf if elf.exists() else directory / "zephyr" / "zephyr.exe"
    # An incremental build without changes links nothing and prints no table.
    table = output if _USED.search(output) else _last_table(directory)
    memory = {
        region: (int(used) * _UNITS[used_unit], int(size) * _UNITS[size_unit])
        for region, used, used_unit, size, size_unit in _USED.findall(table)
        if region != "IDT_LIST"
    }
    if memory:
        write_text(
            directory / "tvmtiny_memory.txt", "\n".join(m.group() for m in _USED.finditer(table))
        )
    return ApplicationBuild(application, directory, program, log, tree.version, name, memory)


def _last_table(directory: Path) -> str:
    try:
        return (directory / "tvmtiny_memory.txt").read_text(encoding="utf-8")
    except OSError:
        return ""


def _too_small(application: Application, directory: Path, log: Path) -> CapacityError | None:
    """What the linker says about a memory region that is too small."""
    match = _OVERFLOW.search(log.read_text(encoding="utf-8", errors="replace"))
    if match is None:
        return None
    available = 0
    for script in sorted((directory / "zephyr").glob("linker*.cmd")):
        for region, length in _LENGTH.findall(script.read_text(encoding="utf-8", errors="replace")):
            if region == match["region"]:
                available = _evaluate(length)
    return CapacityError(
        region=match["region"],
        needed=available + int(match["bytes"]),
        available=available,
        board=application.board.name,
    )


def _evaluate(expression: str) -> int:
    """A product of numbers, which is what Zephyr writes for the size of a region."""
    product = 1
    for factor in expression.replace("(", " ").replace(")", " ").split("*"):
        text = factor.strip()
        unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:], 1)
        try:
            product *= int(text.rstrip("KM"), 0) * unit
        except ValueError:
            return 0
    return product


def flash_application(build: ApplicationBuild, tree: ZephyrTree, runner: str | None = None) -> None:
    """Put a program onto its board, with west's runner for it.

    Parameters
    ----------
    build
        The program.
    tree
        Zephyr.
    runner
        Such as ``jlink``; by default the board's.

    Raises
    ------
    InputError
        The board is emulated.
    ToolMissingError, BuildError
        West is not installed, or failed.
    """
    board = build.application.board
    if board.machine is not None:
        raise InputError(f"{board.name} is emulated: there is nothing to flash; run it")
    command = ["flash", "--build-dir", str(build.directory)]
    if runner is not None:
        command += ["--runner", runner]
    tree.west(command, build.directory.parent / "flash.log")
