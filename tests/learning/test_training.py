"""Training of the last layers on boards and on the host, and its twin in numpy."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tools import ROOT, on_qemu_boards

import tvmtiny
from tests.cli.conftest import Command, command
from tests.host_runner import compile_sanitized, run_program, write_files
from tests.images.loader import board_named, build_program
from tvmtiny.errors import InputError
from tvmtiny.frontend import Model
from tvmtiny.frontend.make_trainable import make_trainable
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
def model(which: str = "last") -> Model:
    return make_trainable(tvmtiny.load(HERE / "eight_digits.tflite"), which)


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

    def __init__(self, rule: Rule, which: str = "last") -> None:
        self.trainer = Trainer(model(which), rule)
        self.checksums: list[int] = []

    def inputs(self, of_samples: bool) -> list[np.ndarray]:
        """The inputs of the first layer that is trained."""
        if self.trainer.before is None:
            return list(features(of_samples))
        return [image[None] for image in (samples() if of_samples else held_out())[0]]

    def infer(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Input and output of the last layer, and the input of the layer before."""
        before = self.trainer.before
        last = x if before is None else before.forward(x)
        return last, self.trainer.forward(last), None if before is None else x

    def classes(self) -> np.ndarray:
        return np.array([self.infer(x)[1].argmax() for x in self.inputs(False)])

    def train(self, wrong: bool = False) -> None:
        for x, label in zip(self.inputs(True), samples()[1], strict=True):
            last, logits, earlier = self.infer(x)
            wanted = int(9 - label if wrong else label)
            self.trainer.train_class(last, logits, wanted, earlier)
            crc = zlib.crc32(self.floats(), zlib.crc32(logits.tobytes()))
            self.checksums.append(crc)

    def train_values(self, x: np.ndarray, wanted: np.ndarray) -> None:
        last, logits, earlier = self.infer(x)
        self.trainer.train_values(last, logits, wanted, earlier)

    def floats(self) -> bytes:
        layers = [self.trainer, *filter(None, [self.trainer.before])]
        return b"".join(t.floats.tobytes() + t.float_bias.tobytes() for t in layers)

    def keep(self) -> tuple[np.float32, bool]:
        loss = np.float32(0.0)
        for x, label in zip(self.inputs(False)[:20], held_out()[1], strict=False):
            loss = np.float32(loss + self.trainer.loss(self.infer(x)[1], int(label)))
        return loss, self.trainer.keep(loss)


def definitions(rule: Rule, passes: int, checkpoints: bool = False) -> list[str]:
    flags = {
        "RATE": f"{rule.rate}f",
        "MOMENTUM": f"{rule.momentum}f",
        "CLIP": f"{rule.clip}f",
        "PASSES": f"{passes}u",
        "SAMPLES": f"{len(samples()[1])}u",
        "HELD_OUT": f"{len(held_out()[1])}u",
        "TVMTINY_TRAIN_MOMENTUM": int(rule.momentum > 0),
        "CHECKPOINTS": int(checkpoints),
    }
    return [f"-D{name}={value}" for name, value in flags.items()]


def write_samples(directory: Path) -> None:
    write_bytes(directory / "samples.bin", packed(*samples()))
    write_bytes(directory / "held_out.bin", packed(*held_out()))


def run_on_board(
    board: str, artifact: tvmtiny.Artifact, rule: Rule, passes: int, directory: Path
) -> bytes:
    """Run learn_main.c in QEMU; what it wrote."""
    where = board_named(board)
    sources = find_architecture(where.cpu.architecture).sources
    # The board whose flash QEMU emulates.
    checkpoints = board == "microbit"
    folders = ("image", "image/slots", "image/flash") if checkpoints else ()
    firmware = build_program(
        where,
        directory,
        {
            **c_files("device", "device/harness", sources),
            **{n: text for n, text in c_files(*folders).items() if "zephyr" not in n},
            **artifact.files,
            "main.c": (HERE / "learn_main.c").read_text(),
        },
        2048,
        Project(directory, artifact, where, ()),
        options=definitions(rule, passes, checkpoints),
    )
    with work_folder("learning") as files:
        write_samples(files)
        emulate_in(firmware, files, 300)
        return (files / "results.bin").read_bytes()


#: Files of the host instead of those that a debugger gives to a board.
_HOST = """
#include <stdio.h>
#include <stdlib.h>
static FILE *files[16];
static int32_t opened(FILE *file)
{
    static int32_t count;
    if (file == NULL || count == 16) {
        exit(DEVICE_EXIT_FILE);
    }
    files[count] = file;
    return count++;
}
int32_t device_open_read(const char *name)
{
    return opened(fopen(name, "rb"));
}
int32_t device_open_write(const char *name)
{
    return opened(fopen(name, "wb"));
}
void device_read(int32_t handle, void *data, uint32_t bytes)
{
    if (fread(data, 1, bytes, files[handle]) != bytes) {
        exit(DEVICE_EXIT_FILE);
    }
}
void device_write(int32_t handle, const void *data, uint32_t bytes)
{
    if (fwrite(data, 1, bytes, files[handle]) != bytes) {
        exit(DEVICE_EXIT_FILE);
    }
}
void device_close(int32_t handle)
{
    (void)fclose(files[handle]);
}
void device_exit(uint32_t code)
{
    exit((int)code);
}
int main(void)
{
    device_main();
}
"""


def run_sanitized(artifact: tvmtiny.Artifact, rule: Rule, passes: int, directory: Path) -> bytes:
    """Run learn_main.c on the host with sanitizers; what it wrote."""
    for name, text in c_files("device", "device/harness").items():
        if name.endswith(".h"):
            (directory / name).write_text(text)
    write_samples(directory)
    main = (HERE / "learn_main.c").read_text() + _HOST
    (directory / "main.c").write_text(main)
    sources = ["main.c", *write_files(artifact, directory)]
    options = ["-DTVMTINY_LAYERS", *definitions(rule, passes)]
    run_program(compile_sanitized(sources, directory, options))
    return (directory / "results.bin").read_bytes()


def check_results(
    results: bytes, twin: Twin, passes: int, least: float, checkpoints: bool = False
) -> None:
    """Compare what learn_main.c wrote with the twin, bit for bit, and the accuracy with a bound."""
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
    assert classes_are_the_twins() >= least
    steps_are_the_twins(True)
    # Training went back to the weights with the least loss.
    assert classes_are_the_twins() >= least
    wanted = np.array([0.5, -0.5, *[0] * 8], np.float32)
    twin.train_values(twin.inputs(False)[-1], wanted)
    assert take("<I") == (zlib.crc32(twin.floats()),)
    if checkpoints:
        # Saved, forgotten, loaded: the next steps continue as if nothing had happened.
        classes_are_the_twins()
        twin.checksums.clear()
        twin.train()
        assert list(take(f"<{len(twin.checksums)}I")) == twin.checksums
    assert place == len(results)


@on_qemu_boards("microbit", "mps2-an386", "riscv-virt")
@pytest.mark.parametrize("momentum", (0.0, 0.5))
def test_trajectory(board: str, momentum: float, tmp_path: Path) -> None:
    if momentum and board != "mps2-an386":
        pytest.skip("momentum is tried on one board")
    rule = Rule(RULE.rate, momentum, RULE.clip)
    passes = 1 if momentum else PASSES
    artifact = tvmtiny.compile(tvmtiny.load(HERE / "eight_digits.tflite"), board, trainable="last")
    assert artifact.training is not None
    # All memory of training: the weights in RAM, and the values kept beside them.
    assert artifact.state_bytes + artifact.training.training_bytes <= 4096
    results = run_on_board(board, artifact, rule, passes, tmp_path)
    least = 0.9 if momentum else 0.94
    check_results(results, Twin(rule), passes, least, checkpoints=board == "microbit")


def with_activation(activation: str, scale: float | None = None, factor: float = 1.0) -> Model:
    """The small network with another activation, output scale and weights of the first layer."""
    found = tvmtiny.load(HERE / "eight_digits.tflite")
    graph = found.graph
    first, second, *others = graph.nodes
    hidden, weights = first.output, first.input(1)
    assert hidden.quantization is not None and weights.quantization is not None
    if scale is not None:
        hidden = replace(hidden, quantization=replace(hidden.quantization, scales=(scale,)))
    scales = tuple(value * factor for value in weights.quantization.scales)
    weights = replace(weights, quantization=replace(weights.quantization, scales=scales))
    options = {**first.options, "fused_activation_function": activation}
    inputs = (first.inputs[0], weights, *first.inputs[2:])
    first = replace(first, options=options, inputs=inputs, outputs=(hidden,))
    second = replace(second, inputs=(hidden, *second.inputs[1:]))
    new = {hidden.index: hidden, weights.index: weights}
    tensors = tuple(new.get(tensor.index, tensor) for tensor in graph.tensors)
    changed = replace(graph, nodes=(first, second, *others), tensors=tensors)
    return replace(found, graph=changed)


def two_layers(board: str) -> tvmtiny.Artifact:
    return tvmtiny.compile(tvmtiny.load(HERE / "eight_digits.tflite"), board, trainable="last2")


@on_qemu_boards("mps2-an386")
def test_trajectory_of_two_layers(board: str, tmp_path: Path) -> None:
    results = run_on_board(board, two_layers(board), RULE, PASSES, tmp_path)
    check_results(results, Twin(RULE, "last2"), PASSES, 0.93)


def test_two_layers_with_momentum_under_sanitizers(tmp_path: Path) -> None:
    """The first layer has a RELU6 that stops gradients at both ends."""
    rule = Rule(0.01, 0.5, RULE.clip)
    model = with_activation("RELU6", 0.047, 2.0)
    twin = Twin(rule, "last2")
    twin.trainer = Trainer(make_trainable(model, "last2"), rule)
    assert twin.trainer.before is not None
    bounds = twin.trainer.before.training
    outputs = np.concatenate([twin.infer(x)[0] for x in twin.inputs(True)])
    assert (outputs == bounds.lower).mean() > 0.1 and (outputs == bounds.upper).mean() > 0.01
    artifact = tvmtiny.compile(model, "cortex-m4", trainable="last2")
    results = run_sanitized(artifact, rule, 1, tmp_path)
    check_results(results, twin, 1, 0.9)


def test_the_header_states_what_training_takes() -> None:
    artifact = tvmtiny.compile(tvmtiny.load(path("digits")), "cortex-m4", trainable="last")
    assert artifact.training is not None
    assert f"{artifact.training.training_bytes} bytes, and" in artifact.files["digits.h"]
    assert artifact.training.training_bytes == 36 + 4 * 1290 + 40 + 1280


@pytest.mark.parametrize(
    ("options", "reason"),
    (
        ({"trainable": "first"}, "'first' cannot be trained; allowed: last, last2"),
        ({"trainable": "last2"}, "digits has 1 FULLY_CONNECTED; last2 trains two"),
        ({"trainable": "last", "io": "external"}, "leave --io and --stream out"),
        ({"trainable": "last", "stream": "inside"}, "leave --io and --stream out"),
    ),
)
def test_what_cannot_be_trained(options: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        tvmtiny.compile(tvmtiny.load(path("digits")), "cortex-m4", **options)  # type: ignore[arg-type]


def test_models_that_cannot_be_trained() -> None:
    with pytest.raises(InputError, match="allowed: last"):
        make_trainable(tvmtiny.load(path("temperature")), "first")
    with pytest.raises(InputError, match="two layers are trained; give the input"):
        twin = Twin(RULE, "last2")
        twin.trainer.train_class(*twin.infer(twin.inputs(True)[0])[:2], 0)
    with pytest.raises(InputError, match="is trainable already"):
        make_trainable(model())
    with pytest.raises(InputError, match="is not trainable"):
        Trainer(tvmtiny.load(path("digits")))
    with pytest.raises(InputError, match="are out of range"):
        Rule(rate=0.0)
    with pytest.raises(InputError, match="are out of range"):
        Rule(clip=float("inf"))


@pytest.mark.parametrize(
    ("activation", "scale", "bounds"),
    [
        ("NONE", None, (-129, 128)),
        ("RELU", None, (-128, 128)),
        ("RELU6", None, (-128, 128)),
        # 6 / 0.03 = 200 steps from the zero point, -128.
        ("RELU6", 0.03, (-128, 72)),
    ],
)
def test_where_activations_stop_the_gradient(
    activation: str, scale: float | None, bounds: tuple[int, int]
) -> None:
    training = make_trainable(with_activation(activation, scale), "last2").training
    assert training is not None and training.before is not None
    assert (training.before.lower, training.before.upper) == bounds


def test_other_activations_of_the_layer_before() -> None:
    with pytest.raises(
        InputError, match=r"last FULLY_CONNECTED but one .* has the fused activation TANH; only"
    ):
        make_trainable(with_activation("TANH"), "last2")


def test_command(tmp_path: Path, command: Command) -> None:
    made = tmp_path / "made"
    command("compile", "digits", "-t", "cortex-m4", "--trainable", "last", "-o", made)
    assert "tvmtiny_digits_train_class" in (made / "digits.h").read_text()
    message = command("compile", "digits", "-t", "cortex-m4", "--trainable", "x", "-o", made).error(
        2
    )
    assert "allowed: last, last2" in message
