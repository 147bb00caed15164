"""Write Zephyr applications from models, and load them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.host.files import write_folder
from tvmtiny.project.candidate_firmware import MOST_BYTES, RUNNER, runner_files
from tvmtiny.project.capacity import check_capacities
from tvmtiny.project.mlperf_firmware import (
    BENCHMARKS,
    LISTENING,
    MLPERF_MODES,
    check_benchmarks,
    input_values,
    mlperf_files,
    model_source,
)
from tvmtiny.project.package import PackagedModel, package_files, render
from tvmtiny.project.rpc_firmware import rpc_library_files, rpc_model_source
from tvmtiny.project.zephyr.board import ZephyrBoard, find_zephyr_board
from tvmtiny.resources import shipped
from tvmtiny.targets import board_entry, boards, make_board

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = [
    "MODES",
    "Application",
    "ApplicationModel",
    "ApplicationOptions",
    "application_files",
    "check_application",
    "create_application",
    "is_application",
    "load_application",
]

MODES = ("standalone", "steps", "rpc", "runner", "shell", *MLPERF_MODES)

_RECORD = "tvmtiny.json"
_TABLE = "table/tvmtiny_models.c"

# Stack of the main thread besides the model: the application's frames, logging a line, and the
# registers that the processor saves on an interrupt.
_THREAD_STACK_BYTES = 640
# Commands of the shell nest more deeply.
_SHELL_STACK_BYTES = 2048
# Stack of the functions that the host calls, besides the model.
_RPC_STACK_BYTES = 256
# The candidates' demand is not yet known.
_RUNNER_STACK_BYTES = 8192
# The stack was measured with other compiler options, and perhaps on another CPU.
_STACK_MARGIN = 1.125

# Granularity of the RAM for candidates.
_RUNNER_UNIT = 4096

# Lower bounds on a kernel with a console.
_ZEPHYR_FLASH_BYTES = 8192
_ZEPHYR_RAM_BYTES = 2048


@dataclass(frozen=True)
class ApplicationOptions:
    """Options of an application.

    Attributes
    ----------
    mode
        ``standalone``, ``steps``, ``rpc``, ``shell``, ``mlperf``, ``mlperf-energy``, or ``runner``,
        which takes no models.
    fragments
        Kconfig fragments to add.
    stack_bytes
        Stack in bytes of the thread that runs the models if that is the main thread; other modes
        add what their own threads need. By default computed from the models' demand.
    arena_section
        Linker section of the arenas; by default that of the region in which the models were placed,
        or of other data.
    constants_section
        Linker section of the constants; by default that of other constants.
    benchmarks
        For the modes ``mlperf`` and ``mlperf-energy``: a benchmark of MLPerf Tiny for each model.
    """

    mode: str = "standalone"
    fragments: tuple[Path, ...] = ()
    stack_bytes: int | None = None
    arena_section: str | None = None
    constants_section: str | None = None
    benchmarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApplicationModel:
    """A model of an application, and its memory demand in bytes."""

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
        Path of the application.
    board
        Board that the application was created for.
    mode
        Mode of the application unless the build overrides it.
    models
        Models that the application runs.
    benchmarks
        Benchmarks of the models for MLPerf Tiny's runner.
    """

    directory: Path
    board: ZephyrBoard
    mode: str
    models: tuple[ApplicationModel, ...]
    benchmarks: tuple[str, ...] = ()


def create_application(
    models: Sequence[PackagedModel],
    board: ZephyrBoard,
    directory: Path,
    options: ApplicationOptions | None = None,
) -> Application:
    """Write an application; this requires no Zephyr tree.

    Parameters
    ----------
    models
        Models compiled for the board's CPU: at least one, or none for the mode ``runner``.
    board
        Board that the application is for.
    directory
        Folder to write. Existing files of the same names are overwritten, and others are kept; see
        `tvmtiny.host.files.write_folder`.
    options
        Options of the application.

    Raises
    ------
    InputError
        The mode is unknown or does not match the number of models, a fragment cannot be read, two
        models have the same name, or a model does not suit its benchmark.
    CapacityError
        The models cannot fit the board; nothing was written.
    OutputPathError
        The directory cannot be written.
    """
    chosen = options or ApplicationOptions()
    if chosen.mode not in MODES:
        raise InputError(f"there is no mode {quoted(chosen.mode)}; known: {', '.join(MODES)}")
    if models and chosen.mode == RUNNER:
        raise InputError("an application of the mode runner takes no models; leave them out")
    if not models and chosen.mode != RUNNER:
        raise InputError(
            f"an application of the mode {chosen.mode} needs a model; name one or more"
        )
    if any(model.artifact.placement.weights for model in models) and not chosen.constants_section:
        raise InputError(
            "Zephyr's linker script has no sections for constants by region; leave out the region "
            "of the weights, or name a linker section for them (--constants-section NAME)"
        )
    files = _files(models, board, chosen, _main_stack(models, chosen))
    check_application(models, board, chosen)
    write_folder(directory, {name: text.encode("utf-8") for name, text in files.items()})
    return load_application(directory)


def check_application(
    models: Sequence[PackagedModel], board: ZephyrBoard, options: ApplicationOptions
) -> None:
    """Raise if models cannot fit a board of known size.

    Raises
    ------
    CapacityError
        A region is too small even for the models and a minimal kernel.
    """
    if board.board is not None:
        check_capacities(
            [model.artifact for model in models],
            board.board,
            _main_stack(models, options),
            _ZEPHYR_RAM_BYTES,
            _ZEPHYR_FLASH_BYTES,
        )


def _main_stack(models: Sequence[PackagedModel], options: ApplicationOptions) -> int:
    if options.stack_bytes is not None:
        return options.stack_bytes
    if not models:
        return _RUNNER_STACK_BYTES
    need = max(model.stack_bytes for model in models)
    return _round_up(round(need * _STACK_MARGIN) + _THREAD_STACK_BYTES)


def _round_up(count: int, unit: int = 64) -> int:
    return -(-count // unit) * unit


def _files(
    models: Sequence[PackagedModel], board: ZephyrBoard, options: ApplicationOptions, stack: int
) -> dict[str, str]:
    """Return all files by name; the record is the last."""
    files = application_files()
    package = {}
    if models:
        package = package_files(models, table=_TABLE)
        package[_TABLE] = render("models.c.j2", models=models)
    shell_stack = _round_up(stack - _THREAD_STACK_BYTES) + _SHELL_STACK_BYTES
    package["Kconfig"] = render(
        "Kconfig.j2",
        main_stack_bytes=stack,
        shell_stack_bytes=shell_stack,
        rpc_stack_bytes=stack + _RPC_STACK_BYTES,
        runner_stack_bytes=max(stack, _RUNNER_STACK_BYTES) if models else stack,
        runner_bytes=_runner_bytes(board),
        uses_float=any(_uses_float(model) for model in models),
    )
    package["application.cmake"] = render(
        "application.cmake.j2",
        mode=options.mode,
        first=models[0].name if models else "",
        benchmarks=options.benchmarks,
    )
    package["rpc/board.h"] = render("board.h.j2", board=board)
    runner = runner_files(board.name, board.cpu, semihosting=False)
    package.update({f"runner/{name}": text for name, text in runner.items()})
    for model in models:
        package[f"rpc/{model.name}.c"] = rpc_model_source(model.artifact, board.name)
    if options.benchmarks or options.mode in MLPERF_MODES:
        package.update(_mlperf_files([model.artifact for model in models], options.benchmarks))
    files.update({f"models/{name}": text for name, text in package.items()})
    files.update({f"rpc/{name}": text for name, text in rpc_library_files().items()})
    if lines := _option_lines(models, board, options):
        files["conf/user/0-created.conf"] = render("options.conf.j2", options=lines)
    for number, path in enumerate(options.fragments, 1):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise InputError(f"the Kconfig fragment {path} cannot be read: {reason}") from error
        files[f"conf/user/{number}-{path.stem}.conf"] = text
    own = board.board is not None and board.board.name not in boards()
    record = {
        "board": board.name,
        "cpu": board.cpu.name,
        **({"board_file": board_entry(board.board)} if own and board.board else {}),
        "mode": options.mode,
        "benchmarks": options.benchmarks,
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


def _mlperf_files(artifacts: Sequence[Artifact], benchmarks: Sequence[str]) -> dict[str, str]:
    """Return the files by which MLPerf Tiny's runner reaches the models, by name."""
    if listening := sorted(LISTENING.intersection(benchmarks)):
        known = ", ".join(name for name in BENCHMARKS if name not in LISTENING)
        raise InputError(
            f"{listening[0]} listens to the interface board that is emulated for QEMU boards only, "
            f"such as mps2-an386; a Zephyr board can have {known}"
        )
    check_benchmarks(artifacts, benchmarks)
    files = mlperf_files(benchmarks)
    for artifact, benchmark in zip(artifacts, benchmarks, strict=True):
        files[f"mlperf_{benchmark}.c"] = model_source(input_values(artifact, benchmark))
    return {f"mlperf/{name}": text for name, text in files.items()}


def _runner_bytes(board: ZephyrBoard) -> int | None:
    """Return the RAM for candidates, or None if the board's RAM is unknown."""
    if board.board is None:
        return None
    half = board.board.data.length // 2
    return min(half - half % _RUNNER_UNIT, MOST_BYTES)


def _option_lines(
    models: Sequence[PackagedModel], board: ZephyrBoard, options: ApplicationOptions
) -> list[tuple[str, str]]:
    lines = []
    # Zephyr's linker script names a section after its region.
    regions = {model.artifact.placement.arena for model in models}
    arena = options.arena_section or (regions.pop() if len(regions) == 1 else None)
    if board.compile_options:
        flags = " ".join(("-O2", *board.compile_options))
        lines.append(("TVMTINY_COMPILE_OPTIONS", f'"{flags}"'))
    if arena is not None:
        lines.append(("TVMTINY_ARENA_SECTION", f'"{arena}"'))
    if options.constants_section is not None:
        lines.append(("TVMTINY_CONSTANTS_SECTION", f'"{options.constants_section}"'))
    return lines


def _uses_float(model: PackagedModel) -> bool:
    artifact = model.artifact
    dtypes = [tensor.dtype for tensor in (*artifact.inputs, *artifact.outputs)]
    return any(
        dtype.startswith("float") for dtype in [*dtypes, *(x.dtype for x in artifact.layers)]
    )


def application_files() -> dict[str, str]:
    """Return the model-independent files of the application, by name."""
    root = shipped("zephyr_app")
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def is_application(directory: Path) -> bool:
    """Return whether a directory contains an application of tvmtiny, which may be damaged."""
    return (directory / _RECORD).is_file()


def load_application(directory: Path) -> Application:
    """Load an application from its directory.

    Raises
    ------
    InputError
        The directory contains no application of tvmtiny.
    """
    try:
        record: Any = json.loads((directory / _RECORD).read_text(encoding="utf-8"))
        board, cpu, mode = str(record["board"]), str(record["cpu"]), str(record["mode"])
        own = record.get("board_file")
        benchmarks = tuple(map(str, record.get("benchmarks", ())))
        if not isinstance(own, dict | None):
            raise TypeError(own)
        models = tuple(
            ApplicationModel(
                str(model["name"]),
                int(model["arena_bytes"]),
                int(model["constants_bytes"]),
                int(model["stack_bytes"]),
            )
            for model in record["models"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{directory} does not hold an application of tvmtiny ({_RECORD} is missing or "
            "damaged); create one: tvmtiny project create MODEL --board zephyr:NAME -o DIR"
        ) from None
    if own is None:
        found = find_zephyr_board(board, cpu)
    else:
        # The board's own file, from which the application was created, may no longer exist.
        found = find_zephyr_board(make_board(own, str(directory / _RECORD)))
    return Application(directory.resolve(), found, mode, models, benchmarks)
