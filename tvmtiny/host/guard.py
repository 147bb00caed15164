"""Run a program that ends with another process.

``python guard.py PROCESS DIRECTORY PROGRAM ARGUMENTS...``: the program is killed, with its process
group, when PROCESS has gone, in whatever way, and DIRECTORY is removed unless that is empty. The
program takes the place of this script; a child of it keeps watch. (Linux's PR_SET_PDEATHSIG does
not do: it fires when the thread ends that started the program.)
"""

import os
import select
import signal
import sys


def _watch(host: int, program: int, directory: str) -> None:
    poll = select.poll()
    poll.register(host, select.POLLIN)
    poll.register(program, select.POLLIN)
    # Sockets and pipes of the program must close when it ends.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    kept = (host, program)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (pathlib would take longer to import)
        if int(name) > 2 and int(name) not in kept:
            try:  # noqa: SIM105 (contextlib would take longer to import)
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself
    ready = [descriptor for descriptor, _ in poll.poll()]
    if directory and host in ready:
        _remove(directory)
    # The watch is a member of the group, too, and so are children that the program has left behind.
    os.killpg(0, signal.SIGKILL)


def _remove(directory: str) -> None:
    try:
        for name in os.listdir(directory):  # noqa: PTH208
            os.unlink(f"{directory}/{name}")  # noqa: PTH108
        os.rmdir(directory)  # noqa: PTH106
    except OSError:
        pass  # somebody else has been faster


def main() -> None:
    """Become the program."""
    process, directory, *command = sys.argv[1:]
    host = os.pidfd_open(int(process))
    program = os.pidfd_open(os.getpid())
    if os.getppid() != int(process):
        # It has gone already, and its number may be somebody else's.
        sys.exit(1)
    if os.fork() == 0:
        try:
            _watch(host, program, directory)
        finally:
            os._exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
