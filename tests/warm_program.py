"""``tvmtiny`` and ``python`` as programs that start at once, for tests that start many.

Importing TVM takes most of the time of a command. The process of the tests has imported TVM: a
server is forked from it before the first test, and forks for each program. The new process gets the
arguments, folder, environment and standard streams of a small client, and runs the program's code.
The process has also read a command line, compiled a model and written projects, all of which import
further modules and read templates.
The client passes signals on, takes the process with it when it is killed, and ends with the
process's status. Three things differ: the process is no child of the client, nothing happens at the
end of its interpreter, and compilers run as in other tests, see `tests.object_cache`. Tests of the
start and of the end use the installed program. LiteRT inspects models in such a process, too.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tvmtiny.memory.exact import load_solver

_TESTS = Path(__file__).parent

#: Modules that many commands import; other modules are imported by the program's own process.
_MODULES = (
    "tvmtiny.__main__",
    "tvmtiny.cli.main",
    "tvmtiny.compiler",
    "tvmtiny.design.advise",
    "tvmtiny.estimation.model",
    "tvmtiny.evaluating",
    "tvmtiny.images.build",
    "tvmtiny.oracle",
    "tvmtiny.preprocessing.attach",
    "tvmtiny.report.bench",
    "tvmtiny.report.cost_tables",
    "tvmtiny.report.inspection",
    "tvmtiny.report.memory",
    "tvmtiny.report.memory_tables",
    "tvmtiny.report.profile",
    "tvmtiny.report.profile_tables",
    "tvmtiny.report.summary",
    "tvmtiny.report.terminal_tables",
    "tvmtiny.running",
    "tvmtiny.rpc",
    "tvmtiny.tuning",
    "tvm.exec.rpc_tracker",
    "ai_edge_litert.interpreter",
    "capstone",
    "numpy.ma",
    "numpy.random",
    "psutil",
    "rich._emoji_codes",
    "unicorn",
)

#: The file in place of the programs. It needs only Python's core, and none of its modules that take
#: long to import.
_CLIENT = """\
#!{python} -ISE
import _signal as signal
passed_on = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
import os, sys
import _socket
words = [sys.argv[0].rpartition("/")[2], *sys.argv[1:], os.getcwd()]
words += [f"{{name}}={{value}}" for name, value in os.environ.items()]
words.insert(0, str(len(sys.argv)))
data = b"\\0".join(map(os.fsencode, words))
server = _socket.socket(_socket.AF_UNIX)
server.connect({address!r})
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server.sendmsg([len(data).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
server.sendall(data)
child = int.from_bytes(server.recv(4, _socket.MSG_WAITALL), "big")
for number in passed_on:
    signal.signal(number, lambda number, _: os.kill(child, number))
signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
code = int.from_bytes(server.recv(4, _socket.MSG_WAITALL), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextmanager
def warm_program(folder: Path) -> Iterator[Path]:
    """A folder for ``PATH``; its ``tvmtiny`` and ``python`` work as long as the context lasts."""
    for module in _MODULES:
        import_module(module)
    # Looked up only here, since a controller of workers needs no TVM.
    oracle = sys.modules["tvmtiny.oracle"]
    load_solver()
    sys.modules["tvmtiny.cli.main"]._group().make_context("tvmtiny", ["boards"])
    _prepare(folder)
    address = str(folder / "server")
    programs = folder / "bin"
    programs.mkdir()
    for name in ("tvmtiny", "python"):
        program = programs / name
        program.write_text(_CLIENT.format(python=sys.executable, address=address))
        program.chmod(0o755)
    # The server's own programs ask LiteRT as well.
    installed = oracle._PYTHON
    oracle._PYTHON = str(programs / "python")
    over, end = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        server = os.fork()
        if server == 0:
            try:
                _serve(listener, over)
            finally:
                os._exit(0)
    os.close(over)
    try:
        yield programs
    finally:
        oracle._PYTHON = installed
        os.close(end)
        os.waitpid(server, 0)


def _prepare(folder: Path) -> None:
    """Compile a model that few tests use, and write its projects, so that TVM is ready."""
    import tvmtiny
    from tvmtiny import models
    from tvmtiny.project.registry import platform_for

    model = tvmtiny.load(models.path("temperature"))
    for name in ("mps2-an386", "microbit"):
        artifact, board = tvmtiny.compile(model, name), tvmtiny.boards()[name]
        for firmware in ("harness", "rpc"):
            directory = folder / f"{name}_{firmware}"
            directory.mkdir()
            platform_for(board).generate(artifact, board, directory, firmware)


def _leave_tests(*kept: int) -> None:
    """Release everything that the process of the tests has beside modules."""
    faulthandler.disable()
    logging.root.handlers.clear()
    sys.path[:] = [folder for folder in sys.path if not Path(folder).is_relative_to(_TESTS)]
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(null, stream)
    for number in (int(entry.name) for entry in [*Path("/proc/self/fd").iterdir()]):
        if number > 2 and number not in kept:
            with suppress(OSError):
                os.close(number)
    # The objects that exist now are not examined again, so that processes can share their memory.
    gc.freeze()


def _serve(listener: socket.socket, over: int) -> None:
    """Run programs until the other end of the pipe `over` is closed."""
    _leave_tests(listener.fileno(), over)
    running: dict[int, socket.socket] = {}

    def reap(*_: object) -> None:
        """Tell clients how their programs ended; the programs' costs count as the server's."""
        with suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if child == 0:
                    return
                code = os.waitstatus_to_exitcode(status)
                # The client may be gone, even before the end of its program was noticed.
                with suppress(OSError, KeyError):
                    running[child].sendall(code.to_bytes(4, "big", signed=True))

    with selectors.DefaultSelector() as selector:
        signal.signal(signal.SIGCHLD, reap)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(over, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == over:
                    for child in running:
                        os.kill(child, signal.SIGKILL)
                    return
                if key.fileobj is not listener:
                    # The client has ended, by itself or because its program has.
                    child = key.data
                    selector.unregister(key.fileobj)
                    with running.pop(child), suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                    continue
                client, _ = listener.accept()
                request = _Request.receive(client)
                # No program ends before its client is known.
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
                child = os.fork()
                if child == 0:
                    selector.close()
                    for other in (listener, client, *running.values()):
                        other.close()
                    request.run()
                running[child] = client
                request.close()
                with suppress(OSError):
                    client.sendall(child.to_bytes(4, "big"))
                selector.register(client, selectors.EVENT_READ, child)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


@dataclass(frozen=True)
class _Request:
    words: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]

    @classmethod
    def receive(cls, client: socket.socket) -> _Request:
        size, streams, *_ = socket.recv_fds(client, 4, 3)
        with client.makefile("rb") as rest:
            count, *parts = map(os.fsdecode, rest.read(int.from_bytes(size, "big")).split(b"\0"))
        words, (folder, *variables) = parts[: int(count)], parts[int(count) :]
        environment = {name: value for name, _, value in (v.partition("=") for v in variables)}
        return cls(words, folder, environment, streams)

    def close(self) -> None:
        for stream in self.streams:
            os.close(stream)

    def run(self) -> None:
        """Run the program in this process, which ends with the program."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
        self.close()
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        # Values cached from the environment.
        tempfile.tempdir = None
        # The old objects remember whether the server's own streams could seek.
        encoding = self.environment.get("PYTHONIOENCODING")
        sys.stdin = open(0, encoding=encoding)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding=encoding)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace")  # noqa: SIM115
        code = 0
        try:
            self._run()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, AttributeError):
                    stream.flush()
            os._exit(code)

    def _run(self) -> None:
        name, *words = self.words
        if name == "tvmtiny":
            from tvmtiny.__main__ import start

            sys.argv = [name, *words]
            start()
            return
        option, *rest = words
        if option == "-m":
            module, *rest = rest
            sys.path.insert(0, "")
            sys.argv = [option, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        elif option == "-c":
            code, *rest = rest
            sys.path.insert(0, "")
            sys.argv = [option, *rest]
            exec(code, {"__name__": "__main__"})
        else:
            sys.path.insert(0, str(Path(option).parent))
            sys.argv = words
            runpy.run_path(option, run_name="__main__")
