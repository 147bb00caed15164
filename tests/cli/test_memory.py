"""``tvmtiny memory``, and the options that place tensors and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tools import on_qemu

import tvmtiny
from tvmtiny.cli.console import separate_places

Command = Any


def test_json(command: Command) -> None:
    done = command("memory", "digits", "--board", "mps2-an386", "--json")
    found = done.json
    assert done.err == ""
    assert found["arena_bytes"] == found["lower_bound"] > 0
    assert found["optimal"] is True
    assert found["external_arena_bytes"] <= found["arena_bytes"]
    assert [board["board"] for board in found["boards"]] == list(tvmtiny.boards())
    assert [step["step"] for step in found["steps"]] == list(range(len(found["steps"])))
    top = found["steps"][found["peak_step"]]
    assert top["peak"] and top["least_bytes"] == found["step_bound"]
    assert top["live"] == [tensor["occupant"]["name"] for tensor in found["peak_tensors"]]
    ends = [o["offset"] + o["bytes"] for o in found["occupants"]]
    assert max(ends) == found["arena_bytes"]
    assert all(step["bytes"] <= found["arena_bytes"] for step in found["steps"])
    assert found["advice"]


def test_text_and_picture(command: Command, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    picture = tmp_path / "arena.svg"
    done = command("memory", "digits", "-b", "mps2-an386", "--svg", picture)
    assert done.code == 0
    for words in ("DEPTHWISE_CONV_2D", "peak", "▲", "lower bound", "proven", "mps3-an547"):
        assert words in done.out
    root = ElementTree.parse(picture).getroot()
    shapes = root.findall("{http://www.w3.org/2000/svg}rect")
    titles = [s.find("{http://www.w3.org/2000/svg}title") for s in shapes]
    request.getfixturevalue("few_boards")
    summary = command("memory", "digits", "-b", "mps2-an386", "--json").json
    assert sum(t is not None for t in titles) == len(summary["occupants"])
    assert any(s.get("class") == "arena-peak" for s in shapes)
    width = float(root.get("width", "0"))
    assert all(float(s.get("x", "0")) + float(s.get("width", "0")) <= width for s in shapes)


@pytest.mark.usefixtures("few_boards")
def test_the_picture_cannot_be_written(command: Command, tmp_path: Path) -> None:
    done = command("memory", "sine", "-b", "microbit", "--svg", tmp_path / "no" / "arena.svg")
    assert "cannot write" in done.error(2)


@pytest.mark.usefixtures("few_boards")
def test_external(command: Command) -> None:
    inside = command("memory", "digits", "-b", "mps2-an386", "--json").json
    outside = command("memory", "digits", "-b", "mps2-an386", "--io", "external", "--json").json
    assert outside["external"] is True
    assert outside["arena_bytes"] == inside["external_arena_bytes"]
    kinds = {occupant["kind"] for occupant in outside["occupants"]}
    assert kinds <= {"activation", "workspace"}


@pytest.mark.usefixtures("few_boards")
@pytest.mark.parametrize("words", [("memory", "-b"), ("compile", "-o", "unused", "-t")])
def test_budget(words: tuple[str, ...], command: Command) -> None:
    name, *options = words
    done = command(name, "digits", *options, "mps2-an386", "--ram-budget", "100")
    message = done.error(3)
    assert "more than the budget of 100" in message
    assert "bounds it" in message


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--io", "stack"), "known: arena, external"),
        (("--place", "arena=dtcm"), "its regions: flash (flash), ram (ram)"),
        (("--place", "arena"), "give arena=REGION"),
        (("--place", "arena=ram", "arena=ram"), "give arena=REGION"),
    ],
)
def test_bad_options(option: tuple[str, ...], words: str, command: Command) -> None:
    assert words in command("memory", "sine", "-b", "mps2-an386", *option).error(2)


def test_places_follow_one_option() -> None:
    assert separate_places(["run", "--place", "arena=a", "weights=b", "--json", "x=y"]) == [
        *("run", "--place", "arena=a", "--place", "weights=b", "--json", "x=y"),
    ]
    twice = ["--place", "arena=a", "--place", "weights=b", "model"]
    assert separate_places(twice) == twice


@on_qemu
@pytest.mark.parametrize(
    "options", [("--io", "external"), ("--place", "arena=ram", "weights=ram")], ids=["io", "place"]
)
def test_run(options: tuple[str, ...], command: Command) -> None:
    done = command("run", "digits", "-b", "mps2-an386", "--check", "--json", *options)
    check = done.json["check"]
    assert check["mismatched_bytes"] == 0
    assert check["layers_exact"] == check["layers_compared"] > 0
