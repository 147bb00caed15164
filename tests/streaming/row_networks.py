"""Random networks whose layers can run row by row, and random segments of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from small_networks import Network, Value

from tvmtiny.streaming.plan import Choice, Planner


def row_network(seed: int, dtype: str = "int8") -> bytes:
    """A .tflite file with branches, strides, dilations, paddings and a pool at the end.

    Parameters
    ----------
    seed
        Seed of the structure and the weights.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed, dtype)
    height, width = (int(d) for d in choose.integers(5, 14, 2))
    values = [network.input(1, height, width, int(choose.choice([1, 3, 4, 8])))]
    for _ in range(choose.integers(3, 8)):
        x = values[-1] if choose.integers(4) else values[choose.integers(len(values))]
        values.append(_layer(network, choose, x, values))
    last = values[-1]
    end = choose.integers(3)
    if end == 0 and dtype == "int8":
        return network.build(network.mean(last, 1, 2))
    if end == 1:
        window = {"filter_height": last.shape[1], "filter_width": last.shape[2]}
        return network.build(network.pool(last, "AVERAGE_POOL_2D", **window))
    extra = values[choose.integers(len(values))]
    return network.build(last, *([extra] if extra not in (last, values[0]) else []))


def _layer(network: Network, choose: np.random.Generator, x: Value, values: list[Value]) -> Value:
    kernel = (int(choose.integers(1, 5)), int(choose.integers(1, 4)))
    options = {
        "stride": int(choose.integers(1, 3)),
        "padding": str(choose.choice(["SAME", "VALID"])),
    }
    if min(x.shape[1:3]) < 6:
        options = {"stride": 1, "padding": "SAME"}
    alike = [v for v in values if v.shape == x.shape]
    other = alike[choose.integers(len(alike))]
    kind = choose.integers(8)
    if kind == 0 and min(x.shape[1:3]) > 2:
        return network.depthwise(x, (3, 3), **options)
    if kind == 1:
        return network.depthwise(x, kernel, **options)
    if kind == 2:
        return network.conv(x, int(choose.integers(1, 9)), kernel, **options)
    if kind == 3:
        return network.conv(x, 8, (3, 3), padding="SAME", dilation=2)
    if kind == 4:
        return network.binary("ADD", x, other)
    if kind == 5 and min(x.shape[1:3]) > 3:
        padding = str(choose.choice(["SAME", "VALID"]))
        return network.pool(
            x, str(choose.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])), padding=padding
        )
    if kind == 6 and x.scale is not None:
        return network.concatenate(network.logistic(x), network.logistic(other), axis=3)
    return network.conv(x, int(choose.choice([1, 4, 8, 12])))


def growing_network(seed: int, dtype: str = "int8") -> bytes:
    """A .tflite file of layers that compute more rows than they read, pad, or treat each row alone.

    Parameters
    ----------
    seed
        Seed of the structure and the weights.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed, dtype)
    height, width = (int(d) for d in choose.integers(3, 9, 2))
    kernel = (3, 3) if choose.integers(2) else (1, 1)
    x = network.conv(network.input(1, height, width, 3), int(choose.choice([2, 4, 8])), kernel)
    for _ in range(choose.integers(3, 7)):
        x = _growing_layer(network, choose, x)
    return network.build(x)


def _growing_layer(network: Network, choose: np.random.Generator, x: Value) -> Value:
    kind = int(choose.integers(9))
    _, height, width, channels = x.shape
    small = max(height, width) < 20
    if kind < 3 and small:
        centers = bool(choose.integers(2))
        operator = "RESIZE_BILINEAR" if kind else "RESIZE_NEAREST_NEIGHBOR"
        corners = not centers and bool(choose.integers(2))
        size = [
            d * 2 if choose.integers(2) else int(choose.integers(1, 12)) for d in (height, width)
        ]
        return network.resize(x, *size, operator, half_pixel_centers=centers, align_corners=corners)
    if kind == 3 and small:
        kernel = int(choose.integers(1, 5)), int(choose.integers(1, 5))
        padding = str(choose.choice(["SAME", "VALID"]))
        return network.transpose_conv(x, 4, kernel, int(choose.integers(1, 3)), padding)
    if kind == 4 and small:
        before, after, left, right = (int(n) for n in choose.integers(0, 3, 4))
        return network.pad(x, (0, 0), (before, after), (left, right), (0, 0))
    if kind == 5:
        operator = str(choose.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
        return network.pool(x, operator, padding="SAME", stride=int(choose.integers(1, 3)))
    if kind == 6:
        return network.mean(x, int(choose.integers(2, 4)), keep_dims=True)
    if kind == 7:
        return network.depthwise(x, (3, 3), padding="SAME")
    if x.scale is not None and choose.integers(2):
        return network.softmax(x)
    return network.conv(x, channels + 1)


def random_segments(seed: int) -> Callable[..., Choice]:
    """A substitute for `Planner.choose`: arbitrary segments and rows instead of good ones."""

    def choose(
        planner: Planner, budget: int | None = None, overhead: float | None = None
    ) -> Choice:
        rng = np.random.default_rng(seed)
        count, begin, segments = len(planner._layers), 0, []
        while begin < count:
            forced = begin == 0 and planner._pushed is not None
            found = None
            for end in rng.permutation(np.arange(begin + 1, count + 1)):
                rows = tuple(int(n) for n in rng.integers(1, 5, end - begin))
                limit = int(rng.choice([1, 1 << 30]))
                found = planner.streamed(begin, int(end), rows, limit, bool(rng.integers(2)))
                if found is not None:
                    break
            if found is None and forced:
                return Choice((), 0, 0)
            if found is not None and (forced or rng.random() < 0.8):
                segments.append(found)
                begin = found.end
            else:
                begin += 1
        return Choice(tuple(segments), 0, 0)

    return choose
