#!/usr/bin/env python3
"""Compare arenas and instructions of random MobileNets run row by row and layer by layer.

    scripts/mobilenet_rows.py [MODEL ...] [--run] [--ram-budget BYTES]

Without models, all of them are compiled. With --run they also run on mps2-an386 in QEMU, if they
fit its memory, and every layer is compared with the reference.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from small_networks import Network, Value  # noqa: E402

import tvmtiny  # noqa: E402
from tvmtiny.codegen.stream import ProgramStreamer  # noqa: E402

BOARD = "mps2-an386"

#: Blocks of MobileNetV2: expansion, channels, repetitions, stride.
_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
#: Pairs of layers of MobileNetV1: channels and stride.
_PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5)
_LAST_PAIRS = ((1024, 2), (1024, 1))


def _round(channels: float) -> int:
    """Round channels as Keras does for a width multiplier."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v1(width: float, size: int, dtype: str) -> bytes:
    """Build the .tflite file of a MobileNetV1."""
    network = Network(1, dtype)
    x = network.input(1, size, size, 3)
    x = network.conv(x, int(32 * width), (3, 3), stride=2, padding="SAME")
    for channels, stride in (*_PAIRS, *_LAST_PAIRS):
        x = network.depthwise(x, stride=stride, padding="SAME")
        x = network.conv(x, int(channels * width))
    return network.build(network.dense(network.mean(x, 1, 2), 10))


def mobilenet_v2(width: float, size: int, classes: int) -> bytes:
    """Build the .tflite file of an int8 MobileNetV2."""
    network = Network(2)
    x = network.input(1, size, size, 3)
    x = network.conv(x, _round(32 * width), (3, 3), stride=2, padding="SAME")
    for expansion, channels, repetitions, stride in _BLOCKS:
        for repetition in range(repetitions):
            x = _block(network, x, expansion, _round(channels * width), 1 if repetition else stride)
    x = network.conv(x, max(1280, _round(1280 * width)))
    return network.build(network.dense(network.mean(x, 1, 2), classes))


def _block(network: Network, x: Value, expansion: int, channels: int, stride: int) -> Value:
    y = network.conv(x, expansion * x.shape[3]) if expansion > 1 else x
    y = network.depthwise(y, stride=stride, padding="SAME")
    y = network.conv(y, channels)
    return network.binary("ADD", x, y) if y.shape == x.shape else y


MODELS: dict[str, Callable[[], bytes]] = {
    "v1_025_128_float": lambda: mobilenet_v1(0.25, 128, "float32"),
    "v2_035_144": lambda: mobilenet_v2(0.35, 144, 1000),
    "v2_100_224": lambda: mobilenet_v2(1.0, 224, 1000),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--ram-budget", type=int)
    options = parser.parse_args()
    planning = [0.0]
    choose = ProgramStreamer.stream

    def timed(self: ProgramStreamer, *arguments: object) -> object:
        begin = time.process_time()
        found = choose(self, *arguments)  # type: ignore[arg-type]
        planning[0] += time.process_time() - begin
        return found

    ProgramStreamer.stream = timed  # type: ignore[method-assign,assignment]
    for name in options.models or MODELS:
        model = tvmtiny.load(MODELS[name](), name=name)
        for mode in ("none", "rows"):
            planning[0] = 0.0
            budget = options.ram_budget if mode == "rows" else None
            artifact = tvmtiny.compile(model, BOARD, stream=mode, ram_budget=budget)
            line = f"{name} {mode}: arena {artifact.arena_bytes:,}"
            if mode == "rows":
                line += f", planned in {planning[0]:.1f} CPU-s"
            if options.run:
                inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
                result = tvmtiny.run(artifact, *inputs)
                found = tvmtiny.check(model, artifact, result, inputs)
                line += f", {result.instructions:,} instructions"
                line += f", {found.layers_exact} of {found.layers_compared} layers exact"
            print(line, flush=True)


if __name__ == "__main__":
    main()
