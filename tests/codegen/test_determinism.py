"""The same model and target give the same bytes, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tvmtiny import models

_SCRIPT = """
import hashlib, sys
import tvmtiny
from tvmtiny.codegen.archive import archive_bytes
model = tvmtiny.load(sys.argv[1])
for target in ("mps2-an386", "cortex-m0"):
    print(hashlib.sha256(archive_bytes(tvmtiny.compile(model, target))).hexdigest())
"""


@pytest.mark.parametrize("name", ["digits"])
def test_two_processes_give_the_same_archive(name: str, tmp_path: Path) -> None:
    digests = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(models.path(name))],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.append(done.stdout.split())
    assert len(digests[0]) == 2
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[0][1]
