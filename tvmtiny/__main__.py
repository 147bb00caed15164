"""Entry point of the commands ``tvmtiny`` and ``python -m tvmtiny``."""

from __future__ import annotations

import gc
import os
import sys

from tvmtiny.host import interrupts

#: Generation thresholds for Python's cyclic garbage collector. With the default ones, a tenth of
#: the compile time is spent collecting; TVM and the graph live to the end of the process anyway,
#: and reference counting frees everything else.
_GARBAGE_THRESHOLDS = (100_000, 50, 100)


def start() -> None:
    """Run the command line and exit; signal handlers are installed before any other import."""
    interrupts.install()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    # Loading TVM's backends for GPUs takes a sixth of the time until a command begins. TVM has no
    # distributed runtime without them, and would find that out by an error in C++; the first such
    # error reads the symbols of all libraries, which takes as long.
    os.environ.setdefault("TVM_DEVICE_BACKEND_AUTOLOAD", "0")
    sys.modules["tvm.runtime.disco"] = None  # type: ignore[assignment]
    from tvmtiny.cli.main import main

    main()


if __name__ == "__main__":
    start()
