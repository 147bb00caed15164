"""Run cases side by side as one model: numpy reference, C on the host, C on a board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import pytest
from host_main import HostRun
from host_runner import HostResult, run_all_on_host, run_on_host
from litert_check import first_runs
from merge_models import merge_models

import tvmtiny
from tvmtiny.frontend import Model
from tvmtiny.frontend.legacy import with_moved
from tvmtiny.frontend.reader import Graph, read_graph
from tvmtiny.frontend.variables import with_assigned
from tvmtiny.ops import Oracle, Tensor
from tvmtiny.ops.shared.block import without_blocks
from tvmtiny.targets import resolve

InputSet = Sequence[np.ndarray]


class Case(Protocol):
    """An entry of an operator's case table, which builds a model that holds just one layer.

    A method ``limits``, if there is one, returns the smallest and largest value of inputs by name.
    """

    def model(self) -> bytes: ...


class SideBySide:
    """Cases as one model with an input set per kind of data.

    Parameters
    ----------
    name
        Name of the model.
    cases
        Cases by name.
    tolerance
        Allowed error of float32 results, relative to the largest magnitude in the tensor:
        sums of terms that cancel are no more precise. Integers must be equal. Either a number for
        all cases, or a function of a case's name.
    external
        Whether inputs and outputs lie outside of the arena. External tensors need no plan, which
        takes much of the time of compiling many cases; in the arena, a kernel may write over an
        input.
    """

    def __init__(
        self,
        name: str,
        cases: Mapping[str, Case],
        tolerance: float | Callable[[str], float],
        *,
        external: bool = False,
    ) -> None:
        self.name = name
        self.cases = cases
        self._io = "external" if external else "arena"
        self._tolerance = tolerance if callable(tolerance) else lambda _: tolerance
        self._models: dict[Oracle, Model] = {}
        self._artifacts: dict[tuple[str, Oracle], tvmtiny.Artifact] = {}

    @cached_property
    def content(self) -> bytes:
        """The .tflite file of all cases."""
        # Cases may have copies.
        models = {id(case): case for case in self.cases.values()}
        contents = {key: case.model() for key, case in models.items()}
        return merge_models({key: contents[id(case)] for key, case in self.cases.items()})

    @cached_property
    def graph(self) -> Graph:
        """The graph of all cases as the file states it."""
        return read_graph(self.content, self.name)

    def load(self, oracle: Oracle = Oracle.LITERT) -> Model:
        """The model of all cases; equal arguments give the same object."""
        if oracle not in self._models:
            # What the file states is read once for all oracles.
            with patch.object(import_module("tvmtiny.frontend.model"), "read_graph", self._read):
                self._models[oracle] = tvmtiny.load(self.content, name=self.name, oracle=oracle)
        return self._models[oracle]

    def _read(self, content: bytes, path: str) -> Graph:
        return self.graph if content is self.content else read_graph(content, path)

    def compile(self, target: str, oracle: Oracle = Oracle.LITERT) -> tvmtiny.Artifact:
        """The C of all cases; equal arguments give the same object."""
        key = target, oracle
        if key not in self._artifacts:
            with _quick_plans():
                self._artifacts[key] = tvmtiny.compile(self.load(oracle), target, io=self._io)
        return self._artifacts[key]

    @cached_property
    def input_sets(self) -> list[list[np.ndarray]]:
        """Random data mixed with the ends of the range; random data; the ends; their mix."""
        rng = np.random.default_rng(7)
        tensors = self.graph.inputs
        limits = {
            f"{name}/{tensor}": ends
            for name, case in self.cases.items()
            for tensor, ends in getattr(case, "limits", dict)().items()
        }
        return [[input_data(t, kind, rng, limits.get(t.name)) for t in tensors] for kind in _KINDS]

    @cached_property
    def expected(self) -> list[Mapping[int, np.ndarray]]:
        """For each input set, every tensor as LiteRT's reference kernels compute it."""
        runs = first_runs(self.graph, self.content, self.input_sets)
        graph = self.load().graph
        return [with_moved(graph, with_assigned(graph, values)) for values in runs]

    def compare(
        self, model: Model, got: Mapping[int, np.ndarray], expected: Mapping[int, np.ndarray]
    ) -> None:
        """Assert that the results of all nodes in `got` are as expected.

        The message names each case that differs, with its first difference.
        """
        wrong = []
        for tensor in (t for node in model.graph.nodes for t in node.outputs):
            # Only this build has tensors that were made from a part of an operator.
            if tensor.index in got and tensor.index in expected:
                tolerance = self._tolerance(tensor.name.rpartition("/")[0])
                found = difference(got[tensor.index], expected[tensor.index], tolerance)
                if found:
                    wrong.append(f"{tensor.name}: {found}")
        assert not wrong, f"{self.name}: {len(wrong)} cases differ\n" + "\n".join(wrong)

    def check_reference(self) -> None:
        """Compare the numpy reference with LiteRT."""
        model = self.load()
        for inputs, expected in zip(self.input_sets, self.expected, strict=True):
            self.compare(model, without_blocks(model.graph, model.reference(inputs)), expected)

    def check_host(
        self, target: str, directory: Path, results: Sequence[HostResult] | None = None
    ) -> None:
        """Compare C for `target` with LiteRT, on the host under sanitizers.

        Parameters
        ----------
        results
            Results of a program that contained other artifacts as well.
        """
        self._check_host(self.compile(target), self.load(), self.expected, directory, results)

    def check_host_with_rounding_of_tflm(self, target: str, directory: Path) -> bool:
        """Compare C for ``oracle="tflm"`` with the numpy reference of TFLM's arithmetic.

        Returns
        -------
        bool
            False if code and reference are those of LiteRT, which `check_host` runs.
        """
        model, artifact = self.load(Oracle.TFLM), self.compile(target, Oracle.TFLM)
        if artifact.files == self.compile(target).files:
            for inputs, litert in zip(self.input_sets, self.expected, strict=True):
                self.compare(model, without_blocks(model.graph, model.reference(inputs)), litert)
            return False
        self.check_host_of_tflm(target, directory)
        return True

    def check_host_of_tflm(self, target: str, directory: Path) -> None:
        """Compare C for ``oracle="tflm"`` with the numpy reference, without LiteRT."""
        model, artifact = self.load(Oracle.TFLM), self.compile(target, Oracle.TFLM)
        expected = [model.reference(inputs) for inputs in self.input_sets]
        self._check_host(artifact, model, expected, directory)

    def check_package_of_tflm(self) -> None:
        """Compare the numpy reference of TFLM's arithmetic with TFLM itself, input after input."""
        package = pytest.importorskip("tflite_micro", reason="needs the package tflite-micro")
        interpreter = package.runtime.Interpreter.from_bytes(self.content, arena_size=1 << 20)
        model, states = self.load(Oracle.TFLM), None
        for inputs in self.input_sets:
            for position, data in enumerate(inputs):
                interpreter.set_input(data, position)
            interpreter.invoke()
            values = model.reference(inputs, states)
            states = [values[state.after.index] for state in model.graph.states]
            for position, tensor in enumerate(model.graph.outputs):
                found = interpreter.get_output(position)
                np.testing.assert_array_equal(found, values[tensor.index], tensor.name)

    def check_board(self, board: str, code_of: str | None = None) -> tvmtiny.RunResult:
        """Compare C on an emulated board with LiteRT, on the first input set.

        Parameters
        ----------
        code_of
            Another board with the same code.
        """
        artifact = replace(self.compile(code_of or board), target=resolve(board))
        result = tvmtiny.run(artifact, *self.input_sets[0])
        assert result.board == board
        self._compare_run(self.load(), artifact, result, self.expected[0])
        return result

    def _check_host(
        self,
        artifact: tvmtiny.Artifact,
        model: Model,
        expected: Sequence[Mapping[int, np.ndarray]],
        directory: Path,
        results: Sequence[HostResult] | None = None,
    ) -> None:
        results = results or run_on_host(artifact, self.input_sets, directory)
        for result, wanted in zip(results, expected, strict=True):
            self._compare_run(model, artifact, result, wanted)

    def _compare_run(
        self,
        model: Model,
        artifact: tvmtiny.Artifact,
        result: Any,
        expected: Mapping[int, np.ndarray],
    ) -> None:
        layers, wanted = {}, dict(expected)
        for layer, data in zip(artifact.layers, result.layers, strict=True):
            layers[layer.tensor] = data
            if layer.kept_channels is not None:
                wanted[layer.tensor] = expected[layer.tensor][..., list(layer.kept_channels)]
        self.compare(model, without_blocks(model.graph, layers), wanted)
        outputs = {
            tensor.index: output.data
            for tensor, output in zip(model.graph.outputs, result.outputs, strict=True)
        }
        self.compare(model, outputs, expected)


def check_host_together(
    layers: SideBySide, mates: Sequence[SideBySide], target: str, directory: Path
) -> None:
    """Check `layers` on the host in one program with its `mates`, of which it is one.

    Starting compilers takes as long as compiling a few layers.
    """
    results = _together(tuple(mates), target).get(layers)
    layers.check_host(target, directory, results)


@cache
def _together(
    mates: Sequence[SideBySide], target: str
) -> Mapping[SideBySide, Sequence[HostResult]]:
    """What one program gave; nothing if it failed, so that each one runs in its own."""
    with TemporaryDirectory() as folder, suppress(Exception, pytest.fail.Exception):
        runs = [HostRun(each.compile(target), each.input_sets) for each in mates]
        results = run_all_on_host(runs, Path(folder), separately=True)
        return dict(zip(mates, results, strict=True))
    return {}


@contextmanager
def _quick_plans() -> Iterator[None]:
    """Pack an arena greedily, in the way that lets most outputs overwrite inputs.

    Layers side by side are hard to pack, and no test looks at the size of their arena. So each
    layer also keeps its fastest implementation, and none gets another one for a smaller arena. The
    plans are forgotten afterwards, since a test that looks at sizes may request the same ones.
    """
    plan, first_fit = (import_module(f"tvmtiny.memory.{name}") for name in ("plan", "first_fit"))
    with (
        patch.object(import_module("tvmtiny.schedule.shrink"), "_MOST_BUILDS", 0),
        patch.object(plan, "MOST_ALIVE", 0),
        patch.object(first_fit, "_ORDERS", first_fit._ORDERS[1:2]),
    ):
        try:
            yield
        finally:
            plan._plan.cache_clear()


_KINDS = ("mixed", "random", "lowest", "highest", "ends")


def input_data(
    tensor: Tensor, kind: str, rng: np.random.Generator, limits: tuple[float, float] | None
) -> np.ndarray:
    """Data for an input.

    Parameters
    ----------
    kind
        ``random``, the ``lowest`` or the ``highest`` value, a mix of these two, ``ends``, or all
        of that ``mixed``.
    limits
        The smallest and the largest value.
    """
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        low, high = limits or (-4, 4)
        random = rng.uniform(low, high, tensor.shape).astype(dtype)
        ends = np.array(limits or (-10, 10), dtype)
    else:
        whole = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        low, high = (int(limit) for limit in limits or whole)
        random = rng.integers(low, high, tensor.shape, np.int64, endpoint=True).astype(dtype)
        ends = np.array([low, high], dtype)
    # All of it is drawn for every kind, so that the data of one kind depends on no other.
    chosen = np.asarray(ends[rng.integers(0, 2, tensor.shape)], dtype)
    share = rng.random(tensor.shape)
    if kind in ("lowest", "highest"):
        return np.full(tensor.shape, ends[int(kind == "highest")], dtype)
    if kind == "mixed":
        return np.where(share < 0.25, chosen, random)
    return chosen if kind == "ends" else random


def difference(got: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    """The first difference in words; empty if there is none."""
    if (got.shape, got.dtype) != (expected.shape, expected.dtype):
        return f"{got.dtype} {got.shape} instead of {expected.dtype} {expected.shape}"
    if got.tobytes() == expected.tobytes():
        return ""
    if got.dtype.kind == "f":
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        equal = np.isclose(got, expected, 0.0, tolerance * largest, equal_nan=True)
    else:
        equal = got == expected
    if np.all(equal):
        return ""
    where = tuple(int(i) for i in np.argwhere(~np.atleast_1d(equal))[0])
    first = f"{np.atleast_1d(got)[where]} instead of {np.atleast_1d(expected)[where]}"
    return f"{np.size(equal) - np.count_nonzero(equal)} of {np.size(equal)}, {where}: {first}"
