"""Measure the table of layer classes in docs/speed.md again.

``python scripts/layer_table.py`` profiles one layer of each class on an emulated board of each core
and compares its outputs with LiteRT's reference kernels. It writes instructions and estimated
cycles per multiply-accumulate, and the kind of instructions that dominates the cycles, between
``<!-- layers -->`` and ``<!-- end -->``. ``--print`` does not change the page; ``--classes`` and
``--cores`` select a subset.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


import tvmtiny  # noqa: E402
from tests.ops.test_batch_matmul import _layer as product  # noqa: E402
from tests.ops.test_conv_2d import Conv  # noqa: E402
from tests.ops.test_depthwise_conv_2d import Depthwise  # noqa: E402
from tests.ops.test_fully_connected import Dense  # noqa: E402
from tests.ops.test_svdf import Filter  # noqa: E402
from tests.ops.test_transpose_conv import _layer as transposed  # noqa: E402
from tests.ops.test_unidirectional_sequence_lstm import Lstm  # noqa: E402
from tests.schedule.test_dsp_half import conv as half_conv  # noqa: E402
from tests.schedule.test_dsp_half import dense as half_dense  # noqa: E402
from tvmtiny.emulation.cycles import block_cost, timings  # noqa: E402
from tvmtiny.emulation.unicorn_machine import emulate  # noqa: E402
from tvmtiny.errors import CapacityError  # noqa: E402
from tvmtiny.report.firmware import built_firmware  # noqa: E402
from tvmtiny.report.profile import DEFAULT_TIMEOUT, profile_firmware  # noqa: E402
from tvmtiny.running import run_firmware  # noqa: E402
from tvmtiny.targets.architectures import find_architecture  # noqa: E402

PAGE = ROOT / "docs" / "speed.md"
BOARDS = {
    "M0": "microbit",
    "M3": "mps2-an385",
    "M4": "mps2-an386",
    "M7": "mps2-an500",
    "M33": "mps2-an505",
}
_TABLE = re.compile(r"(?<=^<!-- layers -->\n).*?(?=^<!-- end -->$)", re.DOTALL | re.MULTILINE)
_RELU = {"activation": "RELU", "zero_points": (-128, -128)}


class Case(Protocol):
    """A model of one layer."""

    def model(self) -> bytes: ...


#: One layer of each class; inputs and outputs fit the micro:bit's 16 KB of RAM if the class allows.
CLASSES: dict[str, Case] = {
    "1x1 convolution, 64 -> 64": Conv((12, 5), 64, 64, (1, 1), output_scale=1.5, **_RELU),
    "1x1 convolution, linear": Conv((12, 5), 64, 64, (1, 1)),
    "3x3 convolution, 16 -> 16": Conv((16, 16), 16, 16, output_scale=1.5, **_RELU),
    "3x3 convolution, 32 -> 32": Conv((10, 10), 32, 32, output_scale=1.5, **_RELU),
    "3x3 convolution, dilation 2": Conv((10, 10), 32, 32, dilation=(2, 2)),
    "3x3 convolution, 4 groups": Conv((10, 10), 32, 32, groups=4),
    "first layer, 3 channels, stride 2": Conv((32, 32), 3, 8, stride=(2, 2), **_RELU),
    "10x8 depthwise, 1 channel, 8 filters": Depthwise((49, 40), 1, 8, (10, 8), (2, 2)),
    "3x3 depthwise": Depthwise((12, 12), 32, output_scale=1.0, **_RELU),
    "3x3 depthwise, stride 2": Depthwise((12, 12), 32, stride=(2, 2), output_scale=1.0, **_RELU),
    "3x3 depthwise, linear": Depthwise((12, 12), 32),
    "3x3 depthwise, dilation 2": Depthwise((12, 12), 32, dilation=(2, 2)),
    "3x3 depthwise, 2 filters a channel": Depthwise((12, 12), 16, 2),
    "5x5 depthwise": Depthwise((12, 12), 32, kernel=(5, 5)),
    "7x1 depthwise": Depthwise((30, 1), 64, kernel=(7, 1), padding="VALID"),
    "dense, 256 -> 64": Dense((1, 256), 256, 64),
    "4x4 transposed, stride 2": transposed((8, 8), (4, 4), depth=16, channels=16),
    "matrix product, 48x48x48": product(48, 48, 48, ((), ())),
    "LSTM, 32 cells": Lstm(cells=32, inputs=28, steps=28),
    "SVDF, rank 1": Filter(inputs=40, units=128, rank=1, memory=10),
    "3x3 convolution, int4 weights": Conv((10, 10), 32, 32, weight_range=(-7, 7)),
    "3x3 convolution, int16": half_conv((8, 8), 32, 32),
    "dense, int16": half_dense(1, 256, 64),
    "3x3 convolution, float32": Conv((8, 8), 16, 16, dtype="float32"),
    "3x3 depthwise, float32": Depthwise((8, 8), 16, dtype="float32"),
}


@dataclass(frozen=True)
class Figures:
    """Figures per multiply-accumulate, and the kind of instructions that dominates the cycles."""

    instructions: float
    cycles: float
    bound: str
    schedule: str


def measure(name: str, case: Case, board: str) -> Figures | None:
    """Measure a layer; return None if it does not fit the board."""
    model = tvmtiny.load(case.model(), name="layer")
    artifact = tvmtiny.compile(model, board)
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    found = tvmtiny.boards()[board]
    decode = find_architecture(found.cpu.architecture).decode
    assert decode is not None
    try:
        with built_firmware(artifact, found) as firmware:
            result = run_firmware(firmware, inputs)
            profile = profile_firmware(firmware, inputs, result=result)
            trace = emulate(firmware, inputs, DEFAULT_TIMEOUT)
    except CapacityError:
        return None
    checked = tvmtiny.check(model, artifact, result, inputs)
    if not checked.exact and artifact.outputs[0].dtype != "float32":
        raise ValueError(f"{name} is not exact on {board}")
    table, shares = timings(found.cpu.name), Counter[str]()
    for region in trace.layers:
        for (block, _), count in region.edges.items():
            for instruction in decode(trace.code[block], block & 0xFFFFFFFF):
                cost = block_cost([instruction], table).taken
                shares[kind(instruction.name)] += count * cost
    macs = sum(layer.macs for layer in profile.layers)
    (bound, most), *_ = shares.most_common(1)
    return Figures(
        sum(layer.instructions for layer in profile.layers) / macs,
        sum(layer.estimated_cycles for layer in profile.layers) / macs,
        f"{bound} {most / sum(shares.values()):.0%}",
        " / ".join(layer.schedule for layer in profile.layers),
    )


def kind(name: str) -> str:
    """Classify an instruction by its purpose."""
    name = name.lower()
    if name.startswith(("sml", "smm", "smu", "mul", "mla", "mls", "umul", "umla", "vmul", "vmla")):
        return "products"
    if name.startswith(("vfma", "vnml", "vmls")):
        return "products"
    if name.startswith(("ldr", "ldm", "str", "stm", "push", "pop", "vldr", "vldm", "vstr", "vstm")):
        return "memory"
    if name.startswith("b") and not name.startswith(("bic", "bfi", "bfc", "bkpt")):
        return "branches"
    if name.startswith("cb"):
        return "branches"
    return "other"


def rows(classes: list[str], cores: list[str], tell: bool) -> list[str]:
    """Format the rows of the table."""
    lines = [
        f"| layer | {' | '.join(cores)} |",
        f"| --- |{' ---: |' * len(cores)}",
    ]
    for name in classes:
        cells = []
        for core in cores:
            found = measure(name, CLASSES[name], BOARDS[core])
            if found is None:
                cells.append("too large")
                continue
            cells.append(f"{found.instructions:.2f} / {found.cycles:.2f}, {found.bound}")
            if tell:
                print(f"{name} {core}: {cells[-1]}; {found.schedule}", file=sys.stderr, flush=True)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", help="parts of their names, separated by semicolons")
    parser.add_argument("--cores", default=",".join(BOARDS))
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    options = parser.parse_args()
    parts = options.classes.split(";") if options.classes else [""]
    chosen = [name for name in CLASSES if any(part in name for part in parts)]
    text = "\n".join((*rows(chosen, options.cores.split(","), options.print), ""))
    if options.print:
        print(text)
    else:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_TABLE.sub(lambda _: text, page), encoding="utf-8")
