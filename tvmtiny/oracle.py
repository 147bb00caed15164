"""The oracle: LiteRT's reference kernels, whose bytes generated code is compared with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tvmtiny.errors import InputDataError, OracleRefusalError
from tvmtiny.errors.base import one_line
from tvmtiny.frontend.constants import LEAST_SCALE
from tvmtiny.frontend.flatbuffer import tensor_count, unpack_model
from tvmtiny.frontend.legacy import with_moved
from tvmtiny.frontend.variables import with_assigned
from tvmtiny.frontend.writer import packed
from tvmtiny.host import litert
from tvmtiny.host.imports import importing
from tvmtiny.host.litert import make_interpreter, reference_interpreter
from tvmtiny.litert_operators import OneOperator, one_by_one
from tvmtiny.ops import Node, Oracle, find_operator
from tvmtiny.ops.shared.evaluate import evaluate

if TYPE_CHECKING:
    from tvmtiny.frontend import Model
    from tvmtiny.ops.shared.graph import Graph

__all__ = [
    "known_to_litert",
    "oracle_tensors",
    "refusal",
    "run_litert",
    "run_litert_frames",
    "run_litert_outputs",
    "silenced",
]

#: Timeout for LiteRT's check of a model, which normally takes less than a second.
_MOST_SECONDS = 60

#: Python interpreter that runs the check.
_PYTHON = sys.executable

#: No nodes.
_NONE: Mapping[int, Node] = MappingProxyType({})

_silence_lock = threading.Lock()


def oracle_tensors(
    model: Model, inputs: Sequence[np.ndarray]
) -> tuple[str, Mapping[int, np.ndarray]]:
    """Compute every tensor of a model with its oracle.

    Parameters
    ----------
    model
        The model, which also names its oracle.
    inputs
        One array for each input, of its shape and dtype.

    Returns
    -------
    tuple of str and Mapping
        Name of the oracle, and values by TFLite's tensor index.
    """
    if model.front is None and not known_to_litert(model.graph):
        return "numpy", model.reference(inputs)
    if model.oracle is Oracle.LITERT:
        before: dict[int, np.ndarray] = {}
        if model.front is not None:
            # LiteRT has no kernels for front ends.
            before = evaluate(model.front, inputs, model.oracle)
            inputs = [before[tensor.index] for tensor in model.front.outputs]
        graph, others = model.graph, _of_tflm(model.graph)
        if others and not _can_run_alone(model, others):
            return "numpy", model.reference(inputs)
        values = before | run_litert(_with_scales(model), inputs, path=model.name, others=others)
        for rows, whole in model.row_tensors.items():
            values[rows] = values[whole][:, -graph.tensors[rows].shape[1] :]
        name = "litert-reference and numpy" if others else "litert-reference"
        return name, with_moved(graph, with_assigned(graph, values))
    return "numpy-tflm", model.reference(inputs)


def _can_run_alone(model: Model, others: Mapping[int, Node]) -> bool:
    """Whether LiteRT can run the operators one by one, with references for `others` in between."""
    states = {state.before.index for state in model.graph.states}
    keep = any(t.index in states for node in others.values() for t in node.inputs if t)
    return not keep and not model.graph.moved and one_by_one(model.content) is not None


def _with_scales(model: Model) -> bytes:
    """Return the file with positive scales of zeros, as LiteRT aborts on some that are 0."""
    zeros = {t.index for t in model.graph.tensors if t.quantization and t.scale == LEAST_SCALE}
    if not zeros:
        return model.content
    whole = unpack_model(model.content)
    for index, tensor in enumerate(whole.subgraphs[0].tensors):
        if index in zeros:
            tensor.quantization.scale = [LEAST_SCALE]
    return packed(whole)


def _of_tflm(graph: Graph) -> dict[int, Node]:
    """Return TFLite's nodes that LiteRT has no kernel for, by their position in the file."""
    nodes = [(find_operator(node.operator), node) for node in graph.nodes]
    return {
        node.index: node
        for found, node in nodes
        if found is not None and found.in_litert and not found.known_to_litert(node)
    }


def known_to_litert(graph: Graph) -> bool:
    """Whether LiteRT knows all operators; tvmtiny's own have a numpy reference as oracle."""
    found = (find_operator(node.operator) for node in graph.nodes)
    return all(operator is None or operator.in_litert for operator in found)


def refusal(model: bytes) -> str | None:
    """Return the reason why LiteRT rejects a model, without running it.

    LiteRT trusts files, and a damaged one can crash it, so it runs in a separate process.

    Parameters
    ----------
    model
        A .tflite file.

    Returns
    -------
    str or None
        LiteRT's message on one line; None if it accepts the model or is not installed.
    """
    done = subprocess.run(
        [_PYTHON, litert.__file__],
        input=model,
        capture_output=True,
        timeout=_MOST_SECONDS,
        check=False,
    )
    if done.returncode < 0:
        return f"it crashes ({signal.Signals(-done.returncode).name})"
    return one_line(done.stdout.decode("utf-8", "replace")) or None


def run_litert(
    model: bytes,
    inputs: Sequence[np.ndarray],
    *,
    path: str = "the model",
    others: Mapping[int, Node] = _NONE,
) -> dict[int, np.ndarray]:
    """Run a model once with LiteRT's reference kernels, keeping every intermediate tensor.

    Parameters
    ----------
    model
        A .tflite file.
    inputs
        One array for each input of subgraph 0, in order, with the input's shape and dtype.
    path
        Name of the model in messages.
    others
        Nodes without a kernel in LiteRT, by their position in the file; their numpy references are
        used instead. The operators of such a file must be runnable one by one.

    Returns
    -------
    dict[int, np.ndarray]
        Copies of all tensors of subgraph 0 that have a value after the run, including constants and
        inputs, by TFLite's tensor index.

    Raises
    ------
    ToolMissingError
        ``ai-edge-litert`` is not installed or does not work.
    OracleRefusalError
        LiteRT cannot read or prepare the model, or run it on these inputs.
    InputDataError
        The number of inputs, or the shape or dtype of one, does not match the model.
    """
    (values,) = run_litert_frames(model, [inputs], path=path, others=others)
    return values


def run_litert_frames(
    model: bytes,
    frames: Sequence[Sequence[np.ndarray]],
    *,
    path: str = "the model",
    others: Mapping[int, Node] = _NONE,
) -> list[dict[int, np.ndarray]]:
    """Run a model on a sequence of frames; its state carries over from one frame to the next.

    Parameters
    ----------
    model, path
        See `run_litert`.
    frames
        The inputs of each run; see `run_litert`, also for return values and errors.

    Returns
    -------
    list of dict[int, numpy.ndarray]
        The result of `run_litert` for each frame.
    """
    with silenced():
        interpreter_module = _import_litert()
        with _refusals(path, "prepare"):
            interpreter = reference_interpreter(interpreter_module, bytes(model))
            whole = interpreter is not None and not others
            operators = None if whole else one_by_one(bytes(model))
            interpreter = interpreter or make_interpreter(interpreter_module, bytes(model))
            if operators is None:
                # Operators append scratch tensors behind the model's own.
                details = interpreter.get_tensor_details()[: tensor_count(bytes(model))]
                # Reading a handle of a variable as a tensor would follow a wild pointer.
                numbers = [d["index"] for d in details if np.dtype(d["dtype"]).kind in "biuf"]
            if not others:
                interpreter.allocate_tensors()
        with _refusals(path, "run"):
            details = interpreter.get_input_details()
            if operators is None:
                return [_invoke(interpreter, details, inputs, numbers) for inputs in frames]
            parts = [
                _Alone(operator, interpreter_module) if i not in others else others[i]
                for i, operator in enumerate(operators)
            ]
            return [_invoke_each(parts, details, f) for f in frames]


class _Alone:
    """An operator in an interpreter of its own, with its reference kernel if there is one."""

    def __init__(self, operator: OneOperator, module: Any) -> None:
        self.operator = operator
        self._interpreter = make_interpreter(module, operator.content)
        self._shapes: list[tuple[int, ...]] | None = None
        self._details: Sequence[dict[str, Any]] = ()

    def run(self, values: dict[int, np.ndarray]) -> None:
        """Add the operator's tensors to those of the model."""
        sources = [values[i] for i in self.operator.inputs]
        shapes = [source.shape for source in sources]
        if shapes != self._shapes:
            # A file's shapes are wrong where they are open, and follow from those of its inputs.
            for detail, shape in zip(self._interpreter.get_input_details(), shapes, strict=True):
                if tuple(detail["shape"]) != shape:
                    self._interpreter.resize_tensor_input(detail["index"], shape)
            self._interpreter.allocate_tensors()
            self._shapes, self._details = shapes, self._interpreter.get_input_details()
        tensors = range(len(self.operator.tensors))
        own = _invoke(self._interpreter, self._details, sources, tensors)
        values.update({self.operator.tensors[i]: value for i, value in own.items()})


def _invoke_each(
    parts: Sequence[_Alone | Node],
    details: Sequence[dict[str, Any]],
    inputs: Sequence[np.ndarray],
) -> dict[int, np.ndarray]:
    """Run operators one by one with LiteRT, and nodes with their numpy references."""
    _check_inputs(details, inputs)
    values = {d["index"]: np.array(x) for d, x in zip(details, inputs, strict=True)}
    for part in parts:
        if isinstance(part, _Alone):
            part.run(values)
            continue
        operator = find_operator(part.operator)
        assert operator is not None
        present = [values[t.index] if t.data is None else t.data for t in part.inputs if t]
        results = operator.reference(part, present, Oracle.LITERT)
        values.update(zip((t.index for t in part.outputs), results, strict=True))
    return values


def run_litert_outputs(
    model: bytes, frames: Iterable[Sequence[np.ndarray]], *, path: str = "the model"
) -> Iterator[list[np.ndarray]]:
    """Yield the outputs of a model for each frame, without intermediate tensors.

    Parameters
    ----------
    model, path
        See `run_litert`.
    frames
        The inputs of each run; see `run_litert`, also for errors.

    Yields
    ------
    list of numpy.ndarray
        One array for each output of the model.
    """
    with silenced():
        interpreter_module = _import_litert()
        with _refusals(path, "prepare"):
            interpreter = make_interpreter(interpreter_module, bytes(model))
            interpreter.allocate_tensors()
        details = interpreter.get_input_details()
        indices = [detail["index"] for detail in interpreter.get_output_details()]
    for inputs in frames:
        with silenced():
            with _refusals(path, "run"):
                _run(interpreter, details, inputs)
            outputs = [np.array(interpreter.get_tensor(index)) for index in indices]
        yield outputs


@contextmanager
def _refusals(model: str, step: Literal["prepare", "run"]) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise OracleRefusalError(model, str(error), step) from error


def _run(interpreter: Any, details: Sequence[dict[str, Any]], inputs: Sequence[np.ndarray]) -> None:
    _check_inputs(details, inputs)
    for detail, value in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()


def _invoke(
    interpreter: Any,
    details: Sequence[dict[str, Any]],
    inputs: Sequence[np.ndarray],
    tensors: Sequence[int],
) -> dict[int, np.ndarray]:
    _run(interpreter, details, inputs)
    values = {}
    for index in tensors:
        # LiteRT raises this for a tensor that was never allocated.
        with suppress(ValueError):
            values[index] = np.array(interpreter.get_tensor(index))
    return values


def _import_litert() -> Any:
    with importing("ai-edge-litert", "ai-edge-litert", "to run LiteRT's reference kernels"):
        from ai_edge_litert import interpreter
    return interpreter


def _check_inputs(details: Sequence[dict[str, Any]], inputs: Sequence[np.ndarray]) -> None:
    if len(details) != len(inputs):
        names = ", ".join(str(detail["name"]) for detail in details)
        raise InputDataError(
            names, "wrong number of inputs", f"{len(details)} arrays", f"{len(inputs)}"
        )
    for detail, value in zip(details, inputs, strict=True):
        shape, dtype = tuple(int(d) for d in detail["shape"]), np.dtype(detail["dtype"])
        if value.shape != shape or value.dtype != dtype:
            raise InputDataError(
                str(detail["name"]),
                "wrong shape or dtype",
                f"{dtype.name} {shape}",
                f"{value.dtype.name} {value.shape}",
            )


@contextmanager
def silenced() -> Iterator[None]:
    """Discard output of native code on the process's stdout and stderr.

    LiteRT logs from C++, bypassing ``sys.stderr``, so the file descriptors are redirected.
    """
    with _silence_lock:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):
                stream.flush()
        saved = []
        try:
            sink = os.open(os.devnull, os.O_WRONLY)
            try:
                for descriptor in (1, 2):
                    # A process without a standard stream has nothing to silence.
                    with suppress(OSError):
                        saved.append((descriptor, os.dup(descriptor)))
                        os.dup2(sink, descriptor)
            finally:
                os.close(sink)
            yield
        finally:
            for descriptor, copy in saved:
                os.dup2(copy, descriptor)
                os.close(copy)
