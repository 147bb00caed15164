"""Requirements of tests on the machine, and facts about the project that tests look up."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tvmtiny.targets import boards
from tvmtiny.targets.architectures import Architecture, find_architecture

ROOT = Path(__file__).resolve().parents[1]

#: The MLPerf Tiny models, which are not part of the project.
MLPERF_TINY = ROOT.parent / "shared" / "models"

_PROGRAMS = ("arm-none-eabi-gcc", "qemu-system-arm")


def on_qemu(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test that builds firmware and starts QEMU."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    skip = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
    return pytest.mark.qemu(skip(test))


@functools.cache
def lacks(name: str) -> str:
    """The missing programs of an architecture, with packages; empty if all are installed."""
    architecture = find_architecture(name)
    tools = (architecture.compiler, architecture.emulator)
    missing = [f"{tool.name} ({tool.package})" for tool in tools if not shutil.which(tool.name)]
    if not missing and not _has_library(architecture):
        missing = [f"{architecture.library.name} ({architecture.library.package})"]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _has_library(architecture: Architecture) -> bool:
    # GCC prints the bare name if the file does not exist.
    command = [architecture.compiler.name, f"-print-file-name={architecture.library.specs[0]}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).is_absolute()


def on_qemu_boards(*names: str) -> pytest.MarkDecorator:
    """Parametrize a test by ``board``: some boards, or all that QEMU emulates without Zephyr."""
    known = boards()
    found = names or tuple(name for name in known if known[name].platform == "qemu")
    return pytest.mark.parametrize("board", [board_on_qemu(name) for name in found])


def board_on_qemu(name: str) -> Any:
    """A board as a parameter of a test that builds firmware and starts QEMU."""
    reason = lacks(boards()[name].cpu.architecture)
    skip = pytest.mark.skipif(bool(reason), reason=reason)
    return pytest.param(name, marks=(pytest.mark.qemu, skip))


def needs_programs(*names: str) -> pytest.MarkDecorator:
    """Skip a test if a program is not installed."""
    missing = [name for name in names if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def _zephyr_lacks() -> str:
    if not os.environ.get("ZEPHYR_BASE"):
        return "ZEPHYR_BASE is not set: no Zephyr tree"
    missing = [name for name in ("west", "cmake", "ninja") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


def on_zephyr(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test that builds Zephyr applications, for boards in QEMU."""
    lacks = _zephyr_lacks()
    skip = pytest.mark.skipif(bool(lacks), reason=lacks)
    return pytest.mark.zephyr(on_qemu(skip(test)))


needs_mlperf_tiny = pytest.mark.skipif(
    not MLPERF_TINY.is_dir(), reason="the MLPerf Tiny models are not in ../shared/models"
)
