"""The wake-word example: trained on a synthetic voice, with equal events here and on a board."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import ROOT, on_qemu

_EXAMPLE = ROOT / "examples" / "wake_word"


def _heard(folder: Path) -> str:
    """What hear.py prints for a folder, which is the same for this machine and the board."""
    done = subprocess.run(
        [sys.executable, str(_EXAMPLE / "hear.py"), str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "all scores and events are equal" in done.stdout
    here, there = (line.partition(": ")[2] for line in done.stdout.splitlines()[:2])
    assert here == there
    return here


@on_qemu
def test_the_trained_network_hears_both_words() -> None:
    assert _heard(_EXAMPLE / "trained") == "2 of 2 words, 0 false alarms in 3 s"


@on_qemu
@pytest.mark.skipif(
    not os.environ.get("TVMTINY_EXAMPLES"),
    reason="TVMTINY_EXAMPLES is not set: training takes a minute",
)
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_words_are_heard(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(_EXAMPLE / "train.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    here = _heard(tmp_path)
    numbers = re.findall(r"\d+", here)
    # Versions of the synthesizer differ slightly in speech.
    assert int(numbers[0]) >= 5 and int(numbers[1]) == 6 and int(numbers[2]) <= 3, here
