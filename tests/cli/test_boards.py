"""Boards defined by users: ``--board FILE.toml``, and boards named in a ``tvmtiny.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from own_board import BOARD
from tools import on_qemu

import tvmtiny

Command = Any

NAMED = '[boards]\nlab = "hardware/lab.toml"\nbroken = "hardware/broken.toml"\n'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one valid and one broken board, both named in ``tvmtiny.toml``."""
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "lab.toml").write_text(BOARD.replace("a board", "a [b]board[/i]"))
    (tmp_path / "hardware" / "broken.toml").write_text(BOARD.replace("0x4000 ", "true "))
    (tmp_path / "tvmtiny.toml").write_text(NAMED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@on_qemu
@pytest.mark.parametrize(
    "words",
    [
        ("run", "sine", "--check", "--board", "lab"),
        ("run", "sine", "--check", "--via", "rpc", "--board", "FILE"),
        ("bench", "sine", "--no-estimate", "--board", "lab"),
        ("profile", "sine", "--board", "hardware/lab.toml"),
    ],
    ids=lambda words: words[0],
)
def test_run(words: tuple[str, ...], command: Command, project: Path) -> None:
    file = str(project / "hardware" / "lab.toml")
    found = command(*(file if word == "FILE" else word for word in words), "--json").json
    found = found["results"][0] if words[0] == "bench" else found
    assert found["board"] == "lab"
    if words[0] == "run":
        assert found["check"]["mismatched_bytes"] == 0


@on_qemu
def test_a_machine_that_qemu_does_not_have(command: Command, project: Path) -> None:
    (project / "hardware" / "lab.toml").write_text(BOARD.replace("mps2-an386", "no-such-machine"))
    error = command("run", "sine", "--board", "lab").error(6)
    assert "unsupported machine type" in error
    assert "check whether hardware/lab.toml describes a machine of this QEMU" in error


def test_compile_and_memory(command: Command, project: Path) -> None:
    words = ("compile", "sine", "-o", "out", "--json", "--target")
    for target in ("lab", "hardware/lab.toml"):
        assert command(*words, target).json["target"] == "lab"
    # The files are relative to the configuration.
    (project / "below").mkdir()
    (project / "below" / "tvmtiny.toml").write_text('[boards]\nlab = "../hardware/lab.toml"\n')
    assert command("--config", "below/tvmtiny.toml", *words, "lab").json["target"] == "lab"
    fits = {
        b["board"]: b for b in command("memory", "sine", "-b", "microbit", "--json").json["boards"]
    }
    assert list(fits) == ["lab", *tvmtiny.boards()]
    assert fits["lab"]["regions"]["ram"][1] == 0x4000
    assert command("inspect", "sine", "--json").json["boards"][0]["board"] == "lab"


@pytest.mark.usefixtures("few_boards")
def test_a_cpu_with_memory(command: Command) -> None:
    words = ("memory", "digits", "--board", "cortex-m4", "--ram", "256K", "--flash", "1M", "--json")
    found = command(*words).json
    assert found["boards"][0]["board"] == found["target"] == "cortex-m4"
    assert [size for _, size in found["boards"][0]["regions"].values()] == [256 << 10, 1 << 20]
    same = command("memory", "digits", "--board", "mps2-an386", "--json").json
    assert found["arena_bytes"] == same["arena_bytes"]
    small = command(*words[:5], "1K", *words[6:]).json
    assert small["boards"][0]["fits"] is False
    assert "give --flash, too" in command(*words[:6]).error(2)
    assert "'256Q' is not a size" in command(*words[:5], "256Q", *words[6:8]).error(2)


def test_list(command: Command, project: Path) -> None:
    done = command("boards")
    assert done.code == 2
    assert done.out.splitlines()[1].startswith("lab ")
    assert "[b]board[/i]" in done.out and "microbit" in done.out and "cortex-m0plus" in done.out
    (line,) = done.err.splitlines()
    assert "hardware/broken.toml: regions[1].length is True" in line
    (project / "tvmtiny.toml").write_text(NAMED.rsplit("broken")[0] + "json = true\n")
    found = command("boards").json
    assert found["boards"][0]["file"] == "hardware/lab.toml"


@pytest.mark.usefixtures("few_boards")
def test_a_broken_file_is_in_nobody_elses_way(command: Command, project: Path) -> None:
    assert command("memory", "sine", "-b", "lab", "--json").json["target"] == "lab"
    for words in (
        ("run", "sine", "-b"),
        ("memory", "sine", "-b"),
        ("profile", "sine", "-b"),
        ("bench", "sine", "-b"),
        ("report", "sine", "-b"),
        ("tune", "sine", "-b"),
        ("serve", "sine", "--tracker", "127.0.0.1:9", "--key", "a", "-b"),
        ("compile", "sine", "-o", "out", "-t"),
        ("export", "sine", "-f", "cmake", "-o", "out", "-t"),
        ("project", "create", "sine", "-o", "out", "-b"),
    ):
        assert "broken.toml: regions[1].length is True" in command(*words, "broken").error(2)
        assert "none.toml: does not exist" in command(*words, "none.toml").error(2)
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lab = 1", "the board 'lab' is 1; give the path of its file"),
        ('lab = ""', "the board 'lab' is ''"),
        ("json = 1", "give a value of type bool"),
    ],
)
def test_mistakes_in_the_configuration(
    text: str, message: str, command: Command, project: Path
) -> None:
    (project / "tvmtiny.toml").write_text(f"[boards]\n{text}\n")
    assert message in command("memory", "sine", "-b", "microbit").error(2)


def test_options_that_the_platform_cannot_read(command: Command, project: Path) -> None:
    file = project / "odd.toml"
    for old, new, message in (
        ("4096", "-1", "options.stack_bytes is -1"),
        ("stack_bytes", "heap", "options.heap is not a known key"),
        ('"qemu"', '"qmeu"', "platform is 'qmeu'"),
        ('"qemu"', '"zephyr"', "options.systick_hz is not a known key; allowed: the keys names"),
    ):
        file.write_text(BOARD.replace(old, new))
        for words in (("memory", "-b"), ("compile", "-o", "out", "-t")):
            assert message in command(words[0], "sine", *words[1:], file).error(2)


def test_an_application_keeps_its_board(command: Command, project: Path) -> None:
    from tvmtiny.project.zephyr.application import load_application

    text = BOARD.split("[options]")[0].replace('"qemu"', '"zephyr"')
    file = project / "hardware" / "lab.toml"
    file.write_text(text + '[options]\nnames = ["lab_board"]\n')
    words = ("project", "create", "sine", "-o", "out", "--stack", 2048, "--json", "-b", "lab")
    assert command(*words).json["board"] == "lab"
    file.unlink()
    board = load_application(project / "out").board
    assert (board.name, board.names) == ("lab", ("lab_board",))
    assert board.board is not None and board.board.data.length == 0x4000
