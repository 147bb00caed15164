"""`Session`: run a model on a board, controlled from the host."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.codegen.tensors import pack_inputs, split_layers, split_tensors
from tvmtiny.errors import DeviceFaultError, InputError, LinkClosedError, LinkError
from tvmtiny.host.closing import Closing
from tvmtiny.host.files import write_bytes
from tvmtiny.host.unfinished import work_folder
from tvmtiny.inputs import real_input
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.api import Transport
from tvmtiny.project.faults import describe_fault
from tvmtiny.project.measurement import Timing, decode_times
from tvmtiny.project.registry import board_for
from tvmtiny.results import Firmware, OutputTensor, RunResult
from tvmtiny.rpc.board import (
    StartedBoard,
    check_identity,
    check_timeout,
    connect_timeout,
    end_of,
    is_url,
    start_board,
)
from tvmtiny.rpc.bridge import DEFAULT_TIMEOUT
from tvmtiny.rpc.device_memory import DeviceMemory, parse_memory
from tvmtiny.rpc.remote import Remote, open_pipe, open_tracker
from tvmtiny.rpc.training_calls import TrainingCalls
from tvmtiny.targets import BoardLike
from tvmtiny.targets.architectures import find_architecture

if TYPE_CHECKING:
    import tvm

    from tvmtiny.codegen.artifact import Artifact, TensorInfo

__all__ = ["Session"]

#: Limit on the inferences that one call of ``tvmtiny.time`` measures.
_LARGEST_REPEATS = 1000


class Session(Closing, TrainingCalls):
    """A connection to a board that runs a model.

    Parameters
    ----------
    artifact
        The compiled model.
    board_or_url
        An emulated board, given as an object, a name or a file, which is started for this session;
        or the port of a board that was flashed with this artifact, given as a path such as
        ``/dev/ttyACM0`` or a URL. By default the board that the artifact was compiled for.
    timeout
        Seconds until a call counts as hung. An emulated board must also answer for the first time
        within that time; a board at a port must do so within at most ten seconds.
    transport
        Kind of port of an emulated board: ``socket``, or ``pty`` for a pseudo-terminal.
    baudrate
        Baud rate of a serial port, in bits per second.
    tracker, key
        Address ``HOST:PORT`` of a TVM tracker and the key under which the board is served there,
        instead of `board_or_url`. The session waits until such a board is free.
    wait
        Seconds to wait for the tracker and the server of the board to come up.
    progress
        Called with a short description before each step.

    Attributes
    ----------
    artifact
        The compiled model.
    firmware
        The firmware built for an emulated board, whose files are deleted; None for other boards.
    info
        Information reported by the board: model, board, identity, versions.

    Raises
    ------
    InputError
        There is no such board or tracker, or the arguments contradict each other.
    PortError
        The port does not exist, is in use, or may not be opened.
    ModelMismatchError
        The board runs another model.
    LinkError
        The board does not answer, or violates the protocol.
    CapacityError, ToolMissingError, BuildError
        Raised as by `Platform`.

    Notes
    -----
    A session is a context manager. Everything that it starts ends with it, and also when this
    process ends in any other way, even if it is killed. A session may be used by one thread at a
    time; several sessions can be open.

    Every method raises `LinkTimeoutError`, `LinkClosedError` or `LinkProtocolError` if the link
    fails, `DeviceFaultError` if the board's processor faults, and `DeviceError` if the board
    rejects a call. After any of these, :meth:`reset` makes the session usable again without
    restarting the board, unless the board is gone.

    Examples
    --------
    >>> with tvmtiny.Session(artifact, "mps2-an386") as session:
    ...     outputs = session.run(*inputs)
    """

    def __init__(
        self,
        artifact: Artifact,
        board_or_url: BoardLike | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        transport: str = "socket",
        baudrate: int = DEFAULT_BAUDRATE,
        tracker: str | None = None,
        key: str | None = None,
        wait: float = 0.0,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        _check_arguments(board_or_url, timeout, tracker, key)
        self.artifact = artifact
        self.firmware: Firmware | None = None
        self._elf: bytes | None = None
        self._inputs: bytes | None = None
        self._timeout = self._first_timeout = float(timeout)
        self._tracker, self._key, self._wait = tracker, key, wait
        self._baudrate = baudrate
        self._transport: Transport | None = None
        self._remote: Remote | None = None
        self._closed = False
        tell = progress or (lambda _: None)
        if tracker is not None:
            self._url = f"{key} at {tracker}"
        elif isinstance(board_or_url, str) and is_url(board_or_url):
            self._url = board_or_url
        else:
            board = board_for(artifact, board_or_url)
            with start_board(artifact, board, transport, tell) as started:
                self._adopt(started)
                self._begin(tell)
            return
        self._begin(tell)

    @property
    def url(self) -> str:
        """Port of the board, or its key and tracker."""
        return self._url

    @property
    def remote(self) -> tvm.rpc.RPCSession:
        """TVM's session, for tensors and functions on the board; a reset may replace it."""
        return self._open().session

    def run(self, *inputs: np.ndarray, real: bool = False) -> list[np.ndarray]:
        """Run one inference.

        Parameters
        ----------
        inputs
            One array for each input of the model, of its shape and dtype.
        real
            Whether inputs are real numbers to be quantized, and outputs are to be dequantized.

        Returns
        -------
        list of numpy.ndarray
            One array for each output of the model.

        Raises
        ------
        InputDataError
            The number of inputs, or the shape or dtype of one, is wrong; with `real`, a value is
            not finite.
        """
        tensors = self.artifact.inputs
        if real and len(inputs) == len(tensors):
            given = zip(tensors, inputs, strict=True)
            inputs = tuple(real_input(tensor, np.asarray(x), "the call") for tensor, x in given)
        self._write_inputs(inputs)
        self._call("tvmtiny.run")
        outputs = [
            self._read(f"output.{index}", tensor)
            for index, tensor in enumerate(self.artifact.outputs)
        ]
        if not real:
            return outputs
        pairs = zip(self.artifact.outputs, outputs, strict=True)
        return [tensor.real(values) for tensor, values in pairs]

    def reset_state(self) -> None:
        """Reset the model's state to its initial values."""
        if self.artifact.states:
            self._call("tvmtiny.reset_state")

    def prime(self, samples: np.ndarray) -> None:
        """Reset the front end and pass the samples that precede the first run; see `Artifact.feed`.

        Parameters
        ----------
        samples
            As many samples as the feed's `early`, of the dtype of the input.

        Raises
        ------
        InputError
            The model takes no samples, or their number is wrong.
        """
        info = self.artifact.feed
        early = 0 if info is None else info.feed.early
        given = np.asarray(samples).reshape(-1)
        if given.size != early or not early:
            raise InputError(
                f"{given.size} samples before a run are not possible; give at most {early}"
            )
        tensor = self.artifact.inputs[0]
        padded = np.zeros(max(early, int(np.prod(tensor.shape))), tensor.dtype)
        padded[:early] = given
        self._write_inputs((padded[: int(np.prod(tensor.shape))].reshape(tensor.shape),))
        self._call("tvmtiny.prime")

    def run_layers(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Run one inference layer by layer.

        Parameters
        ----------
        inputs
            As for :meth:`run`; without any, those of the previous call are used.

        Returns
        -------
        list of numpy.ndarray
            The output of each layer of the artifact, in order.
        """
        self._write_inputs(inputs)
        parts = []
        for piece, (_, size) in enumerate(self.artifact.pieces):
            self._call("tvmtiny.run_layer", piece)
            parts.append(self._open().read(self._slot(f"layer.{piece}", size)))
        return list(split_layers(b"".join(parts), self.artifact))

    def time(self, *inputs: np.ndarray, repeats: int = 3) -> Timing:
        """Count the instructions of inferences, each from the initial state.

        Parameters
        ----------
        inputs
            As for :meth:`run`; without any, those of the previous call are used.
        repeats
            Number of inferences, 1 to 1000.

        Returns
        -------
        Timing
            Instructions of each inference, and their deepest stack.

        Raises
        ------
        InputError
            `repeats` is out of range.
        """
        if not 1 <= repeats <= _LARGEST_REPEATS:
            raise InputError(
                f"{repeats} inferences cannot be measured at once; give 1 to {_LARGEST_REPEATS}"
            )
        self._write_inputs(inputs)
        counter = find_architecture(self.artifact.target.cpu.architecture).counter
        return decode_times(bytes(self._call("tvmtiny.time", repeats)), counter)

    def measure(self, *inputs: np.ndarray) -> RunResult:
        """Run the model three times: layer by layer, as a whole, and with instructions counted.

        Each run starts from the initial state.

        Parameters
        ----------
        inputs
            As for :meth:`run`.

        Returns
        -------
        RunResult
            As from firmware that runs without a session; sizes are None unless this session built
            it.
        """
        self.reset_state()
        layers = self.run_layers(*inputs)
        self.reset_state()
        outputs = self.run(*inputs)
        timing = self.time(*inputs, repeats=1)
        artifact, firmware = self.artifact, self.firmware
        return RunResult(
            model=artifact.name,
            board=str(self.info["board"]),
            cpu=artifact.target.cpu.name,
            instructions=timing.median,
            arena_bytes=artifact.arena_bytes,
            static_ram_bytes=None if firmware is None else firmware.static_ram_bytes,
            stack_bytes=timing.stack_bytes,
            flash=None if firmware is None else firmware.sizes,
            outputs=tuple(
                OutputTensor(tensor.name, tensor.dtype, tensor.shape, data)
                for tensor, data in zip(artifact.outputs, outputs, strict=True)
            ),
            layers=tuple(layers),
        )

    def memory(self) -> DeviceMemory:
        """Return the free heap of the board and the deepest stack of the last run."""
        return parse_memory(bytes(self._call("tvmtiny.memory")))

    def statistics(self) -> Mapping[str, Any]:
        """Return link counters since the session began: bytes, frames, retransmissions, polls."""
        return self._open().statistics()

    @property
    def timeout(self) -> float:
        """Seconds until a call counts as hung."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        check_timeout(seconds)
        self._call("tvmtiny.bridge.set_timeout", float(seconds))
        self._timeout = float(seconds)

    def reset(self) -> None:
        """Make the session usable again after an error, even while the board is still in a call.

        Tensors and functions obtained from :attr:`remote` before become invalid.

        Raises
        ------
        LinkError
            The board is gone, or does not answer.
        """
        if self._closed:
            raise LinkClosedError(self._url, "the session was closed")
        remote = self._remote
        if remote is not None and not remote.broken:
            self._forget()
            try:
                remote.function("tvmtiny.bridge.reset")()
                return
            except LinkError:
                if not remote.broken:
                    raise
        self._disconnect()
        # The board of a lab may be gone for good, and all others taken.
        self._connect(connect_timeout(self._timeout, self._transport))

    def close(self) -> None:
        """Close the session, and stop the board if the session started it."""
        self._closed = True
        self._disconnect()
        if self._transport is not None:
            self._finish()
            self._transport = None

    def _adopt(self, started: StartedBoard) -> None:
        self.firmware = started.firmware
        self._elf = started.elf
        self._transport = started.transport
        self._url = started.transport.url
        # Stop the board of a session that is garbage-collected without being closed.
        self._finish = weakref.finalize(self, started.transport.close)

    def _begin(self, tell: Callable[[str], None]) -> None:
        tell(f"connecting to {self._url}")
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self, patience: float | None = None) -> None:
        self._forget()
        tracker, key = self._tracker, self._key
        connect = connect_timeout(self._first_timeout, self._transport)
        self._remote = Remote(
            lambda: (
                open_tracker(tracker, key, self._wait, patience)
                if tracker is not None and key is not None
                else open_pipe(self._url, self._timeout, connect, self._baudrate)
            ),
            self._url,
            owns_bridge=tracker is None,
            problem=lambda: end_of(self._transport),
            describe_fault=self._describe_fault,
        )
        if tracker is not None:
            self._call("tvmtiny.bridge.set_timeout", self._timeout)
        self.info: Mapping[str, Any] = self._read_info()

    def _disconnect(self) -> None:
        # Close the connection first: freeing memory over an interrupted one would block.
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        self._forget()

    def _forget(self) -> None:
        """Drop all references to objects on the board."""
        self._functions: dict[str, Callable[..., Any]] = {}
        self._slots: dict[str, tvm.runtime.Tensor] = {}

    def _open(self) -> Remote:
        if self._closed:
            raise LinkClosedError(self._url, "the session was closed")
        if self._remote is None:
            raise LinkClosedError(self._url, "the session could not be opened again; call reset()")
        return self._remote

    def _read_info(self) -> dict[str, Any]:
        info: dict[str, Any] = json.loads(self._call("tvmtiny.metadata"))
        check_identity(
            self.artifact, self._url, str(self.statistics()["identity"]), str(info["model"])
        )
        return info

    def _call(self, name: str, *arguments: Any) -> Any:
        remote = self._open()
        if name not in self._functions:
            self._functions[name] = remote.function(name)
        return self._functions[name](*arguments)

    def _slot(self, scope: str, count: int) -> tvm.runtime.Tensor:
        if scope not in self._slots:
            self._slots[scope] = self._open().memory(scope, count)
        return self._slots[scope]

    def _write_inputs(self, inputs: Sequence[np.ndarray]) -> None:
        if inputs or self._inputs is None:
            self._inputs = pack_inputs(self.artifact.inputs, inputs)
        # Always write the inputs: a run may reuse their memory for other tensors.
        start = 0
        for index, tensor in enumerate(self.artifact.inputs):
            part = self._inputs[start : start + tensor.bytes]
            self._open().write(self._slot(f"input.{index}", tensor.bytes), part)
            start += tensor.bytes

    def _read(self, scope: str, tensor: TensorInfo) -> np.ndarray:
        data = self._open().read(self._slot(scope, tensor.bytes))
        (array,) = split_tensors(data, [tensor], scope)
        return array

    def _describe_fault(self, registers: Mapping[str, int]) -> DeviceFaultError:
        cpu = self.artifact.target.cpu
        if self._elf is None:
            return describe_fault(registers, None, self.artifact.layers, cpu)
        with work_folder("fault") as folder:
            elf = folder / "firmware.elf"
            write_bytes(elf, self._elf)
            return describe_fault(registers, elf, self.artifact.layers, cpu)


def _check_arguments(
    board_or_url: BoardLike | None,
    timeout: float,
    tracker: str | None,
    key: str | None,
) -> None:
    if (tracker is None) != (key is None):
        raise InputError("a tracker needs the key of a board there, and a key a tracker; give both")
    if tracker is not None and board_or_url is not None:
        raise InputError("give a board or a tracker, not both: the tracker chooses the board")
    check_timeout(timeout)
