"""Federated rounds: boards train on samples of their own, and a host averages what they learned.

FedAvg of McMahan and others, "Communication-Efficient Learning of Deep Networks from Decentralized
Data" (2017): each round every board begins with the same weights, and the new ones are the mean of
theirs, weighted by samples.
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
    """Who trains in a round."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def begin(self, rule: Rule) -> np.ndarray:
        """Begin training; the weights that the board's model has."""
        ...

    def train(self, weights: np.ndarray) -> tuple[np.ndarray, int]:
        """Train from these weights on; the new ones, and how many samples they are from.

        Raises
        ------
        LinkError, DeviceError
            The board has gone, or went wrong: it loses this round.
        """
        ...

    def recover(self) -> None:
        """Make a board usable again that lost a round.

        Raises
        ------
        LinkError, DeviceError, PortError
            It is still away.
        """
        ...


@dataclass(frozen=True)
class Round:
    """What came of a round.

    Attributes
    ----------
    boards
        Names of those that took part.
    lost
        Names of those that did not, with the reason.
    samples
        Of all that took part.
    change
        Root of the mean square by which weights changed.
    """

    boards: tuple[str, ...]
    lost: tuple[tuple[str, str], ...]
    samples: int
    change: float


@dataclass(frozen=True)
class Federation:
    """What came of all rounds.

    Attributes
    ----------
    weights
        float32: those of the layer row by row, then its biases.
    """

    weights: np.ndarray
    rounds: tuple[Round, ...]


@dataclass
class SessionBoard:
    """A board at the other end of a session, with samples that the host sends it.

    Samples of a device's own do not pass the link; these are for emulated boards, and for boards
    that have no sensor.

    Attributes
    ----------
    session
        With a model that was compiled with ``trainable``.
    samples
        Inputs of the model, one a row, and their classes.
    passes
        How often each sample is trained with in a round.
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
    """Train on several boards and average what they learned.

    A board that vanishes in a round loses that round; in the next one it is asked for again.

    Parameters
    ----------
    boards
        The first begins with the weights of its model, which all others get.
    rounds
        How many.
    rule
        How boards train.
    progress
        Called with a few words before each round.

    Raises
    ------
    InputError
        There are no boards or rounds.
    DeviceError
        In a round, all boards were lost.
    """
    if not boards or rounds < 1:
        raise InputError(
            f"{len(boards)} boards and {rounds} rounds are none; give 1 of each or more"
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
                raise DeviceError(f"the board at {board.name} gives weights that are not finite")
            trained.append((board.name, found, samples))
        except (LinkError, DeviceError, PortError) as error:
            away.add(board.name)
            lost.append((board.name, str(error)))
    total = sum(samples for *_, samples in trained)
    if not total:
        raise DeviceError(f"no board is left: {lost[-1][1]}" if lost else "no board has a sample")
    mean = sum(found.astype(np.float64) * (samples / total) for _, found, samples in trained)
    new = np.asarray(mean, np.float32)
    change = float(np.sqrt(np.mean((new.astype(np.float64) - weights) ** 2)))
    return new, Round(tuple(name for name, *_ in trained), tuple(lost), total, change)
