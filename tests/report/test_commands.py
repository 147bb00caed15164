"""``tvmtiny profile`` and ``tvmtiny bench``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools import on_qemu

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``tvmtiny`` in this process; return exit code, stdout and stderr."""
    from tvmtiny.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        caught = capsys.readouterr()
        return int(ended.value.code or 0), caught.out, caught.err

    return run


@on_qemu
def test_profile_json(command: Command) -> None:
    code, out, _ = command("profile", "digits", "--board", "mps2-an386", "--json")
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    assert found["layers"][0]["operator"] == "CONV_2D"
    total = found["total"]
    assert total["macs"] == sum(layer["macs"] for layer in found["layers"])
    parts = [*found["layers"], found["entry"]]
    assert total["instructions"] == sum(part["instructions"] for part in parts)
    assert total["estimated_cycles"] == sum(part["estimated_cycles"] for part in parts)
    assert "DDI 0439" in found["estimate"]["manual"]


@on_qemu
def test_profile_text_says_that_cycles_are_estimated(command: Command) -> None:
    code, out, err = command("profile", "digits", "--board", "microbit", "--input", "random:1")
    assert code == 0
    for part in ("est. cycles", "estimated, not measured", "DDI 0432", "wait states", "total"):
        assert part in out
    assert "executing in Unicorn ..." in err


def test_profile_on_another_board(command: Command) -> None:
    code, out, err = command("profile", "digits", "--board", "zephyr:mps3_an547")
    assert (code, out) == (2, "")
    assert "cannot profile on zephyr:mps3_an547" in err and "mps2-an386" in err


@on_qemu
def test_bench_text_json_and_comparison(command: Command, tmp_path: Path) -> None:
    words = ("bench", "digits", "sine", "-b", "mps2-an386", "-b", "microbit", "--no-estimate")
    code, out, _ = command(*words, "--json", "--check")
    assert code == 0
    results = json.loads(out)["results"]
    assert [(entry["model"], entry["board"]) for entry in results] == [
        ("digits", "mps2-an386"),
        ("digits", "microbit"),
        ("sine", "mps2-an386"),
        ("sine", "microbit"),
    ]
    assert all(entry["exact"] for entry in results)
    file = tmp_path / "bench.json"
    file.write_text(out)
    code, out, err = command(*words, "--compare", file)
    assert code == 0
    assert "change" in out and "+0.0%" in out and "estimated, not measured" in out
    assert "sine on microbit ..." in err


@on_qemu
def test_bench_fails_with_the_code_of_the_first_error(command: Command, tmp_path: Path) -> None:
    code, out, err = command("bench", tmp_path / "no.tflite", "digits", "-b", "mps2-an386")
    assert code == 2
    assert "failed" in out and "digits" in out
    assert "no.tflite" in err
