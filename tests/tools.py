"""What tests need of the machine, and what they look up in the project."""

from __future__ import annotations

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


needs_mlperf_tiny = pytest.mark.skipif(
    not MLPERF_TINY.is_dir(), reason="the MLPerf Tiny models are not in ../shared/models"
)
