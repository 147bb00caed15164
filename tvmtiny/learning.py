"""A bit-exact numpy twin of the generated C that trains a model's last layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.frontend.model import Model
from tvmtiny.ops import Node, find_operator

__all__ = ["Rule", "Trainer"]

_Floats = np.ndarray[Any, np.dtype[np.float32]]
_F = np.float32
_MOST_BIAS = _F(8388608.0)


@dataclass(frozen=True)
class Rule:
    """Hyperparameters of training; mirrors ``struct tvmtiny_train_rule``.

    Attributes
    ----------
    rate
        Step size of gradient descent.
    momentum
        Share of the previous step that is added to the next, 0 to 1.
    clip
        Largest change of a weight in one step, in units of its int8 value.
    """

    rate: float = 0.02
    momentum: float = 0.0
    clip: float = 8.0

    def __post_init__(self) -> None:
        if not (0 < self.rate < inf and 0 <= self.momentum < 1 and 0 < self.clip < inf):
            raise InputError(
                f"rate {self.rate:g}, momentum {self.momentum:g} and clip {self.clip:g} are out of "
                "range; give a finite rate and clip above 0, and a momentum from 0 to below 1"
            )


class Trainer:
    """The last trained layer of a model, with its weights and the state of training.

    Every operation rounds to float32 once, in the order of ``tvmtiny_train.h``.

    Parameters
    ----------
    model
        A model from `tvmtiny.frontend.make_trainable.make_trainable`.
    rule
        Hyperparameters; the defaults of `Rule` if None.

    Attributes
    ----------
    weights, bias
        int8 of shape ``(channels, depth)`` and int32 of shape ``(channels,)``.
    floats, float_bias
        float32 values that the steps update, with the shapes of `weights` and `bias`.
    best_loss
        Lowest loss passed to `keep` so far.
    before
        The layer before, if the model was made trainable with ``last2``; else None.

    Raises
    ------
    InputError
        The model is not trainable.
    """

    def __init__(self, model: Model, rule: Rule | None = None) -> None:
        if model.training is None:
            raise InputError(f"{model.name} is not trainable; compile it with --trainable last")
        self._model = model
        self.rule = rule or Rule()
        self.training = training = model.training
        self.before: Trainer | None = None
        if training.before is not None:
            self.before = Trainer(replace(model, training=training.before), rule)
        self._scales = np.array(training.scales, _F)
        self._input_scale = _F(training.input_scale)
        self._output_scale = _F(training.output_scale)
        states = model.graph.states
        self.weights = states[training.weights].initial.astype(np.int8).copy()
        self.bias = states[training.bias].initial.astype(np.int32).copy()
        self.best_loss = np.finfo(_F).max
        self._restore()
        self._keep_weights()

    @property
    def node(self) -> Node:
        """The trained layer."""
        logits = self._model.graph.outputs[self.training.logits]
        return next(n for n in self._model.graph.nodes if n.output.index == logits.index)

    def forward(self, features: np.ndarray) -> np.ndarray:
        """Compute the layer's int8 output from its int8 input.

        Parameters
        ----------
        features
            Input of the layer, int8.

        Returns
        -------
        numpy.ndarray
            Output of the layer, int8, with the shape of the reference kernel's output.
        """
        operator = find_operator("FULLY_CONNECTED")
        assert operator is not None
        node, oracle = self.node, self._model.oracle
        inputs = [features.astype(np.int8), self.weights, self.bias]
        return operator.reference(node, inputs, oracle)[0]

    def train_class(
        self,
        features: np.ndarray,
        logits: np.ndarray,
        label: int,
        earlier: np.ndarray | None = None,
    ) -> None:
        """Take one training step for a sample with a class label.

        Parameters
        ----------
        features, logits
            Input and output of the layer, int8.
        label
            Class of the sample, an index into `logits`.
        earlier
            Input of the layer `before`, int8; needed if there is one.

        Raises
        ------
        InputError
            Two layers are trained, and `earlier` is missing.
        """
        powers, total = _powers(self._logits(logits))
        gradients: _Floats = np.asarray(powers / total, _F)
        gradients[label] -= _F(1.0)
        self._train(features, gradients, earlier)

    def train_values(
        self,
        features: np.ndarray,
        logits: np.ndarray,
        wanted: np.ndarray,
        earlier: np.ndarray | None = None,
    ) -> None:
        """Take one step towards real target outputs, minimizing half the squared error.

        Parameters
        ----------
        features
            Input of the layer, int8.
        logits
            Output of the layer, int8.
        wanted
            Target values, one for each output.
        earlier
            Input of the layer `before`, int8; needed if there is one.

        Raises
        ------
        InputError
            Two layers are trained, and `earlier` is missing.
        """
        gradients = self._logits(logits) - wanted.reshape(-1).astype(_F)
        self._train(features, gradients, earlier)

    def loss(self, logits: np.ndarray, label: int) -> np.float32:
        """Compute the cross-entropy of the softmax of a layer's output.

        Parameters
        ----------
        logits
            Output of the layer, int8.
        label
            Class of the sample, an index into `logits`.

        Returns
        -------
        numpy.float32
            The cross-entropy in nats.
        """
        values = self._logits(logits)
        _, total = _powers(values)
        return _F(_log(total) - _F(values[label] - values.max()))

    def keep(self, loss: float) -> bool:
        """Keep the weights if `loss` is at most the lowest so far, else restore the best ones.

        Parameters
        ----------
        loss
            Loss of the current weights.

        Returns
        -------
        bool
            Whether the weights were kept.
        """
        if self.before is not None:
            self.before.keep(loss)
        if _F(loss) <= self.best_loss:
            self.best_loss = _F(loss)
            self._keep_weights()
            return True
        self.weights, self.bias = self._kept[0].copy(), self._kept[1].copy()
        self._restore()
        return False

    def refresh(self) -> None:
        """Quantize the float weights again after they were changed from outside."""
        if self.before is not None:
            self.before.refresh()
        self._quantize()

    def _keep_weights(self) -> None:
        self._kept = self.weights.copy(), self.bias.copy()

    def _restore(self) -> None:
        scales = self._scales[:, None]
        self.floats: _Floats = self.weights.astype(_F) * scales
        self.float_bias: _Floats = self.bias.astype(_F) * (self._input_scale * self._scales)
        shape = (self.training.channels, self.training.depth)
        self._velocity: _Floats = np.zeros(shape, _F)
        self._bias_velocity: _Floats = np.zeros(shape[0], _F)

    def _logits(self, logits: np.ndarray) -> _Floats:
        whole = logits.reshape(-1).astype(np.int32) - np.int32(self.training.output_zero_point)
        return whole.astype(_F) * self._output_scale

    def _train(self, features: np.ndarray, gradients: _Floats, earlier: np.ndarray | None) -> None:
        """Take a step of this layer, and of the one before if it is trained."""
        if self.before is None:
            self._step(features.reshape(-1), gradients)
            return
        if earlier is None:
            raise InputError("two layers are trained; give the input of the first one as earlier")
        outputs = features.reshape(-1).astype(np.int32)
        back: _Floats = np.zeros(self.training.depth, _F)
        for by_weight, row in zip(gradients * self._scales, self.weights, strict=True):
            back = back + by_weight * row.astype(_F)
        bounds = self.before.training
        passed = (outputs > bounds.lower) & (outputs < bounds.upper)
        self._step(features.reshape(-1), gradients)
        self.before._step(earlier.reshape(-1), np.where(passed, back, _F(0.0)))

    def _step(self, features: np.ndarray, gradients: _Floats) -> None:
        """Change the weights of each channel by its gradient; all arithmetic is float32."""
        rule = self.rule
        limits = _F(rule.clip) * self._scales[:, None]
        steps = _F(rule.rate) * gradients
        whole = features.astype(np.int32) - np.int32(self.training.input_zero_point)
        change = -((steps * self._input_scale)[:, None] * whole.astype(_F))
        bias_change = -steps
        if rule.momentum:
            change = _F(rule.momentum) * self._velocity + change
            bias_change = _F(rule.momentum) * self._bias_velocity + bias_change
            self._bias_velocity = bias_change
        self._velocity = np.clip(change, -limits, limits)
        most = _F(127.0) * self._scales[:, None]
        self.floats = np.clip(self.floats + self._velocity, -most, most)
        self.float_bias = self.float_bias + bias_change
        self._quantize()

    def _quantize(self) -> None:
        values = _nearest(self.floats / self._scales[:, None])
        self.weights = np.clip(values, -127, 127).astype(np.int8)
        bias = self.float_bias / (self._input_scale * self._scales)
        self.bias = _nearest(np.clip(bias, -_MOST_BIAS, _MOST_BIAS))


def _powers(values: _Floats) -> tuple[_Floats, np.float32]:
    """Compute the powers of e of values less their largest, and the sum in the device's order."""
    powers, total = _exp(values - values.max()), _F(0.0)
    for power in powers:
        total = _F(total + power)
    return powers, total


def _nearest(values: Any) -> Any:
    """Round to the nearest integer, halves away from zero; adding the half rounds to float32."""
    half = _F(0.5)
    up = np.trunc(values + half).astype(np.int32)
    return np.where(values >= 0, up, -np.trunc(half - values).astype(np.int32))


def _exp(values: _Floats) -> _Floats:
    """Compute ``tvmtiny_exp`` for numbers up to 0; it is 0 from -104 down."""
    inside = np.maximum(values, _F(-104.0))
    scaled = inside * _F(1.44269504)
    power = (scaled + np.where(scaled < 0, _F(-0.5), _F(0.5))).astype(np.int32)
    whole = power.astype(_F)
    rest = inside - whole * _F(0.693359375) - whole * _F(-2.12194440e-4)
    total = _F(1.381454058e-3)
    for factor in (8.368745446e-3, 4.166838899e-2, 1.666652113e-1, 4.999999404e-1):
        total = total * rest + _F(factor)
    total = total * (rest * rest) + rest + _F(1.0)
    half = np.trunc(power / 2).astype(np.int32)
    found = np.ldexp(np.ldexp(total, half), power - half)
    return np.where(values <= _F(-104.0), _F(0.0), found)


def _log(value: np.float32) -> np.float32:
    """Compute ``tvmtiny_log`` for a positive normal number."""
    bits = int(_F(value).view(np.uint32)) + (0x3F800000 - 0x3F3504F3)
    power = _F((bits >> 23) - 127)
    rest = _F(np.uint32((bits & 0x7FFFFF) + 0x3F3504F3).view(_F) - _F(1.0))
    s = _F(rest / _F(_F(2.0) + rest))
    square = _F(s * s)
    total = _F(2.35840201e-1)
    for factor in (2.85372168e-1, 4.00003374e-1, 6.66666627e-1):
        total = _F(_F(total * square) + _F(factor))
    total = _F(total * square)
    half = _F(_F(_F(0.5) * rest) * rest)
    small = _F(_F(s * _F(half + total)) + _F(power * _F(9.05800061e-6)))
    return _F(_F(power * _F(0.693138123)) - _F(_F(half - small) - rest))
