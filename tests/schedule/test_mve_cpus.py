"""CPUs with parts of Helium, tested on the Cortex-M55 with all of it that QEMU has."""

from __future__ import annotations

from pathlib import Path

import pytest

import tvmtiny
from tests.tools import on_qemu
from tvmtiny import models

BOARD = """
name = "{name}"
description = "{cpu} on QEMU's Cortex-M55"
cpu = "{cpu}"
platform = "qemu"
code_region = "flash"
data_region = "ram"
regions = [
    {{ name = "flash", kind = "flash", origin = 0x0, length = 0x80000 }},
    {{ name = "ram", kind = "ram", origin = 0x21000000, length = 0x200000 }},
]
[options]
machine = "mps3-an547"
systick_hz = 32_000_000
stack_bytes = 65_536
uart = {{ driver = "cmsdk", base = 0x59303000, irq = 33, payload_bytes = 1024 }}
"""


@on_qemu
@pytest.mark.parametrize("cpu", ["cortex-m55+nomve.fp", "cortex-m55+nomve", "cortex-m85"])
@pytest.mark.parametrize("name", ["digits", "sine"])
def test_shipped_models_are_exact(
    cpu: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(BOARD.format(name="own", cpu=cpu))
    model = tvmtiny.load(models.path(name))
    artifact = tvmtiny.compile(model, str(file))
    assert artifact.target.cpu.name == cpu
    vectors = any(layer.schedule.startswith("mve") for layer in artifact.layers)
    assert vectors == (cpu != "cortex-m55+nomve")
    inputs = tvmtiny.make_inputs("random:1", artifact.inputs)
    result = tvmtiny.run(artifact, *inputs)
    assert tvmtiny.check(model, artifact, result, inputs).exact
