"""Masks of the weights that pruning keeps, and their application to Keras models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tvmtiny.design.network import Network, Op
from tvmtiny.design.variants import block_zeros

__all__ = ["Masks", "hold", "masked", "prunable"]

#: Operators whose weights can be pruned; the first dimension of the weights is the filters.
_PRUNED = ("CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True, eq=False)
class Masks:
    """The pruned parts of a network, by name of the operator's output.

    Attributes
    ----------
    filters
        Filters that are kept: bool, ``(filters,)``.
    blocks
        Share of zero blocks among the remaining blocks of 2 filters times 4 inputs.
    """

    filters: Mapping[str, np.ndarray] = field(default_factory=dict)
    blocks: Mapping[str, float] = field(default_factory=dict)


def prunable(network: Network) -> list[Op]:
    """Return the operators that can be pruned: all convolutions and dense layers but the last."""
    found = [op for op in network.ops if op.operator in _PRUNED]
    return found[:-1]


def masked(network: Network, masks: Masks) -> tuple[Network, dict[str, np.ndarray]]:
    """Apply masks to `network`.

    Returns
    -------
    network
        The network with zeros for pruned weights.
    dict
        Masks of the kept weights, by name of the operator's output: bool, shaped like the weights.
    """
    alive = {network.input: np.ones(network.input_shape[-1], bool)}
    kept: dict[str, np.ndarray] = {}
    ops = []
    for op in network.ops:
        alive[op.output] = _alive(op, alive, masks)
        weights = op.weights
        if weights is None or not (op.output in masks.filters or op.output in masks.blocks):
            ops.append(op)
            continue
        keep = np.zeros(weights.shape, bool)
        rows = masks.filters.get(op.output, np.ones(len(weights), bool))
        keep[rows] = True
        share = masks.blocks.get(op.output, 0.0)
        if share and rows.any():
            # Blocks are counted among the inputs that remain once dead channels are removed.
            inputs = alive[op.inputs[0]]
            columns = inputs if weights.ndim == 4 else np.resize(inputs, weights.shape[1])
            rest = np.abs(weights[rows][..., columns]) + 1e-12
            part = np.zeros(weights[rows].shape, bool)
            part[..., columns] = block_zeros(rest, share) != 0
            keep[rows] = part
        kept[op.output] = keep
        bias = None if op.bias is None else np.where(rows, op.bias, 0).astype(np.float32)
        ops.append(replace(op, weights=np.where(keep, weights, 0).astype(np.float32), bias=bias))
    return replace(network, ops=tuple(ops)), kept


def _alive(op: Op, alive: Mapping[str, np.ndarray], masks: Masks) -> np.ndarray:
    """Return a mask of the channels of an operator's output that are not constant."""
    channels = op.shape[-1]
    if op.operator in _PRUNED:
        return masks.filters.get(op.output, np.ones(channels, bool))
    found = alive[op.inputs[0]]
    for name in op.inputs[1:]:
        found = found | alive[name]
    if op.operator == "DEPTHWISE_CONV_2D":
        return np.repeat(found, channels // len(found))
    return np.resize(found, channels)


def hold(model: Any, network: Network, masks: Masks) -> Any:
    """Make a Keras callback that holds pruned weights at zero while `model` is trained.

    Parameters
    ----------
    model
        The Keras model.
    network
        The network that was converted from `model`.
    masks
        The weights to keep.
    """
    import keras

    _, kept = masked(network, masks)
    held: list[tuple[Any, np.ndarray]] = []
    by_name = {layer.name: layer for layer in model.layers}
    for op in network.ops:
        if op.output not in kept:
            continue
        layer, keep = by_name[op.layers[0]], kept[op.output]
        kernel = getattr(layer, "pointwise_kernel", None)
        if kernel is None:
            kernel = layer.kernel
        order = (1, 2, 3, 0) if keep.ndim == 4 else (1, 0)
        held.append((kernel, keep.transpose(order)))
        rows = masks.filters.get(op.output)
        if rows is None:
            continue
        if getattr(layer, "use_bias", False):
            held.append((layer.bias, rows))
        for name in op.layers[1:]:
            if type(by_name[name]).__name__ == "BatchNormalization":
                normal = by_name[name]
                held += [(v, rows) for v in (normal.gamma, normal.beta) if v is not None]

    class Hold(keras.callbacks.Callback):  # type: ignore[misc]
        """Resets pruned weights to zero after each batch."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            for variable, keep in held:
                value = np.asarray(variable)
                variable.assign(value * keep.astype(value.dtype))

    callback = Hold()
    callback.on_train_batch_end(0)
    return callback
