"""Further properties of the application on Zephyr: shell, size, Twister, use as a module."""

from __future__ import annotations

import json
from pathlib import Path

from tools import needs_mlperf_tiny, on_zephyr
from zephyr_applications import CONSOLE_SECONDS, Built, Inference, build_other, mlperf_model

import tvmtiny
from tvmtiny import models
from tvmtiny.creating import create_zephyr_application
from tvmtiny.project.package import sample_inputs
from tvmtiny.project.zephyr.application import ApplicationOptions
from tvmtiny.project.zephyr.board import find_zephyr_board
from tvmtiny.project.zephyr.build import ApplicationBuild, build_application, memory_table
from tvmtiny.project.zephyr.console import converse
from tvmtiny.project.zephyr.source_tree import find_tree
from tvmtiny.targets import find_board

#: The bytes that the application may add to the figures announced for the model.
APPLICATION_BYTES = 2048


@on_zephyr
@needs_mlperf_tiny
def test_the_shell(built: Built) -> None:
    build = built("zephyr:mps2_an385", "shell", "kws", "ad")
    commands = ["tvmtiny info", "tvmtiny run kws 1", "tvmtiny bench ad 3", "tvmtiny run none"]
    lines = list(converse(build, seconds=CONSOLE_SECONDS, send=commands))
    (found,) = filter(None, map(Inference.read, lines))
    assert (found.model, found.sample, found.verdict) == ("kws", 1, "exact")
    assert found.stack_used < found.stack_size
    text = "\n".join(lines)
    assert "ad: arena" in text and "input 0:" in text
    assert "ad: 3 inferences" in text
    assert "there is no model none" in text


def used(output: str) -> dict[str, int]:
    """The linker's figures of memory by region."""
    return {region: taken for region, (taken, _) in memory_table(output).items()}


@on_zephyr
@needs_mlperf_tiny
def test_size_beside_an_empty_application(built: Built, tmp_path: Path) -> None:
    board = find_board("zephyr:mps2_an385")
    empty = used(build_other(tmp_path / "empty", board.name, "", "", None))
    build = built(board.name, "standalone", "kws")
    artifact = tvmtiny.compile(mlperf_model("kws"), board.name)
    # The result of the generated code on the same CPU without Zephyr.
    bare = tvmtiny.run(artifact, *sample_inputs(artifact.inputs, 0), board="mps2-an385")
    assert bare.flash is not None
    flash = build.memory["FLASH"][0] - empty["FLASH"]
    ram = build.memory["RAM"][0] - empty["RAM"]
    print(f"flash: {flash} more than empty, {bare.flash.total} announced")
    print(f"RAM: {ram} more than empty, {artifact.arena_bytes} announced")
    assert abs(flash - bare.flash.total) <= APPLICATION_BYTES
    assert abs(ram - artifact.arena_bytes) <= APPLICATION_BYTES


@on_zephyr
def test_as_a_module_of_an_existing_application(tmp_path: Path) -> None:
    module = tmp_path / "module"
    board = find_zephyr_board("zephyr:mps2_an385")
    model = tvmtiny.load(models.path("sine"))
    application = create_zephyr_application(
        [model], board, module, ApplicationOptions(stack_bytes=2048)
    )
    before = f"list(APPEND ZEPHYR_EXTRA_MODULES {module})"
    main = """\
#include <zephyr/sys/printk.h>
#include "sine.h"
int main(void)
{
  struct tvmtiny_sine_inputs inputs;
  struct tvmtiny_sine_outputs outputs;
  tvmtiny_sine_bind(&inputs, &outputs);
  printk("status %d\\n", (int)tvmtiny_sine_run(&inputs, &outputs));
  return 0;
}
"""
    directory = tmp_path / "existing"
    build_other(directory, "zephyr:mps2_an385", before, "CONFIG_TVMTINY=y\n", main)
    elf = directory / "build" / "zephyr" / "zephyr.elf"
    build = ApplicationBuild(application, directory, elf, elf, (0, 0, 0), "", {})
    assert "status 0" in list(converse(build, seconds=CONSOLE_SECONDS, until="status"))


@on_zephyr
def test_the_arena_in_a_region_of_the_devicetree(tmp_path: Path) -> None:
    board = find_zephyr_board("zephyr:mps2_an521")
    model = tvmtiny.load(models.path("digits"))
    application = create_zephyr_application(
        [model],
        board,
        tmp_path,
        ApplicationOptions(stack_bytes=2048),
        {"place": {"arena": "PSRAM"}},
    )
    build = build_application(application, find_tree())
    assert build.memory["PSRAM"][0] == application.models[0].arena_bytes
    lines = converse(build, seconds=CONSOLE_SECONDS, until="sample 3")
    found = [inference for inference in map(Inference.read, lines) if inference]
    assert [inference.verdict for inference in found] == ["exact"] * 4


@on_zephyr
@needs_mlperf_tiny
def test_twister(built: Built, tmp_path: Path) -> None:
    """All tests of sample.yaml and testcase.yaml on one board."""
    application = built("zephyr:mps2_an385", "standalone", "kws", "ad").application
    tree = find_tree()
    name = tree.board_name(application.board.names)
    arguments = ["twister", "-T", str(application.directory), "-p", name, "-j", "2"]
    tree.west([*arguments, "-O", str(tmp_path / "out")], tmp_path / "twister.log")
    report = json.loads((tmp_path / "out" / "twister.json").read_text())
    ends = {suite["name"].rpartition("/")[2]: suite["status"] for suite in report["testsuites"]}
    assert ends == {
        "sample.tvmtiny.standalone": "passed",
        "sample.tvmtiny.steps": "passed",
        "sample.tvmtiny.shell": "passed",
        "sample.tvmtiny.rpc": "passed",
        "sample.tvmtiny.runner": "passed",
        "tvmtiny.models": "passed",
    }
