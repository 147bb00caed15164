"""The Project API: generate, build, flash and run firmware."""

from tvmtiny.project.api import (
    Firmware,
    FlashSizes,
    OutputTensor,
    Platform,
    Project,
    RunResult,
    Transport,
    platform_for,
)
from tvmtiny.running import board_for, run

__all__ = [
    "Firmware",
    "FlashSizes",
    "OutputTensor",
    "Platform",
    "Project",
    "RunResult",
    "Transport",
    "board_for",
    "platform_for",
    "run",
]
