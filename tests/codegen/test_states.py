"""State in the generated code: its place, its changes, and its reset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import HostResult, run_each_on_host, run_main
from tflite_builder import ModelBuilder

import tvmtiny
from tests.tools import on_qemu
from tvmtiny.errors import CapacityError
from tvmtiny.oracle import run_litert_frames

SHAPE = (1, 16)


def _initial(first: int) -> np.ndarray:
    return (np.arange(16) + first).astype(np.int8).reshape(SHAPE)


class Memory:
    """A model with variables; all tensors are int8 of one shape and scale."""

    def __init__(self) -> None:
        self.b = ModelBuilder()
        self.x = self.b.input("x", SHAPE, scale=0.1)

    def variable(self, name: str, first: int | None) -> int:
        initial = np.full(SHAPE, -7, np.int8) if first is None else _initial(first)
        return self.b.variable(name, initial)

    def tensor(self, name: str) -> int:
        return self.b.tensor(name, SHAPE, scale=0.1)

    def read(self, variable: int, name: str) -> int:
        self.b.op("READ_VARIABLE", [variable], [self.tensor(name)], {})
        return len(self.b._tensors) - 1

    def assign(self, variable: int, value: int) -> None:
        self.b.op("ASSIGN_VARIABLE", [variable, value], [], {})

    def add(self, left: int, right: int, name: str) -> int:
        self.b.op("ADD", [left, right], [self.tensor(name)], {})
        return len(self.b._tensors) - 1


def _delay() -> bytes:
    """The output is the input of the previous run."""
    m = Memory()
    last = m.variable("last", None)
    y = m.read(last, "y")
    m.assign(last, m.x)
    return m.b.build([y])


def _swap() -> bytes:
    """Two variables exchange their values, and one of them is an output."""
    m = Memory()
    a, b = m.variable("a", 0), m.variable("b", 50)
    before_a, before_b = m.read(a, "before_a"), m.read(b, "before_b")
    m.assign(a, before_b)
    m.assign(b, before_a)
    return m.b.build([m.add(m.x, before_a, "y"), before_b])


def _in_place() -> bytes:
    """The new state is computed after the last read of the old one."""
    m = Memory()
    a = m.variable("a", 3)
    y = m.add(m.x, m.read(a, "before"), "y")
    m.assign(a, m.add(m.x, m.x, "doubled"))
    return m.b.build([y])


def _read_late() -> bytes:
    """The old state is read after the new one has been computed."""
    m = Memory()
    a = m.variable("a", 3)
    before = m.read(a, "before")
    doubled = m.add(m.x, m.x, "doubled")
    m.assign(a, doubled)
    again = m.read(a, "again")
    return m.b.build([m.add(before, again, "y"), doubled])


def _shared() -> bytes:
    """One value serves two variables and an output."""
    m = Memory()
    a, b = m.variable("a", 0), m.variable("b", 5)
    total = m.add(m.read(a, "before_a"), m.read(b, "before_b"), "total")
    mixed = m.add(total, m.x, "mixed")
    m.assign(a, mixed)
    m.assign(b, mixed)
    return m.b.build([mixed, total])


def _twice() -> bytes:
    """One variable is assigned twice, another never."""
    m = Memory()
    a, constant = m.variable("a", 0), m.variable("constant", 9)
    first = m.add(m.x, m.read(a, "before"), "first")
    m.assign(a, first)
    second = m.add(m.read(a, "between"), m.read(constant, "nine"), "second")
    m.assign(a, second)
    return m.b.build([m.add(first, second, "y")])


MODELS = {build.__name__.strip("_"): build for build in (_delay, _swap, _in_place)}
MODELS |= {build.__name__.strip("_"): build for build in (_read_late, _shared, _twice)}


def _frames(count: int) -> list[Sequence[np.ndarray]]:
    rng = np.random.default_rng(3)
    return [[rng.integers(-40, 40, SHAPE).astype(np.int8)] for _ in range(count)]


_PLACES = ("arena", "external")
_FRAMES = _frames(6)


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[tuple[str, str], Sequence[HostResult]]:
    """The results of all models with inputs and outputs in both places, in one program."""
    runs = {}
    for name, build in MODELS.items():
        for io in _PLACES:
            model = tvmtiny.load(build(), name=f"{name}_{io}")
            artifact = tvmtiny.compile(model, "cortex-m4", io=io)
            runs[name, io] = HostRun(artifact, _FRAMES, successive=True)
    return run_each_on_host(runs, tmp_path_factory.mktemp("states"))


@pytest.mark.parametrize("io", _PLACES)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_frame_after_frame(
    name: str, io: str, results: Mapping[tuple[str, str], Sequence[HostResult]]
) -> None:
    content = MODELS[name]()
    graph = tvmtiny.load(content).graph
    for result, expected in zip(
        results[name, io], run_litert_frames(content, _FRAMES), strict=True
    ):
        for tensor, output in zip(graph.outputs, result.outputs, strict=True):
            np.testing.assert_array_equal(output.data, expected[tensor.index])


def test_a_new_state_is_computed_over_the_old_one_where_that_is_dead() -> None:
    def operators(build: Callable[[], bytes]) -> list[str]:
        artifact = tvmtiny.compile(tvmtiny.load(build(), name="m"), "cortex-m4")
        return [layer.operator for layer in artifact.layers]

    assert operators(_in_place) == ["ADD", "ADD"]
    assert operators(_read_late) == ["ADD", "ASSIGN_VARIABLE", "ADD"]


_RESET = """\
#include "delay.h"

int main(void)
{
  static int8_t x[16], y[16];
  const struct tvmtiny_delay_inputs inputs = { x };
  const struct tvmtiny_delay_outputs outputs = { y };
  for (int32_t i = 0; i < 4; ++i) {
    x[5] = (int8_t)(10 + i);
    if (tvmtiny_delay_run(&inputs, &outputs) != TVMTINY_OK) {
      return 1;
    }
    if (y[5] != (i % 2 == 0 ? -7 : 9 + i)) {
      return 2;
    }
    if (i == 1) {
      tvmtiny_delay_reset();
    }
  }
  return TVMTINY_DELAY_STATE_BYTES == 17u ? 0 : 3;
}
"""


def test_reset(tmp_path: Path) -> None:
    artifact = tvmtiny.compile(tvmtiny.load(_delay(), name="delay"), "cortex-m4")
    assert artifact.state_bytes == 17
    run_main(_RESET, [artifact], tmp_path)


def test_a_model_without_state_has_nothing_to_reset() -> None:
    b = ModelBuilder()
    x, y = b.input("x", SHAPE, scale=0.1), b.tensor("y", SHAPE, scale=0.2)
    b.op("ADD", [x, x], [y], {})
    artifact = tvmtiny.compile(tvmtiny.load(b.build([y]), name="m"), "cortex-m4")
    assert artifact.states == () and artifact.state_bytes == 0
    assert "#define TVMTINY_M_STATE_BYTES 0u" in artifact.files["m.h"]
    assert "reset" not in artifact.files["m.h"] and "_state[" not in artifact.files["m.c"]


def test_state_counts_against_the_board(tmp_path: Path) -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 1, 4), scale=0.1)
    large = b.variable("large", np.zeros((1, 20_000, 4), np.int8))
    before = b.tensor("before", (1, 20_000, 4), scale=0.1)
    y = b.tensor("y", (1, 1, 4), scale=0.1)
    b.op("READ_VARIABLE", [large], [before], {})
    begin, size = (
        b.constant(n, np.array(v, np.int32)) for n, v in (("b", [0, 9, 0]), ("s", [1, 1, 4]))
    )
    b.op("SLICE", [before, begin, size], [b.tensor("part", (1, 1, 4), scale=0.1)], {})
    b.op("ADD", [x, len(b._tensors) - 1], [y], {})
    b.op("ASSIGN_VARIABLE", [large, before], [], {})
    artifact = tvmtiny.compile(tvmtiny.load(b.build([y]), name="m"), "microbit")
    assert artifact.arena_bytes < 100 and artifact.state_bytes == 80_001
    with pytest.raises(CapacityError) as caught:
        tvmtiny.run(artifact, np.zeros((1, 1, 4), np.int8))
    assert caught.value.needed > 80_000


@on_qemu
def test_static_ram_on_a_board() -> None:
    model = tvmtiny.load(_swap(), name="swap")
    artifact = tvmtiny.compile(model, "mps2-an385")
    (inputs,) = _frames(1)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    assert result.static_ram_bytes == artifact.arena_bytes + artifact.state_bytes
