"""Scalers in front of an estimator, which become part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmtiny.errors import InputError

__all__ = ["Affine", "class_names", "refused", "steps"]


@dataclass(frozen=True, eq=False)
class Affine:
    """``features * factor + offset``, with one number per feature.

    Attributes
    ----------
    factor, offset
        float64, ``(features,)``.
    steps
        The same scaling with the individual roundings of scikit-learn: each tuple has numbers to
        subtract, divide by, multiply with and add, in this order.
    """

    factor: np.ndarray
    offset: np.ndarray
    steps: tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...] = ()

    def then(self, other: Affine) -> Affine:
        """Combine two scalings, one after the other."""
        return Affine(
            self.factor * other.factor,
            self.offset * other.factor + other.offset,
            (*self.steps, *other.steps),
        )

    def scaled(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Scale the values of some features as scikit-learn does; returns float32."""
        for center, scale, factor, offset in self.steps:
            values = (values - center[features]) / scale[features]
            values = values * factor[features] + offset[features]
        return values.astype(np.float32)


def refused(estimator: Any, reason: str, allowed: str) -> InputError:
    """Create an error that names an estimator."""
    name = type(estimator).__name__
    return InputError(f"scikit-learn's {name} cannot be imported: {reason}; allowed: {allowed}")


def steps(estimator: Any) -> tuple[list[Any], Any]:
    """Split a pipeline into its transformers and the estimator at its end."""
    before: list[Any] = []
    while hasattr(estimator, "steps"):
        *inner, (_, last) = estimator.steps
        before += [step for _, step in inner if step not in (None, "passthrough")]
        estimator = last
    return before, estimator


def affine(transformers: list[Any], features: int) -> Affine:
    """Combine all scalers into one.

    Raises
    ------
    InputError
        If a transformer is not a supported scaler.
    """
    whole = Affine(np.ones(features), np.zeros(features))
    for transformer in transformers:
        whole = whole.then(_of(transformer, features))
    return whole


def _of(scaler: Any, features: int) -> Affine:
    name = type(scaler).__name__
    ones, zeros = np.ones(features), np.zeros(features)
    if not hasattr(scaler, "n_features_in_"):
        raise refused(scaler, "it is not fitted", "a fitted pipeline")
    if name in ("StandardScaler", "RobustScaler"):
        center = scaler.mean_ if name == "StandardScaler" else scaler.center_
        centered = scaler.with_mean if name == "StandardScaler" else scaler.with_centering
        scale = ones if scaler.scale_ is None else np.asarray(scaler.scale_, np.float64)
        center = np.asarray(center, np.float64) if centered else zeros
        return Affine(1 / scale, -center / scale, ((center, scale, ones, zeros),))
    if name == "MinMaxScaler" and not scaler.clip:
        factor, offset = (np.asarray(a, np.float64) for a in (scaler.scale_, scaler.min_))
        return Affine(factor, offset, ((zeros, ones, factor, offset),))
    if name == "MaxAbsScaler":
        scale = np.asarray(scaler.scale_, np.float64)
        return Affine(1 / scale, zeros, ((zeros, scale, ones, zeros),))
    raise refused(
        scaler,
        "it stands in front of the estimator and does not scale",
        "StandardScaler, RobustScaler, MaxAbsScaler, MinMaxScaler without clip",
    )


def class_names(estimator: Any) -> tuple[str, ...]:
    """The class of each position of a classifier's output."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return ()
    if isinstance(classes, list) or np.asarray(classes).ndim != 1:
        raise refused(estimator, "it has several outputs", "one column of labels")
    return tuple(str(c) for c in classes)
