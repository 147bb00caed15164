"""TVM's schedules without the checks of argument types, which take most of scheduling's time."""

from __future__ import annotations

from tvm import IRModule, tirx
from tvm.s_tir import Schedule


class UncheckedSchedule(Schedule):  # type: ignore[misc]
    """A schedule whose methods do not compare their arguments with type hints.

    TVM binds and checks the arguments of each call in Python. Its own C++ code still checks what a
    transformation requires.
    """


for _name in dir(Schedule):
    _unchecked = getattr(getattr(Schedule, _name), "__wrapped__", None)
    if _unchecked is not None:
        setattr(UncheckedSchedule, _name, _unchecked)


def open_schedule(function: tirx.PrimFunc) -> Schedule:
    """Open a schedule of `function`, which its module calls ``main``."""
    return UncheckedSchedule(IRModule({"main": function}))
