"""Front ends from the options of the command line and of ``tvmtiny.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from tvmtiny.errors import InputError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend import Model
from tvmtiny.preprocessing.attach import with_front_end
from tvmtiny.preprocessing.detection import Detection
from tvmtiny.preprocessing.front_end import FrontEnd
from tvmtiny.preprocessing.registry import find_front_end

#: Milliseconds per unit of a duration.
_UNITS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


def parse_duration(text: str | float) -> float:
    """Parse a duration such as ``10ms`` or ``1.5s`` to milliseconds, the default unit.

    Raises
    ------
    InputError
        If the text is not a duration.
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(us|ms|s|)", str(text).strip())
    if match is None:
        raise InputError(f"{quoted(text)} is not a duration; give one such as 10ms or 1s")
    return float(match[1]) * _UNITS[match[2] or "ms"]


def front_end(
    name: str,
    *,
    sample_rate: int | None = None,
    step: str | float | None = None,
    settings: Mapping[str, Any] | None = None,
) -> FrontEnd:
    """Make the front end `name`.

    Parameters
    ----------
    name
        Name of the front end.
    sample_rate
        Sample rate in Hz; by default that of the front end.
    step
        Duration from one row of features to the next, such as ``10ms`` or a number of
        milliseconds; by default that of the front end.
    settings
        Other settings of the front end, as values or as texts.

    Returns
    -------
    FrontEnd
        The front end with its settings.

    Raises
    ------
    InputError
        If there is no front end of that name, or it does not support the settings.
    """
    kind = find_front_end(name)
    step_ms = None if step is None else parse_duration(step)
    values = {key: _value(text) for key, text in (settings or {}).items()}
    try:
        return kind.of(sample_rate, step_ms, values)
    except TypeError as error:
        raise InputError(f"the settings of {name} are invalid: {error}") from error


def apply_front_end(
    model: Model,
    *,
    frontend: str | FrontEnd | None = None,
    sample_rate: int | None = None,
    step: str | float | None = None,
    stride: int | None = None,
    threshold: float = 0.5,
    average: int = 1,
    refractory: str | float = "0ms",
    events: Sequence[int | str] | None = None,
    front_settings: Mapping[str, Any] | None = None,
) -> Model:
    """Apply `with_front_end` with options of the command line; without `frontend`, do nothing.

    Parameters
    ----------
    model
        A model whose only input holds rows of the front end's features, the oldest first.
    frontend
        Name of a front end, or a front end with its settings.
    sample_rate, step, front_settings
        Settings of the front end that `frontend` names; see `front_end`. The parameter
        `front_settings` is called `settings` there.
    stride
        Number of new rows in each decision; see `with_front_end`.
    threshold, average
        See `Detection`.
    refractory
        Duration after an event without another one, such as ``500ms`` or a number of milliseconds.
    events
        Positions in the model's output that stand for events; see ``classes`` of `Detection`.

    Returns
    -------
    Model
        The model with the front end, or `model` itself without `frontend`.

    Raises
    ------
    InputError
        If an option cannot be used, or has no effect without `frontend`.
    """
    if frontend is None:
        given = {
            "--sample-rate": sample_rate,
            "--step": step,
            "--stride": stride,
            "--event": events,
            "--front-setting": front_settings,
        }
        name = next((name for name, value in given.items() if value), None)
        if name is not None:
            raise InputError(f"{name} needs --frontend, such as --frontend microfrontend")
        return model
    found = frontend
    if isinstance(found, str):
        found = front_end(found, sample_rate=sample_rate, step=step, settings=front_settings)
    classes = None if events is None else [_position(event) for event in events]
    detection = Detection(threshold, average, parse_duration(refractory), classes)
    return with_front_end(model, found, stride=stride, detection=detection)


def settings_of(found: FrontEnd) -> dict[str, Any]:
    """Return the settings of a front end as plain values, for reports."""
    settings = getattr(found, "settings", found)
    assert is_dataclass(settings)
    return {f.name: getattr(settings, f.name) for f in fields(settings)}


def _position(event: int | str) -> int:
    try:
        return int(event)
    except ValueError:
        raise InputError(
            f"{quoted(event)} is not a position in the model's output; give a number"
        ) from None


def _value(text: Any) -> Any:
    """Return the number or boolean that a text stands for, or the text."""
    if not isinstance(text, str):
        return text
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
