"""What stands in front of an estimator: scalers, which become part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tvmtiny.errors import InputError

__all__ = ["Affine", "class_names", "refused", "steps"]


@dataclass(frozen=True, eq=False)
class Affine:
    """``features * factor + offset``, one number each.

    Attributes
    ----------
    factor, offset
        float64, ``(features,)``.
    steps
        The same as scikit-learn computes it, rounding after rounding: each of these numbers is
        subtracted, divided by, multiplied with and added, in turn.
    """

    factor: np.ndarray
    offset: np.ndarray
    steps: tuple[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...] = ()

    def then(self, other: Affine) -> Affine:
        """One scaling behind the other."""
        return Affine(
            self.factor * other.factor,
            self.offset * other.factor + other.offset,
            (*self.steps, *other.steps),
        )

    def scaled(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values of certain features as an estimator gets them: float32."""
        for center, scale, factor, offset in self.steps:
            values = (values - center[features]) / scale[features]
            values = values * factor[features] + offset[features]
        return values.astype(np.float32)


def refused(estimator: Any, reason: str, allowed: str) -> InputError:
    """An error that names an estimator."""
    name = type(estimator).__name__
    return InputError(f"scikit-learn's {name} cannot be imported: {reason}; allowed: {allowed}")


def steps(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers of a pipeline, and the estimator at its end."""
    before: list[Any] = []
    while hasattr(estimator, "steps"):
        *inner, (_, last) = estimator.steps
        before += [step for _, step in inner if step not in (None, "passthrough")]
        estimator = last
    return before, estimator


def affine(transformers: list[Any], features: int) -> Affine:
    """All scalers as one.

    Raises
    ------
    InputError
        If one is something else.
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
    """What the positions of a classifier's output stand for."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return ()
    if isinstance(classes, list) or np.asarray(classes).ndim != 1:
        raise refused(estimator, "it has several outputs", "one column of labels")
    return tuple(str(c) for c in classes)
