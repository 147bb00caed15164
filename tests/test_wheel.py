"""The wheel holds the tracked files and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from functools import cache

import pytest
from tools import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def tracked() -> tuple[str, ...]:
    """Files of the project by name."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a clone of the project, or git is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return tuple(name for name in listed.split("\0") if name and (ROOT / name).is_file())


#: Calls setuptools like ``python -m build``, which starts four processes, and hardly compresses. It
#: keeps the folder that it packs as sdist, which saves unpacking that, and reports no file.
_BUILD = """
import logging, os, sys, zlib
from setuptools import build_meta
compress = zlib.compressobj
zlib.compressobj = lambda level=-1, *rest, **named: compress(1, *rest, **named)
logging.disable(logging.INFO)
folder = sys.argv[1]
name = build_meta.build_sdist(folder)
os.chdir(name.removesuffix(".tar.gz"))
build_meta.build_wheel(folder)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel built from an sdist of a copy."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    settings = folder / "settings.cfg"
    settings.write_text("[sdist]\nkeep_temp = 1\n")
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)],
        cwd=folder / "source",
        env={**os.environ, "DIST_EXTRA_CONFIG": str(settings)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_its_files_are_those_that_are_tracked(wheel: zipfile.ZipFile) -> None:
    wanted = {
        name if name.startswith("tvmtiny/") else f"tvmtiny/{name}"
        for name in tracked()
        if name.startswith(("tvmtiny/", "schedules/", "zephyr_app/"))
    }
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == wanted
    for name in ("py.typed", "runtime/rpc/rpc_server.c", "zephyr_app/src/rpc/main.c"):
        assert f"tvmtiny/{name}" in found


def test_what_it_says_of_itself(wheel: zipfile.ZipFile) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    found = metadata(wheel)
    assert (found["Name"], found["Version"]) == ("tvmtiny", project["version"])
    assert found["License-Expression"] == "Apache-2.0"
    assert found["License-File"] == "LICENSE"
    (entry,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "tvmtiny = tvmtiny.__main__:start" in wheel.read(entry).decode()


def test_the_change_log_has_the_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
