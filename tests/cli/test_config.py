"""``tvmtiny.toml``, and the table of options that it shares with API and command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tvmtiny
from tvmtiny.options import COMPILE_OPTIONS, LOAD_OPTIONS

Command = Callable[..., Any]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a ``tvmtiny.toml`` into a directory and go there."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "tvmtiny.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_api_has_the_same_options() -> None:
    for function, table in ((tvmtiny.compile, COMPILE_OPTIONS), (tvmtiny.load, LOAD_OPTIONS)):
        parameters = inspect.signature(function).parameters
        given = {name: p.default for name, p in parameters.items() if p.kind == p.KEYWORD_ONLY}
        for option in table:
            default = given[option.name]
            assert getattr(default, "value", default) == option.default, option.name


def _arena_offset(outcome: Any) -> int | None:
    return outcome.json["inputs"][0]["offset"]


def test_file_gives_defaults(command: Command, configured: Callable[[str], Path]) -> None:
    words = ("compile", "sine", "-t", "cortex-m4", "-o", "out", "--json")
    assert _arena_offset(command(*words)) is not None
    configured('[compile]\nio = "external"\n')
    assert _arena_offset(command(*words)) is None
    assert _arena_offset(command(*words, "--io", "arena")) is not None


def test_names_of_inputs_and_outputs(command: Command, configured: Callable[[str], Path]) -> None:
    words = ("compile", "digits", "-t", "cortex-m4", "-o", "out", "--json")
    configured('[compile]\ninput_names = ["picture"]\noutput_names = ["scores"]\n')
    found = command(*words).json
    assert [found[d][0]["c_name"] for d in ("inputs", "outputs")] == ["picture", "scores"]
    found = command(*words, "--input-name", "camera").json
    assert [found[d][0]["c_name"] for d in ("inputs", "outputs")] == ["camera", "scores"]
    assert "int8_t *camera;" in Path("out/digits.h").read_text()
    message = command(*words, "--input-name", "a", "--input-name", "b").error(2)
    assert "--input-name) has 2 names, but the model has 1 input;" in message


def test_file_by_name(command: Command, configured: Callable[..., Path]) -> None:
    path = configured('[compile]\ntarget = "cortex-m4"\noutput = "there"\n', "other.toml")
    outcome = command("--config", path, "compile", "sine", "--json")
    assert outcome.json["files"][0].startswith("there/")
    # Without its name it is not read.
    command("compile", "sine").error(2)


def test_compile_section_holds_for_other_commands(
    command: Command, configured: Callable[[str], Path]
) -> None:
    configured('[compile]\nio = "external"\n[memory]\nboard = "microbit"\n')
    found = command("memory", "sine", "--json").json
    assert found["external"] and found["target"] == "microbit"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[compile]\noptimise = "speed"\n', "did you mean 'optimize'?"),
        ("[compil]\nio = 1\n", "did you mean 'compile'?"),
        ("io = 1\n", "sections are named after commands"),
        ("[compile]\nio = 1\n", "give a value of type str"),
        ("[memory]\ndead_channels = 1\n", "give a value of type bool"),
        ("[compile\n", "no valid TOML"),
        ('[compile]\noptimize = "fast"\n', "there is no optimization goal 'fast'"),
    ],
)
def test_mistakes(
    command: Command, configured: Callable[[str], Path], text: str, message: str
) -> None:
    configured(text)
    error = command("compile", "sine", "-t", "cortex-m4", "-o", "out").error(2)
    assert message in error


def test_missing_file(command: Command) -> None:
    assert "cannot read the configuration no.toml" in command(
        "--config", "no.toml", "boards"
    ).error(2)


def test_tune_has_no_option_that_its_function_lacks() -> None:
    from tvmtiny.cli.tune import _LEFT_OUT

    left = {option.name for option in COMPILE_OPTIONS} - set(_LEFT_OUT)
    assert left <= set(inspect.signature(tvmtiny.tune).parameters)
