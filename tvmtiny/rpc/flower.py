"""Adapt a board to a Flower client, so that an existing Flower server can run the rounds.

Flower 1.42 requires Typer below 0.21 and tvmtiny's command line requires 0.26, so pip cannot
install both into one environment and Flower is not an extra of tvmtiny. This module works where
both are installed nevertheless.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tvmtiny.errors import DeviceError, LinkError, PortError
from tvmtiny.host.imports import importing
from tvmtiny.learning import Rule
from tvmtiny.rpc.federating import FederatedBoard, recover_board

__all__ = ["flower_client"]


def flower_client(board: FederatedBoard, rule: Rule | None = None) -> Any:
    """Wrap a board in a ``flwr.client.NumPyClient``.

    The client has one parameter, the vector of weights and biases. If the board fails in a round,
    the client returns the weights that it received with zero samples and the reason as the metric
    ``lost``; the next round tries the board again.

    Parameters
    ----------
    board
        Board to wrap; its training starts at once.
    rule
        Hyperparameters of training on the board.

    Raises
    ------
    ToolMissingError
        The package ``flwr`` is not installed.
    LinkError, DeviceError
        The board cannot start training.
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
                    recover_board(board)
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
