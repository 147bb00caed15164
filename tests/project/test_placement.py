"""Arena and weights in named memory regions of a board."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tools import on_qemu

import tvmtiny
from tvmtiny import models
from tvmtiny.errors import CapacityError
from tvmtiny.project.capacity import check_capacity
from tvmtiny.project.registry import platform_for
from tvmtiny.targets import Board, Region, Target, boards


def board(length: int = 0x10000) -> Board:
    """A board with one more region, which QEMU emulates as RAM."""
    known = boards()["mps2-an386"]
    return replace(known, regions=(*known.regions, Region("zbt", "ram", 0x21000000, length)))


def address(elf: Path, symbol: str) -> int:
    command = ["arm-none-eabi-nm", str(elf)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (found,) = [line for line in printed.splitlines() if line.endswith(f" {symbol}")]
    return int(found.split()[0], 16)


@on_qemu
@pytest.mark.parametrize(
    "place",
    [
        {},
        {"arena": "zbt"},
        {"weights": "ram"},
        {"weights": "zbt"},
        {"arena": "zbt", "weights": "zbt"},
    ],
    ids=str,
)
def test_regions(place: dict[str, str], tmp_path: Path) -> None:
    where = board()
    model = tvmtiny.load(models.path("digits"))
    artifact = tvmtiny.compile(model, Target(where.cpu, where), place=place)
    platform = platform_for(where)
    firmware = platform.build(platform.generate(artifact, where, tmp_path))
    inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
    result = platform.run(firmware, inputs, timeout=60)
    assert tvmtiny.check(model, artifact, result, inputs).exact
    arena = address(firmware.elf, "tvmtiny_digits_arena")
    region = where.region(place.get("arena", "ram"))
    assert region.origin <= arena < arena + artifact.arena_bytes <= region.end
    weights = artifact.constants_bytes if "weights" in place else 0
    assert result.static_ram_bytes == artifact.arena_bytes + weights
    assert result.flash.constants == artifact.constants_bytes


def test_a_region_that_is_too_small() -> None:
    where = board(length=64)
    artifact = tvmtiny.compile(
        tvmtiny.load(models.path("digits")), Target(where.cpu, where), place={"arena": "zbt"}
    )
    with pytest.raises(CapacityError) as caught:
        check_capacity(artifact, where, 1000, 100, 10)
    assert (caught.value.region, caught.value.needed) == ("zbt", artifact.arena_bytes)
    needed = {region.region: region.needed for region in caught.value.regions}
    assert needed["ram"] == 1100
    assert needed["flash"] == artifact.constants_bytes + 10
