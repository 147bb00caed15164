"""`Model`: a TFLite file, read and verified."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tvm import IRModule

from tvmtiny.errors import InputError, ModelFormatError
from tvmtiny.errors.base import quoted
from tvmtiny.frontend.converter import to_relax
from tvmtiny.frontend.feed import Feed
from tvmtiny.frontend.legacy import NOTE, simplified
from tvmtiny.frontend.names import model_name
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.training import Training
from tvmtiny.frontend.verify import check_sizes, verify
from tvmtiny.ops import Oracle
from tvmtiny.ops.shared.evaluate import evaluate


@dataclass(frozen=True, eq=False)
class Model:
    """A model that can be compiled.

    Attributes
    ----------
    name
        A C identifier; the prefix of everything that is generated.
    content
        The .tflite file, byte by byte.
    graph
        Its tensors and nodes, but for those whose results are constants.
    oracle
        Whose rounding is followed.
    remarks
        What its importer says of a model of another framework.
    front
        Where a front end was put before the file's model: the nodes of the graph that it has, from
        the model's inputs to those of the file.
    feed
        What becomes of samples that come in blocks, and of outputs; None where a run is all.
    training
        The layer that is trained on the device; None where there is none.
    """

    name: str
    content: bytes
    graph: Graph
    oracle: Oracle
    remarks: tuple[str, ...] = ()
    front: Graph | None = None
    feed: Feed | None = None
    training: Training | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the model is understood; mostly nothing."""
        return (*self.remarks, *((NOTE,) if self.graph.moved else ()))

    @cached_property
    def module(self) -> IRModule:
        """The graph as it is in the file, in Relax; see `to_relax`."""
        return to_relax(self.graph, self.oracle)

    def reference(
        self, inputs: Sequence[np.ndarray], states: Sequence[np.ndarray] | None = None
    ) -> dict[int, np.ndarray]:
        """Compute every tensor with the operators' numpy references.

        Parameters
        ----------
        inputs
            One array for each input, of its shape and dtype.
        states
            One array for each of the graph's states, what the run before gave for their `after`;
            by default the initial ones.

        Returns
        -------
        dict[int, np.ndarray]
            By TFLite's tensor index, constants included.
        """
        return evaluate(self.graph, inputs, self.oracle, states)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The content of a model file.

    Raises
    ------
    ModelFormatError
        If the file cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelFormatError(str(path), f"cannot read it: {error.strerror}") from error


def load(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    oracle: Oracle | str = Oracle.LITERT,
) -> Model:
    """Read and verify a TFLite model.

    Parameters
    ----------
    source
        The path of a .tflite file, or its content.
    name
        What generated files and symbols are called, made into a C identifier; by default the
        file's name without its suffix, which gets a prefix where it would hide a header of the
        system, such as ``model_signal``, and is cut where it is too long.
    oracle
        Whose results the code shall reproduce where implementations round differently: LiteRT's
        reference kernels, or TensorFlow Lite for Microcontrollers.

    Raises
    ------
    ModelFormatError, DynamicShapeError, DynamicRangeModelError, UnsupportedModelError
        If the file cannot be read or compiled; see `tvmtiny.errors`.
    InputError
        If there is no such oracle.
    """
    oracle = _oracle(oracle)
    if isinstance(source, bytes):
        content, path = source, name or "model"
    else:
        content, path = read_file(source), str(source)
    graph = read_graph(content, path)
    check_sizes(graph, path)
    graph = simplified(graph, oracle)
    verify(graph, path, oracle)
    return Model(model_name(name or Path(path).stem), content, graph, oracle)


def _oracle(name: Oracle | str) -> Oracle:
    try:
        return Oracle(name)
    except ValueError:
        known = ", ".join(oracle.value for oracle in Oracle)
        raise InputError(f"there is no oracle {quoted(name)}; known: {known}") from None
