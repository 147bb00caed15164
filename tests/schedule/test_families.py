"""Kernel families: the registry, and a made-up family that is added by registering it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from layer_cases import Layer, Operand

import tvmtiny
from tests.ops.three_ways import SideBySide
from tvmtiny.compiler import optimized_nodes
from tvmtiny.ops import Node, Oracle
from tvmtiny.resources import shipped
from tvmtiny.schedule import Decision, Decisions, Goal, Implementation, Sketch, nest, space
from tvmtiny.schedule.families.interface import KernelFamily
from tvmtiny.schedule.families.registry import families, family_of, register, unregister
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.records import Record, Records, Status, shipped_records
from tvmtiny.targets import Cpu, cpus, resolve

_HEADER = """\
#ifndef MADE_UP_H
#define MADE_UP_H
#include "tvmtiny.h"

static inline void TVMTINY_UNUSED made_up_maximum(const int8_t *x, const int8_t *y, int8_t *stage,
                                                  int8_t *out, int32_t count, int32_t size)
{
  for (int32_t start = 0; start < count; start += size) {
    for (int32_t i = 0; i < size; ++i)
      stage[i] = x[start + i] > y[start + i] ? x[start + i] : y[start + i];
    for (int32_t i = 0; i < size; ++i)
      out[start + i] = stage[i];
  }
}

#endif
"""


class MadeUp(KernelFamily):
    """MAXIMUM in int8, part by part through a workspace, on cores with Thumb-2."""

    name = "made_up"
    features = frozenset({"thumb2"})
    priority = 50
    sketch_names = frozenset({"staged"})

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def header_folder(self) -> Path:
        return self._folder

    def sketches(self, node: Node, cpu: Cpu, oracle: Oracle) -> tuple[Sketch, ...]:
        if node.operator != "MAXIMUM" or node.output.dtype != "int8":
            return ()
        return (Sketch("staged", (Decision("parts", (1, 2, 4)),)),)

    def implement(
        self,
        node: Node,
        cpu: Cpu,
        oracle: Oracle,
        goal: Goal,
        decisions: Decisions | None = None,
    ) -> Implementation | None:
        if not self.sketches(node, cpu, oracle):
            return None
        decisions = decisions or {"sketch": "staged", "parts": 1}
        count, parts = node.output.elements, int(decisions["parts"])
        if count % parts:
            return None
        x, y, out = (nest.buffer(name, count, "int8") for name in ("x", "y", "out"))
        stage = nest.buffer("stage", count // parts, "int8")
        addresses = [nest.address(buffer) for buffer in (x, y, stage, out)]
        function = nest.function(
            [x, y, out],
            [stage],
            [nest.call("made_up_maximum", *addresses, count, count // parts)],
            operator=node.operator,
            schedule=f"made up, {parts} parts",
            headers=["made_up.h"],
            overlaps=[Overlap("out", 0, 0), Overlap("out", 1, 0)],
        )
        return Implementation(function, (node.input(0), node.input(1)), decisions, parts * count)

    def smaller(self, node: Node, decisions: Decisions) -> Iterator[Decisions]:
        if decisions["parts"] == 1:
            yield {**decisions, "parts": 4}


@pytest.fixture
def made_up(tmp_path: Path) -> Iterator[MadeUp]:
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "made_up.h").write_text(_HEADER)
    family = MadeUp(folder)
    register(family)
    yield family
    unregister(family.name)


_OPERAND = Operand((1, 8, 8, 16), "int8", 0.05, 3)
#: One layer that the family takes, and one that it leaves to the others.
_CASES = {
    "maximum": Layer("MAXIMUM", (_OPERAND, _OPERAND), _OPERAND),
    "minimum": Layer("MINIMUM", (_OPERAND, _OPERAND), _OPERAND),
}


def _maximum() -> tuple[tvmtiny.Model, Node]:
    model = tvmtiny.load(_CASES["maximum"].model(), name="maximum")
    return model, optimized_nodes(model)[0]


def test_a_family_that_is_registered_implements_its_layers(made_up: MadeUp, tmp_path: Path) -> None:
    layers = SideBySide("made_up_layers", _CASES, 0.0)
    artifact = layers.compile("cortex-m3")
    schedules = {layer.operator: layer.schedule for layer in artifact.layers}
    assert schedules["MAXIMUM"].startswith("made up") and schedules["MINIMUM"].startswith("scalar")
    assert artifact.files["made_up.h"] == _HEADER
    layers.check_host("cortex-m3", tmp_path)
    elsewhere = layers.compile("cortex-m0")
    assert "made_up.h" not in elsewhere.files
    assert all(layer.schedule.startswith("scalar") for layer in elsewhere.layers)


def test_less_workspace_is_taken_for_a_smaller_arena(made_up: MadeUp) -> None:
    model, node = _maximum()
    (layer,) = tvmtiny.compile(model, "cortex-m3").layers
    assert layer.schedule == "made up, 1 parts"
    (layer,) = tvmtiny.compile(model, "cortex-m3", ram_budget=2 * node.output.nbytes + 256).layers
    assert layer.schedule == "made up, 4 parts"


def test_its_sketches_are_searched_and_named_by_records(made_up: MadeUp) -> None:
    model, node = _maximum()
    found = space(node, resolve("cortex-m4").cpu, Oracle.LITERT)
    assert found.default == {"sketch": "staged", "parts": 1}
    # Three candidates of the family, and one of the family for the DSP extension.
    assert len(found) == 4
    assert not space(node, resolve("cortex-m0").cpu, Oracle.LITERT).sketches
    record = Record(
        found.workload,
        "cortex-m4",
        "instructions",
        {"sketch": "staged", "parts": 2},
        Status.OK,
        figure=1,
        default_figure=2,
    )
    (layer,) = tvmtiny.compile(model, "cortex-m4", records=Records((record,))).layers
    assert layer.schedule.startswith("made up, 2 parts") and layer.tuned
    unregister(made_up.name)
    (layer,) = tvmtiny.compile(model, "cortex-m4", records=Records((record,))).layers
    register(made_up)
    assert layer.schedule.startswith("dsp") and not layer.tuned


def test_families_share_no_name(made_up: MadeUp, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is a kernel family 'made_up' already"):
        register(made_up)

    class Other(MadeUp):
        name = "other"

    with pytest.raises(ValueError, match="'made_up' and 'other' both have sketches called staged"):
        register(Other(tmp_path))
    Other.sketch_names = frozenset()
    with pytest.raises(ValueError, match=r"both have headers called made_up\.h"):
        register(Other(made_up.header_folder))
    Other.name = "core"
    core = shipped("runtime") / "core"
    with pytest.raises(ValueError, match=r"runtime/core both have headers called tvmtiny\.h"):
        register(Other(core))
    assert families()[0] is made_up


def test_loops_come_last_and_run_everywhere() -> None:
    for cpu in cpus().values():
        assert families(cpu)[-1].name == "scalar"
    found = {
        "rv32imc": "riscv",
        "cortex-m0": "thumb",
        "cortex-m3": "thumb",
        "cortex-m4": "dsp fpu thumb",
        "cortex-m55": "mve dsp fpu thumb",
    }
    for name, wanted in found.items():
        names = [family.name for family in families(resolve(name).cpu)]
        assert names == [*wanted.split(), "scalar"]


def test_each_family_has_folders_of_its_name() -> None:
    for family in families():
        assert type(family).__module__ == f"tvmtiny.schedule.families.{family.name}"
    kernels = {folder.name for folder in (shipped("runtime") / "kernels").iterdir()}
    assert kernels == {family.name for family in families() if family.headers}


def test_nobody_else_asks_for_the_features_of_a_family() -> None:
    package = Path(tvmtiny.__file__).parent
    for family in families():
        own = package / "schedule" / "families" / family.name
        for file in package.rglob("*.py"):
            text = "" if own in file.parents else file.read_text(encoding="utf-8")
            assert not any(f'"{feature}"' in text for feature in family.features), file


def test_shipped_records_name_sketches_of_a_family_for_their_cpu() -> None:
    assert len(shipped_records()) > 0
    for record in shipped_records():
        family = family_of(record.decisions)
        assert family in families(cpus()[record.cpu])
