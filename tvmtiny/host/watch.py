"""End programs whose starter has gone.

``python watch.py`` reads lines from its input, ``+GROUP`` and ``-GROUP``: a process group that
runs, and one that has ended. When the input ends, so has the process that wrote it, and the groups
that still run are killed. Compilers are many and short: a guard for each would take longer.
"""

import os
import signal
import sys


def main() -> None:
    """Watch until the input ends."""
    running = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            running.add(group)
        else:
            running.discard(group)
    for group in running:
        try:  # noqa: SIM105 (contextlib would take longer to import)
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass


if __name__ == "__main__":
    main()
