"""The input of an image's self-test, and the hash of the expected outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.errors import TvmtinyError
from tvmtiny.oracle import oracle_tensors

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.frontend import Model

__all__ = ["SEED", "selftest", "selftest_inputs"]

SEED = 0x7477696E

# Constants from "Numerical Recipes", shared with runtime/image/tvmtiny_image.c.
_FACTOR, _INCREMENT = 1664525, 1013904223


def selftest(model: Model, artifact: Artifact) -> tuple[int, bytes] | None:
    """Return the seed of an input, and the SHA-256 of the oracle's outputs for it.

    Returns
    -------
    tuple or None
        None for a model with floats, whose last bits depend on the order of sums, or if the oracle
        rejects the input.
    """
    if any("float" in t.dtype for node in artifact.graph.nodes for t in node.outputs):
        return None
    inputs = selftest_inputs(artifact)
    try:
        _, values = oracle_tensors(model, inputs)
    except TvmtinyError:
        return None
    outputs = [values.get(tensor.index) for tensor in model.graph.outputs]
    digest = hashlib.sha256()
    for output in outputs:
        if output is None:
            return None
        digest.update(np.ascontiguousarray(output).astype(output.dtype.newbyteorder("<")).tobytes())
    return SEED, digest.digest()


def selftest_inputs(artifact: Artifact, seed: int = SEED) -> list[np.ndarray[Any, Any]]:
    """Generate the input: pseudo-random bytes; zeros for 32-bit integers, which may be indices."""
    numbers = _bytes(seed)
    inputs = []
    for tensor in artifact.inputs:
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
        data = bytes(tensor.bytes)
        if dtype.itemsize <= 2:
            data = bytes(next(numbers) for _ in range(tensor.bytes))
        if dtype == np.bool_:
            data = bytes(byte & 1 for byte in data)
        array = np.frombuffer(data, dtype).reshape(tensor.shape)
        inputs.append(array.astype(dtype.newbyteorder("=")))
    return inputs


def _bytes(seed: int) -> Iterator[int]:
    while True:
        seed = (seed * _FACTOR + _INCREMENT) & 0xFFFFFFFF
        yield seed >> 24
