"""``tvmtiny project``: applications on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.options import NamesOption, compiles
from tvmtiny.cli.settings import Settings
from tvmtiny.errors.base import quoted, visible

if TYPE_CHECKING:
    from tvmtiny.project.zephyr.build import ApplicationBuild

_PLATFORMS = ("zephyr",)

#: Modes that build firmware for MLPerf Tiny's runner.
_MLPERF = ("mlperf", "mlperf-energy")

DirectoryArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder written by tvmtiny project create.")
]
DefineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--define",
        "-D",
        help="A variable for CMake, such as TVMTINY_MODE=shell; may be repeated.",
        metavar="NAME=VALUE",
    ),
]

_app = typer.Typer(
    name="project",
    help="Write, build, flash and run applications (Zephyr).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(_app)


@_app.command("create")
@compiles()
def create(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the application.")],
    board: Annotated[
        str,
        typer.Option(
            "--board",
            "-b",
            help="zephyr:NAME from tvmtiny boards, or any Zephyr board with --cpu.",
        ),
    ],
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help=".tflite files, or names of shipped models; none for the mode runner.",
        ),
    ] = None,
    platform: Annotated[str, typer.Option(help="Platform of the application: zephyr.")] = "zephyr",
    cpu: Annotated[
        str | None, typer.Option(help="Processor of a board that tvmtiny boards does not list.")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="Mode of the application: standalone, steps, rpc, shell, or runner (for tvmtiny "
            "tune); mlperf or mlperf-energy (for MLPerf Tiny's runner, also on QEMU boards)."
        ),
    ] = "standalone",
    conf: Annotated[
        list[Path] | None,
        typer.Option("--conf", help="A Kconfig fragment to add; may be repeated.", metavar="FILE"),
    ] = None,
    stack: Annotated[
        int | None,
        typer.Option(
            help="Stack of the thread that runs the models; by default a measured size.",
            metavar="BYTES",
            min=256,
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            help="With --mode mlperf: benchmark kws01, ic01, vww01, ad01 or sww01; one for each "
            "model.",
            metavar="NAME",
        ),
    ] = None,
    clock: Annotated[
        int,
        typer.Option(
            help="With --mode mlperf on a QEMU board: clock for stating times, at one instruction "
            "per cycle.",
            metavar="MHZ",
        ),
    ] = 100,
    name: NamesOption = None,
    arena_section: Annotated[
        str | None, typer.Option(help="Linker section of the arenas.", metavar="NAME")
    ] = None,
    constants_section: Annotated[
        str | None, typer.Option(help="Linker section of the weights.", metavar="NAME")
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Write a Zephyr application around one or more models; it is also a Zephyr module.

    With --mode mlperf and a QEMU board, write and build firmware for MLPerf Tiny's runner.

    Example: tvmtiny project create kws.tflite ad.tflite --board zephyr:mps2_an385 -o application
    """
    if mode in _MLPERF and _is_on_qemu(settings, board, cpu):
        chosen = benchmark or []
        _create_mlperf(settings, models or [], name, board, output, mode, chosen, clock, json)
        return
    with progress(quiet=json) as tell:
        from tvmtiny.errors import InputError
        from tvmtiny.project.zephyr.application import ApplicationOptions
        from tvmtiny.project.zephyr.board import find_zephyr_board

        if platform not in _PLATFORMS:
            raise InputError(
                f"there is no platform {quoted(platform)} for applications; known: "
                f"{', '.join(_PLATFORMS)}"
            )
        found = find_zephyr_board(board, cpu, settings.boards)
        tell("importing TVM")
        from tvmtiny.creating import create_zephyr_application

        if mode in _MLPERF:
            _check_benchmarks(mode, models, benchmark)
            settings = settings.without_front_end()
        loaded = settings.read_all(models or (), name or (), tell)
        application = create_zephyr_application(
            loaded,
            found,
            output,
            ApplicationOptions(
                mode,
                tuple(conf or ()),
                stack,
                arena_section,
                constants_section,
                tuple(benchmark or ()),
            ),
            settings.compile,
            tell,
        )
    from tvmtiny.report.application_tables import application_summary, application_table

    if json:
        print_json(application_summary(application))
        return
    if application.models:
        console().print(application_table(application))
    _say(f"build it: tvmtiny project build {output}, or west build -b {found.names[-1]} {output}")


def _is_on_qemu(settings: Settings, board: str, cpu: str | None) -> bool:
    """Return whether a board is emulated without an operating system."""
    from tvmtiny.project.zephyr.board import PREFIX

    zephyr = cpu is not None or board.startswith(PREFIX)
    return not zephyr and settings.board(board).platform == "qemu"


def _check_benchmarks(mode: str, models: list[str] | None, benchmarks: list[str] | None) -> None:
    from tvmtiny.errors import InputError

    if not models or len(models) != len(benchmarks or ()):
        raise InputError(
            f"--mode {mode} needs models, and --benchmark, such as kws01, for each of them"
        )


def _create_mlperf(
    settings: Settings,
    models: list[str],
    names: list[str] | None,
    board: str,
    output: Path,
    mode: str,
    benchmarks: list[str],
    clock: int,
    json: bool,
) -> None:
    with progress(quiet=json) as tell:
        from tvmtiny.project.mlperf_firmware import LISTENING
        from tvmtiny.project.qemu.mlperf import MlperfOptions, build_mlperf

        found = settings.board(board)
        _check_benchmarks(mode, models, benchmarks)
        tell("importing TVM")
        from tvmtiny.targets import resolve

        artifacts = []
        for model, name, benchmark in zip(
            models, _names(names, len(models)), benchmarks, strict=True
        ):
            # A front end is that of the model which listens.
            own = settings if benchmark in LISTENING else settings.without_front_end()
            loaded = own.read(model, tell, name)
            artifacts.append(own.artifact(loaded, resolve(found), tell))
        tell(f"building firmware for {found.name}")
        options = MlperfOptions(tuple(benchmarks), clock, mode == "mlperf-energy")
        firmware = build_mlperf(artifacts, found, output, options)
    if json:
        summary = {"elf": str(firmware.elf), "board": found.name}
        print_json({**summary, "benchmarks": benchmarks, "clock": clock})
        return
    _say(f"{firmware.elf}: {', '.join(benchmarks)} on {found.name}, time at {clock} MHz")
    _say(f"start it: tvmtiny project serve {output}")


@_app.command("serve")
def serve(
    directory: DirectoryArgument,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds to serve; by default until interrupted.")
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="Benchmark to select; by default the first one.", metavar="NAME"),
    ] = None,
    sounds: Annotated[
        Path | None,
        typer.Option(
            help="Folder of WAV files for sww01: also emulate the interface board that plays them.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Start an emulated board with firmware for MLPerf Tiny's runner, and print its port.

    With --sounds, print the port of the interface board as well.

    Example: tvmtiny project serve firmware
    """
    import time

    from tvmtiny.project.qemu.mlperf import serve_with_sounds
    from tvmtiny.project.zephyr.application import is_application
    from tvmtiny.project.zephyr.mlperf import serve_application

    start = serve_application if is_application(directory) else serve_with_sounds
    with start(directory, benchmark, sounds) as served:
        _say(served.url)
        if served.interface_url is not None:
            _say(served.interface_url)
        end = None if seconds is None else time.monotonic() + seconds
        while served.problem(0.2) is None and (end is None or time.monotonic() < end):
            pass


@_app.command("build")
def build(
    directory: DirectoryArgument, define: DefineOption = None, json: JsonOption = False
) -> None:
    """Build an application with west; ZEPHYR_BASE names the Zephyr tree.

    Example: tvmtiny project build application
    """
    built = _build(directory, define, quiet=json)
    from tvmtiny.report.application_tables import build_summary, build_table

    if json:
        print_json(build_summary(built))
        return
    console().print(build_table(built))
    version = ".".join(map(str, built.zephyr_version))
    _say(f"{built.elf} for {built.zephyr_board}, Zephyr {version}")


@_app.command("flash")
def flash(
    directory: DirectoryArgument,
    define: DefineOption = None,
    runner: Annotated[
        str | None, typer.Option(help="West's runner, such as jlink; by default the board's.")
    ] = None,
) -> None:
    """Build an application and flash it with west's runner for the board.

    Example: tvmtiny project flash application --runner jlink
    """
    from tvmtiny.project.zephyr.application import load_application
    from tvmtiny.project.zephyr.build import flash_application
    from tvmtiny.project.zephyr.source_tree import find_tree

    application = load_application(directory)
    with progress(quiet=False) as tell:
        tell(f"building for {application.board.name} and flashing")
        flash_application(application, find_tree(), runner, _definitions(define))


@_app.command("run")
def run(
    directory: DirectoryArgument,
    define: DefineOption = None,
    seconds: Annotated[float, typer.Option(help="Seconds to listen.")] = 10.0,
    until: Annotated[
        str | None, typer.Option(help="Stop at the first line with this text; fail if none has it.")
    ] = None,
    send: Annotated[
        list[str] | None,
        typer.Option(help="A line to send to the shell first; may be repeated.", metavar="TEXT"),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(help="Serial port of a flashed board, instead of QEMU.", metavar="URL"),
    ] = None,
) -> None:
    """Build an application, run it in QEMU or listen to a real board, and print its console.

    Example: tvmtiny project run application --until exact
    """
    built = _build(directory, define, quiet=False)
    from tvmtiny.project.zephyr.console import converse

    for line in converse(built, seconds=seconds, until=until, send=tuple(send or ()), port=port):
        typer.echo(visible(line.expandtabs()))


def _names(names: list[str] | None, count: int) -> list[str] | list[None]:
    from tvmtiny.errors import InputError

    if names and len(names) != count:
        raise InputError(f"{len(names)} names for {count} models; give one for each, or none")
    return names or [None] * count


def _say(text: str) -> None:
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def _definitions(words: list[str] | None) -> dict[str, str]:
    from tvmtiny.errors import InputError

    found = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError(f"cannot parse --define {quoted(word)}; give NAME=VALUE")
        found[name] = value
    return found


def _build(directory: Path, define: list[str] | None, quiet: bool) -> ApplicationBuild:
    from tvmtiny.project.zephyr.application import load_application
    from tvmtiny.project.zephyr.build import build_application
    from tvmtiny.project.zephyr.source_tree import find_tree

    definitions = _definitions(define)
    application = load_application(directory)
    tree = find_tree()
    with progress(quiet=quiet) as tell:
        version = ".".join(map(str, tree.version))
        tell(f"building for {application.board.name} with Zephyr {version}")
        return build_application(application, tree, definitions=definitions)
