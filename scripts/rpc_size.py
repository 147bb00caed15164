"""Print the memory that the board link takes on each board, for a shipped model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tvmtiny
from tvmtiny.project.qemu.platform import QemuPlatform
from tvmtiny.project.qemu.sources import RPC, firmware_sizes

if __name__ == "__main__":
    model = tvmtiny.load(Path(tvmtiny.__file__).parent / "models" / "sine.tflite")
    platform = QemuPlatform()
    print("board        flash    RAM  payload buffers in it")
    for board in tvmtiny.boards().values():
        if board.platform != "qemu":
            continue
        with tempfile.TemporaryDirectory() as name:
            artifact = tvmtiny.compile(model, target=board.name)
            project = platform.generate(artifact, board, Path(name), RPC)
            flash, ram, buffers = firmware_sizes(platform.build(project))
        print(f"{board.name:10s} {flash:7,d} {ram:6,d} {buffers:6,d}")
