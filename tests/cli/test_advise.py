"""``tvmtiny advise``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

Command = Any


def test_text_and_json(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    module, asked = import_module("tvmtiny.design.advise"), []
    advise = module.advise

    def advise_once(*arguments: object, **options: object) -> object:
        """Both commands ask for the same advice."""
        if not asked:
            asked.append((arguments, options, advise(*arguments, **options)))
        assert (arguments, options) == asked[0][:2]
        return asked[0][2]

    monkeypatch.setattr(module, "advise", advise_once)
    arguments = ("advise", "digits", "--cpu", "cortex-m4", "--ram", "1K", "--deadline", "9M")
    done = command(*arguments)
    assert done.code == 0
    for words in ("too many", "fits", "Layers that take most", "What to change", "CONV_2D"):
        assert words in done.out
    found = command(*arguments, "--json").json
    assert found["over"] == ["ram_bytes"]
    assert found["now"]["ram_bytes"] > 1024
    assert found["hints"][0]["predicted"]["ram_bytes"] < found["now"]["ram_bytes"]


def test_bad_input(command: Command) -> None:
    for arguments, words in (
        (("digits", "--cpu", "cortex-m55"), "no figures for"),
        (("digits", "--cpu", "cortex-m4", "--ram", "much"), "is not a size"),
        (("digits", "--cpu", "cortex-m4", "--deadline", "soon"), "is not a deadline"),
        (("digits", "--cpu", "cortex-m4", "--ram", "0"), "positive"),
        (("missing.tflite", "--cpu", "cortex-m4"), "cannot read"),
    ):
        done = command("advise", *arguments)
        assert done.code == 2
        assert words in done.err and "\n" not in done.err.strip().split("tvmtiny: ")[-1]
