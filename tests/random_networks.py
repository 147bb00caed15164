"""Random small int8 networks with branches, for tests of memory and order."""

from __future__ import annotations

from math import prod

import numpy as np
from small_networks import Network, Value


def random_network(seed: int) -> bytes:
    """A .tflite file with one or two inputs and some operators of all kinds.

    Parameters
    ----------
    seed
        Seed of the structure and the weights.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed)
    height, width = (int(d) for d in choose.integers(3, 9, 2))
    values = [
        network.input(1, height, width, int(choose.choice([1, 3, 4, 8])))
        for _ in range(choose.integers(1, 3))
    ]
    for _ in range(choose.integers(3, 9)):
        # Mostly the last tensor, so that there are chains as well as branches.
        x = values[-1] if choose.integers(3) else values[choose.integers(len(values))]
        values.append(_layer(network, choose, x, values))
    outputs = [values[-1]]
    extra = values[choose.integers(len(values))]
    if choose.integers(2) and extra not in outputs:
        outputs.append(extra)
    return network.build(*outputs)


def _layer(network: Network, choose: np.random.Generator, x: Value, values: list[Value]) -> Value:
    if len(x.shape) != 4:
        return network.dense(x, int(choose.integers(1, 20)), depth=prod(x.shape))
    stride = int(choose.integers(1, 3))
    alike = [v for v in values if v.shape == x.shape]
    other = alike[choose.integers(len(alike))]
    kind = choose.integers(9)
    if kind == 0:
        return network.depthwise(x, stride=stride, padding="SAME")
    if kind == 1:
        return network.conv(x, int(choose.integers(1, 17)), (3, 3), stride=stride, padding="SAME")
    if kind == 2 and min(x.shape[1:3]) > 1:
        return network.pool(x, str(choose.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])))
    if kind == 3:
        return network.binary("ADD", x, other)
    if kind == 4:
        parts = [network.logistic(part) for part in (x, other)]
        return network.concatenate(*parts, axis=int(choose.choice([1, 1, 2, 3])))
    if kind == 5:
        return network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0))
    if kind == 6:
        return network.requantize(x)
    if kind == 7:
        return network.logistic(x)
    return network.conv(x, int(choose.choice([1, 2, 4, 7, 8, 12, 16, 24])))
