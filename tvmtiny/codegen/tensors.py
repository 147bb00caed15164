"""Conversion of tensors to the bytes that the device reads, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tvmtiny.errors import DeviceError, InputDataError
from tvmtiny.inputs import formula

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact, LayerInfo, TensorInfo

__all__ = ["pack_inputs", "split_layers", "split_tensors"]


def _device_dtype(name: str) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return dtype


def _describe(dtype: object, shape: tuple[int, ...]) -> str:
    return f"{dtype} {shape}"


def pack_inputs(tensors: Sequence[TensorInfo], inputs: Sequence[npt.NDArray[Any]]) -> bytes:
    """Concatenate input data in the device's byte order.

    Parameters
    ----------
    tensors
        The model's inputs.
    inputs
        One array for each input, of the input's dtype and shape.

    Returns
    -------
    bytes
        The data of all inputs, little-endian.

    Raises
    ------
    InputDataError
        If the number of arrays, a dtype or a shape is wrong.
    """
    if len(inputs) != len(tensors):
        names = ", ".join(tensor.name for tensor in tensors)
        raise InputDataError(
            name=names,
            reason="wrong number of inputs",
            expected=f"{len(tensors)} ({names})",
            got=str(len(inputs)),
        )
    parts = []
    for tensor, data in zip(tensors, inputs, strict=True):
        array = np.asarray(data)
        if array.dtype.kind == "f" and formula(tensor):
            raise InputDataError(
                name=tensor.name,
                reason="real numbers for an integer input",
                expected=f"{_describe(tensor.dtype, tensor.shape)}{formula(tensor)}: the input's "
                "quantize gives them, and Session.run(real=True) takes real numbers",
                got=_describe(array.dtype, array.shape),
            )
        if array.dtype.newbyteorder("=") != np.dtype(tensor.dtype) or array.shape != tensor.shape:
            raise InputDataError(
                name=tensor.name,
                reason="wrong dtype or shape",
                expected=_describe(tensor.dtype, tensor.shape),
                got=_describe(array.dtype, array.shape),
            )
        parts.append(array.astype(_device_dtype(tensor.dtype)).tobytes())
    return b"".join(parts)


def split_tensors(
    data: bytes, tensors: Sequence[TensorInfo] | Sequence[LayerInfo], what: str
) -> tuple[npt.NDArray[Any], ...]:
    """Split the bytes that the device wrote into tensors.

    Parameters
    ----------
    data
        Concatenated tensors, little-endian.
    tensors
        The tensors' dtypes, shapes and sizes in bytes.
    what
        What the tensors are, for the error message.

    Returns
    -------
    tuple of np.ndarray
        One array for each tensor.

    Raises
    ------
    DeviceError
        If `data` has more or fewer bytes than the tensors.
    """
    expected = sum(tensor.bytes for tensor in tensors)
    if len(data) != expected:
        raise DeviceError(
            f"the firmware wrote {len(data)} bytes of {what}, but the model has {expected}; "
            "build the firmware again"
        )
    arrays = []
    offset = 0
    for tensor in tensors:
        part = np.frombuffer(data, _device_dtype(tensor.dtype), int(np.prod(tensor.shape)), offset)
        arrays.append(part.astype(np.dtype(tensor.dtype)).reshape(tensor.shape))
        offset += tensor.bytes
    return tuple(arrays)


def split_layers(data: bytes, artifact: Artifact) -> tuple[npt.NDArray[Any], ...]:
    """Assemble the outputs of layers from the pieces of work that the device wrote in order.

    Raises
    ------
    DeviceError
        If `data` has more or fewer bytes than the layers.
    """
    parts: list[list[bytes]] = [[] for _ in artifact.layers]
    start = 0
    for layer, size in artifact.pieces:
        parts[layer].append(data[start : start + size])
        start += size
    rest = data[start:]
    ordered = b"".join(part for pieces in parts for part in pieces)
    return split_tensors(ordered + rest, artifact.layers, "layer outputs")
