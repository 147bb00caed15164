"""Placement: external inputs and outputs, concatenation in place, order of layers, regions."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from host_main import HostRun
from host_runner import (
    WARNINGS,
    HostResult,
    compiler_or_skip,
    run_all_on_host,
    run_command,
    write_files,
)
from random_networks import random_network
from small_networks import Network

import tvmtiny
from tests.codegen.host_programs import add_model
from tests.codegen.shadow_memory import run_with_shadow
from tvmtiny import models
from tvmtiny.errors import InputError, RamBudgetError
from tvmtiny.results import RunResult

Compiled = tuple[tvmtiny.Model, tvmtiny.Artifact]


def _inside(model: tvmtiny.Model) -> Compiled:
    return model, tvmtiny.compile(model, "cortex-m4")


def _external(model: tvmtiny.Model) -> Compiled:
    return model, tvmtiny.compile(model, "cortex-m4", io="external")


def _concatenation(axis: int = 1, twice: bool = False) -> Compiled:
    network = Network(3)
    x = network.input(1, 4, 4, 4)
    parts = [network.logistic(network.conv(x, 4)) for _ in range(2)]
    y = network.concatenate(*(parts[:1] * 2 if twice else parts), axis=axis)
    name = f"concatenation{axis}{twice:d}"
    return _inside(tvmtiny.load(network.build(network.conv(y, 3)), name=name))


def _random(count: int) -> list[Compiled]:
    seeds = random.Random(2).sample(range(10_000), count)
    return [_external(tvmtiny.load(random_network(s), name=f"random{s}")) for s in seeds]


def _copies() -> list[Compiled]:
    network = Network(1)
    x = network.input(1, 2, 2, 4)
    same = network.reshape(x, 1, 16)
    y = network.logistic(x)
    contents = {
        "same": network.build(y, x, same, y),
        "constant": add_model(constant=True, outputs=("b", "y")),
    }
    return [_external(tvmtiny.load(made, name=name)) for name, made in contents.items()]


def _branches() -> Compiled:
    """Two branches whose wide tensors come first in the file."""
    network = Network(2)
    x = network.input(1, 8, 8, 2)
    wide = [network.conv(x, 32) for _ in range(2)]
    narrow = [network.conv(w, 2) for w in wide]
    return _inside(tvmtiny.load(network.build(network.binary("ADD", *narrow)), name="branches"))


@cache
def _compiled(kind: str) -> list[Compiled]:
    return _KINDS[kind]()


#: Models by what is special about them.
_KINDS: dict[str, Callable[[], list[Compiled]]] = {
    "parts in place": lambda: [_concatenation()],
    "parts that are copied": lambda: [_concatenation(3), _concatenation(1, twice=True)],
    "shipped": lambda: [_external(tvmtiny.load(models.path(name))) for name in models.names()],
    "random": lambda: _random(12),
    "copies": _copies,
    "branches": lambda: [_branches()],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[HostRun, HostResult]]:
    """The run and the result of each model by name, all of which are in one program."""
    artifacts = [artifact for kind in _KINDS for _, artifact in _compiled(kind)]
    runs = {a.name: HostRun(a, [tvmtiny.make_inputs("random:5", a.inputs)]) for a in artifacts}
    folder = tmp_path_factory.mktemp("arranged")
    found = run_all_on_host([*runs.values()], folder)
    # As users build models, each file by itself.
    for _, artifact in (*_compiled("parts in place"), *_compiled("branches")):
        sources = write_files(artifact, folder)
        run_command([compiler_or_skip("gcc"), *WARNINGS, "-fsyntax-only", *sources], folder)
    return {name: (runs[name], result) for name, (result,) in zip(runs, found, strict=True)}


@pytest.mark.parametrize("kind", _KINDS)
def test_exact(kind: str, results: dict[str, tuple[HostRun, HostResult]]) -> None:
    for model, artifact in _compiled(kind):
        run, result = results[model.name]
        like: RunResult = result  # type: ignore[assignment]
        compared = tvmtiny.check(model, artifact, like, run.input_sets[0])
        assert compared.exact, f"{model.name}: {compared.first_mismatch}"


def test_parts_of_a_concatenation_are_produced_in_place(tmp_path: Path) -> None:
    ((model, artifact),) = _compiled("parts in place")
    (layer,) = [la for la in artifact.layers if la.operator == "CONCATENATION"]
    assert (layer.schedule, layer.kernel) == ("in place", "")
    offsets = [artifact.plan.offsets[name] for name in layer.reads]
    assert [o - artifact.plan.offsets[layer.writes] for o in offsets] == [0, 64]
    # A layer without a call needs no kernel.
    assert "_concatenation(" not in artifact.files[f"{model.name}_kernels.c"]
    run_with_shadow(artifact, tvmtiny.make_inputs("ramp", artifact.inputs), tmp_path)


def test_other_concatenations_are_copies() -> None:
    for _, artifact in _compiled("parts that are copied"):
        assert not artifact.problem.insides


def test_external_inputs_and_outputs() -> None:
    for model, artifact in _compiled("shipped"):
        inside = tvmtiny.compile(model, "cortex-m4")
        assert artifact.external and artifact.arena_bytes <= inside.arena_bytes
        assert all(t.offset is None for t in (*artifact.inputs, *artifact.outputs))
        header = artifact.files[f"{model.name}.h"]
        assert "_bind" not in header and "_OFFSET" not in header


def test_external_outputs_that_are_copies_of_an_input_need_no_arena() -> None:
    assert _compiled("copies")[0][1].arena_bytes == 0


def test_the_order_of_execution_lowers_the_peak() -> None:
    ((_, artifact),) = _compiled("branches")
    wide = 8 * 8 * 32
    assert artifact.arena_bytes < 2 * wide
    order = [layer.tensor for layer in artifact.layers]
    assert order != sorted(order)
    assert [layer.index for layer in artifact.layers] == list(range(5))


def test_budget() -> None:
    model = tvmtiny.load(models.path("digits"))
    smallest = tvmtiny.compile(model, "cortex-m4", ram_budget=1 << 20)
    with pytest.raises(RamBudgetError) as caught:
        tvmtiny.compile(model, "cortex-m4", ram_budget=100)
    error = caught.value
    assert 100 < error.needed <= smallest.arena_bytes
    assert error.exit_code == 3
    assert f"{error.needed:,} bytes" in str(error)
    assert error.tensors and all(name in str(error) for name, _ in error.tensors)
    assert tvmtiny.compile(model, "cortex-m4", ram_budget=error.needed).arena_bytes == error.needed


def test_places() -> None:
    model = tvmtiny.load(models.path("sine"))
    plain = tvmtiny.compile(model, "mps2-an386").files
    same = tvmtiny.compile(model, "mps2-an386", place={"arena": "ram", "weights": "flash"})
    assert same.files == plain
    weights = tvmtiny.compile(model, "mps2-an386", place={"weights": "ram"})
    assert '__attribute__((section(".data.tvmtiny_constants")))' in weights.files["sine.c"]
    assert weights.placement.weights_in_ram


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"arena": "dtcm"}, r"no region 'dtcm'.*flash \(flash\), ram \(ram\); allowed here: ram$"),
        ({"arena": "flash"}, "allowed here: ram$"),
        ({"code": "flash"}, "'code' cannot be placed; known: arena, weights"),
    ],
)
def test_unknown_places(place: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        tvmtiny.compile(tvmtiny.load(models.path("sine")), "mps2-an386", place=place)


def test_a_cpu_has_no_regions() -> None:
    with pytest.raises(InputError, match="only boards have memory regions"):
        tvmtiny.compile(tvmtiny.load(models.path("sine")), "cortex-m4", place={"arena": "ram"})


def test_io_has_two_values() -> None:
    with pytest.raises(InputError, match="'flash'; known: arena, external"):
        tvmtiny.compile(tvmtiny.load(models.path("sine")), "cortex-m4", io="flash")


def test_the_same_plan_every_time() -> None:
    model = tvmtiny.load(models.path("digits"))
    plans = [tvmtiny.compile(model, "cortex-m4").plan for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0].optimal
    assert isinstance(next(iter(plans[0].offsets.values())), int | np.integer)
