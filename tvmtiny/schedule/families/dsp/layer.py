"""Output scaling of CONV_2D and FULLY_CONNECTED for the weight formats of the tile kernels."""

from __future__ import annotations

from tvmtiny.ops import Node, Oracle
from tvmtiny.schedule.families.dsp import packing
from tvmtiny.schedule.families.dsp.near import arrange
from tvmtiny.schedule.matrix_layer import matrix_scaling
from tvmtiny.schedule.per_node import per_layer
from tvmtiny.schedule.scaling import Scaling


@per_layer
def scale(node: Node, oracle: Oracle, weight_format: str, arrangement: str = "") -> Scaling | None:
    """Constants of the output for weights in the given format; None if none are exact.

    Parameters
    ----------
    arrangement
        The arrangement of the weights, see `tvmtiny.schedule.families.dsp.near.arrange`.
    """
    data = node.input(1).data
    assert data is not None
    weights = arrange(data, arrangement) if arrangement else data.reshape(len(data), -1)
    if not packing.storable(weights, weight_format):
        return None
    excess, gain = packing.excess(weights, weight_format), packing.gain(weight_format)
    return matrix_scaling(node, oracle, excess, gain=gain)
