"""Networks of convolutions that ``calibration_networks.py`` lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from small_networks import Network, Value


def _maybe_padded(choose: np.random.Generator, network: Network) -> Value:
    """Add an input of a layer with a shape as in `random_network`, and sometimes a PAD."""
    size = [int(d) for d in choose.integers(1, 9, 2)]
    channels = int(choose.choice([1, 1, 2, 3, 3, 4, 4, 5, 7, 8, 8, 11, 12, 16, 24]))
    x = network.input(1, *size, channels)
    return x if choose.integers(3) else network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0))


def convolutions_network(seed: int) -> bytes:
    """Generate parallel convolutions with the sizes that `random_network` uses."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(4):
        x = _maybe_padded(choose, network)
        if choose.integers(2):
            channels, stride = (int(n) for n in (choose.integers(1, 17), choose.integers(1, 3)))
            outputs.append(network.conv(x, channels, (3, 3), stride=stride, padding="SAME"))
        else:
            outputs.append(network.conv(x, int(choose.choice([1, 2, 4, 7, 8, 12, 16, 24]))))
    return network.build(*outputs)


def narrow_network(seed: int) -> bytes:
    """Generate parallel convolutions of few filters, which cores with the DSP extension rarely run.

    With a single filter, they use the kernels of cores without that extension.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(5):
        x = _maybe_padded(choose, network)
        filters = int(choose.choice([1, 1, 1, 1, 2, 3]))
        stride = int(choose.integers(1, 3))
        kernel = (3, 3) if choose.integers(3) else (1, 1)
        outputs.append(network.conv(x, filters, kernel, stride=stride, padding="SAME"))
    return network.build(*outputs)


def corners_network(seed: int) -> bytes:
    """Generate parallel convolutions of one or two pixels, whose filters are larger than these."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(6):
        size = (int(choose.integers(1, 3)), int(choose.choice([1, 1, 2])))
        x = network.input(1, *size, int(choose.choice([1, 2, 2, 3, 3, 4, 5, 6, 8, 11])))
        filters, stride = int(choose.integers(1, 9)), int(choose.integers(1, 3))
        outputs.append(network.conv(x, filters, (3, 3), stride=stride, padding="SAME"))
    return network.build(*outputs)


def depthwises_network(seed: int) -> bytes:
    """Generate parallel depthwise convolutions with the sizes that `random_network` uses."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(4):
        x = _maybe_padded(choose, network)
        stride = int(choose.integers(1, 3))
        outputs.append(network.depthwise(x, stride=stride, padding="SAME"))
    return network.build(*outputs)


def planes_network(seed: int) -> bytes:
    """Generate parallel depthwise convolutions of one channel, most of them tiny."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(6):
        size = [int(d) for d in choose.integers(2, 9, 2)]
        if not choose.integers(6):
            size[1] = int(choose.integers(20, 70))
        x = network.input(1, *size, 1)
        kernel = (3, 3) if choose.integers(6) else (2, 2)
        stride = int(choose.integers(1, 3))
        valid = min(size) >= 3 and not choose.integers(3)
        padding = "VALID" if valid else "SAME"
        outputs.append(network.depthwise(x, kernel, stride=stride, padding=padding))
    return network.build(*outputs)


def slim_network(seed: int) -> bytes:
    """Generate parallel depthwise convolutions of one or two columns, whose filters are cut."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(8):
        size = (int(choose.choice([1, 2, 2, 3, 4, 5, 8])), int(choose.choice([1, 1, 1, 2])))
        x = network.input(1, *size, int(choose.choice([1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 11, 12, 16])))
        stride = 2 if size[1] == 2 else int(choose.integers(1, 3))
        relu: dict[str, Any] = {}
        if not choose.integers(3):
            relu = {"activation": "RELU", "zero_point": -128}
        outputs.append(network.depthwise(x, stride=stride, padding="SAME", **relu))
    return network.build(*outputs)


def cut_network(seed: int) -> bytes:
    """Generate parallel depthwise convolutions of several columns, whose filters are cut.

    One row or column of inputs meets only a part of a filter.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(6):
        rows, columns = (int(n) for n in choose.integers(1, 9, 2))
        kind = choose.integers(4)
        stride = int(choose.integers(1, 3))
        if kind == 0:
            size = (rows, 1)
        elif kind == 1:
            size = (1, columns)
        else:
            size, stride = (2, columns) if kind == 2 else (rows, 2), 2
        x = network.input(1, *size, int(choose.choice([1, 2, 3, 3, 4, 4, 7, 8, 12, 16])))
        if kind == 0 or not choose.integers(4):
            x = network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0))
        outputs.append(network.depthwise(x, stride=stride, padding="SAME"))
    return network.build(*outputs)
