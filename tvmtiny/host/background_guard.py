"""Run a program that is killed when another process ends.

``python background_guard.py PROCESS DIRECTORY PROGRAM ARGUMENTS...`` kills the program, with its
process group, once PROCESS has ended for any reason, and then removes DIRECTORY unless that is
empty text. The program replaces this script; a child process of the script keeps watch. (Linux's
PR_SET_PDEATHSIG does not work here: it fires when the thread that started the program ends.)
"""

import os
import select
import signal
import sys


def _watch(host: int, program: int, directory: str) -> None:
    poll = select.poll()
    poll.register(host, select.POLLIN)
    poll.register(program, select.POLLIN)
    # Close inherited descriptors: the program's sockets and pipes must close when it exits.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    kept = (host, program)
    # closerange ignores numbers that are not open, such as that of the listing itself.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (pathlib would take longer to import)
        if int(name) > 2 and int(name) not in kept:
            os.closerange(int(name), int(name) + 1)
    ready = [descriptor for descriptor, _ in poll.poll()]
    if directory and host in ready:
        _remove(directory)
    # The watcher belongs to the process group as well, as do children left behind by the program.
    os.killpg(0, signal.SIGKILL)


def _remove(directory: str) -> None:
    try:
        for name in os.listdir(directory):  # noqa: PTH208
            os.unlink(f"{directory}/{name}")  # noqa: PTH108
        os.rmdir(directory)  # noqa: PTH106
    except OSError:
        # Another process has already removed the directory.
        return


def main() -> None:
    """Start the watcher, then replace this process by the program."""
    process, directory, *command = sys.argv[1:]
    host = os.pidfd_open(int(process))
    program = os.pidfd_open(os.getpid())
    if os.getppid() != int(process):
        # The host has already exited, and its process ID may have been reused.
        sys.exit(1)
    if os.fork() == 0:
        try:
            _watch(host, program, directory)
        finally:
            os._exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
