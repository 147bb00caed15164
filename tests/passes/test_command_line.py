"""Dead channels on the command line: shown by ``inspect``, kept by ``--no-dead-channels``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_networks import Network
from typer.testing import CliRunner

from tvmtiny.cli.main import app

#: 4x4 positions: 3 inputs for each of 6 channels, 6 for each of 5; two of the 6 are constants.
MACS, LIVE_MACS = 16 * (3 * 6 + 6 * 5), 16 * (3 * 4 + 4 * 5)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    n = Network()
    x = n.conv(n.input(1, 4, 4, 3), 6, dead=[1, 4], zero_point=-20)
    path = tmp_path / "dead.tflite"
    path.write_bytes(n.build(n.conv(x, 5)))
    return path


def invoke(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_inspect_says_what_remains(model: Path) -> None:
    found = json.loads(invoke("inspect", str(model), "--json"))
    assert (found["macs"], found["live_macs"]) == (MACS, LIVE_MACS)
    assert f"{MACS}, {LIVE_MACS} without dead channels" in invoke("inspect", str(model))


def test_inspect_says_nothing_where_all_are_alive(tmp_path: Path) -> None:
    n = Network()
    path = tmp_path / "alive.tflite"
    path.write_bytes(n.build(n.conv(n.input(1, 4, 4, 3), 6)))
    assert "dead" not in invoke("inspect", str(path)).replace(str(path), "")


@pytest.mark.parametrize("flags, macs", [((), LIVE_MACS), (("--no-dead-channels",), MACS)])
def test_compile(model: Path, tmp_path: Path, flags: tuple[str, ...], macs: int) -> None:
    words = ("compile", str(model), "-t", "cortex-m3", "-o", str(tmp_path / "c"), "--json")
    summary = json.loads(invoke(*words, *flags))
    assert summary["macs"] == macs
    assert summary["layers"][0]["kept_channels"] == (None if flags else [0, 2, 3, 5])
