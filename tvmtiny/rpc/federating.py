"""Federated learning: boards train on their own samples, and a host averages the weights.

Implements FedAvg of McMahan et al., "Communication-Efficient Learning of Deep Networks from
Decentralized Data" (2017): all boards start a round with the same weights, and the new weights are
the mean of the boards' results, weighted by their number of samples.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tvmtiny.errors import DeviceError, InputError, LinkError, PortError, TvmtinyError
from tvmtiny.errors.base import quoted
from tvmtiny.learning import Rule
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.rpc.remote import served_boards
from tvmtiny.rpc.session import Session
from tvmtiny.targets import BoardLike

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

__all__ = [
    "FederatedBoard",
    "Federation",
    "Round",
    "SessionBoard",
    "federate",
    "open_boards",
    "recover_board",
]

#: Seconds between two questions to a tracker.
_RETRY_SECONDS = 0.2

#: Pairs of a model input and its class.
Samples = Sequence[tuple[np.ndarray, int]]


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
        TvmtinyError
            The board is still unreachable, and is left out of this round, too.
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
    reopen
        Opens another session when the board of the present one is gone, such as an emulated board
        that ended; by default the same board is waited for.
    """

    session: Session
    samples: Samples
    passes: int = 1
    reopen: Callable[[], Session] | None = None
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
        try:
            self.session.reset()
        except (LinkError, PortError):
            if self.reopen is None:
                raise
            self.session.close()
            self.session = self.reopen()
        self.session.train_begin(self._rule)

    def close(self) -> None:
        """Close the present session."""
        self.session.close()


@contextmanager
def open_boards(
    boards: Sequence[BoardLike | None],
    artifacts: Sequence[Artifact],
    samples: Sequence[Samples],
    passes: int = 1,
    *,
    tracker: str | None = None,
    keys: Sequence[str] = (),
    wait: float = 0.0,
    timeout: float = 60.0,
    baudrate: int = DEFAULT_BAUDRATE,
    progress: Callable[[str], None] | None = None,
) -> Iterator[list[SessionBoard]]:
    """Open sessions with boards, and close them at the end of the context.

    An emulated board that ends is started again for the next round.

    Parameters
    ----------
    boards
        Boards to emulate, or ports; see `Session`. With `tracker`, only their number matters.
    artifacts
        The model as compiled for each board, with ``trainable``.
    samples
        Samples of each board.
    passes
        Number of times that each sample is used in a round.
    tracker, keys
        Address ``HOST:PORT`` of a TVM tracker that serves the boards, and their key there: one for
        all boards, or one for each.
    wait, timeout, baudrate, progress
        See `Session`.

    Raises
    ------
    InputError
        The numbers of boards and keys do not match, or the tracker serves fewer boards.
    TvmtinyError
        A session cannot be opened; see `Session`.
    """
    if (tracker is None) != (not keys) or len(keys) not in (0, 1, len(boards)):
        raise InputError(
            f"{len(keys)} keys for {len(boards)} boards at "
            f"{'no tracker' if tracker is None else tracker}; give a tracker together with one key "
            "for all boards, or one for each"
        )
    named = list(keys) * (len(boards) if len(keys) == 1 else 1)

    def opener(position: int) -> Callable[[], Session]:
        if tracker is not None:
            return lambda: Session(
                artifacts[position],
                timeout=timeout,
                tracker=tracker,
                key=named[position],
                wait=wait,
                progress=progress,
            )
        return lambda: Session(
            artifacts[position],
            boards[position],
            timeout=timeout,
            baudrate=baudrate,
            progress=progress,
        )

    if tracker is not None:
        _check_served(tracker, named, wait)
    with ExitStack() as stack:
        opened = []
        for position, own in enumerate(samples):
            open_session = opener(position)
            board = SessionBoard(open_session(), own, passes)
            stack.callback(board.close)
            if board.session.firmware is not None:
                board.reopen = open_session
            opened.append(board)
        yield opened


def _check_served(tracker: str, keys: Sequence[str], wait: float) -> None:
    """Check that there are as many boards as are wanted, since a session waits for a free one."""
    end = time.monotonic() + wait
    for key, count in Counter(keys).items():
        while (served := served_boards(tracker, key, wait)) < count:
            if time.monotonic() >= end:
                raise InputError(
                    f"{count} boards are wanted as {quoted(key)} at {tracker}, and {served} are "
                    "served there; serve more (tvmtiny serve), or name fewer"
                )
            time.sleep(_RETRY_SECONDS)


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
    away: set[int] = set()
    weights, *_ = [board.begin(rule or Rule()) for board in boards]
    done: list[Round] = []
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        weights, result = _round(boards, weights, away)
        done.append(result)
    return Federation(weights, tuple(done))


def _round(
    boards: Sequence[FederatedBoard], weights: np.ndarray, away: set[int]
) -> tuple[np.ndarray, Round]:
    trained: list[tuple[str, np.ndarray, int]] = []
    lost: list[tuple[str, str]] = []
    for position, board in enumerate(boards):
        try:
            if position in away:
                recover_board(board)
                away.discard(position)
            found, samples = board.train(weights)
            if not np.isfinite(found).all():
                raise DeviceError(f"the board at {board.name} returned weights that are not finite")
            trained.append((board.name, found, samples))
        except (LinkError, DeviceError, PortError) as error:
            away.add(position)
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


def recover_board(board: FederatedBoard) -> None:
    """Make a board usable again after it failed in a round.

    Raises
    ------
    LinkError, DeviceError
        The board is still unreachable, whatever the reason.
    """
    try:
        board.recover()
    except (LinkError, DeviceError):
        raise
    except TvmtinyError as error:
        # A lab without such a board, or one with another model by now.
        raise DeviceError(str(error)) from error
