"""A board as a client of Flower, so that an existing server of it can run the rounds.

Flower 1.42 wants Typer below 0.21, and tvmtiny's commands want 0.26, so that pip does not install
both into one environment; it is no extra of tvmtiny therefore. Where both are there nevertheless,
this works.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tvmtiny.errors import DeviceError, LinkError, PortError
from tvmtiny.host.packages import importing
from tvmtiny.learning import Rule
from tvmtiny.rpc.federating import FederatedBoard

__all__ = ["flower_client"]


def flower_client(board: FederatedBoard, rule: Rule | None = None) -> Any:
    """A ``flwr.client.NumPyClient`` around a board.

    Its only parameter is the vector of weights and biases. A board that vanishes in a round
    gives back the weights that it got, of no samples, with the reason as the metric ``lost``; the
    next round asks for the board again.

    Parameters
    ----------
    board
        Training begins at once.
    rule
        How it trains.

    Raises
    ------
    ToolMissingError
        The package ``flwr`` is not installed.
    LinkError, DeviceError
        The board cannot begin.
    """
    with importing("flwr", "flwr", "to be a client of Flower"):
        from flwr.client import NumPyClient

    weights = board.begin(rule or Rule())

    class Client(NumPyClient):  # type: ignore[misc]
        def __init__(self) -> None:
            self._away = False

        def get_parameters(self, config: dict[str, Any]) -> list[np.ndarray]:
            return [weights]

        def fit(
            self, parameters: list[np.ndarray], config: dict[str, Any]
        ) -> tuple[list[np.ndarray], int, dict[str, Any]]:
            try:
                if self._away:
                    board.recover()
                self._away = True
                found, samples = board.train(np.asarray(parameters[0], np.float32))
                self._away = False
            except (LinkError, DeviceError, PortError) as error:
                return list(parameters), 0, {"lost": str(error)}
            return [found], samples, {}

        def evaluate(
            self, parameters: list[np.ndarray], config: dict[str, Any]
        ) -> tuple[float, int, dict[str, Any]]:
            # Boards keep no samples to evaluate with.
            return 0.0, 1, {}

    return Client()
