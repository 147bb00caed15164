"""The Project API: generate, build, flash and run firmware."""

from tvmtiny.project.api import (
    Firmware,
    FlashSizes,
    OutputTensor,
    Platform,
    Project,
    RunResult,
    platform_for,
)
from tvmtiny.project.runner import run

__all__ = [
    "Firmware",
    "FlashSizes",
    "OutputTensor",
    "Platform",
    "Project",
    "RunResult",
    "platform_for",
    "run",
]
