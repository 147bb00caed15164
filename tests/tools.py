"""What tests need of the machine, and what they look up in the project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: The MLPerf Tiny models; not part of the project.
MLPERF_TINY = ROOT.parent / "shared" / "models"

_PROGRAMS = ("arm-none-eabi-gcc", "qemu-system-arm")


def on_qemu(test: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a test that builds firmware and starts QEMU."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    skip = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
    return pytest.mark.qemu(skip(test))


def needs_programs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not installed."""
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
