"""Boards that train on samples of their own, and the average of their weights."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tools import on_qemu

import tvmtiny
from tests.cli.conftest import Command, command
from tests.learning.test_training import HERE, features, held_out, model, samples
from tests.rpc.trackers import free_port, running_tracker, until_it_listens
from tvmtiny.errors import DeviceError, InputDataError, InputError, LinkClosedError
from tvmtiny.learning import Rule, Trainer
from tvmtiny.report.federation import read_samples
from tvmtiny.rpc.federating import SessionBoard, federate, open_boards
from tvmtiny.rpc.flower import flower_client
from tvmtiny.rpc.remote import open_tracker
from tvmtiny.rpc.serve import BoardServer
from tvmtiny.rpc.session import Session

__all__ = ["command"]

RULE = Rule(rate=0.03)
#: Each board has many samples of some digits and few of the others.
SHARES = ((0, 1, 2, 8), (3, 4, 5), (6, 7, 9))
ROUNDS = 20


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


def sample_files(folder: Path) -> list[Path]:
    """Four samples for each of two boards."""
    images, labels = samples()
    files = [folder / "first.npz", folder / "second.npz"]
    for number, file in enumerate(files):
        chosen = slice(4 * number, 4 * number + 4)
        np.savez(file, image=images[chosen], labels=labels[chosen])
    return files


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


class Killed(list[tuple[np.ndarray, int]]):
    """Samples in the middle of which a board is killed, in one of the rounds."""

    board: SessionBoard
    killed_in = 1
    rounds = -1

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        self.rounds += 1
        for number, sample in enumerate(super().__iter__()):
            if number == len(self) // 2 and self.rounds == self.killed_in:
                transport = self.board.session._transport
                assert transport is not None
                transport.process.kill()  # type: ignore[attr-defined]
            yield sample


@on_qemu
def test_three_boards_in_qemu() -> None:
    """Compare with the bits of the twins while a board is killed in the middle of a round."""
    artifact = tvmtiny.compile(
        tvmtiny.load(HERE / "eight_digits.tflite"), "mps2-an386", trainable="last"
    )
    images, labels = samples()
    # Each board has few samples, since every sample is a call over the link.
    shares = [part[:6] for part in parts()]
    given = [[(images[i][None], int(labels[i])) for i in share] for share in shares]
    given[1] = Killed(given[1])
    with open_boards([None] * 3, [artifact] * 3, given) as boards:
        given[1].board = boards[1]
        first = boards[1].name
        found = federate(boards, 3, RULE)
    assert [len(r.boards) for r in found.rounds] == [3, 2, 3]
    assert found.rounds[1].lost[0][0] == first
    twins = [TwinBoard(str(i), share) for i, share in enumerate(shares)]
    twins[1].vanishes = (1,)
    assert found.weights.tobytes() == federate(twins, 3, RULE).weights.tobytes()


@on_qemu
def test_boards_of_a_lab(tmp_path: Path, command: Command, warm_programs: Path) -> None:
    artifact = tvmtiny.compile(
        tvmtiny.load(HERE / "eight_digits.tflite"), "mps2-an386", trainable="last"
    )
    files = sample_files(tmp_path)
    words = ["federate", HERE / "eight_digits.tflite", "-o", tmp_path / "weights.npz", "--json"]
    words += ["--boards", "mps2-an386", "--data", files[0], "--rounds", 2]
    both = ["--boards", "mps2-an386", "--data", files[1]]
    with running_tracker(warm_programs) as tracker, ExitStack() as stack:
        words += ["--tracker", tracker]
        serve = partial(BoardServer, artifact, "mps2-an386", tracker=tracker, key="lab")
        stack.enter_context(serve())
        message = command(*words, *both, "--key", "lab").error(2)
        assert "2 boards are wanted as 'lab'" in message and "1 are served" in message
        assert "0 keys for 1 boards" in command(*words).error(2)
        stack.enter_context(serve())
        found = command(*words, *both, "--key", "lab").json
        assert [r["samples"] for r in found["rounds"]] == [8, 8]
        assert found["rounds"][0]["boards"] == [f"lab at {tracker}"] * 2
        # A session whose board is gone waits for a limited time.
        for _ in range(2):
            stack.enter_context(Session(artifact, tracker=tracker, key="lab"))
        with pytest.raises(LinkClosedError, match=r"no board was free within 0.5 s"):
            open_tracker(tracker, "lab", patience=0.5)


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


_FLOWER = """
import sys
import numpy as np
from flwr.common import parameters_to_ndarrays
from flwr.server import ServerConfig, start_server
from flwr.server.strategy import FedAvg

class Saving(FedAvg):
    def aggregate_fit(self, number, results, failures):
        assert not failures, failures
        weights, metrics = super().aggregate_fit(number, results, failures)
        np.save(sys.argv[2], parameters_to_ndarrays(weights)[0])
        return weights, metrics

start_server(
    server_address=f"127.0.0.1:{sys.argv[1]}",
    config=ServerConfig(num_rounds=3),
    strategy=Saving(fraction_evaluate=0.0, min_fit_clients=2, min_available_clients=2),
)
"""


def test_server_of_flower(tmp_path: Path) -> None:
    """An existing server runs the rounds; FedAvg gives a board that vanished no weight."""
    pytest.importorskip("flwr")
    from flwr.client import start_client

    port, file = free_port(), tmp_path / "weights.npy"
    shares = [part[:20] for part in parts()[:2]]
    boards, twins = ([TwinBoard(str(i), share) for i, share in enumerate(shares)] for _ in range(2))
    boards[1].vanishes = twins[1].vanishes = (1,)
    clients = [flower_client(board, RULE).to_client() for board in boards]
    with subprocess.Popen([sys.executable, "-c", _FLOWER, str(port), file]) as server:
        try:
            until_it_listens(port)
            with ThreadPoolExecutor() as pool:
                start = partial(start_client, server_address=f"127.0.0.1:{port}")
                list(pool.map(lambda client: start(client=client), clients))
            assert server.wait(30) == 0
        finally:
            server.kill()
    expected = federate(twins, 3, RULE).weights
    # Flower averages in another order.
    assert np.abs(np.load(file) - expected).max() <= 1e-6


@on_qemu
def test_command(tmp_path: Path, command: Command) -> None:
    images, labels = samples()
    files = sample_files(tmp_path)
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


def test_samples_that_cannot_be_trained_on(tmp_path: Path) -> None:
    artifact = tvmtiny.compile(
        tvmtiny.load(HERE / "eight_digits.tflite"), "cortex-m4", trainable="last"
    )
    file = tmp_path / "samples.npz"
    images = samples()[0][:2]
    for arrays, reason in (
        ({"image": images, "labels": np.array([0.5, 1])}, "the labels are no classes"),
        ({"image": images, "labels": np.zeros((2, 2), int)}, "the labels are no classes"),
        ({"image": images, "labels": np.array(3)}, "the labels are no classes"),
        ({"image": images, "labels": np.array(["a", "b"])}, "wrong dtype"),
        ({"image": images, "labels": np.arange(3)}, "the labels are no classes"),
        ({"image": images[:, 1:], "labels": np.arange(2)}, "wrong shape"),
        ({"image": np.full((2, 64), np.nan), "labels": np.arange(2)}, "infinite or NaN"),
        ({"image": images}, "missing in"),
    ):
        np.savez(file, **arrays)
        with pytest.raises(InputDataError, match=reason):
            read_samples(file, artifact)
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputDataError, match="not a numpy file"):
        read_samples(file, artifact)
