"""Models are converted in several threads at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import tvmtiny
from tvmtiny import models
from tvmtiny.frontend.converter import to_relax
from tvmtiny.ops import Oracle


def test_threads_convert_at_once() -> None:
    model = tvmtiny.load(models.path("digits"))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            made = list(threads.map(lambda _: to_relax(model.graph, Oracle.LITERT), range(24)))
    finally:
        sys.setswitchinterval(interval)
    names = [{variable.name_hint for variable in module.functions} for module in made]
    assert all(found == names[0] and "main" in found for found in names)
