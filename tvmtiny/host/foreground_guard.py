"""Kill programs whose starter has ended.

``python foreground_guard.py`` reads lines ``+GROUP`` and ``-GROUP`` from stdin, for a process group
that has started or exited. When stdin ends, the process that wrote to it has ended too, and the
remaining groups are killed. Compilers are numerous and short-lived; a guard process for each would
be slower.
"""

import os
import signal
import sys


def main() -> None:
    """Watch until stdin ends."""
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
