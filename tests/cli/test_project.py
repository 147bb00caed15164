"""``tvmtiny project``: applications created from the command line without a Zephyr tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import on_qemu

from .conftest import Command, Outcome


def create(command: Command, directory: Path, *more: object) -> Outcome:
    board = () if "--board" in more else ("--board", "zephyr:mps2_an385")
    return command("project", "create", "sine", *board, "-o", directory, "--stack", 2048, *more)


def test_create(command: Command, tmp_path: Path) -> None:
    made = command(
        "project", "create", "sine", "digits", "-b", "nucleo_l4r5zi", "--cpu", "cortex-m4",
        "--mode", "shell", "--stack", 2048, "-o", tmp_path, "--optimize", "size", "--json",
    ).json  # fmt: skip
    assert made["board"] == "zephyr:nucleo_l4r5zi"
    assert (made["cpu"], made["mode"]) == ("cortex-m4", "shell")
    assert [model["name"] for model in made["models"]] == ["sine", "digits"]
    assert (tmp_path / "models" / "digits.c").exists()
    assert "TVMTINY_MODE shell" in (tmp_path / "models" / "application.cmake").read_text()


@on_qemu
def test_the_stack_is_measured(command: Command, tmp_path: Path) -> None:
    made = command("project", "create", "sine", "-b", "mps2_an386", "-o", tmp_path)
    assert made.code == 0, made.err
    assert "measuring the stack of sine" in made.err
    (row,) = (line.split() for line in made.out.splitlines() if line.startswith("sine"))
    assert 0 < int(row[-1]) < 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--platform", "arduino"), "there is no platform 'arduino'"),
        (("--mode", "fast"), "there is no mode 'fast'"),
        (("--board", "mps2_an38"), "did you mean zephyr:mps2_an38"),
        (("--conf", "none.conf"), "none.conf cannot be read"),
        (("--mode", "mlperf"), "--mode mlperf needs models, and --benchmark"),
        (("--mode", "mlperf", "--benchmark", "sww01"), "emulated for QEMU boards only"),
        (("--place", "weights=PSRAM", "--board", "mps2_an521"), "--constants-section"),
    ],
)
def test_create_refuses(
    words: tuple[str, ...], message: str, command: Command, tmp_path: Path
) -> None:
    refused = create(command, tmp_path / "a", *words)
    assert message in refused.error(2)
    assert not (tmp_path / "a").exists()


def test_nothing_is_built_without_a_tree(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZEPHYR_BASE", raising=False)
    assert "does not hold an application" in command("project", "build", tmp_path).error(2)
    create(command, tmp_path / "a")
    for verb in ("build", "run"):
        refused = command("project", verb, tmp_path / "a").error(2)
        assert "ZEPHYR_BASE is not set" in refused
    assert "NAME=VALUE" in command("project", "build", tmp_path / "a", "-D", "MODE").error(2)
    assert "ZEPHYR_BASE is not set" in command("run", "sine", "-b", "zephyr:mps2_an385").error(2)
