"""Features that describe a candidate to the cost model."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from tvmtiny.ops import find_operator

if TYPE_CHECKING:
    from tvmtiny.ops import Node
    from tvmtiny.schedule import Decisions

__all__ = ["LayerFeatures"]

_NUMBER = re.compile(r"\d+")


class LayerFeatures:
    """Compute named features for the candidates of one layer.

    Parameters
    ----------
    node
        The layer.

    Notes
    -----
    A decision is a categorical feature. Numbers in it (an unroll factor, the sides of a tile) are
    also features on a logarithmic scale, together with the padding that results where they divide a
    dimension. The sizes of the layer are features as well, so one model serves all layers.
    """

    def __init__(self, node: Node) -> None:
        operator = find_operator(node.operator)
        macs = 0 if operator is None else operator.macs(node)
        constants = [t for t in node.inputs if t is not None and t.data is not None]
        shape = node.output.shape
        channels = shape[-1] if shape else 1
        weights = max((t.elements for t in constants), default=0)
        outputs = max(node.output.elements, 1)
        self._sizes = {
            "pixels": max(outputs // max(channels, 1), 1),
            "channels": max(channels, 1),
            "depth": max(macs // outputs, 1),
        }
        self._layer = {
            f"operator={node.operator}": 1.0,
            "macs": _log(macs),
            "inputs": _log(node.input(0).elements),
            "weights": _log(weights),
            **{name: _log(size) for name, size in self._sizes.items()},
        }

    def __call__(self, decisions: Decisions) -> dict[str, float]:
        """Return the features of a candidate by name; missing features are 0."""
        features = dict(self._layer)
        for name, value in decisions.items():
            features[f"{name}={value}"] = 1.0
            for position, digits in enumerate(_NUMBER.findall(str(value))):
                number = int(digits)
                features[f"{name}.{position}"] = _log(number)
                if number > 1:
                    for dimension, size in self._sizes.items():
                        whole = -(-size // number) * number
                        features[f"{name}.{position} of {dimension}"] = whole / size
        return features


def _log(number: int) -> float:
    return math.log2(1 + number)
