"""Small models of the usual kinds: every layer of each against LiteRT, in C.

Recurrent layers are in `tests/ops/test_svdf.py` and `test_unidirectional_sequence_lstm.py`,
streaming convolutions in `tests/test_wake_words.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from host_runner import run_on_host
from small_networks import Network, Value

import tvmtiny
from tvmtiny.oracle import run_litert
from tvmtiny.results import RunResult


def _mobilenet() -> bytes:
    """Inverted residuals, from a picture to classes."""
    net = Network(11)
    x = net.conv(net.input(1, 16, 16, 3), 8, (3, 3), stride=2, padding="SAME")
    for channels, stride in ((8, 1), (12, 2), (12, 1)):
        x = _inverted(net, x, channels, stride)
    mean = net.mean(x, 1, 2)
    return net.build(net.softmax(net.dense(mean, 5)))


def _inverted(net: Network, x: Value, channels: int, stride: int) -> Value:
    wide = net.conv(x, 3 * x.shape[3])
    y = net.conv(net.depthwise(wide, stride=stride, padding="SAME"), channels)
    return net.binary("ADD", x, y) if x.shape == y.shape else y


def test_mobilenet(tmp_path: Path) -> None:
    content = _mobilenet()
    model = tvmtiny.load(content, name="mobilenet")
    operators = [node.operator for node in model.graph.nodes]
    assert operators.count("DEPTHWISE_CONV_2D") == 3 and operators[-1] == "SOFTMAX"
    assert "ADD" in operators
    artifact = tvmtiny.compile(model, "cortex-m4")
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    (result,) = run_on_host(artifact, [inputs], tmp_path)
    like: RunResult = result  # type: ignore[assignment]
    assert tvmtiny.check(model, artifact, like, inputs).exact
    (output,) = model.graph.outputs
    np.testing.assert_array_equal(result.outputs[0].data, run_litert(content, inputs)[output.index])
