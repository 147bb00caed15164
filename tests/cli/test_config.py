"""``tvmtiny.toml``, and the table of options it shares with the API and the command line."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools import on_qemu

import tvmtiny
from tvmtiny.options import COMPILE_OPTIONS, FRONT_OPTIONS, LOAD_OPTIONS

Command = Callable[..., Any]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a ``tvmtiny.toml`` into a directory and change to that directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "tvmtiny.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_api_has_the_same_options() -> None:
    tables = (
        (tvmtiny.compile, COMPILE_OPTIONS),
        (tvmtiny.load, LOAD_OPTIONS),
        (tvmtiny.apply_front_end, FRONT_OPTIONS),
    )
    for function, table in tables:
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


@pytest.mark.parametrize(
    "words",
    [
        ("compile", "-t", "cortex-m4", "-o", "out"),
        ("export", "-f", "cmake", "-t", "cortex-m4", "-o", "out"),
        ("project", "create", "-b", "zephyr:mps2_an385", "-o", "out"),
        ("run", "-b", "microbit"),
        ("profile", "-b", "microbit"),
        ("memory", "-b", "microbit"),
        ("report", "-b", "microbit", "-o", "out.html"),
        ("bench", "-b", "microbit", "--json"),
        ("tune", "-b", "microbit", "--metric", "instructions", "-o", "out"),
        ("serve", "-b", "microbit", "--tracker", "127.0.0.1:9", "--key", "k"),
    ],
    ids=lambda words: words[0],
)
def test_names_in_every_command(
    words: tuple[str, ...], command: Command, configured: Callable[[str], Path]
) -> None:
    configured('[compile]\noutput_names = ["a", "b"]\n')
    outcome = command(*words, "digits", "--input-name", "picture")
    assert outcome.code == 2
    assert "--output-name) has 2 names, but the model has 1 output;" in outcome.err
    assert not Path("out").exists()


def test_file_by_name(command: Command, configured: Callable[..., Path]) -> None:
    path = configured('[compile]\ntarget = "cortex-m4"\noutput = "there"\n', "other.toml")
    outcome = command("--config", path, "compile", "sine", "--json")
    assert outcome.json["files"][0].startswith("there/")
    # A file with another name is not read.
    command("compile", "sine").error(2)


@pytest.mark.usefixtures("few_boards")
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
        ("[compile\n", "not valid TOML"),
        ('[compile]\noptimize = "fast"\n', "there is no optimization goal 'fast'"),
        ("[project.creat]\nstack = 1\n", "did you mean 'project.create'?"),
        ("[project]\nstack = 1\n", "there is no command 'project.stack'"),
        ("project = 1\n", "there is no command 'project'"),
        ("boards = 3\n", "'boards' is 3; give a section, such as [boards]"),
        ("compile = 3\n", "'compile' is 3; give a section"),
        (
            "[project.create]\nstak = 1\n",
            "project create has no option 'stak' (did you mean 'stack'?",
        ),
        ("[compile]\ninput_names = [1]\n", "give a list of strings"),
        ("[compile]\nram_budget = " + "9" * 5000, "an integer of more than 64 bits"),
        ("[compile]\nram_budget = 0x" + "f" * 5000, "an integer of more than 64 bits"),
        ("[compile]\nram_budget = -1", "greater than or equal to 0"),
        ("[run]\ntimeout = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("compile" + ".a" * 500 + " = 1", "nested too deeply"),
        ('[compile]\nio = "\\u0000"', "zero byte"),
        ("#" * (1 << 20) + "\n", "more than 1,048,576 bytes"),
    ],
)
def test_mistakes(
    command: Command, configured: Callable[[str], Path], text: str, message: str
) -> None:
    configured(text)
    error = command("compile", "sine", "-t", "cortex-m4", "-o", "out").error(2)
    assert message in error


@pytest.mark.parametrize("given", ("--config {}", "--config={}", "--debug --config {}"))
@pytest.mark.parametrize(
    ("name", "problem"),
    (
        ("no.toml", "does not exist"),
        ("folder", "is not a file"),
        ("pipe", "is not a file"),
        ("utf16.toml", "is not text in UTF-8"),
        ("latin1.toml", "is not text in UTF-8"),
    ),
)
def test_unusable_files(
    command: Command, configured: Callable[..., Path], name: str, problem: str, given: str
) -> None:
    configured("").with_name("folder").mkdir()
    os.mkfifo("pipe")
    Path("utf16.toml").write_text("[compile]\n", encoding="utf-16")
    Path("latin1.toml").write_text('[compile]\nname = "é"\n', encoding="latin-1")
    outcome = command(*given.format(name).split(), "boards")
    assert outcome.code == 2 and f"the configuration {name} {problem}; give" in outcome.err


@pytest.mark.parametrize("name", ("broken", "folder", "pipe"))
def test_help_does_without_a_usable_file(
    command: Command, configured: Callable[[str], Path], name: str
) -> None:
    path = configured("[compile")
    if name != "broken":
        path.unlink()
        path.mkdir() if name == "folder" else os.mkfifo(path)
    for words in (("--help",), ("run", "-h"), ("project", "create", "--help"), ("--version",)):
        assert command(*words).code == 0
    assert "Usage" in command().out
    command("boards").error(2)
    command("project", "build", "--", "--help").error(2)


def test_a_mark_of_the_byte_order_is_no_mistake(
    command: Command, configured: Callable[[str], Path]
) -> None:
    configured('\ufeff[compile]\nio = "external"\n')
    words = ("compile", "sine", "-t", "cortex-m4", "-o", "out", "--json")
    assert _arena_offset(command(*words)) is None


def test_sub_commands(command: Command, configured: Callable[[str], Path]) -> None:
    configured('[records.list]\ncpu = "cortex-m7"\n[compile]\noracle = "keras"\n')
    assert {r["cpu"] for r in command("records", "list", "--json").json["records"]} == {"cortex-m7"}
    words = ("project", "create", "sine", "-b", "zephyr:mps2_an385", "-o", "out")
    assert "no oracle 'keras'" in command(*words).error(2)


@on_qemu
def test_sub_command_with_measured_stack(
    command: Command, configured: Callable[[str], Path]
) -> None:
    configured('[project.create]\nmode = "dance"\n')
    words = ("project", "create", "sine", "-b", "zephyr:mps2_an385", "-o", "out")
    assert "'dance'" in command(*words).error(2)


def test_tune_has_no_option_that_its_function_lacks() -> None:
    from tvmtiny.cli.tune import _LEFT_OUT

    left = {option.name for option in COMPILE_OPTIONS} - set(_LEFT_OUT)
    assert left <= set(inspect.signature(tvmtiny.tune).parameters)
