"""Input data for trying out a model: patterns, seeded random values, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar
from zipfile import BadZipFile

import numpy as np

from tvmtiny.errors import InputDataError

#: Kinds of input that `make_inputs` accepts, for messages and help texts.
INPUT_KINDS = "ramp, zeros, random:SEED, FILE.npy or FILE.npz"


class RealTensor(Protocol):
    """A tensor for which real numbers can be quantized, such as those of `Artifact.inputs`."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def scale(self) -> float | None: ...
    def quantize(self, real: np.ndarray, /) -> np.ndarray: ...


class TensorSpec(Protocol):
    """Name, shape and dtype of a tensor; `Artifact.inputs` and `Graph.inputs` both provide them."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...


def make_inputs(kind: str, tensors: Sequence[TensorSpec]) -> list[np.ndarray]:
    """Make one array for each input of a model.

    Parameters
    ----------
    kind
        ``ramp`` (element i has the bits ``(i * 37 + 11) & 0xff``; floats are that int8 divided by
        128), ``zeros``, ``random:SEED`` (uniform over an integer type, normal for floats), a
        ``.npy`` file for a model with one input, or a ``.npz`` file with one array for each of
        `input_names`.
    tensors
        Inputs of the model, such as `Artifact.inputs`.

    Returns
    -------
    list of numpy.ndarray
        One array for each input, of its shape and dtype.

    Raises
    ------
    InputDataError
        If `kind` is none of these, or a file does not match the model's inputs.
    """
    if kind == "ramp":
        return [_ramp(tensor) for tensor in tensors]
    if kind == "zeros":
        return [np.zeros(tensor.shape, tensor.dtype) for tensor in tensors]
    if kind.startswith("random:"):
        return _random(kind, tensors)
    if kind.endswith((".npy", ".npz")):
        return _from_file(Path(kind), tensors, check_input)
    raise InputDataError(kind, "unknown kind of input", INPUT_KINDS, kind)


_Tensor = TypeVar("_Tensor", bound=TensorSpec)


def real_inputs(path: str | Path, tensors: Sequence[RealTensor]) -> list[np.ndarray]:
    """Make one array for each input of a model by quantizing the real numbers in a file.

    Parameters
    ----------
    path
        A ``.npy`` or ``.npz`` file, as for `make_inputs`.
    tensors
        Inputs of the model, such as `Artifact.inputs`.

    Returns
    -------
    list of numpy.ndarray
        One array for each input, of its shape and dtype.

    Raises
    ------
    InputDataError
        If the file does not hold finite numbers of the inputs' shapes.
    """
    return _from_file(Path(path), tensors, real_input)


def real_input(tensor: RealTensor, data: np.ndarray, source: str) -> np.ndarray:
    """Convert real numbers to values of `tensor`.

    Parameters
    ----------
    tensor
        Input of the model.
    data
        Real numbers of the tensor's shape.
    source
        Origin of the data, for messages.

    Returns
    -------
    numpy.ndarray
        The values, quantized if the tensor has a scale.

    Raises
    ------
    InputDataError
        If the shape differs, or a value is infinite or NaN; `source` names the origin of the data
        in the message.
    """
    shape = f"numbers {list(tensor.shape)}"
    if data.dtype.kind not in "biuf" or data.shape != tensor.shape:
        found = f"{data.dtype} {list(data.shape)}"
        raise InputDataError(tensor.name, f"wrong dtype or shape in {source}", shape, found)
    if not np.isfinite(data).all():
        raise InputDataError(
            tensor.name, f"values are infinite or NaN in {source}", "finite numbers", "NaN or inf"
        )
    return data.astype(tensor.dtype) if tensor.scale is None else tensor.quantize(data)


def check_input(tensor: TensorSpec, data: np.ndarray, source: str) -> np.ndarray:
    """Return `data` if it has the dtype and shape of `tensor`.

    Raises
    ------
    InputDataError
        If dtype or shape differ; `source` names the origin of the data in the message.
    """
    if data.dtype.kind == "f" and np.dtype(tensor.dtype).kind in "iu":
        raise InputDataError(
            tensor.name,
            f"real numbers in {source}",
            f"{tensor.dtype} {list(tensor.shape)}{formula(tensor)}"
            f"{'; pass a file of real numbers with --real' if formula(tensor) else ''}",
            f"{data.dtype} {list(data.shape)}",
        )
    if data.dtype != np.dtype(tensor.dtype) or data.shape != tensor.shape:
        raise InputDataError(
            tensor.name,
            f"wrong dtype or shape in {source}",
            f"{tensor.dtype} {list(tensor.shape)}",
            f"{data.dtype} {list(data.shape)}",
        )
    return data


def _ramp(tensor: TensorSpec) -> np.ndarray:
    count = int(np.prod(tensor.shape))
    bits = ((np.arange(count, dtype=np.int64) * 37 + 11) & 0xFF).astype(np.uint8)
    dtype = np.dtype(tensor.dtype)
    signed = bits.view(np.int8).reshape(tensor.shape)
    if dtype.kind == "f":
        return (signed / 128).astype(dtype)
    return bits.reshape(tensor.shape) if dtype == np.uint8 else signed.astype(dtype)


def _random(kind: str, tensors: Sequence[TensorSpec]) -> list[np.ndarray]:
    seed = kind.removeprefix("random:")
    if not seed.isdecimal():
        raise InputDataError(kind, "the seed is not a number", "random:SEED with SEED >= 0", kind)
    generator = np.random.default_rng(int(seed))
    arrays = []
    for tensor in tensors:
        dtype = np.dtype(tensor.dtype)
        if dtype.kind == "f":
            arrays.append(generator.standard_normal(tensor.shape).astype(dtype))
        elif dtype.kind == "b":
            arrays.append(generator.integers(0, 2, tensor.shape).astype(dtype))
        else:
            limits = np.iinfo(dtype)
            arrays.append(
                generator.integers(limits.min, limits.max, tensor.shape, dtype, endpoint=True)
            )
    return arrays


def formula(tensor: TensorSpec) -> str:
    """Describe how real numbers are quantized for a tensor; empty for a tensor without a scale."""
    quantization = getattr(tensor, "quantization", tensor)
    scales = getattr(quantization, "scales", (getattr(quantization, "scale", None),))
    if not scales or scales[0] is None:
        return ""
    zeros = getattr(quantization, "zero_points", (getattr(quantization, "zero_point", 0),))
    return f", which are round(x / {scales[0]:.6g}) + {zeros[0]}"


def _from_file(
    path: Path,
    tensors: Sequence[_Tensor],
    take: Callable[[_Tensor, np.ndarray, str], np.ndarray],
) -> list[np.ndarray]:
    try:
        content = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "not a numpy file"
        raise InputDataError(str(path), str(reason), INPUT_KINDS, str(path)) from error
    if isinstance(content, np.ndarray):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            raise InputDataError(
                str(path), "one array for several inputs", f"a .npz file with {names}", ".npy"
            )
        return [take(tensors[0], content, str(path))]
    with content:
        arrays = []
        for tensor, known in zip(tensors, input_names(tensors), strict=True):
            name = next((n for n in known if n in content), None)
            if name is None:
                wanted, got = " or ".join(known), ", ".join(content.files) or "nothing"
                raise InputDataError(
                    tensor.name, f"missing in {path}", f"an array named {wanted}", got
                )
            arrays.append(take(tensor, content[name], str(path)))
        return arrays


def input_names(tensors: Sequence[TensorSpec]) -> list[list[str]]:
    """List the accepted names of each input's data, in order of preference.

    They are the tensor's name in the model, unless another input shares it; the name of its field
    in C, if `tensors` have one; and ``input_0``, ``input_1`` and so on by position, unless another
    input has that name.

    Parameters
    ----------
    tensors
        Inputs of the model.
    """
    given = [[tensor.name, *filter(None, [getattr(tensor, "c_name", None)])] for tensor in tensors]
    everything = [name for names in given for name in dict.fromkeys(names)]
    found = []
    for position, names in enumerate(given):
        alone = [name for name in dict.fromkeys(names) if everything.count(name) == 1]
        index = f"input_{position}"
        found.append(alone + [index] * (index not in everything) or [index])
    return found
