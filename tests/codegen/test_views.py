"""Outputs that are part of an input: no copies, right addresses, nothing overwritten early."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from host_main import HostRun
from host_runner import HostResult, run_all_on_host
from tflite_builder import ModelBuilder

import tvmtiny
from tvmtiny.oracle import run_litert

_SCALED: dict[str, Any] = {"scale": 0.1, "zero_point": 3}


class _Net:
    """Layers of int8 tensors with equal quantization."""

    def __init__(self) -> None:
        self.b = ModelBuilder()
        self.shapes: dict[int, tuple[int, ...]] = {}

    def input(self, *shape: int) -> int:
        return self._keep(self.b.input(f"x{len(self.shapes)}", shape, **_SCALED), shape)

    def split(self, x: int, count: int, axis: int = 0) -> list[int]:
        shape = list(self.shapes[x])
        shape[axis] //= count
        outputs = [self._tensor(*shape) for _ in range(count)]
        number = self.b.constant(f"axis{x}", np.array(axis, np.int32))
        self.b.op("SPLIT", [number, x], outputs, {"num_splits": count}, 2)
        return outputs

    def unpack(self, x: int) -> list[int]:
        count, *shape = self.shapes[x]
        outputs = [self._tensor(*shape) for _ in range(count)]
        self.b.op("UNPACK", [x], outputs, {"num": count, "axis": 0}, 2)
        return outputs

    def pack(self, *parts: int) -> int:
        y = self._tensor(len(parts), *self.shapes[parts[0]])
        self.b.op("PACK", parts, [y], {"values_count": len(parts), "axis": 0}, 2)
        return y

    def reshape(self, x: int, *shape: int) -> int:
        y = self._tensor(*shape)
        self.b.op("RESHAPE", [x], [y], {"new_shape": list(shape)})
        return y

    def add(self, x: int, y: int) -> int:
        z = self._tensor(*self.shapes[x])
        self.b.op("ADD", [x, y], [z], {"fused_activation_function": "NONE"}, 2)
        return z

    def _tensor(self, *shape: int) -> int:
        return self._keep(self.b.tensor(f"t{len(self.shapes)}", shape, **_SCALED), shape)

    def _keep(self, index: int, shape: tuple[int, ...]) -> int:
        self.shapes[index] = shape
        return index


def _halves() -> bytes:
    net = _Net()
    y = net.add(*net.split(net.input(4, 8), 2))
    return net.b.build([y])


def _views() -> bytes:
    net = _Net()
    x = net.add(a := net.input(4, 2, 4), a)
    first, _, third, _ = net.unpack(x)
    top, bottom = net.split(net.reshape(third, 2, 4), 2)
    z = net.add(top, bottom)
    return net.b.build([net.add(net.reshape(first, 2, 4), third), z])


def _outputs(size: int) -> bytes:
    """Views of an input, and of a result that another layer reads as well."""
    net = _Net()
    x = net.input(2, size)
    y = net.add(x, x)
    parts = [*net.split(x, 2), *net.split(y, 2)]
    return net.b.build([*parts, net.add(y, x)])


def _channels() -> bytes:
    net = _Net()
    left, right = net.split(net.input(1, 3, 24), 2, axis=2)
    return net.b.build([net.add(left, right)])


def _packed() -> bytes:
    net = _Net()
    x, y = net.input(2, 8), net.input(2, 8)
    packed = net.pack(net.add(x, y), net.add(y, y))
    return net.b.build([net.add(packed, packed)])


def _copied() -> bytes:
    net = _Net()
    x = net.add(a := net.input(2, 8), a)
    first, second = net.unpack(x)
    return net.b.build([net.pack(second, first)])


#: Models whose C runs in one program, and how each is made.
_MODELS: dict[str, Callable[[], bytes]] = {
    "halves": _halves,
    "views": _views,
    "outputs8": partial(_outputs, 8),
    "outputs6": partial(_outputs, 6),
    "channels": _channels,
    "packed": _packed,
    "copied": _copied,
}
_Ran = dict[tuple[str, str], tuple[tvmtiny.Model, HostRun, HostResult]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> _Ran:
    """Each of `_MODELS` with inputs and outputs inside and outside the arena, and its results."""
    models, runs = {}, {}
    for name, made in _MODELS.items():
        content = made()
        for io in ("external", "arena"):
            key = name, io
            models[key] = tvmtiny.load(content, name=f"{name}_{io}")
            inputs = tvmtiny.make_inputs("random:5", models[key].graph.inputs)
            runs[key] = HostRun(tvmtiny.compile(models[key], "cortex-m4", io=io), [inputs])
    results = run_all_on_host([*runs.values()], tmp_path_factory.mktemp("views"))
    found = zip(runs.items(), results, strict=True)
    return {key: (models[key], run, result) for (key, run), (result,) in found}


def _assert_right(ran: _Ran, name: str) -> tvmtiny.Artifact:
    """Compare C with LiteRT, with inputs and outputs inside and outside the arena."""
    for io in ("external", "arena"):
        model, run, result = ran[name, io]
        expected = run_litert(_MODELS[name](), run.input_sets[0])
        for tensor, output in zip(model.graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, expected[tensor.index])
        for layer, data in zip(run.artifact.layers, result.layers, strict=True):
            np.testing.assert_array_equal(data, expected[layer.tensor])
    return run.artifact


def test_halves_are_added_without_a_copy(ran: _Ran) -> None:
    artifact = _assert_right(ran, "halves")
    assert [layer.operator for layer in artifact.layers] == ["ADD"]


def test_views_of_views(ran: _Ran) -> None:
    artifact = _assert_right(ran, "views")
    assert [layer.operator for layer in artifact.layers] == ["ADD"] * 3


@pytest.mark.parametrize("size", [8, 6])
def test_views_as_outputs(size: int, ran: _Ran) -> None:
    _assert_right(ran, f"outputs{size}")


def test_split_along_channels_is_one_layer_for_each_part(ran: _Ran) -> None:
    artifact = _assert_right(ran, "channels")
    assert [layer.operator for layer in artifact.layers] == ["SPLIT", "SPLIT", "ADD"]
    assert len({layer.name for layer in artifact.layers}) == 3


def test_parts_are_produced_where_they_are_packed(ran: _Ran) -> None:
    artifact = _assert_right(ran, "packed")
    schedules = {layer.operator: layer.schedule for layer in artifact.layers}
    assert schedules["PACK"] == "in place"


def test_a_part_is_packed_by_a_copy(ran: _Ran) -> None:
    artifact = _assert_right(ran, "copied")
    assert artifact.layers[-1].schedule == "copies of words"
