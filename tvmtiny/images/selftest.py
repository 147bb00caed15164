"""The input of an image's self-test, and the hash of the expected outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.errors import TvmtinyError
from tvmtiny.images.emulated import run_emulated
from tvmtiny.images.image_format import Image, ImageTensor
from tvmtiny.oracle import oracle_tensors

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.frontend import Model

__all__ = ["SEED", "has_floats", "selftest", "selftest_inputs"]

SEED = 0x7477696E

# Constants from "Numerical Recipes", shared with runtime/image/tvmtiny_image.c.
_FACTOR, _INCREMENT = 1664525, 1013904223


def selftest(model: Model, artifact: Artifact, image: Image) -> tuple[int, bytes] | None:
    """Return the seed of an input, and the SHA-256 of the expected outputs for it.

    The oracle gives the outputs of an integer model. The last bits of floats depend on the order of
    sums, so the outputs of a model with floats are those of the image itself in an emulator.

    Parameters
    ----------
    image
        The image, without a self-test.

    Returns
    -------
    tuple or None
        None if the oracle rejects the input, or for a model with floats if an output is not a
        number or no emulator has the CPU.
    """
    inputs = selftest_inputs(artifact)
    if has_floats(artifact):
        outputs = run_emulated(image, artifact.target.cpu, inputs)
    else:
        outputs = _outputs_of_oracle(model, inputs)
    if outputs is None or any(map(_has_nan, image.outputs, outputs)):
        return None
    return SEED, hashlib.sha256(b"".join(outputs)).digest()


def has_floats(artifact: Artifact) -> bool:
    """Whether a model computes with floats."""
    return any("float" in t.dtype for node in artifact.graph.nodes for t in node.outputs)


def _outputs_of_oracle(model: Model, inputs: list[np.ndarray[Any, Any]]) -> list[bytes] | None:
    try:
        _, values = oracle_tensors(model, inputs)
    except TvmtinyError:
        return None
    outputs = [values.get(tensor.index) for tensor in model.graph.outputs]
    if any(output is None for output in outputs):
        return None
    arrays = [np.ascontiguousarray(output) for output in outputs]
    return [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays]


def _has_nan(tensor: ImageTensor, data: bytes) -> bool:
    return "float" in tensor.dtype and bool(np.isnan(np.frombuffer(data, tensor.dtype)).any())


def selftest_inputs(artifact: Artifact, seed: int = SEED) -> list[np.ndarray[Any, Any]]:
    """Generate the input: pseudo-random bytes, or zeros for wide integers, which may be indices.

    Floats are from -2 to -1 and from 1 to 2.
    """
    numbers = _bytes(seed)
    inputs = []
    for tensor in artifact.inputs:
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
        data = bytes(tensor.bytes)
        if dtype == np.float32:
            some = np.array([next(numbers) for _ in range(tensor.bytes // 4)], "<u4")
            data = (0x3F800000 | (some & 1) << 31 | (some >> 1) << 16).astype("<u4").tobytes()
        elif dtype.itemsize <= 2 and dtype.kind != "f":
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
