"""Start the official runner of MLPerf Tiny, unmodified, with a pseudo terminal for a device.

A pseudo terminal has no USB numbers, by which the runner finds its devices, so the list of ports
that the runner gets from pySerial contains made-up numbers. PyUSB is replaced by an empty list.

Usage: python mlperf_runner.py RUNNER PORT[,PORT] [OPTION]..., RUNNER being the folder of its
main.py; the second port is that of an interface board.
"""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path
from types import SimpleNamespace

from serial.tools import list_ports


def main() -> None:
    folder, ports, *options = sys.argv[1:]
    devices = [
        SimpleNamespace(vid=0x0483, pid=pid, device=port, description="tvmtiny")
        for port, pid in zip(ports.split(","), (0x374B, 0x374E), strict=False)
    ]
    list_ports.comports = lambda *_: devices  # type: ignore[assignment]
    usb = types.ModuleType("usb")
    usb.core = types.ModuleType("usb.core")  # type: ignore[attr-defined]
    usb.core.find = lambda **_: []  # type: ignore[attr-defined]
    sys.modules |= {"usb": usb, "usb.core": usb.core}  # type: ignore[attr-defined]
    sys.path.insert(0, folder)
    sys.argv = ["main.py", *options]
    runpy.run_path(str(Path(folder, "main.py")), run_name="__main__")


if __name__ == "__main__":
    main()
