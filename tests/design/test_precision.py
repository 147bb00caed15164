"""Mixed precision and fine-tuning with rounding; skipped where Keras is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.design.keras_samples import every_layer, keras, stripes
from tvmtiny.design.figures import Budget
from tvmtiny.design.fine_tuning import fine_tuned
from tvmtiny.design.keras_import import from_keras
from tvmtiny.design.network import Network, to_tflite
from tvmtiny.design.precision import PrecisionOptions, advise_precision
from tvmtiny.design.training import TrainOptions, calibration, outputs_of, train
from tvmtiny.errors import InputError

CPU = "cortex-m4"


def _trained() -> Any:
    k = keras()
    k.utils.set_random_seed(1)
    source = k.Input((6, 6, 1))
    x = k.layers.Conv2D(8, 3, activation="relu")(source)
    x = k.layers.Conv2D(12, 1, activation="relu", name="wide")(x)
    x = k.layers.Dense(3, activation="softmax")(k.layers.Flatten()(x))
    model = k.Model(source, x)
    train(model, stripes(), TrainOptions(12))
    return model


def _narrow(network: Network) -> dict[str, str]:
    return {op.output: "int4" for op in network.ops if op.weights is not None}


def test_training_computes_what_the_integer_model_does() -> None:
    """A rate of zero changes nothing, and the loss is that of the integer model."""
    data, network = stripes(), from_keras(every_layer())
    ranges = calibration(network, data)
    seen = {}

    def loss(wanted: Any, found: Any) -> Any:
        seen["shape"] = tuple(found.shape)
        return ((wanted - found) ** 2).mean() if hasattr(found, "mean") else (wanted - found) ** 2

    same = fine_tuned(
        network,
        data,
        ranges,
        TrainOptions(1, rate=0.0),
        precisions=_narrow(network),
        targets=np.zeros((len(data.x_train), 3), np.float32),
        loss=loss,
    )
    assert seen["shape"][-1] == 3
    for op, before in zip(same.ops, network.ops, strict=True):
        if before.weights is not None:
            assert np.array_equal(op.weights, before.weights) and op.scales is not None
    assert to_tflite(same, ranges, precisions=_narrow(network)) == to_tflite(
        network, ranges, precisions=_narrow(network)
    )


def test_fine_tuning_lowers_the_noise_of_int4_weights() -> None:
    data, whole = stripes(), from_keras(_trained())
    network = replace(whole, ops=whole.ops[:-1])
    ranges = calibration(network, data)
    wanted = outputs_of(to_tflite(network, None), data.x_train)
    precisions = _narrow(network)

    def noise(given: Network) -> float:
        found = outputs_of(to_tflite(given, ranges, precisions=precisions), data.x_train)
        return float(((found - wanted) ** 2).sum())

    better = fine_tuned(
        network,
        data,
        ranges,
        TrainOptions(10, 8, rate=0.002),
        precisions=precisions,
        targets=wanted,
        loss="mean_squared_error",
    )
    assert noise(better) < 0.7 * noise(network)


def test_precisions_and_what_they_cost() -> None:
    model, data = _trained(), stripes()
    options = PrecisionOptions(fine_tuning=TrainOptions(2, rate=0.001))
    found = advise_precision(model, data, CPU, options=options)
    plain, *others = found.alone
    assert not plain.precisions and len(others) == 2 * 3
    narrow = next(one for one in others if one.precisions == {"wide": "int4"})
    assert narrow.figures.flash_bytes < plain.figures.flash_bytes
    assert narrow.snr_db < plain.snr_db
    wide = next(one for one in others if one.precisions == {"wide": "int16"})
    assert wide.figures.cycles > plain.figures.cycles
    assert found.steps and found.chosen.figures.flash_bytes <= plain.figures.flash_bytes
    assert not found.over and found.accuracy > 0.7
    limit = Budget(flash_bytes=1)
    assert advise_precision(model, data, CPU, limit).over == ("flash_bytes",)
    with pytest.raises(InputError, match="out of range"):
        advise_precision(model, data, CPU, options=PrecisionOptions(samples=0))
