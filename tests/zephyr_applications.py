"""MLPerf Tiny models in Zephyr applications, and the output of these."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from tools import MLPERF_TINY

import tvmtiny
from tvmtiny.project.zephyr.build import ApplicationBuild
from tvmtiny.project.zephyr.console import converse
from tvmtiny.project.zephyr.source_tree import find_tree
from tvmtiny.targets import find_board

#: A call with which an application ends its console.
CONSOLE_SECONDS = 120.0

#: Zephyr toolchains that support one architecture.
_FOR_ARM = os.environ.get("ZEPHYR_TOOLCHAIN_VARIANT") in ("gnuarmemb", "armclang")
_FOR_RISCV = "riscv" in os.environ.get("CROSS_COMPILE", "")
_SKIP_ARM = pytest.mark.skipif(_FOR_RISCV, reason="Zephyr's toolchain here has no Arm compiler")
_SKIP_RISCV = pytest.mark.skipif(_FOR_ARM, reason="Zephyr's toolchain here is for Arm only")

#: Boards in QEMU whose applications are built if the toolchain supports their architecture.
ARM_BOARDS = tuple(
    pytest.param(f"zephyr:{name}", marks=_SKIP_ARM, id=f"zephyr:{name}")
    for name in ("mps2_an385", "mps2_an521", "mps3_an547")
)
RISCV_BOARD = pytest.param("zephyr:qemu_riscv32", marks=_SKIP_RISCV, id="zephyr:qemu_riscv32")

_RESULT = re.compile(
    r"(?P<model>\w+): sample (?P<sample>\d+) (?P<verdict>[a-zA-Z ]+), crc (?P<crc>[0-9a-f]{8}), "
    r"(?P<cycles>\d+) cycles, \d+ us, stack (?P<used>\d+) of (?P<size>\d+) bytes"
)
_HZ = re.compile(r"I: (\d+) Hz")

Built = Callable[..., ApplicationBuild]


@cache
def mlperf_model(name: str) -> tvmtiny.Model:
    return tvmtiny.load(MLPERF_TINY / f"{name}_int8.tflite", name=name)


@dataclass(frozen=True)
class Inference:
    """The console's line about one model."""

    model: str
    sample: int
    verdict: str
    cycles: int
    stack_used: int
    stack_size: int

    @classmethod
    def read(cls, line: str) -> Inference | None:
        match = _RESULT.search(line)
        if match is None:
            return None
        sample, cycles, used, size = (
            int(match[name]) for name in ("sample", "cycles", "used", "size")
        )
        return cls(match["model"], sample, match["verdict"], cycles, used, size)


def standalone_run(build: ApplicationBuild) -> tuple[int, list[Inference]]:
    """Frequency of the cycle counter, and the inferences until every model had all four samples."""
    hz = 0
    inferences = []
    last = build.application.models[-1].name
    for line in converse(build, seconds=CONSOLE_SECONDS, until=f"{last}: sample 3"):
        if match := _HZ.search(line):
            hz = int(match[1])
        if inference := Inference.read(line):
            inferences.append(inference)
    assert hz > 0
    return hz, inferences


EMPTY = {
    "CMakeLists.txt": """\
cmake_minimum_required(VERSION 3.20.0)
{before}
find_package(Zephyr REQUIRED HINTS $ENV{{ZEPHYR_BASE}})
project(existing LANGUAGES C)
target_sources(app PRIVATE main.c)
""",
    "prj.conf": """\
CONFIG_THREAD_STACK_INFO=y
CONFIG_INIT_STACKS=y
CONFIG_LOG=y
CONFIG_LOG_MODE_MINIMAL=y
""",
    "main.c": """\
int main(void)
{
  return 0;
}
""",
}


def build_other(directory: Path, board: str, before: str, conf: str, main: str | None) -> str:
    """Build an application that is not tvmtiny's; return its output."""
    directory.mkdir()
    for name, text in EMPTY.items():
        (directory / name).write_text(text.format(before=before) if "{before}" in text else text)
    with (directory / "prj.conf").open("a") as file:
        file.write(conf)
    if main is not None:
        (directory / "main.c").write_text(main)
    tree = find_tree()
    name = tree.board_name(find_board(board).options["names"])
    arguments = ["build", "-b", name, "-d", str(directory / "build"), str(directory)]
    return tree.west(arguments, directory / "build.log")
