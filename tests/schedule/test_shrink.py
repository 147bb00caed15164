"""Slower implementations for a smaller arena: built ones, and estimates without a build."""

from __future__ import annotations

from typing import Any

import pytest
from small_networks import Network

import tvmtiny
import tvmtiny.compiler


@pytest.mark.parametrize("layers", [1, 24])
def test_a_chain_of_layers_alike_is_built_once(
    layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(5)
    x = network.input(1, 8, 8, 8)
    for _ in range(layers):
        x = network.conv(x, 8, (3, 3), padding="SAME")
    model = tvmtiny.load(network.builder.build([x.index]))
    builds: list[Any] = []
    build = tvmtiny.compiler.build_model

    def counted(*arguments: Any) -> Any:
        builds.append(build(*arguments))
        return builds[-1]

    monkeypatch.setattr(tvmtiny.compiler, "build_model", counted)
    artifact = tvmtiny.compile(model, "cortex-m4")
    # A single layer may become slower for a smaller arena; of many, one alone changes nothing.
    assert (len(builds) == 1) == (layers > 1)
    quick = len(builds)
    monkeypatch.setattr("tvmtiny.schedule.shrink._is_in_vain", lambda *_: False)
    thorough = tvmtiny.compile(model, "cortex-m4")
    assert thorough.files == artifact.files
    assert len(builds) - quick > 1


def test_layers_alike_become_smaller_together_for_a_budget() -> None:
    network = Network(5)
    x = network.input(1, 25, 5, 64)
    for _ in range(3):
        x = network.depthwise(network.conv(x, 64, (1, 1)), padding="SAME")
    model = tvmtiny.load(network.builder.build([x.index]))
    # Each layer with windows needs all of its input, and a ring of four rows of 8 channels.
    budget = 8000 + 4 * 6 * 8 + 128 + 4
    artifact = tvmtiny.compile(model, "cortex-m55", ram_budget=budget)
    assert artifact.arena_bytes <= budget
