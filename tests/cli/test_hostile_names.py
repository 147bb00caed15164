"""Files and names with any characters: each command works or prints one clear line."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hostile_names import NAMES, file_name, network, strays
from tflite_builder import ModelBuilder
from tools import on_qemu

from tvmtiny import models
from tvmtiny.project.exports.exporting import FORMATS

from .conftest import Command, Outcome

_NAMES = [
    "signal",
    "x" * 247,
    "a\"b'c",
    "$(touch pwned)`touch pwned`",
    "new\nline",
    "escape\x1b[31mred\x07\x9b",
    "-o",
    "a;b&c|d\\",
    "%s%n{{x}}*[bold]",
    "\u202ereversed \udcff",
]
_SAFE = re.compile(r"[A-Za-z0-9_./-]+")


def _assert_clean(outcome: Outcome) -> None:
    for text in (outcome.out, outcome.err):
        assert all(c.isprintable() for c in text.replace("\n", ""))
        assert "\nline" not in text


@pytest.fixture(params=_NAMES, ids=range(len(_NAMES)))
def hostile(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    monkeypatch.chdir(tmp_path / "to")
    path = tmp_path / "from" / f"{request.param}.tflite"
    shutil.copy(models.path("temperature"), path)
    return path


@pytest.mark.usefixtures("few_boards")
def test_commands(hostile: Path, command: Command) -> None:
    number = _NAMES.index(hostile.stem)
    form = FORMATS[number % len(FORMATS)]
    name = ("--name", "short") if form == "cmsis-pack" else ()
    for words in (
        ("inspect", hostile),
        ("memory", hostile, "-b", "microbit"),
        ("compile", hostile, "-t", "cortex-m4", "-o", "compiled"),
        ("export", hostile, "-f", form, "-t", "cortex-m4", *name, "-o", "exported"),
    ):
        outcome = command(*words)
        assert outcome.code == 0, outcome.err
        _assert_clean(outcome)
    written = [str(path.relative_to(Path.cwd())) for path in Path.cwd().rglob("*")]
    with tarfile.open(next(Path("compiled").glob("*.tar"))) as archive:
        written += archive.getnames()
    assert len(written) > 10
    assert [name for name in written if not _SAFE.fullmatch(name)] == []
    assert not any(Path(name).stem in ("signal", "pwned") for name in written)


_LONGEST = "Ab $(x)\n" * 30 + ".tflite"


def test_longest_names_in_every_format(command: Command, tmp_path: Path) -> None:
    path = tmp_path / _LONGEST
    shutil.copy(models.path("temperature"), path)
    commands = {form: ("export", path, "-f", form, "-t", "cortex-m4") for form in FORMATS}
    refused = command(*commands["cmsis-pack"], "-o", tmp_path / "refused").error(2)
    assert "at most 32 characters" in refused
    for form, words in commands.items():
        name = ("--name", "ab") if form == "cmsis-pack" else ()
        _assert_short_names(command(*words, *name, "-o", tmp_path / form), tmp_path, form)


@on_qemu
def test_longest_name_in_a_project(command: Command, tmp_path: Path) -> None:
    path = tmp_path / _LONGEST
    shutil.copy(models.path("temperature"), path)
    words = ("project", "create", path, "-b", "zephyr:mps2_an385", "-o", tmp_path / "create")
    _assert_short_names(command(*words), tmp_path, "create")


def _assert_short_names(outcome: Outcome, folder: Path, written_folder: str) -> None:
    assert outcome.code == 0, outcome.err
    _assert_clean(outcome)
    written = [path.relative_to(folder) for path in (folder / written_folder).rglob("*")]
    assert all(_SAFE.fullmatch(str(path)) and len(path.name) < 100 for path in written)


@on_qemu
def test_a_page_of_a_hostile_name(command: Command, tmp_path: Path) -> None:
    """The files of a report are named after a model with a hostile name."""
    name = f"{NAMES['newline']}{NAMES['escape']}"
    path = tmp_path / file_name(name, ".tflite")
    path.write_bytes(network("int8", (name, name, name), (name, name)))
    page = tmp_path / file_name(name, ".html")
    outcome = command("report", path, "-b", "mps2-an386", "-o", page)
    assert outcome.code == 0, outcome.err
    assert page.is_file() and outcome.out.count("\n") == 1
    assert strays(outcome.out + outcome.err) == ""


def _model(path: Path, inputs: tuple[str, str], output: str) -> Path:
    """Return the difference of two inputs."""
    b = ModelBuilder()
    x, y = (b.input(name, (1, 4), scale=0.1) for name in inputs)
    z = b.tensor(output, (1, 4), scale=0.1)
    b.op("SUB", [x, y], [z], {})
    path.write_bytes(b.build([z]))
    return path


@on_qemu
def test_inputs_of_one_name(command: Command, tmp_path: Path) -> None:
    path = _model(tmp_path / "m.tflite", ("x:0", "x:0"), "y")
    words = ("run", path, "-b", "mps2-an386", "--check", "--json")
    values = {f"input_{i}": np.int8([[9, 8, 7, 5 * i]]) for i in range(2)}
    np.savez(tmp_path / "x.npz", **values)
    found = command(*words, "-i", tmp_path / "x.npz").json
    assert found["check"]["mismatched_bytes"] == 0
    assert found["outputs"][0]["data"] == [[0, 0, 0, -5]]
    np.savez(tmp_path / "x.npz", **{"x:0": values["input_0"]})
    assert "an array named input_0" in command(*words, "-i", tmp_path / "x.npz").error(2)
    header = command("compile", path, "-t", "cortex-m4", "-o", tmp_path / "out", "--json").json
    assert len({tensor["c_name"] for tensor in header["inputs"]}) == 2


@on_qemu
@pytest.mark.parametrize("encoding", ("ascii", "latin-1", "cp437"))
def test_an_output_without_the_characters(program: Command, tmp_path: Path, encoding: str) -> None:
    path = _model(tmp_path / "m.tflite", ("näme", "名"), "\u202e")
    for words in (("inspect",), ("profile", "-b", "mps2-an386"), ("memory", "-b", "microbit")):
        outcome = program(words[0], path, *words[1:], PYTHONIOENCODING=encoding)
        assert outcome.code == 0, outcome.err
        if encoding == "ascii" and words[0] == "profile":
            assert "####" in outcome.out
        if words[0] != "profile":
            assert "\\u540d" in outcome.out


def test_names_for_several_models(command: Command, tmp_path: Path) -> None:
    words = (
        "export",
        "sine",
        "temperature",
        "-f",
        "cmake",
        "-t",
        "cortex-m4",
        "-o",
        tmp_path / "m",
    )
    assert "--name is given 1 times for 2 models" in command(*words, "--name", "a").error(2)
    assert command(*words, "--name", "First one", "--name", "time").code == 0
    assert {"first_one.h", "model_time.h"} <= {path.name for path in (tmp_path / "m").iterdir()}


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "missing\n\x1b[31m.tflite"),
        ("compile", "sine", "-t", "x\n\x1b", "-o", "a"),
        ("compile", "sine", "-t", "cortex-m4", "-o", "/dev/null/x\n\x1b"),
        ("run", "sine", "-b", "microbit", "--input", "x\n\x1b"),
        ("export", "sine", "-f", "arduino", "-t", "cortex-m4", "-o", "a", "--url", "x\x1b"),
        ("export", "sine", "-f", "x\n\x1b", "-t", "cortex-m4", "-o", "a"),
    ],
)
def test_messages(words: tuple[str, ...], command: Command) -> None:
    outcome = command(*words)
    assert len(outcome.error(2).splitlines()) == 1
    _assert_clean(outcome)
