"""The ``tvmtiny`` command: its subcommands, and the mapping of errors to exit codes."""

from __future__ import annotations

import errno
import functools
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from tvmtiny.cli import (
    advise,
    bench,
    boards,
    compile,
    cost,
    devices,
    distil,
    doctor,
    evaluate,
    export,
    federate,
    image,
    import_model,
    inspect,
    listen,
    memory,
    precision,
    profile,
    project,
    prune,
    quantize,
    records,
    report,
    run,
    search,
    serve,
    tune,
    update,
)
from tvmtiny.cli.config import FILE_NAME, Config, known_options, read_config
from tvmtiny.cli.console import (
    errors_console,
    escape_unknown_characters,
    message_lines,
    separate_places,
)
from tvmtiny.errors import InputError, TvmtinyError
from tvmtiny.errors.base import quoted

#: Exit code for a usage error; the same code as `tvmtiny.errors.InputError`.
EXIT_USAGE = 2

#: Exit codes beside those of `tvmtiny.errors`: the shell convention for an interrupt, and the code
#: for an internal error of tvmtiny.
EXIT_INTERRUPTED = 130
EXIT_INTERNAL = 70

#: Error numbers of a disk that is full or failing.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

#: Reports of Pydantic that do not name the value, and descriptions of valid values.
_NOT_NUMBERS = (
    ("Input should be a valid integer, unable to parse string as an integer", "a whole number"),
    ("Input should be a valid number, unable to parse string as a number", "a number"),
)

#: Options that name hardware: most commands have one of them.
_HARDWARE = {"--board", "--cpu", "--target"}

#: Words that request help rather than run a command.
_HELPING = {"-h", "--help", "--version", "--install-completion", "--show-completion"}

#: Variable with which shells request completions, as named by Typer.
_COMPLETING = "_TVMTINY_COMPLETE"

app = typer.Typer(
    name="tvmtiny",
    help="TFLite models as fast, plain C for microcontrollers.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("tvmtiny"))
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    config: str = typer.Option(
        FILE_NAME,
        "--config",
        help="File with defaults of options; must come first on the line.",
        metavar="FILE",
    ),
    # Eager, so that it takes effect before the missing command is reported.
    version: bool = typer.Option(
        False,
        "--version",
        help="Show the version and exit.",
        callback=_print_version,
        is_eager=True,
    ),
) -> None:
    pass


_COMMANDS = (
    inspect,
    import_model,
    quantize,
    cost,
    memory,
    advise,
    search,
    prune,
    distil,
    precision,
    compile,
    export,
    image,
    run,
    evaluate,
    listen,
    project,
    profile,
    report,
    bench,
    tune,
    records,
    boards,
    devices,
    serve,
    update,
    federate,
    doctor,
)
for _command in _COMMANDS:
    _command.add_to(app)


@functools.cache
def _group() -> Any:
    """Typer's command with subcommands; building it from all functions is slow."""
    return typer.main.get_command(app)


@functools.cache
def _options_by_command() -> dict[tuple[str, ...], dict[str, type]]:
    """The options of every command."""
    return known_options(_group())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    arguments
        Arguments without the program's name; by default those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    escape_unknown_characters()
    sys.exit(_run(words, debug="--debug" in words))


def _run(words: list[str], debug: bool) -> int:
    try:
        # --debug is accepted anywhere on the line.
        words, config = _configure([word for word in words if word != "--debug"])
        code = _group()(
            separate_places(words),
            prog_name=app.info.name,
            standalone_mode=False,
            default_map=config.options,
            obj=config.boards,
        )
        # Typer turns an interrupt into this code without printing anything.
        if code == EXIT_INTERRUPTED:
            return _fail("interrupted", EXIT_INTERRUPTED)
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        message = _usage(error, words)
        # Without arguments, the help has already been printed.
        return _fail(message, EXIT_USAGE) if message else EXIT_USAGE
    except TvmtinyError as error:
        if debug:
            traceback.print_exc()
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of stdout is gone, so there is nothing to report.
        sys.stdout = None  # type: ignore[assignment]
        return 0
    except OSError as error:
        if debug:
            traceback.print_exc()
        # Write errors name the file, except those on standard output.
        where = error.filename or ("standard output" if error.errno in _WRITING else "")
        name = f"{where}: " if where else ""
        return _fail(f"{name}{error.strerror or error}", TvmtinyError.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _fail(
            f"internal error: {type(error).__name__}: {' '.join(str(error).split())[:300]}; "
            "this is a defect of tvmtiny; --debug shows the traceback",
            EXIT_INTERNAL,
        )


def _configure(words: list[str]) -> tuple[list[str], Config]:
    """Split ``--config FILE`` off the front of the line, and read the options in the file.

    An invalid file does not prevent help texts and completions.
    """
    path = None
    if words[:1] == ["--config"] and len(words) > 1:
        path, words = Path(words[1]), words[2:]
    elif words and words[0].startswith("--config="):
        path, words = Path(words[0].removeprefix("--config=")), words[1:]
    elif os.path.lexists(FILE_NAME):
        path = Path(FILE_NAME)
    if path is None:
        return words, Config()
    try:
        return words, read_config(path, _options_by_command())
    except InputError:
        asked = words[: words.index("--")] if "--" in words else words
        if asked and not _HELPING & {*asked} and _COMPLETING not in os.environ:
            raise
        return words, Config()


def _usage(error: typer.TyperException, words: Sequence[str]) -> str:
    """Return the message for a usage error of a command line; empty if the help was printed."""
    context = getattr(error, "ctx", None)
    if context is not None and getattr(error, "option_name", "") in _HARDWARE:
        # Similar spelling would suggest options that have nothing to do with hardware.
        own = {name for parameter in context.command.params for name in parameter.opts}
        error.possibilities = sorted(own & _HARDWARE)  # type: ignore[attr-defined]
    format_message = getattr(error, "format_message", None)
    text = str(format_message() if format_message else error).rstrip(".")
    for unclear, correct in _NOT_NUMBERS:
        if unclear in text and (given := _invalid_value(error)):
            text = text.replace(unclear, f"{given} is not {correct}")
    meaning = getattr(getattr(error, "param", None), "help", None)
    if meaning and text.startswith("Missing "):
        text += f": {meaning.partition('. ')[0].rstrip('.')}"
    command = context.command_path if context is not None else _command_path(words)
    return f"{text}; see {command} --help" if text else ""


def _invalid_value(error: BaseException) -> str:
    """Return the value that a conversion failed on, quoted; empty if it is not known."""
    found: list[Any] = getattr(error.__cause__, "errors", list)()
    return quoted(found[0]["input"]) if found else ""


def _command_path(words: Sequence[str]) -> str:
    """Return the program and the commands at the beginning of a command line."""
    path, command = [str(app.info.name)], _group()
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path.append(word)
    return " ".join(path)


def _fail(message: str, code: int) -> int:
    text = f"tvmtiny: {message_lines(message)}"
    errors_console().print(text, style="red", markup=False, soft_wrap=True)
    return code
