"""Express the decisions of a layer as MetaSchedule design spaces.

The library's schedules are finished TIR around micro-kernels, so their decisions are not loop
transformations that MetaSchedule could replay. MetaSchedule is instead given a stand-in for the
layer, a copy of one element. The stand-in's trace samples one category for each decision and
records it in an annotation, from which the schedules library builds the real layer. Each sketch is
one design space. Two candidates are equal for MetaSchedule exactly if their decisions are equal.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import tvm
from tvm import te
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule import _ffi_api
from tvm.s_tir.meta_schedule.logging import get_logger, get_logging_func
from tvm.s_tir.meta_schedule.mutator import PyMutator
from tvm.s_tir.schedule import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tvmtiny.schedule import Decisions, Sketch, Space

__all__ = ["decisions_of", "schedule_of", "stand_in", "tune_context"]

_BLOCK = "out"
_SKETCH = "sketch"
_PREFIX = "tvmtiny."
_SAMPLE = "SampleCategorical"


def stand_in(workload: str) -> tvm.IRModule:
    """Make the module that MetaSchedule tunes in place of the layer with the key `workload`."""
    source = te.placeholder((1,), "int8", name="x")
    result = te.compute((1,), lambda i: source[i], name=_BLOCK)
    function = te.create_prim_func([source, result])
    return tvm.IRModule(
        {"main": function.with_attr({"global_symbol": "main", f"{_PREFIX}workload": workload})}
    )


def tune_context(
    module: tvm.IRModule, space: Space, strategy: ms.search_strategy.SearchStrategy, seed: int
) -> ms.TuneContext:
    """Create MetaSchedule's context for the stand-in `module` of a layer with `space`.

    Parameters
    ----------
    seed
        At least 1; equal seeds give equal candidates.
    """
    generator = ms.space_generator.ScheduleFn(
        lambda schedule: [_sample(schedule.copy(), sketch) for sketch in space.sketches],
        sch_rules=[],
        postprocs=[],
        mutator_probs={_MutateDecision(seed): 1.0},
    )
    context = ms.TuneContext.__new__(ms.TuneContext)
    # Do what the constructor does, except for importing the tensor intrinsics of all architectures
    # that TVM knows, which takes half a minute and is useless for these candidates.
    context.__init_handle_by_constructor__(
        _ffi_api.TuneContext,
        module,
        tvm.target.Target("c"),
        generator,
        strategy,
        space.workload.key,
        # One thread: the mutator is Python and must draw its random numbers in a reproducible
        # order.
        1,
        seed,
        get_logging_func(get_logger(__name__)),
    )
    _ffi_api.TuneContextInitialize(context)
    return context


def schedule_of(module: tvm.IRModule, space: Space, decisions: Decisions) -> Schedule:
    """Return the schedule of the stand-in `module` that makes `decisions`."""
    (sketch,) = (s for s in space.sketches if s.name == decisions[_SKETCH])
    return _sample(Schedule(module, seed=1), sketch, decisions)


def _sample(schedule: Schedule, sketch: Sketch, made: Decisions | None = None) -> Schedule:
    block = schedule.get_sblock(_BLOCK)
    schedule.annotate(block, _PREFIX + _SKETCH, sketch.name)
    for name, values in ((d.name, tuple(d.values)) for d in sketch.decisions):
        count = len(values)
        drawn = schedule.sample_categorical(
            list(range(count)),
            [1.0 / count] * count,
            decision=None if made is None else values.index(made[name]),
        )
        schedule.annotate(block, _PREFIX + name, drawn)
    return schedule


def decisions_of(schedule: Schedule, space: Space) -> dict[str, int | str]:
    """Return the candidate of `space` that a schedule of the stand-in represents."""
    # The block is inside a loop inside the root block. Looking it up with checks would take longer
    # than the rest of a search.
    notes: Mapping[str, object] = schedule.mod["main"].body.block.body.body.block.annotations
    name = str(notes[_PREFIX + _SKETCH])
    (sketch,) = (s for s in space.sketches if s.name == name)
    made: dict[str, int | str] = {_SKETCH: name}
    for decision in sketch.decisions:
        made[decision.name] = decision.values[int(str(notes[_PREFIX + decision.name]))]
    return made


@derived_object
class _MutateDecision(PyMutator):  # type: ignore[misc]
    """Change one decision; MetaSchedule's own mutators know only tiles and unroll pragmas."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.random = random.Random(seed)

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        pass

    def apply(self, trace: Trace, _: int) -> Trace | None:
        samples = [
            instruction
            for instruction in trace.insts
            if instruction.kind.name == _SAMPLE and len(instruction.attrs[0]) > 1
        ]
        if not samples:
            return None
        chosen = self.random.choice(samples)
        now = int(trace.get_decision(chosen))
        other = self.random.randrange(len(chosen.attrs[0]) - 1)
        return trace.with_decision(chosen, other + (other >= now), remove_postproc=True)

    def clone(self) -> ms.Mutator:
        return _MutateDecision(self.seed)
