"""Options shared by several commands, and the `tvmtiny.options` of all that compile."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from math import isfinite
from typing import Annotated, Any

import typer

from tvmtiny.cli.settings import Settings
from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.options import COMPILE_OPTIONS, FRONT_OPTIONS, LOAD_OPTIONS, CompileOption

ModelsArgument = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help=".tflite files, or names of shipped models."),
]
BoardOption = Annotated[
    str,
    typer.Option(
        "--board", "-b", help="A board (tvmtiny boards lists them), or a board's FILE.toml."
    ),
]
TargetOption = Annotated[
    str,
    typer.Option("--target", "-t", help="A CPU or a board (tvmtiny boards), or FILE.toml."),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="Prefix of the generated code; by default the file's name."),
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name",
        help="Prefix of a model's code, by default the file's name; once per model, in order.",
        metavar="NAME",
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--input", "-i", help="ramp, zeros, random:SEED, FILE.npy or FILE.npz", metavar="DATA"
    ),
]
ImageRangeOption = Annotated[
    str,
    typer.Option(
        "--image-range",
        help="Values to which the bytes 0 and 255 of images are mapped.",
        metavar="LOW,HIGH",
    ),
]
SignatureOption = Annotated[
    str | None, typer.Option(help="Signature of the file to use.", metavar="KEY")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds after which a run counts as hung.")]
WaitOption = Annotated[
    float,
    typer.Option(help="Seconds to wait for a tracker and its servers to start.", metavar="SECONDS"),
]
BaudrateOption = Annotated[
    int, typer.Option("--baudrate", help="Bits per second of a serial port.", metavar="RATE", min=1)
]


def image_range_of(text: str) -> tuple[float, float]:
    """Parse the two numbers of ``--image-range``.

    Raises
    ------
    InputError
        The text is not two numbers.
    """
    parts = text.split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        low = high = 0.0
    if not isfinite(high - low) or low >= high:
        raise InputError(
            f"--image-range cannot be {quoted(text)}; give the lowest and the highest value, such "
            "as 0,1 or -1,1"
        )
    return low, high


def compiles(
    leave_out: Collection[str] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command with a parameter `settings`, replacing it by the options of the table.

    Parameters
    ----------
    leave_out
        Names of options that the command provides in another way.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        table = (*LOAD_OPTIONS, *FRONT_OPTIONS, *COMPILE_OPTIONS)
        options = [o for o in table if o.name not in leave_out]

        @wraps(command)
        def run(*arguments: Any, context: typer.Context, **given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in options}
            if "place" in values:
                values["place"] = _parse_place(values["place"]) or None
            if "front_settings" in values:
                values["front_settings"] = _parse_settings(values["front_settings"]) or None
            for option in options:
                if option.type is Sequence:
                    values[option.name] = tuple(values[option.name] or ()) or None
            load = {o.name: values.pop(o.name) for o in LOAD_OPTIONS if o.name in values}
            front = {o.name: values.pop(o.name) for o in FRONT_OPTIONS if o.name in values}
            settings = Settings(load, values, context.obj or {}, front)
            command(*arguments, settings=settings, **given)

        parameters: list[inspect.Parameter] = []
        # On Python 3.10, get_type_hints would hide Annotated in an Optional if the default is None.
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name == "settings":
                parameters += [_parameter(option) for option in options]
            else:
                parameters.append(parameter)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter("context", keyword, annotation=typer.Context))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        # Typer would follow __wrapped__ to the command's own annotations.
        del run.__wrapped__  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(option: CompileOption) -> inspect.Parameter:
    if option.type is bool:
        declared = typer.Option(*option.switches, help=option.help)
    elif option.type is int:
        declared = typer.Option(*option.switches, help=option.help, metavar=option.metavar, min=0)
    else:
        declared = typer.Option(*option.switches, help=option.help, metavar=option.metavar)
    kind: Any = list[str] if option.type in (Mapping, Sequence) else option.type
    annotation: Any = Annotated[kind if option.default is not None else kind | None, declared]
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option.default,
        annotation=annotation,
    )


def _parse_place(words: list[str] | None) -> dict[str, str]:
    """Parse ``--place`` into regions by what is placed in them.

    Raises
    ------
    InputError
        If a word is not ``WHAT=REGION``, or the same thing is placed twice.
    """
    place: dict[str, str] = {}
    for word in words or ():
        what, equals, region = word.partition("=")
        if not equals or not region or what in place:
            raise InputError(
                f"cannot parse --place {quoted(word)}; give arena=REGION, weights=REGION or both"
            )
        place[what] = region
    return place


def _parse_settings(words: list[str] | None) -> dict[str, str]:
    """Parse ``--front-setting`` into values by key.

    Raises
    ------
    InputError
        If a word is not ``KEY=VALUE``, or the same key is given twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals or not key or not value or key in found:
            raise InputError(
                f"cannot parse --front-setting {quoted(word)}; give KEY=VALUE, each key once"
            )
        found[key] = value
    return found
