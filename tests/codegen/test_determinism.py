"""The same model and target give the same bytes, in any process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tvmtiny
from tvmtiny import models
from tvmtiny.codegen.archive import archive_bytes

_SCRIPT = """
import gc
gc.disable()
import hashlib, sys
import tvmtiny
from tvmtiny.codegen.archive import archive_bytes
model = tvmtiny.load(sys.argv[1])
for target in ("mps2-an386", "cortex-m0"):
    print(hashlib.sha256(archive_bytes(tvmtiny.compile(model, target))).hexdigest())
"""


@pytest.mark.parametrize("name", ["digits"])
def test_two_processes_give_the_same_archive(name: str, tmp_path: Path) -> None:
    """This process may have compiled other models; the new process has another hash seed."""
    model = tvmtiny.load(models.path(name))
    here = [
        hashlib.sha256(archive_bytes(tvmtiny.compile(model, target))).hexdigest()
        for target in ("mps2-an386", "cortex-m0")
    ]
    assert here[0] != here[1]
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(models.path(name))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == here
