"""``tvmtiny tune`` and the function behind it."""

from __future__ import annotations

import inspect

import tvmtiny
from tvmtiny.cli.tune import _LEFT_OUT
from tvmtiny.options import COMPILE_OPTIONS


def test_the_command_passes_only_what_tune_takes():
    taken = inspect.signature(tvmtiny.tune).parameters
    assert {o.name for o in COMPILE_OPTIONS if o.name not in _LEFT_OUT} <= set(taken)
