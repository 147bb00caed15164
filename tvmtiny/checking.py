"""Compare a run with the oracle, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from tvmtiny.errors import CheckError
from tvmtiny.ops.shared.block import without_blocks
from tvmtiny.oracle import oracle_tensors
from tvmtiny.streaming.fed import slide_rows

if TYPE_CHECKING:
    from tvmtiny.codegen import Artifact
    from tvmtiny.frontend import Model
    from tvmtiny.results import RunResult

#: Largest difference at which a float layer still counts as exact, relative to the largest
#: magnitude in the layer. Summing in another order costs a few float32 roundings.
FLOAT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LayerDifference:
    """A layer that differs from the oracle.

    Attributes
    ----------
    layer, operator, tensor
        Position of the layer, its TFLite operator, and the name of its output tensor.
    element
        Index of the first differing element in the flattened output of the layer.
    got, expected
        Value of that element in the run, and in the oracle.
    """

    layer: int
    operator: str
    tensor: str
    element: int
    got: float
    expected: float


@dataclass(frozen=True)
class CheckResult:
    """The result of comparing a run with the oracle.

    Attributes
    ----------
    oracle
        Name of the oracle.
    mismatched_bytes
        Number of differing bytes over all compared layers and outputs. In float layers, only
        elements that differ by more than `FLOAT_TOLERANCE` count.
    max_abs_diff
        Largest absolute difference over all compared layers and outputs.
    max_relative_diff
        Largest difference over all float layers, relative to the largest magnitude in the layer.
    layers_compared, layers_exact
        Number of layers compared, and number of those that are exact.
    first_mismatch
        The first differing layer, or None if all are exact.
    """

    oracle: str
    mismatched_bytes: int
    max_abs_diff: float
    max_relative_diff: float
    layers_compared: int
    layers_exact: int
    first_mismatch: LayerDifference | None

    @property
    def exact(self) -> bool:
        """Whether all compared layers and outputs match the oracle."""
        return self.mismatched_bytes == 0 and self.layers_exact == self.layers_compared

    def raise_mismatch(self) -> NoReturn:
        """Raise a `CheckError` that describes the first mismatch."""
        first = self.first_mismatch
        raise CheckError(
            self.oracle,
            self.mismatched_bytes,
            self.layers_compared,
            self.layers_exact,
            None
            if first is None
            else f"layer {first.layer} {first.operator} ({first.tensor}), element {first.element}: "
            f"{first.got:g} instead of {first.expected:g}",
        )


def check(
    model: Model, artifact: Artifact, result: RunResult, inputs: Sequence[np.ndarray]
) -> CheckResult:
    """Compare every layer and output of a run with the model's oracle.

    Parameters
    ----------
    model
        The model that `artifact` was compiled from.
    artifact
        The artifact that produced `result`.
    result
        Result of the run to check.
    inputs
        The inputs of that run, one array for each input of the model.

    Returns
    -------
    CheckResult
        Numbers of exact layers and differing bytes, and the first mismatch.

    Notes
    -----
    A layer from which channels were removed is compared on its remaining channels. Layers that
    graph passes removed, and layers made from part of an operator, are not compared.

    The oracle is LiteRT's reference kernels. TFLM does not expose intermediate results, so for a
    model loaded with ``oracle="tflm"`` the layers are computed by tvmtiny's own numpy references
    for TFLM's arithmetic.
    """
    if artifact.feed is not None and artifact.feed.feed.slides:
        model = slide_rows(model)
    name, expected = oracle_tensors(model, inputs)
    mismatched = exact = count = 0
    difference = relative = 0.0
    first: LayerDifference | None = None
    for layer, got in zip(artifact.layers, result.layers, strict=True):
        before = mismatched
        values = without_blocks(model.graph, {layer.tensor: got})
        known = {index: data for index, data in values.items() if index in expected}
        for index, data in known.items():
            wanted = expected[index]
            if layer.kept_channels is not None:
                wanted = wanted[..., list(layer.kept_channels)]
            compared = _compare(data, wanted)
            mismatched += compared.mismatched_bytes
            difference = max(difference, compared.max_abs_diff)
            relative = max(relative, compared.max_relative_diff)
            if compared.mismatched_bytes and first is None:
                element = compared.first_element
                first = LayerDifference(
                    layer.index,
                    layer.operator,
                    model.graph.tensors[index].name,
                    element,
                    float(data.ravel()[element]),
                    float(wanted.ravel()[element]),
                )
        count += bool(known)
        exact += bool(known) and mismatched == before
    # The outputs come from a second inference, which must give the same values.
    for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
        compared = _compare(output.data, expected[tensor.index])
        mismatched += compared.mismatched_bytes
        difference = max(difference, compared.max_abs_diff)
        relative = max(relative, compared.max_relative_diff)
    return CheckResult(name, mismatched, difference, relative, count, exact, first)


@dataclass(frozen=True)
class _Comparison:
    mismatched_bytes: int
    max_abs_diff: float
    max_relative_diff: float
    first_element: int


def _compare(got: np.ndarray, expected: np.ndarray) -> _Comparison:
    flat, wanted = got.ravel(), expected.ravel()
    assert flat.shape == wanted.shape and flat.dtype == wanted.dtype
    if not flat.size:
        return _Comparison(0, 0.0, 0.0, 0)
    apart = np.abs(flat.astype(np.float64) - wanted.astype(np.float64))
    if flat.dtype.kind != "f":
        wrong = flat != wanted
        return _Comparison(
            int(wrong.sum()) * flat.itemsize, float(apart.max()), 0.0, int(wrong.argmax())
        )
    # A NaN on one side only counts as an infinite difference.
    apart = np.where(flat == wanted, 0.0, np.nan_to_num(apart, nan=np.inf))
    both_nan = np.isnan(flat) & np.isnan(wanted)
    apart[both_nan] = 0.0
    finite = np.abs(wanted[np.isfinite(wanted)]).astype(np.float64)
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    wrong = apart > FLOAT_TOLERANCE * largest
    return _Comparison(
        int(wrong.sum()) * flat.itemsize,
        float(apart.max()),
        float(apart.max()) / largest,
        int(wrong.argmax()),
    )
