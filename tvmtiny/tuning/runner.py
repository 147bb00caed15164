"""Run candidates on a board through the runner firmware.

A candidate runs twice, with different initial contents of its outputs. Both runs must give the same
bytes.
"""

from __future__ import annotations

import enum
import statistics
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tvmtiny.errors import (
    DeviceError,
    DeviceFaultError,
    InputError,
    LinkTimeoutError,
    TvmtinyError,
    UnknownTargetError,
)
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.candidate_firmware import BLOCK_BYTES
from tvmtiny.project.faults import describe_fault
from tvmtiny.project.measurement import decode_ticks, decode_times
from tvmtiny.rpc.board import connect_timeout, identify
from tvmtiny.rpc.bridge import CONNECT_TIMEOUT
from tvmtiny.rpc.remote import Remote, open_pipe, open_tracker
from tvmtiny.schedule.records import Status
from tvmtiny.targets import Board, BoardFiles, Cpu, Region, cpus, find_board_by_name
from tvmtiny.targets.architectures import find_architecture
from tvmtiny.tuning.candidate_program import CandidateRegion

if TYPE_CHECKING:
    import tvm

    from tvmtiny.tuning.candidate_program import Image

__all__ = [
    "COPY_SECONDS",
    "BoardRunner",
    "CandidateError",
    "DescribeFault",
    "Execution",
    "Runner",
    "Unit",
    "runner_board",
]

_PATTERNS = (0xA5, 0x5A)
_REGION = struct.Struct("<II")

#: Time limit in seconds for copying inputs and a program.
COPY_SECONDS = 20.0


#: Default number of measurements of a candidate: QEMU's counts are deterministic, those of a real
#: board vary with caches, wait states and interrupts.
_REPEATS, _REPEATS_OF_CYCLES = 1, 5


class Unit(enum.Enum):
    """The unit that a runner measures in."""

    INSTRUCTIONS = "instructions"
    #: Cycles of the processor's clock, on a real board.
    CYCLES = "cycles"
    #: Ticks of a clock that is unrelated to the processor's.
    TICKS = "ticks"


@dataclass(frozen=True)
class Execution:
    """The result of running a candidate.

    Attributes
    ----------
    outputs
        Content of each output in the first run and in the second. None if both runs gave the
        expected outputs.
    count
        Median count in the runner's unit, from entry to return of the generated run function.
    """

    outputs: tuple[tuple[bytes, ...], tuple[bytes, ...]] | None
    count: int


class CandidateError(Exception):
    """A candidate failed; the runner is ready for the next one.

    Attributes
    ----------
    status
        ``crash`` or ``timeout``.
    """

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


class Runner(Protocol):
    """Anything that runs one candidate at a time."""

    @property
    def region(self) -> CandidateRegion:
        """The memory region to link candidates for."""

    @property
    def unit(self) -> Unit:
        """The unit of the runner's counts."""

    def run(
        self, image: Image, inputs: Sequence[bytes], expected: Sequence[bytes], seconds: float
    ) -> Execution:
        """Run a candidate twice.

        Parameters
        ----------
        inputs, expected
            Content of each input, and expected content of each output.
        seconds
            Time after which the candidate counts as an endless loop.

        Raises
        ------
        CandidateError
            The candidate crashed or did not finish.
        TvmtinyError
            The runner is gone and could not be recovered.
        """

    def close(self) -> None:
        """Stop the runner."""


DescribeFault = Callable[[Mapping[str, int]], DeviceFaultError]
_Connect = Callable[[DescribeFault], Remote]


class BoardRunner:
    """A board whose firmware is the runner.

    Parameters
    ----------
    connect
        Opens the connection, given a function that converts the registers of a fault to an error.
    url
        Name of the other end, for error messages.
    repeats
        Number of measurements of a candidate; by default 1 if counts are deterministic.

    Raises
    ------
    InputError
        The board does not run the runner, or runs another version of it.
    UnknownTargetError
        The processor of the board is unknown.
    TvmtinyError
        The board cannot be reached.
    """

    def __init__(self, connect: _Connect, url: str, repeats: int | None = None) -> None:
        self._connect = connect
        self._url = url
        self._remote: Remote | None = None
        self._kept: dict[int, bytes] = {}
        self._deadline = 0.0
        self._functions: dict[str, Callable[..., Any]] = {}
        self._blocks: dict[tuple[int, int], tvm.runtime.Tensor] = {}
        try:
            remote = self._open()
            self._refuse_others(remote)
            self.region = CandidateRegion(*self._region(remote))
            self.unit = Unit(str(self._function(remote, "tvmtiny.runner.unit")()))
            #: CPU that the firmware was built for.
            self.cpu = _cpu_of(str(self._function(remote, "tvmtiny.runner.cpu")()))
        except BaseException:
            self._disconnect()
            raise
        usual = _REPEATS_OF_CYCLES if self.unit is Unit.CYCLES else _REPEATS
        self._repeats = repeats or usual

    @classmethod
    def at_port(
        cls,
        url: str,
        repeats: int | None = None,
        baudrate: int = DEFAULT_BAUDRATE,
        timeout: float = 10.0,
    ) -> BoardRunner:
        """Connect to a board that was flashed with the runner, at a serial port or URL."""
        return cls(
            lambda describe_fault: Remote(
                lambda: open_pipe(url, timeout, connect_timeout(timeout, None), baudrate),
                url,
                True,
                lambda: None,
                describe_fault,
            ),
            url,
            repeats,
        )

    @classmethod
    def at_tracker(
        cls, tracker: str, key: str, repeats: int | None = None, wait: float = 0.0
    ) -> BoardRunner:
        """Connect to a board with the runner that a TVM tracker serves under `key`."""
        url = f"{key} at {tracker}"
        return cls(
            lambda describe_fault: Remote(
                lambda: open_tracker(tracker, key, wait), url, False, lambda: None, describe_fault
            ),
            url,
            repeats,
        )

    def run(
        self, image: Image, inputs: Sequence[bytes], expected: Sequence[bytes], seconds: float
    ) -> Execution:
        try:
            reused = bool(self._kept)
            execution = self._run(self._open(), image, inputs, expected, seconds)
            if execution.outputs is not None and reused:
                # An earlier candidate may have overwritten data that was kept on the board.
                self._kept.clear()
                execution = self._run(self._open(), image, inputs, expected, seconds)
            return execution
        except LinkTimeoutError as error:
            self.recover()
            raise CandidateError(
                Status.TIMEOUT, f"did not end within {seconds:g} s on {self._url}"
            ) from error
        except DeviceFaultError as error:
            self.recover()
            raise CandidateError(Status.CRASH, str(error)) from error
        except DeviceError as error:
            # A candidate that writes to wrong addresses can make the board do anything.
            self.recover()
            raise CandidateError(Status.CRASH, f"{self._url} failed: {error}") from error

    def _run(
        self,
        remote: Remote,
        image: Image,
        inputs: Sequence[bytes],
        expected: Sequence[bytes],
        seconds: float,
    ) -> Execution:
        self._limit(remote, max(seconds, COPY_SECONDS))
        for address, data in zip(image.inputs, inputs, strict=True):
            self._write(remote, address, data, keep=bool(image.kept))
        for address, data in image.segments:
            self._write(remote, address, data, keep=address in image.kept)
        self._limit(remote, seconds)
        entries = (image.prepare, image.run)
        status = self._function(remote, "tvmtiny.runner.check")(*entries, _PATTERNS[0])
        if status != 0:
            raise CandidateError(Status.CRASH, f"the run function returned {status:#x}")
        first = self._unexpected(remote, image, expected)
        # The candidate is known to terminate, so interrupts can be masked while it is timed.
        self._limit(remote, seconds * self._repeats)
        measure = self._function(remote, "tvmtiny.runner.measure")
        answer = bytes(measure(*entries, _PATTERNS[1], self._repeats))
        if self.unit is Unit.INSTRUCTIONS:
            counter = find_architecture(self.cpu.architecture).counter
            counts = decode_times(answer, counter).instructions
        else:
            counts = decode_ticks(answer)
        second = self._unexpected(remote, image, expected)
        outputs = None
        if first is not None or second is not None:
            outputs = (first or tuple(expected), second or tuple(expected))
        return Execution(outputs, round(statistics.median(counts)))

    def recover(self) -> None:
        """Make the board ready for the next candidate, whatever the previous one did.

        Raises
        ------
        TvmtinyError
            The board cannot be recovered.
        """
        self._forget()
        remote = self._remote
        if remote is not None and not remote.broken:
            with suppress(TvmtinyError):
                remote.function("tvmtiny.bridge.reset")()
                if self._region(remote) == (self.region.origin, self.region.length):
                    return
        self.restart()

    def restart(self) -> None:
        """Connect again; platforms that are able to also restart the board."""
        self._disconnect()
        self._open()

    def close(self) -> None:
        self._disconnect()

    def _describe_fault(self, registers: Mapping[str, int]) -> DeviceFaultError:
        return describe_fault(registers, None, (), self.cpu)

    def _refuse_others(self, remote: Remote) -> None:
        try:
            self._function(remote, "tvmtiny.runner.unit")
        except DeviceError as error:
            raise InputError(
                f"the board at {self._url} does not run the runner of this version of tvmtiny; "
                "flash it: tvmtiny project create --mode runner --board BOARD -o DIR, then tvmtiny "
                "project flash DIR"
            ) from error

    def _open(self) -> Remote:
        if self._remote is None:
            self._remote = self._connect(self._describe_fault)
            self._forget()
        return self._remote

    def _disconnect(self) -> None:
        remote, self._remote = self._remote, None
        # Close the connection first: freeing memory over an interrupted one would block.
        if remote is not None:
            remote.close()
        self._forget()

    def _forget(self) -> None:
        """Drop all references to objects on the board."""
        self._kept.clear()
        self._deadline = 0.0
        self._functions.clear()
        self._blocks.clear()

    def _limit(self, remote: Remote, seconds: float) -> None:
        if seconds != self._deadline:
            self._function(remote, "tvmtiny.bridge.set_timeout")(float(seconds))
            self._deadline = seconds

    def _region(self, remote: Remote) -> tuple[int, int]:
        origin, length = _REGION.unpack(bytes(self._function(remote, "tvmtiny.runner.region")()))
        return int(origin), int(length)

    def _write(self, remote: Remote, address: int, data: bytes, keep: bool) -> None:
        """Write data unless the board already holds it.

        Parameters
        ----------
        keep
            Whether only writes of this kind use that address, so that the data remains valid.
        """
        if keep and self._kept.get(address) == data:
            return
        end = address + len(data)
        for other in [o for o, d in self._kept.items() if o < end and address < o + len(d)]:
            del self._kept[other]
        self._upload(remote, address, data)
        if keep:
            self._kept[address] = data

    def _upload(self, remote: Remote, address: int, data: bytes) -> None:
        block, skipped = divmod(address - self.region.origin, BLOCK_BYTES)
        assert skipped == 0, hex(address)
        remote.write(self._memory(remote, block, len(data)), data)

    def _unexpected(
        self, remote: Remote, image: Image, expected: Sequence[bytes]
    ) -> tuple[bytes, ...] | None:
        """Return the outputs, or None if their CRCs match those of `expected`."""
        crc = self._function(remote, "tvmtiny.runner.crc")
        found = [crc(address, size) for address, size in image.outputs]
        if found == [zlib.crc32(data) for data in expected]:
            return None
        outputs = []
        for address, size in image.outputs:
            block, skipped = divmod(address - self.region.origin, BLOCK_BYTES)
            data = remote.read(self._memory(remote, block, skipped + size))
            outputs.append(data[skipped:])
        return tuple(outputs)

    def _memory(self, remote: Remote, block: int, size: int) -> tvm.runtime.Tensor:
        if (block, size) not in self._blocks:
            self._blocks[block, size] = remote.memory(f"block.{block}", size)
        return self._blocks[block, size]

    def _function(self, remote: Remote, name: str) -> Callable[..., Any]:
        if name not in self._functions:
            self._functions[name] = remote.function(name)
        return self._functions[name]


def runner_board(
    url: str, timeout: float = CONNECT_TIMEOUT, files: BoardFiles | None = None
) -> Board:
    """Return the board that runs the runner at a port, even if only Zephyr knows that board.

    Parameters
    ----------
    timeout
        Seconds within which the board must answer.
    files
        See `tvmtiny.targets.find_board`.

    Raises
    ------
    InputError
        The board does not run the runner.
    BoardFileError
        The board is one of `files`, and its file is invalid.
    TvmtinyError
        The board cannot be reached.
    """
    hello = identify(url, timeout=timeout)
    with suppress(UnknownTargetError):
        return find_board_by_name(hello.board, files or {})
    runner = BoardRunner.at_port(url, timeout=timeout)
    try:
        cpu, region = runner.cpu, runner.region
    finally:
        runner.close()
    ram = Region("RAM", "ram", region.origin, region.length)
    name = hello.board
    return Board(name, f"{name} at a port", cpu, "zephyr", (ram,), "RAM", "RAM", {})


def _cpu_of(name: str) -> Cpu:
    if name not in cpus():
        raise UnknownTargetError(name, tuple(cpus()), (), "CPU")
    return cpus()[name]
