"""Federated learning: boards train on their own samples, and a host averages the weights.

Implements FedAvg of McMahan et al., "Communication-Efficient Learning of Deep Networks from
Decentralized Data" (2017): all boards start a round with the same weights, and the new weights are
the mean of the boards' results, weighted by their number of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tvmtiny.errors import DeviceError, InputError, LinkError, PortError
from tvmtiny.learning import Rule
from tvmtiny.rpc.session import Session

__all__ = ["FederatedBoard", "Federation", "Round", "SessionBoard", "federate"]


class FederatedBoard(Protocol):
    """A participant in federated learning."""

    @property
    def name(self) -> str:
        """Name of the board for messages."""
        ...

    def begin(self, rule: Rule) -> np.ndarray:
        """Start training and return the weights of the board's model."""
        ...

    def train(self, weights: np.ndarray) -> tuple[np.ndarray, int]:
        """Train from the given weights; return the new weights and the number of samples used.

        Raises
        ------
        LinkError, DeviceError
            The board is gone or has failed, and is left out of this round.
        """
        ...

    def recover(self) -> None:
        """Make a board usable again after it failed in a round.

        Raises
        ------
        LinkError, DeviceError, PortError
            The board is still unreachable.
        """
        ...


@dataclass(frozen=True)
class Round:
    """The result of one round.

    Attributes
    ----------
    boards
        Names of the boards that took part.
    lost
        Names of the boards that dropped out, each with the reason.
    samples
        Number of samples over all boards that took part.
    change
        Root mean square of the change of the weights.
    """

    boards: tuple[str, ...]
    lost: tuple[tuple[str, str], ...]
    samples: int
    change: float


@dataclass(frozen=True)
class Federation:
    """The result of all rounds.

    Attributes
    ----------
    weights
        float32 vector: the weights of the layer row by row, followed by its biases.
    """

    weights: np.ndarray
    rounds: tuple[Round, ...]


@dataclass
class SessionBoard:
    """A board at the other end of a session, trained on samples that the host sends.

    Meant for emulated boards and boards without a sensor; a device that collects its own samples
    does not need to send them over the link.

    Attributes
    ----------
    session
        Session with a model that was compiled with ``trainable``.
    samples
        Pairs of a model input and its class.
    passes
        Number of times that each sample is used in a round.
    """

    session: Session
    samples: Sequence[tuple[np.ndarray, int]]
    passes: int = 1
    _rule: Rule = field(default_factory=Rule)

    @property
    def name(self) -> str:
        return self.session.url

    def begin(self, rule: Rule) -> np.ndarray:
        self._rule = rule
        self.session.train_begin(rule)
        return self.session.weights

    def train(self, weights: np.ndarray) -> tuple[np.ndarray, int]:
        self.session.weights = weights
        for _ in range(self.passes):
            for sample, label in self.samples:
                self.session.train(sample, label=label)
        return self.session.weights, len(self.samples)

    def recover(self) -> None:
        self.session.reset()
        self.session.train_begin(self._rule)


def federate(
    boards: Sequence[FederatedBoard],
    rounds: int,
    rule: Rule | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Federation:
    """Train on several boards and average their weights.

    A board that fails is left out of that round and contacted again in the next.

    Parameters
    ----------
    boards
        The boards. All of them start from the weights of the first board's model.
    rounds
        Number of rounds.
    rule
        Hyperparameters of training on the boards.
    progress
        Called with a short description before each round.

    Returns
    -------
    Federation
        The final weights, and the result of each round.

    Raises
    ------
    InputError
        There are no boards, or the number of rounds is below 1.
    DeviceError
        All boards failed in the same round.
    """
    if not boards or rounds < 1:
        raise InputError(
            f"{len(boards)} boards and {rounds} rounds: at least one of each is required"
        )
    tell = progress or (lambda _: None)
    away: set[str] = set()
    weights, *_ = [board.begin(rule or Rule()) for board in boards]
    done: list[Round] = []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        weights, result = _round(boards, weights, away)
        done.append(result)
    return Federation(weights, tuple(done))


def _round(
    boards: Sequence[FederatedBoard], weights: np.ndarray, away: set[str]
) -> tuple[np.ndarray, Round]:
    trained: list[tuple[str, np.ndarray, int]] = []
    lost: list[tuple[str, str]] = []
    for board in boards:
        try:
            if board.name in away:
                board.recover()
                away.discard(board.name)
            found, samples = board.train(weights)
            if not np.isfinite(found).all():
                raise DeviceError(f"the board at {board.name} returned weights that are not finite")
            trained.append((board.name, found, samples))
        except (LinkError, DeviceError, PortError) as error:
            away.add(board.name)
            lost.append((board.name, str(error)))
    total = sum(samples for *_, samples in trained)
    if not total:
        raise DeviceError(
            f"no board is left: {lost[-1][1]}" if lost else "none of the boards has a sample"
        )
    mean = sum(found.astype(np.float64) * (samples / total) for _, found, samples in trained)
    new = np.asarray(mean, np.float32)
    change = float(np.sqrt(np.mean((new.astype(np.float64) - weights) ** 2)))
    return new, Round(tuple(name for name, *_ in trained), tuple(lost), total, change)
