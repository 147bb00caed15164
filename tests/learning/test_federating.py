"""Boards that train on samples of their own, and the average of their weights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tools import on_qemu

import tvmtiny
from tests.cli.conftest import Command, command
from tests.learning.test_training import HERE, features, held_out, model, samples
from tvmtiny.errors import DeviceError, InputError, LinkClosedError
from tvmtiny.learning import Rule, Trainer
from tvmtiny.rpc.federating import SessionBoard, federate
from tvmtiny.rpc.flower import flower_client

__all__ = ["command"]

RULE = Rule(rate=0.03)
#: Each board has many samples of some digits and few of the others.
SHARES = ((0, 1, 2, 8), (3, 4, 5), (6, 7, 9))
ROUNDS = 10


def parts() -> list[list[int]]:
    """Positions of samples by board; no sample is on two boards."""
    labels = samples()[1]
    rng = np.random.default_rng(4)
    boards: list[list[int]] = [[] for _ in SHARES]
    for position, label in enumerate(labels):
        home = next(i for i, digits in enumerate(SHARES) if label in digits)
        boards[home if rng.random() < 0.7 else int(rng.integers(len(SHARES)))].append(position)
    return boards


def accuracy(weights: np.ndarray) -> float:
    trainer = Trainer(model(), RULE)
    set_weights(trainer, weights)
    found = [trainer.forward(x).argmax() for x in features(False)]
    return float((np.array(found) == held_out()[1]).mean())


def set_weights(trainer: Trainer, weights: np.ndarray) -> None:
    count = trainer.floats.size
    trainer.floats = weights[:count].reshape(trainer.floats.shape).astype(np.float32)
    trainer.float_bias = weights[count:].astype(np.float32)
    trainer.refresh()


@dataclass
class TwinBoard:
    """A board in numpy that vanishes in some rounds."""

    name: str
    positions: list[int]
    vanishes: tuple[int, ...] = ()
    rounds: int = 0

    def begin(self, rule: Rule) -> np.ndarray:
        self.trainer = Trainer(model(), rule)
        return self._weights()

    def train(self, weights: np.ndarray) -> tuple[np.ndarray, int]:
        self.rounds += 1
        if self.rounds - 1 in self.vanishes:
            raise LinkClosedError(self.name, "unplugged")
        set_weights(self.trainer, weights)
        for position in self.positions:
            x = features(True)[position]
            logits = self.trainer.forward(x)
            self.trainer.train_class(x, logits, int(samples()[1][position]))
        return self._weights(), len(self.positions)

    def recover(self) -> None:
        pass

    def _weights(self) -> np.ndarray:
        return np.concatenate([self.trainer.floats.ravel(), self.trainer.float_bias])


def test_as_good_as_pooled_data() -> None:
    boards = [TwinBoard(str(i), part) for i, part in enumerate(parts())]
    found = federate(boards, ROUNDS, RULE)
    pooled = federate([TwinBoard("all", list(range(len(samples()[1]))))], ROUNDS, RULE)
    assert accuracy(found.weights) >= accuracy(pooled.weights) - 0.01
    assert all(len(r.boards) == 3 and r.samples == 200 for r in found.rounds)
    assert found.rounds[-1].change < found.rounds[0].change


def test_a_board_that_vanishes_loses_its_rounds_only() -> None:
    boards = [TwinBoard(str(i), part) for i, part in enumerate(parts())]
    boards[1].vanishes = (2, 3)
    found = federate(boards, 6, RULE)
    assert [r.boards for r in found.rounds] == [
        ("0", "2") if number in (2, 3) else ("0", "1", "2") for number in range(6)
    ]
    assert "unplugged" in found.rounds[2].lost[0][1]
    alone = TwinBoard("0", [0], vanishes=(0,))
    with pytest.raises(DeviceError, match="no board is left"):
        federate([alone], 1, RULE)
    with pytest.raises(InputError, match="0 boards"):
        federate([], 1, RULE)


@on_qemu
def test_three_boards_in_qemu() -> None:
    """Compare with the bits of the twins while one board is killed in the middle of the rounds."""
    loaded = tvmtiny.load(HERE / "eight_digits.tflite")
    artifact = tvmtiny.compile(loaded, "mps2-an386", trainable="last")
    images, labels = samples()
    # Each board has few samples, since every sample is a call over the link.
    shares = [part[:6] for part in parts()]
    sessions = [tvmtiny.Session(artifact, timeout=60) for _ in shares]
    try:
        boards = [
            SessionBoard(session, [(images[i][None], int(labels[i])) for i in share])
            for session, share in zip(sessions, shares, strict=True)
        ]
        found = federate(boards, 2, RULE)
        twins = [TwinBoard(str(i), share) for i, share in enumerate(shares)]
        expected = federate(twins, 2, RULE)
        assert found.weights.tobytes() == expected.weights.tobytes()
        # The board is killed in the second of three rounds.
        told: list[str] = []

        def tell(step: str) -> None:
            told.append(step)
            if step.startswith("round 2"):
                transport = sessions[1]._transport
                assert transport is not None
                transport.process.kill()  # type: ignore[attr-defined]

        later = federate(boards, 3, RULE, progress=tell)
        assert [len(r.boards) for r in later.rounds] == [3, 2, 2]
        assert later.rounds[1].lost[0][0] == sessions[1].url
    finally:
        for session in sessions:
            session.close()


def test_client_of_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods that a Flower server calls, with a stand-in for their base class."""
    if find_spec("flwr") is None:
        client = ModuleType("flwr.client")
        client.NumPyClient = object  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "flwr", ModuleType("flwr"))
        monkeypatch.setitem(sys.modules, "flwr.client", client)
    board, twin = (TwinBoard("0", parts()[0][:5], vanishes=(1,)) for _ in range(2))
    made = flower_client(board, RULE)
    (weights,) = made.get_parameters({})
    assert weights.tobytes() == twin.begin(RULE).tobytes()
    (first,), count, metrics = made.fit([weights], {})
    assert (count, metrics) == (5, {})
    assert first.tobytes() == twin.train(weights)[0].tobytes()
    (same,), count, metrics = made.fit([first], {})
    assert (same.tobytes(), count) == (first.tobytes(), 0)
    assert "unplugged" in metrics["lost"]
    assert made.fit([first], {})[1] == 5


@on_qemu
def test_command(tmp_path: Path, command: Command) -> None:
    images, labels = samples()
    files = [tmp_path / "first.npz", tmp_path / "second.npz"]
    for number, file in enumerate(files):
        chosen = slice(4 * number, 4 * number + 4)
        np.savez(file, image=images[chosen], labels=labels[chosen])
    words = ["federate", HERE / "eight_digits.tflite", "-o", tmp_path / "weights.npz"]
    words += ["--boards", "mps2-an386", "--boards", "mps2-an386", "--rounds", 1, "--json"]
    found = command(*words, "--data", files[0], "--data", files[1]).json
    assert [r["samples"] for r in found["rounds"]] == [8]
    with np.load(tmp_path / "weights.npz") as weights:
        assert (weights["weights"].shape, weights["biases"].shape) == ((10, 48), (10,))
    assert "give --data once per board" in command(*words, "--data", files[0]).error(2)
    np.savez(files[1], image=images[:4], labels=labels[:4] + 10)
    message = command(*words, "--data", files[0], "--data", files[1]).error(2)
    assert "wrong labels" in message and "0 to 9" in message
