"""Sliding windows of models with a front end, whose decisions compute only new rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from small_networks import Network, Value

import tvmtiny
from tests.sounds import sound
from tvmtiny.errors import InputError
from tvmtiny.streaming.fed import slide_rows

_CHANNELS = 8
_SETTINGS = {"channels": _CHANNELS, "window_ms": 16.0, "convention": "tensorflow"}


def _valid(layers: Callable[[Network, Value], Value], *shape: int) -> bytes:
    network = Network(3)
    x = network.input(*(shape or (1, 12, 1, _CHANNELS)), scale=0.1)
    return network.builder.build([network.dense(layers(network, x), 2).index])


def _conv(network: Network, x: Value, rows: int, **options: object) -> Value:
    return network.conv(x, 8, (rows, 1), padding="VALID", **options)


def _plain(network: Network, x: Value) -> Value:
    x = _conv(network, network.depthwise(x, (3, 1), padding="VALID"), 1)
    return _conv(network, _conv(network, x, 4), 7)


def _branches(network: Network, x: Value) -> Value:
    """A dilated layer, a sum of two branches, and a mean over all rows that cannot slide."""
    x = _conv(network, x, 2, dilation=2)
    x = network.binary("ADD", _conv(network, x, 3), _conv(network, x, 3))
    return network.mean(x, 1, 2)


def _crossing(network: Network, x: Value) -> Value:
    """A stride in the second layer, whose window is kept whole."""
    return network.mean(_conv(network, _conv(network, x, 3), 2, stride=2), 1, 2)


def _fed(content: bytes, stride: int) -> tvmtiny.Model:
    front_end = tvmtiny.front_end("log-mel", step="8ms", settings=_SETTINGS)
    model = tvmtiny.load(content, name="fed")
    return tvmtiny.with_front_end(model, front_end, stride=stride)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize(
    "content",
    (
        partial(_valid, _plain),
        partial(_valid, _branches),
        partial(_valid, _crossing),
    ),
    ids=("plain", "branches", "crossing"),
)
def test_decisions_equal_those_of_whole_windows(content: Callable[[], bytes], stride: int) -> None:
    """From the first decision on, in which all earlier rows are silence."""
    model = _fed(content(), stride)
    slid = slide_rows(model)
    assert slid.graph.nodes != model.graph.nodes and slide_rows(slid) is slid
    assert model.feed is not None
    samples = sound("sweep", 16 * model.feed.samples).reshape(16, 1, -1)
    states = [[s.initial for s in m.graph.states] for m in (model, slid)]
    outputs = []
    for block in samples:
        values = [m.reference([block], s) for m, s in zip((model, slid), states, strict=True)]
        states = [
            [v[s.after.index] for s in m.graph.states]
            for m, v in zip((model, slid), values, strict=True)
        ]
        whole, rows = (
            v[m.graph.outputs[0].index] for m, v in zip((model, slid), values, strict=True)
        )
        np.testing.assert_array_equal(rows, whole)
        for last, tensor in slid.row_tensors.items():
            height = slid.graph.tensors[last].shape[1]
            np.testing.assert_array_equal(values[1][last], values[0][tensor][:, -height:])
        outputs.append(whole.tobytes())
    assert len(set(outputs)) > 5


def test_what_keeps_windows_of_a_front_end_from_sliding() -> None:
    def refused(content: bytes, stride: int = 1) -> str:
        with pytest.raises(InputError) as caught:
            tvmtiny.compile(_fed(content, stride), "cortex-m4", stream="time")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    same = refused(_valid(lambda network, x: network.conv(x, 4, (3, 1), padding="SAME")))
    assert "CONV_2D #0" in same and "pads along the height: make its padding VALID" in same
    strided = refused(_valid(lambda network, x: _conv(network, x, 3, stride=3)))
    assert "stride of 3 along the height" in strided
    assert "FULLY_CONNECTED #1" in refused(_valid(lambda network, x: network.requantize(x)))
    assert "only new rows" in refused(_valid(_plain), 12)
    wide = refused(
        _valid(lambda network, x: network.conv(x, 4, (1, 3), padding="VALID"), 1, 1, 12, _CHANNELS)
    )
    assert "has no row for each row of features" in wide
