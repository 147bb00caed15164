"""What the passes give is kept for as long as the model lives."""

from __future__ import annotations

import gc
import weakref
from importlib import import_module
from unittest.mock import patch

import pytest

import tvmtiny
from tvmtiny import models, passes
from tvmtiny.ops import Oracle


def _model() -> tvmtiny.Model:
    return tvmtiny.load(models.path("digits"))


def test_equal_arguments_give_the_same_nodes() -> None:
    graph = _model().graph
    found = passes.optimize(graph, Oracle.LITERT)
    assert passes.optimize(graph, Oracle.LITERT, passes.Options()) is found
    others = [
        passes.optimize(graph, Oracle.TFLM),
        passes.optimize(graph, Oracle.LITERT, passes.Options(dead_channels=False)),
        passes.optimize(_model().graph, Oracle.LITERT),
    ]
    assert all(other is not found for other in others)


@pytest.mark.parametrize("dead_channels", [False, True])
def test_a_model_does_not_outlive_its_last_user(dead_channels: bool) -> None:
    # The collection need not examine what other tests left.
    gc.freeze()
    model = _model()
    tvmtiny.compile(model, "cortex-m4", dead_channels=dead_channels)
    graph = weakref.ref(model.graph)
    (node, *_) = passes.optimize(
        model.graph, Oracle.LITERT, passes.Options(dead_channels)
    ).graph.nodes
    first = weakref.ref(node)
    del model, node
    gc.collect()
    assert graph() is None
    assert first() is None


def test_layers_are_implemented_once_for_all_options() -> None:
    # The package has a function of the module's name.
    implementing = import_module("tvmtiny.schedule.implement")
    model = _model()
    artifact = tvmtiny.compile(model, "cortex-m4")
    with patch.object(implementing, "implement_by", side_effect=AssertionError):
        again = tvmtiny.compile(model, "mps2-an386", io="external")
    assert again.files != artifact.files
    assert tvmtiny.compile(_model(), "mps2-an386", io="external").files == again.files
