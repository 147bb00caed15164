"""Runs all cases of an operator side by side: numpy reference, C on the host, C on a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from host_runner import run_on_host
from merge_models import merge_models

import tvmtiny
from tvmtiny.frontend import Model
from tvmtiny.frontend.reader import read_graph
from tvmtiny.ops import Oracle, Tensor
from tvmtiny.oracle import run_litert

InputSet = Sequence[np.ndarray]


class Case(Protocol):
    """An entry of an operator's case table: it builds a model that holds just one layer."""

    def model(self) -> bytes: ...


@dataclass(frozen=True, eq=False)
class Run:
    """What one way of running a model gave, by TFLite's tensor index."""

    tensors: Mapping[int, np.ndarray]


class SideBySide:
    """The cases of an operator as one model with an input set per kind of data.

    Parameters
    ----------
    name
        Of the model.
    cases
        By name.
    tolerance
        Allowed error of float32 results, relative to the largest magnitude in the tensor:
        sums of terms that cancel are no more precise. Integers must be equal.
    """

    def __init__(self, name: str, cases: Mapping[str, Case], tolerance: float) -> None:
        self.name = name
        self.cases = cases
        self.tolerance = tolerance
        self.content = merge_models({key: case.model() for key, case in cases.items()})

    def load(self, oracle: Oracle = Oracle.LITERT) -> Model:
        """The model of all cases."""
        return tvmtiny.load(self.content, name=self.name, oracle=oracle)

    def input_sets(self) -> list[list[np.ndarray]]:
        """Random data mixed with the ends of the range; random data; the ends; their mix."""
        rng = np.random.default_rng(7)
        tensors = read_graph(self.content, self.name).inputs
        return [[_data(tensor, kind, rng) for tensor in tensors] for kind in _KINDS]

    def expected(self, inputs: InputSet) -> Mapping[int, np.ndarray]:
        """Every tensor as LiteRT's reference kernels compute it."""
        return run_litert(self.content, inputs)

    def compare(
        self, model: Model, got: Mapping[int, np.ndarray], expected: Mapping[int, np.ndarray]
    ) -> None:
        """Assert that the results of all nodes that `got` has are as expected.

        The message names each case that differs, with its first difference.
        """
        wrong = []
        for node in model.graph.nodes:
            for output in node.outputs:
                if output.index in got:
                    pair = got[output.index], expected[output.index]
                    difference = _difference(*pair, self.tolerance)
                    if difference:
                        wrong.append(f"{output.name}: {difference}")
        assert not wrong, f"{self.name}: {len(wrong)} cases differ\n" + "\n".join(wrong)

    def check_reference(self) -> None:
        """Compare the numpy reference with LiteRT."""
        model = self.load()
        for inputs in self.input_sets():
            self.compare(model, model.reference(inputs), self.expected(inputs))

    def check_host(self, cpu: str, directory: Path, compiler: str = "gcc") -> None:
        """Compare C for `cpu` with LiteRT, on the host under sanitizers."""
        model = self.load()
        artifact = tvmtiny.compile(model, cpu)
        sets = self.input_sets()
        for inputs, result in zip(
            sets, run_on_host(artifact, sets, directory, compiler), strict=True
        ):
            self._compare_run(model, artifact, result, self.expected(inputs))

    def check_host_with_rounding_of_tflm(self, cpu: str, directory: Path) -> bool:
        """Compare C for ``oracle="tflm"`` with the numpy reference of TFLM's arithmetic.

        Returns
        -------
        bool
            False where code and reference are those of LiteRT, which `check_host` runs.
        """
        model, sets = self.load(Oracle.TFLM), self.input_sets()
        artifact = tvmtiny.compile(model, cpu)
        if artifact.files == tvmtiny.compile(self.load(), cpu).files:
            for inputs in sets:
                self.compare(model, model.reference(inputs), self.expected(inputs))
            return False
        for inputs, result in zip(sets, run_on_host(artifact, sets, directory), strict=True):
            self._compare_run(model, artifact, result, model.reference(inputs))
        return True

    def check_board(self, board: str) -> None:
        """Compare C on an emulated board with LiteRT, on the first input set."""
        model = self.load()
        artifact = tvmtiny.compile(model, board)
        inputs = self.input_sets()[0]
        result = tvmtiny.run(artifact, *inputs)
        self._compare_run(model, artifact, result, self.expected(inputs))

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
        self.compare(model, layers, wanted)
        outputs = {
            tensor.index: output.data
            for tensor, output in zip(model.graph.outputs, result.outputs, strict=True)
        }
        self.compare(model, outputs, expected)


@cache
def operator_cases(operator: str) -> SideBySide:
    """The case table of an operator, from its test module.

    The module has the table in ``CASES``, and the error allowed to float32 results, if there
    are any, in ``FLOAT_TOLERANCE``.
    """
    module = import_module(f"tests.ops.test_{operator.lower()}")
    return SideBySide(operator.lower(), module.CASES, getattr(module, "FLOAT_TOLERANCE", 0.0))


def small_cases(operator: str, limit: int) -> SideBySide:
    """The cases of an operator whose tensors, constants included, have at most `limit` bytes."""
    whole = operator_cases(operator)

    def size(case: Case) -> int:
        return sum(t.nbytes for t in read_graph(case.model(), "case").tensors)

    small = {name: case for name, case in whole.cases.items() if size(case) <= limit}
    return SideBySide(whole.name, small, whole.tolerance)


_KINDS = ("mixed", "random", "lowest", "highest", "ends")


def _data(tensor: Tensor, kind: str, rng: np.random.Generator) -> np.ndarray:
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        random = rng.uniform(-4, 4, tensor.shape).astype(dtype)
        ends = np.array([-10, 10], dtype)
    else:
        limits = np.iinfo(dtype)
        random = rng.integers(limits.min, limits.max, tensor.shape, dtype, endpoint=True)
        ends = np.array([limits.min, limits.max], dtype)
    chosen = np.asarray(rng.choice(ends, tensor.shape), dtype)
    return {
        "random": random,
        "lowest": np.full(tensor.shape, ends[0], dtype),
        "highest": np.full(tensor.shape, ends[1], dtype),
        "ends": chosen,
        "mixed": np.where(rng.random(tensor.shape) < 0.25, chosen, random),
    }[kind]


def _difference(got: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    """The first difference in words; empty where there is none."""
    if (got.shape, got.dtype) != (expected.shape, expected.dtype):
        return f"{got.dtype} {got.shape} instead of {expected.dtype} {expected.shape}"
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
