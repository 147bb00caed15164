"""The ``tvmtiny`` command as a program that starts at once, for tests that run many commands.

Importing TVM takes most of the time of a command. A server imports it once, and forks for each
command: the new process has the command's arguments, folder, environment and standard streams, and
runs what the installed program runs. Tests in tests/cli start the installed program itself.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: In place of the installed program. It needs nothing but Python's core.
_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
request = {{"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
data = json.dumps(request).encode() + b"\\n"
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [data[:1]], [0, 1, 2])
server.sendall(data[1:])
sys.exit(int(server.recv(8) or b"70"))
"""

#: What most commands import; whatever else one needs, its own process imports.
_MODULES = (
    "tvmtiny.cli.main",
    "tvmtiny.compiler",
    "tvmtiny.oracle",
    "tvmtiny.report.profile",
    "tvmtiny.tuning",
    "ai_edge_litert.interpreter",
    "ortools.sat.python.cp_model",
)


@contextmanager
def warm_program(folder: Path) -> Iterator[Path]:
    """A folder for ``PATH`` that holds a ``tvmtiny``; it works as long as the context lasts."""
    address = str(folder / "server")
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "tvmtiny"
    program.write_text(_CLIENT.format(python=sys.executable, address=address))
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n"
        yield programs
    finally:
        # The end of its input ends the server.
        server.stdin.close()
        server.stdout.close()
        server.wait(60)


def _serve(address: str) -> None:
    import selectors
    from importlib import import_module

    for module in _MODULES:
        import_module(module)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, _reap)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in selector.select()):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run(connection)
            connection.close()


def _reap(*_: object) -> None:
    """Wait for the processes that have ended, so that what they took counts as the server's."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _run(connection: socket.socket) -> None:
    """Run one command in this process, which ends with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, *_ = socket.recv_fds(connection, 1, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The old objects remember whether the server's own streams could seek.
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    with connection.makefile("rb") as rest:
        request = json.loads(data + rest.readline())
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["tvmtiny", *request["words"]]
    code = 70
    try:
        from tvmtiny.cli.main import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    # The folder of this file must not hide modules.
    sys.path.pop(0)
    _serve(sys.argv[1])
