"""`Model`: a TFLite file that has been read and verified."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from tvm import IRModule

from tvmtiny.errors import ModelFormatError
from tvmtiny.errors.choices import parse_choice
from tvmtiny.frontend.converter import to_relax
from tvmtiny.frontend.feed import Feed
from tvmtiny.frontend.legacy import NOTE, simplified
from tvmtiny.frontend.names import model_name
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.signatures import signatures_note, with_signature
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
        A C identifier, the prefix of all generated names.
    content
        The content of the .tflite file.
    graph
        The tensors and nodes of the file; nodes with constant results are omitted.
    oracle
        The reference whose rounding is reproduced.
    remarks
        Remarks of the importer of a model from another framework, and about the signature.
    front
        The graph of a front end that precedes the file's model, from the model's inputs to those
        of the file; None without a front end.
    feed
        Parameters of the function that takes samples in blocks; None without such a function.
    training
        The layer that is trained on the device; None if there is none.
    row_tensors
        Tensors that hold only the last rows of a tensor of the file: the index of the latter by
        that of the former; see `tvmtiny.streaming.fed`.
    """

    name: str
    content: bytes
    graph: Graph
    oracle: Oracle
    remarks: tuple[str, ...] = ()
    front: Graph | None = None
    feed: Feed | None = None
    training: Training | None = None
    row_tensors: Mapping[int, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Facts about the model that a user should know; usually none."""
        return (*self.remarks, *((NOTE,) if self.graph.moved else ()))

    @cached_property
    def module(self) -> IRModule:
        """The graph in Relax, without any schedules; see `to_relax`."""
        return to_relax(self.graph, self.oracle)

    def reference(
        self, inputs: Sequence[np.ndarray], states: Sequence[np.ndarray] | None = None
    ) -> dict[int, np.ndarray]:
        """Compute every tensor with the operators' numpy references.

        Parameters
        ----------
        inputs
            One array for each input, of the input's shape and dtype.
        states
            One array for each state: the value of the state's `after` in the previous run. By
            default the initial values.

        Returns
        -------
        dict[int, np.ndarray]
            Values by TFLite's tensor index, including constants.
        """
        return evaluate(self.graph, inputs, self.oracle, states)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a model file.

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
    signature: str | None = None,
) -> Model:
    """Read and verify a TFLite model.

    Parameters
    ----------
    source
        The path of a .tflite file, or its content.
    name
        Name of generated files and symbols, which is turned into a C identifier. By default the
        name of the file without its suffix. A name that would hide a system header gets a prefix,
        such as ``model_signal``, and a name that is too long is shortened.
    oracle
        The implementation whose results the code reproduces where roundings differ: LiteRT's
        reference kernels, or TensorFlow Lite for Microcontrollers.
    signature
        Name of the signature to compile; the file's first subgraph by default.

    Returns
    -------
    Model
        The verified model.

    Raises
    ------
    ModelFormatError, DynamicShapeError, DynamicRangeModelError, UnsupportedModelError
        If the file cannot be read or compiled; see `tvmtiny.errors`.
    InputError
        If there is no such oracle, or no such signature.
    """
    oracle = _oracle(oracle)
    if isinstance(source, bytes):
        content, path = source, name or "model"
    else:
        content, path = read_file(source), str(source)
    if signature is not None:
        content = with_signature(content, path, signature)
    graph = read_graph(content, path)
    check_sizes(graph, path)
    graph = simplified(graph, oracle)
    verify(graph, path, oracle)
    note = signatures_note(content)
    remarks = () if note is None else (note,)
    return Model(model_name(name or Path(path).stem), content, graph, oracle, remarks)


def _oracle(name: Oracle | str) -> Oracle:
    return parse_choice(Oracle, name, "there is no oracle {}")
