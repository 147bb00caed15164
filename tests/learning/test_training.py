"""Training of a last layer on boards, and its twin in numpy."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tools import ROOT, on_qemu_boards

import tvmtiny
from tests.cli.conftest import Command, command
from tests.images.loader import board_named, build_program
from tvmtiny.errors import InputError
from tvmtiny.frontend import Model
from tvmtiny.frontend.trainable import trainable
from tvmtiny.host.files import write_bytes
from tvmtiny.host.unfinished import work_folder
from tvmtiny.learning import Rule, Trainer
from tvmtiny.models import path
from tvmtiny.oracle import run_litert_frames
from tvmtiny.project.qemu.platform import emulate_in
from tvmtiny.project.runtime_files import c_files
from tvmtiny.results import Project
from tvmtiny.targets.architectures import find_architecture

__all__ = ["command"]

HERE = Path(__file__).parent
RULE = Rule(rate=0.03)
PASSES = 5


@cache
def model() -> Model:
    return trainable(tvmtiny.load(HERE / "eight_digits.tflite"))


def data(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images in the form that the model takes, and their labels."""
    samples = np.load(file)
    pixels = samples["images"].reshape(-1, 64).astype(np.float64) / 16
    return (np.round(pixels * 255) - 128).astype(np.int8), samples["labels"].astype(np.uint8)


@cache
def samples() -> tuple[np.ndarray, np.ndarray]:
    return data(HERE / "samples.npz")


@cache
def held_out() -> tuple[np.ndarray, np.ndarray]:
    return data(ROOT / "tvmtiny" / "models" / "digits_test.npz")


@cache
def features(of_samples: bool) -> np.ndarray:
    """The input of the trained layer, computed by LiteRT."""
    images = (samples() if of_samples else held_out())[0]
    tensor = model().graph.outputs[model().training.features].index  # type: ignore[union-attr]
    values = run_litert_frames(model().content, [[image[None]] for image in images])
    return np.stack([value[tensor] for value in values])


def packed(images: np.ndarray, labels: np.ndarray) -> bytes:
    return b"".join(x.tobytes() + bytes([y]) for x, y in zip(images, labels, strict=True))


class Twin:
    """The steps of learn_main.c in numpy."""

    def __init__(self, rule: Rule) -> None:
        self.trainer = Trainer(model(), rule)
        self.checksums: list[int] = []

    def classes(self) -> np.ndarray:
        return np.array([self.trainer.forward(x).argmax() for x in features(False)])

    def train(self, wrong: bool = False) -> None:
        for x, label in zip(features(True), samples()[1], strict=True):
            logits = self.trainer.forward(x)
            self.trainer.train_class(x, logits, int(9 - label if wrong else label))
            crc = zlib.crc32(self.floats(), zlib.crc32(logits.tobytes()))
            self.checksums.append(crc)

    def floats(self) -> bytes:
        return self.trainer.floats.tobytes() + self.trainer.float_bias.tobytes()

    def keep(self) -> tuple[np.float32, bool]:
        loss = np.float32(0.0)
        for x, label in zip(features(False)[:20], held_out()[1], strict=False):
            loss = np.float32(loss + self.trainer.loss(self.trainer.forward(x), int(label)))
        return loss, self.trainer.keep(loss)


@on_qemu_boards("microbit", "mps2-an386", "riscv-virt")
@pytest.mark.parametrize("momentum", (0.0, 0.5))
def test_trajectory(board: str, momentum: float, tmp_path: Path) -> None:
    if momentum and board != "mps2-an386":
        pytest.skip("momentum is tried on one board")
    rule = Rule(RULE.rate, momentum, RULE.clip)
    passes = 1 if momentum else PASSES
    where = board_named(board)
    artifact = tvmtiny.compile(tvmtiny.load(HERE / "eight_digits.tflite"), board, trainable="last")
    assert artifact.training is not None
    # All memory of training: the weights in RAM, and the values kept beside them.
    assert artifact.state_bytes + artifact.training.training_bytes <= 4096
    sources = find_architecture(where.cpu.architecture).sources
    flags = {
        "RATE": f"{rule.rate}f",
        "MOMENTUM": f"{rule.momentum}f",
        "CLIP": f"{rule.clip}f",
        "PASSES": f"{passes}u",
        "SAMPLES": f"{len(samples()[1])}u",
        "HELD_OUT": f"{len(held_out()[1])}u",
        "TVMTINY_TRAIN_MOMENTUM": int(momentum > 0),
        # The board whose flash QEMU emulates.
        "CHECKPOINTS": int(board == "microbit"),
    }
    folders = ("image", "image/slots", "image/flash") if board == "microbit" else ()
    firmware = build_program(
        where,
        tmp_path,
        {
            **c_files("device", "device/harness", sources),
            **{n: text for n, text in c_files(*folders).items() if "zephyr" not in n},
            **artifact.files,
            "main.c": (HERE / "learn_main.c").read_text(),
        },
        2048,
        Project(tmp_path, artifact, where, ()),
        options=[f"-D{name}={value}" for name, value in flags.items()],
    )
    with work_folder("learning") as directory:
        write_bytes(directory / "samples.bin", packed(*samples()))
        write_bytes(directory / "held_out.bin", packed(*held_out()))
        emulate_in(firmware, directory, 300)
        results = (directory / "results.bin").read_bytes()
    twin = Twin(rule)
    labels = held_out()[1]
    place = 0

    def take(layout: str) -> tuple[float, ...]:
        nonlocal place
        found = struct.unpack_from(layout, results, place)
        place += struct.calcsize(layout)
        return found

    def classes_are_the_twins() -> float:
        found = np.frombuffer(bytes(take(f"{len(labels)}B")), np.uint8)  # type: ignore[arg-type]
        assert (found == twin.classes()).all()
        return float((found == labels).mean())

    def steps_are_the_twins(wrong: bool) -> None:
        twin.checksums.clear()
        twin.train(wrong)
        assert list(take(f"<{len(twin.checksums)}I")) == twin.checksums
        loss, kept = twin.keep()
        assert take("<fi") == (loss, 0 if kept else 1)

    assert classes_are_the_twins() < 0.82
    for _ in range(passes):
        steps_are_the_twins(False)
    accuracy = classes_are_the_twins()
    assert accuracy >= (0.9 if momentum else 0.94)
    steps_are_the_twins(True)
    # Training went back to the weights with the least loss.
    assert classes_are_the_twins() >= (0.9 if momentum else 0.94)
    wanted = np.array([0.5, -0.5, *[0] * 8], np.float32)
    last = features(False)[-1]
    twin.trainer.train_values(last, twin.trainer.forward(last), wanted)
    assert take("<I") == (zlib.crc32(twin.floats()),)
    if board == "microbit":
        # Saved, forgotten, loaded: the next steps continue as if nothing had happened.
        classes_are_the_twins()
        twin.checksums.clear()
        twin.train()
        assert list(take(f"<{len(twin.checksums)}I")) == twin.checksums
    assert place == len(results)


def test_the_header_states_what_training_takes() -> None:
    artifact = tvmtiny.compile(tvmtiny.load(path("digits")), "cortex-m4", trainable="last")
    assert artifact.training is not None
    assert f"{artifact.training.training_bytes} bytes, and" in artifact.files["digits.h"]
    assert artifact.training.training_bytes == 36 + 4 * 1290 + 40 + 1280


@pytest.mark.parametrize(
    ("options", "reason"),
    (
        ({"trainable": "first"}, "'first' cannot be trained; allowed: last"),
        ({"trainable": "last", "io": "external"}, "leave --io and --stream out"),
        ({"trainable": "last", "stream": "inside"}, "leave --io and --stream out"),
    ),
)
def test_what_cannot_be_trained(options: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        tvmtiny.compile(tvmtiny.load(path("digits")), "cortex-m4", **options)  # type: ignore[arg-type]


def test_models_that_cannot_be_trained() -> None:
    with pytest.raises(InputError, match="allowed: last"):
        trainable(tvmtiny.load(path("temperature")), "first")
    with pytest.raises(InputError, match="is trainable already"):
        trainable(model())
    with pytest.raises(InputError, match="is not trainable"):
        Trainer(tvmtiny.load(path("digits")))
    with pytest.raises(InputError, match="are out of range"):
        Rule(rate=0.0)
    with pytest.raises(InputError, match="are out of range"):
        Rule(clip=float("inf"))


def test_command(tmp_path: Path, command: Command) -> None:
    made = tmp_path / "made"
    command("compile", "digits", "-t", "cortex-m4", "--trainable", "last", "-o", made)
    assert "tvmtiny_digits_train_class" in (made / "digits.h").read_text()
    message = command("compile", "digits", "-t", "cortex-m4", "--trainable", "x", "-o", made).error(
        2
    )
    assert "allowed: last" in message
