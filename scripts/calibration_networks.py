"""Networks that ``scripts/calibrate_cost.py`` measures; requires ``tests`` on the path."""

from __future__ import annotations

from typing import Any

import numpy as np
from calibration_windows import (
    convolutions_network,
    corners_network,
    cut_network,
    depthwises_network,
    narrow_network,
    planes_network,
    slim_network,
)
from random_networks import random_network
from small_networks import Network, Value
from zeroed_weights import zero_blocks, zeroed

from tests.ops.test_unidirectional_sequence_lstm import Lstm

__all__ = ["KINDS", "SIDE_BY_SIDE"]


def larger_network(seed: int) -> bytes:
    """Generate a chain with wider layers than those of `random_network`."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    size = [int(d) for d in choose.integers(5, 14, 2)]
    x = network.input(1, *size, int(choose.choice([1, 2, 3, 4, 8, 16])))
    for _ in range(4):
        height, width, channels = x.shape[1:]
        kind = choose.integers(10)
        stride = int(choose.integers(1, 3))
        if kind < 3:
            x = network.conv(x, int(choose.choice([4, 8, 10, 16, 24, 32, 48])))
        elif kind < 5 and height * width * channels < 1500:
            kernel = tuple(int(k) for k in choose.choice([1, 3, 3, 5], 2))
            x = network.conv(
                x, int(choose.choice([4, 8, 16, 20])), kernel, stride=stride, padding="SAME"
            )
        elif kind < 7:
            x = network.depthwise(x, stride=stride, padding="SAME")
        elif kind == 7:
            x = network.binary("ADD", x, x)
        elif kind == 8 and min(height, width) > 1:
            x = network.pool(x, str(choose.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])))
        elif kind == 9:
            x = network.logistic(x)
    if choose.integers(2):
        x = network.dense(x, int(choose.integers(2, 33)), depth=int(np.prod(x.shape)))
        x = network.softmax(x)
    return network.build(x)


def dense_network(seed: int) -> bytes:
    """Generate a chain of dense layers."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    x = network.input(1, int(choose.integers(4, 400)))
    for _ in range(4):
        x = network.dense(x, int(choose.choice([4, 7, 8, 10, 12, 30, 32, 64, 96, 128])))
    return network.build(x)


def pixel_network(seed: int) -> bytes:
    """Generate a chain of convolutions of one pixel; every second one is linear."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    x = network.input(1, 1, 1, int(choose.integers(4, 200)))
    for layer in range(4):
        filters = int(choose.choice([4, 7, 8, 10, 12, 14, 30, 32, 64]))
        relu: dict[str, Any] = {"activation": "RELU", "zero_point": -128} if layer % 2 else {}
        x = network.conv(x, filters, **relu)
    return network.build(x)


def sparse_network(seed: int) -> bytes:
    """Generate a `larger_network` in which three of four blocks of weights are zero.

    Every second network has small weights, of which more products fit a register.
    """
    smaller = 5 if seed % 2 else 1
    return zeroed(larger_network(seed), lambda weights, rng: zero_blocks(weights // smaller, rng))


def blocks_network(seed: int) -> bytes:
    """Generate a chain of dense layers in which most blocks of weights are zero."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    x = network.input(1, 4 * int(choose.integers(8, 120)))
    for _ in range(3):
        x = network.dense(x, int(choose.choice([16, 24, 32, 48, 64, 96, 128])))
    share = float(choose.uniform(0.7, 0.9))
    return zeroed(network.build(x), lambda weights, rng: zero_blocks(weights, rng, share))


def trained_network(seed: int) -> bytes:
    """Generate a chain of layers in which each output has weights of another magnitude.

    Kernels sum more products of small weights before they split or widen the sums.
    """
    chain = dense_network(seed) if seed % 2 else larger_network(seed)

    def weights(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        axes = (values.shape[0], *[1] * (values.ndim - 1))
        bounded = np.clip(rng.normal(0, 0.3, values.shape), -1, 1)
        return np.round(bounded * rng.choice([4, 15, 40, 90, 127], axes)).astype(values.dtype)

    return zeroed(chain, weights)


def elements_network(seed: int) -> bytes:
    """Generate parallel layers without products, each of another size."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(12):
        size = [int(d) for d in choose.integers(1, 11, 2)]
        size.append(int(choose.choice([1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 16, 24, 32])))
        scales = np.exp(choose.uniform(np.log(0.02), np.log(2.0), 2))
        x, y = (network.input(1, *size, scale=float(scale)) for scale in scales)
        kind = choose.integers(10)
        if kind < 4 and min(size[:2]) > 1:
            operator = "AVERAGE_POOL_2D" if kind == 3 else "MAX_POOL_2D"
            outputs.append(network.pool(x, operator))
        elif kind < 6:
            outputs.append(network.binary("ADD", x, y if choose.integers(3) else x))
        elif kind == 6:
            parts = [network.logistic(part) for part in (x, y)]
            axis = int(choose.choice([1, 1, 2, 3]))
            outputs.append(network.concatenate(*parts, axis=axis))
        elif kind == 7:
            outputs.append(network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0)))
        elif kind == 8:
            outputs.append(network.requantize(x))
        else:
            outputs.append(network.logistic(x))
    return network.build(*outputs)


def products_network(seed: int) -> bytes:
    """Generate two parallel convolutions, each followed by another layer."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(2):
        size = [int(d) for d in np.exp(choose.uniform(0, np.log(10), 2))]
        size.append(int(choose.choice([1, 1, 2, 3, 4, 6, 7, 8, 12, 16, 24])))
        x = network.input(1, *size)
        for _ in range(2):
            stride = int(choose.integers(1, 3))
            kind = choose.integers(4)
            if kind < 2:
                x = network.depthwise(x, stride=stride, padding="SAME")
            elif kind == 2:
                channels = int(choose.integers(1, 17))
                x = network.conv(x, channels, (3, 3), stride=stride, padding="SAME")
            else:
                x = network.conv(x, int(choose.choice([1, 2, 3, 4, 7, 8, 12, 16, 24])))
        outputs.append(x)
    return network.build(*outputs)


def images_network(seed: int) -> bytes:
    """Generate parallel first layers of image models: convolutions over few channels."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(3):
        size = [int(d) for d in choose.integers(3, 13, 2)]
        x = network.input(1, *size, int(choose.choice([1, 2, 3, 3, 3, 4, 5, 6])))
        kernel = tuple(int(k) for k in choose.choice([3, 3, 3, 3, 5], 2))
        channels = int(choose.choice([1, 2, 3, 4, 5, 6, 8, 13, 16]))
        stride = int(choose.integers(1, 3))
        padding = str(choose.choice(["SAME", "SAME", "SAME", "VALID"]))
        if min(size) >= 5 or padding == "SAME":
            outputs.append(network.conv(x, channels, kernel, stride=stride, padding=padding))
    return network.build(*outputs or [network.logistic(x)])


def _two_inputs(choose: np.random.Generator, network: Network, most: int) -> list[Value]:
    """Add two inputs of up to `most` rows and columns, with scales as in `random_network`."""
    size = [int(d) for d in choose.integers(1, most + 1, 2)]
    size.append(int(choose.choice([1, 2, 3, 4, 7, 8, 12, 16])))
    scales = choose.choice([0.05, 0.07, 0.1, 1 / 256, 0.05 * 0.39 * 3, 0.07 * 0.39 * 2], 2)
    return [network.input(1, *size, scale=float(scale)) for scale in scales]


def sums_network(seed: int) -> bytes:
    """Generate parallel sums of tensors with the scales that `random_network` uses."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(10):
        x, y = _two_inputs(choose, network, 8)
        outputs.append(network.binary("ADD", x, y))
    return network.build(*outputs)


def tiny_network(seed: int) -> bytes:
    """Generate parallel layers of few elements, as at the end of those of `random_network`."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(8):
        x, y = _two_inputs(choose, network, 3)
        kind = choose.integers(7)
        if kind < 2 and min(x.shape[1:3]) > 1:
            operator = "AVERAGE_POOL_2D" if kind else "MAX_POOL_2D"
            outputs.append(network.pool(x, operator))
        elif kind < 3:
            outputs.append(network.binary("ADD", x, y))
        elif kind == 3:
            outputs.append(network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0)))
        elif kind == 4:
            outputs.append(network.requantize(x))
        elif kind == 5:
            outputs.append(network.conv(x, int(choose.integers(1, 17)), (3, 3), padding="SAME"))
        else:
            depth = int(np.prod(x.shape[1:]))
            outputs.append(network.dense(x, int(choose.integers(1, 20)), depth=depth))
    return network.build(*outputs)


def pools_network(seed: int) -> bytes:
    """Generate parallel pools of the sizes that `random_network` has after some layers."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(14):
        size = [int(d) for d in choose.integers(2, 9, 2)]
        x = network.input(1, *size, int(choose.choice([1, 1, 2, 3, 4, 7, 8, 11, 12, 16, 24])))
        operator = str(choose.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
        outputs.append(network.pool(x, operator))
    return network.build(*outputs)


def overlapping_network(seed: int) -> bytes:
    """Generate parallel maxima over windows whose channels do not make up words."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(12):
        size = [int(d) for d in choose.integers(2, 9, 2)]
        x = network.input(1, *size, int(choose.choice([5, 6, 6, 7, 7, 9, 10, 11, 13, 14])))
        outputs.append(network.pool(x, "MAX_POOL_2D"))
    return network.build(*outputs)


def activated_network(seed: int) -> bytes:
    """Generate parallel layers with activations, as at the end of those of trained networks.

    A RELU whose output has the lowest zero point needs no rounding by sign, and a RELU6 clamps.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(5):
        size = [int(d) for d in choose.integers(1, 17, 2)]
        channels = int(choose.choice([1, 3, 4, 8, 8, 12, 16, 16, 24, 32, 40, 64]))
        kernel = tuple(int(k) for k in choose.choice([1, 3, 3, 3, 4, 5, 7], 2))
        kind = choose.integers(8)
        if kind == 0:
            # A recording of sound: a column of frames.
            size[1], kernel = 1, (int(choose.integers(2, 12)), 1)
        if choose.integers(2):
            kernel = (3, 3)
        while np.prod(size) * channels > 3000:
            size = [max(d // 2, 1) for d in size]
        options = {
            "stride": int(choose.integers(1, 3)),
            "padding": "SAME" if size[0] < kernel[0] or size[1] < kernel[1] else "VALID",
            "activation": str(choose.choice(["NONE", "RELU", "RELU", "RELU6"])),
            "zero_point": -128,
        }
        if choose.integers(2):
            options["padding"] = "SAME"
        x = network.input(1, *size, channels, scale=float(choose.choice([0.01, 0.05])))
        if kind < 4:
            outputs.append(network.depthwise(x, kernel, **options))
        elif kind == 4:
            outputs.append(network.transpose_conv(x, 8, (4, 4), options["stride"], "SAME"))
        elif kind == 5:
            filters = int(choose.choice([4, 6, 8, 16, 20, 32]))
            if choose.integers(2):
                options["dilation"], options["stride"] = 2, 1
                options["padding"] = "SAME"
            outputs.append(network.conv(x, filters, (3, 3), **options))
        elif kind == 6:
            filters = int(choose.choice([4, 6, 8, 16, 20, 32]))
            outputs.append(network.conv(x, filters, **{**options, "stride": 1}))
        else:
            outputs.append(network.mean(x, 1, 2))
    return network.build(*outputs)


def wide_network(seed: int) -> bytes:
    """Generate parallel convolutions between many channels, half of them with a RELU."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for layer in range(3):
        relu = {"activation": "RELU", "zero_point": -128} if choose.integers(2) else {}
        height, width = (int(d) for d in choose.integers(3, 11, 2))
        if layer == 0:
            channels = int(choose.choice([8, 16, 24, 32]))
            x = network.input(1, height, width, channels)
            filters = int(choose.choice([8, 16, 24, 32]))
            outputs.append(network.conv(x, filters, (3, 3), padding="SAME", **relu))
        else:
            x = network.input(1, height, width, int(choose.choice([24, 32, 40, 64, 96, 128])))
            outputs.append(network.conv(x, int(choose.choice([32, 64, 96, 128])), **relu))
    return network.build(*outputs)


def sound_network(seed: int) -> bytes:
    """Generate parallel depthwise convolutions over columns of frames, and pixels after them."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(4):
        filter_rows = int(choose.integers(2, 17))
        rows = filter_rows + int(choose.integers(0, 16))
        channels = int(choose.choice([4, 8, 12, 16, 32, 40, 48]))
        x = network.input(1, rows, 1, channels, scale=float(choose.choice([0.01, 0.05])))
        relu = {"activation": "RELU", "zero_point": -128} if choose.integers(2) else {}
        x = network.depthwise(x, (filter_rows, 1), padding="VALID", **relu)
        outputs.append(network.conv(x, int(choose.choice([4, 8, 16]))))
    return network.build(*outputs)


def copies_network(seed: int) -> bytes:
    """Generate parallel concatenations and pads of few channels."""
    choose = np.random.default_rng(seed)
    network = Network(seed)
    outputs = []
    for _ in range(10):
        size = [int(d) for d in choose.integers(1, 9, 2)]
        x, y = (network.input(1, *size, int(choose.integers(1, 9))) for _ in range(2))
        kind = choose.integers(3)
        if kind == 0:
            outputs.append(network.pad(x, (0, 0), (1, 0), (0, 1), (0, 0)))
            continue
        other = y if kind == 1 else network.input(*x.shape)
        parts = [network.logistic(part) for part in (x, other)]
        axis = 3 if kind == 1 else int(choose.integers(1, 3))
        outputs.append(network.concatenate(*parts, axis=axis))
    return network.build(*outputs)


def mixed_network(seed: int) -> bytes:
    """Generate parallel layers of few elements, one of each kind of `random_network`.

    Functions that several layers would share are compiled as in a small network: for one caller.
    """
    choose = np.random.default_rng(seed)
    network = Network(seed)

    def value(least: int = 1) -> Value:
        size = np.maximum(choose.choice([1, 1, 2, 2, 2, 3, 3, 4], 2), least)
        channels = choose.choice([1, 1, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 9, 11, 12, 14, 16])
        scale = choose.choice([0.05, 0.07, 0.1, 1 / 256, 0.05 * 0.39 * 3, 0.07 * 0.39 * 2])
        return network.input(1, *map(int, size), int(channels), scale=float(scale))

    outputs = []
    for stride in (1, 2):
        x = value()
        outputs.append(network.depthwise(x, stride=stride, padding="SAME"))
    x, filters, stride = value(), int(choose.integers(1, 17)), int(choose.integers(1, 3))
    outputs.append(network.conv(x, filters, (3, 3), stride=stride, padding="SAME"))
    outputs.append(network.conv(value(), int(choose.choice([1, 1, 2, 2, 4, 7, 8, 12, 16, 24]))))
    outputs.append(network.pool(value(2), "AVERAGE_POOL_2D"))
    outputs.append(network.pool(value(2), "MAX_POOL_2D"))
    x = value()
    y = network.input(*x.shape, scale=float(choose.choice([0.05, 0.07, 1 / 256])))
    outputs.append(network.binary("ADD", x, y if choose.integers(3) else x))
    x = value()
    parts = [network.logistic(part) for part in (x, network.input(*x.shape))]
    outputs.append(network.concatenate(*parts, axis=int(choose.choice([1, 2, 3]))))
    outputs.append(network.pad(value(), (0, 0), (1, 0), (0, 1), (0, 0)))
    outputs.append(network.requantize(value()))
    x = value()
    outputs.append(network.dense(x, int(choose.integers(1, 20)), depth=int(np.prod(x.shape))))
    return network.build(*outputs)


def recurrent_network(seed: int) -> bytes:
    """Generate a layer of LSTM cells."""
    choose = np.random.default_rng(seed)
    inputs, cells, steps = (int(n) for n in np.exp(choose.uniform(np.log(2), np.log(40), 3)))
    dtype = str(choose.choice(["int8", "int8", "int16"]))
    return Lstm(inputs, cells, steps, dtype=dtype, seed=seed).model()


#: Kinds of networks whose layers are parallel.
SIDE_BY_SIDE = (
    *("elements", "products", "images", "sums", "convolutions", "depthwises", "tiny"),
    *("pools", "activated", "copies", "sound", "wide", "narrow", "corners", "planes"),
    *("mixed", "slim", "cut", "overlapping"),
)

KINDS = {
    "random": random_network,
    "larger": larger_network,
    "dense": dense_network,
    "pixel": pixel_network,
    "sparse": sparse_network,
    "blocks": blocks_network,
    "trained": trained_network,
    "elements": elements_network,
    "products": products_network,
    "images": images_network,
    "sums": sums_network,
    "convolutions": convolutions_network,
    "depthwises": depthwises_network,
    "narrow": narrow_network,
    "corners": corners_network,
    "planes": planes_network,
    "mixed": mixed_network,
    "slim": slim_network,
    "cut": cut_network,
    "tiny": tiny_network,
    "pools": pools_network,
    "overlapping": overlapping_network,
    "activated": activated_network,
    "recurrent": recurrent_network,
    "copies": copies_network,
    "sound": sound_network,
    "wide": wide_network,
}
