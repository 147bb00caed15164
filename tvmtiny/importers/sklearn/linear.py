"""Linear models, perceptrons, linear support vectors and k-means: products and sums in float32."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from tvmtiny.importers.sklearn.features import Affine, refused
from tvmtiny.importers.sklearn.network import Network

__all__ = ["clusters", "linear", "perceptron", "support_vectors"]

_ACTIVATIONS = {"relu": "RELU", "identity": "NONE"}


def _scaled(weights: np.ndarray, bias: np.ndarray, scaler: Affine) -> tuple[np.ndarray, np.ndarray]:
    """Fold a scaling of features into weights and bias."""
    return weights * scaler.factor, bias + weights @ scaler.offset


def linear(estimator: Any, scaler: Affine, probabilities: bool) -> tuple[Network, dict[str, int]]:
    """Convert an estimator with ``coef_`` and ``intercept_``.

    Parameters
    ----------
    probabilities
        Whether a softmax follows.
    """
    weights = np.atleast_2d(np.asarray(estimator.coef_, np.float64))
    bias = np.broadcast_to(np.atleast_1d(estimator.intercept_), (len(weights),))
    classes = len(getattr(estimator, "classes_", ()))
    if classes == 2 and len(weights) == 1:
        # A single score decides. Each class gets half of it with opposite signs, so that the larger
        # output gives the class.
        weights, bias = np.vstack([-weights, weights]) / 2, np.array([-bias[0], bias[0]]) / 2
    net = Network(weights.shape[1])
    y = net.dense(net.input, *_scaled(weights, bias, scaler))
    if probabilities:
        return net, {"probabilities": net.unary("SOFTMAX", y, len(weights))}
    return net, {"scores" if classes else "prediction": y}


def perceptron(estimator: Any, scaler: Affine) -> tuple[Network, dict[str, int]]:
    """Convert MLPClassifier and MLPRegressor."""
    net = Network(len(estimator.coefs_[0]))
    y, last = net.input, len(estimator.coefs_) - 1
    for number, (matrix, offsets) in enumerate(
        zip(estimator.coefs_, estimator.intercepts_, strict=True)
    ):
        weights, bias = np.asarray(matrix, np.float64).T, np.asarray(offsets, np.float64)
        if number == 0:
            weights, bias = _scaled(weights, bias, scaler)
        if number == last and estimator.out_activation_ == "logistic":
            weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        if number == last:
            y = net.dense(y, weights, bias)
        elif estimator.activation in _ACTIVATIONS:
            y = net.dense(y, weights, bias, _ACTIVATIONS[estimator.activation])
        else:
            operator = {"tanh": "TANH", "logistic": "LOGISTIC"}[estimator.activation]
            y = net.unary(operator, net.dense(y, weights, bias), len(weights))
        count = len(weights)
    if estimator.out_activation_ == "identity":
        return net, {"prediction": y}
    if estimator.out_activation_ == "logistic" and len(estimator.classes_) != 2:
        raise refused(estimator, "it has several labels for a sample", "one label")
    return net, {"probabilities": net.unary("SOFTMAX", y, count)}


def support_vectors(estimator: Any, scaler: Affine) -> tuple[Network, dict[str, int]]:
    """Convert SVC and SVR with a linear kernel; in a classifier, each pair of classes votes.

    As in libsvm, the first class wins if votes are equal.
    """
    if estimator.kernel != "linear":
        raise refused(estimator, f"kernel {estimator.kernel}", "kernel='linear'")
    classes = len(getattr(estimator, "classes_", ()))
    if classes <= 2:
        return linear(estimator, scaler, False)
    weights = np.asarray(estimator.coef_, np.float64)
    if hasattr(weights, "toarray"):
        weights = weights.toarray()
    pairs = [*combinations(range(classes), 2)]
    net = Network(weights.shape[1])
    decisions = net.dense(net.input, *_scaled(weights, estimator.intercept_, scaler))
    zero = net.constant("zero", np.zeros((1, 1)))
    first = net.binary("GREATER", decisions, zero, len(pairs), "bool")
    won = net.unary("CAST", first, len(pairs))
    matrix, lost = np.zeros((classes, len(pairs))), np.zeros(classes)
    for number, (one, other) in enumerate(pairs):
        matrix[one, number], matrix[other, number] = 1, -1
        lost[other] += 1
    return net, {"votes": net.dense(won, matrix, lost)}


def clusters(estimator: Any, scaler: Affine) -> tuple[Network, dict[str, int]]:
    """Convert KMeans to the distance to each center and the number of the nearest center.

    The square of a distance is ``|x|^2 - 2 x c + |c|^2``, as in scikit-learn. Distances are between
    scaled features.
    """
    centers = np.asarray(estimator.cluster_centers_, np.float64)
    count, features = centers.shape
    net = Network(features)
    x = net.input
    if (scaler.factor != 1).any() or scaler.offset.any():
        factor, offset = (
            net.constant("factor", scaler.factor),
            net.constant("offset", scaler.offset),
        )
        x = net.binary("ADD", net.binary("MUL", x, factor, features), offset, features)
    square = net.binary("MUL", x, x, features)
    axis = net.writer.constant("axis", np.array([1], np.int32))
    length = net.writer.tensor("length", (1, 1), "float32")
    net.writer.op("SUM", [square, axis], [length], {"keep_dims": True})
    products = net.dense(x, -2 * centers, (centers**2).sum(axis=1))
    squares = net.binary("ADD", products, length, count)
    positive = net.binary("MAXIMUM", squares, net.constant("zero", np.zeros((1, 1))), count)
    distances = net.unary("SQRT", positive, count)
    label = net.writer.tensor("label", (1,), "int32")
    place = net.writer.constant("last", np.array(1, np.int32))
    net.writer.op("ARG_MIN", [products, place], [label], {"output_type": 2})
    return net, {"distances": distances, "label": label}
