"""Updating the model of a board over the board link."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tvmtiny.errors import DeviceError, ImageError, InputError, LinkError, PortError
from tvmtiny.images.image_format import DIGEST_BYTES, Image, feature_bits
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.faults import describe_fault
from tvmtiny.rpc.board import connect_timeout
from tvmtiny.rpc.remote import Remote, open_pipe, open_tracker
from tvmtiny.targets import find_board_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tvmtiny.errors import DeviceFaultError
    from tvmtiny.targets import BoardFiles

__all__ = ["ModelState", "UpdateResult", "Updater", "update"]

_STATE = struct.Struct("<Ii14I32s32s24s")
_FORMAT = 1
_NONE = 2
_WORD = 0xFFFFFFFF

#: What ``tvmtiny_image_reason`` and ``tvmtiny_slots.h`` have for each status.
_REASONS = {
    1: "not aligned to 16 bytes",
    2: "truncated",
    3: "no image",
    4: "of another version of the format",
    5: "for another ABI",
    6: "its parts do not fit each other",
    7: "for another CPU",
    8: "uses instructions that the CPU lacks",
    9: "for a later firmware",
    10: "older than what has run there",
    11: "needs more memory than the firmware has for it",
    12: "needs more stack than the firmware has for it",
    13: "damaged: another hash",
    14: "not signed",
    15: "signed with a key that the firmware does not know",
    16: "its signature is wrong",
    17: "its self-test gives other outputs",
    18: "has no self-test",
    64: "the flash does not hold what was written",
    65: "no slot has an image that may run",
    66: "too large for a slot",
    67: "no update was begun",
}

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ModelState:
    """What a board says of its model.

    Attributes
    ----------
    status
        0 where a model runs, else why none does; see ``tvmtiny_image.h`` and ``tvmtiny_slots.h``.
    active, pending
        The slot that runs, and the one that waits for its test; None where there is none.
    version, name, tail
        Of the model that runs; the last 32 bytes of its image.
    least_version
        Older models are refused.
    wear
        How often each slot was written.
    log_erasures
        How often a page of the log was erased.
    slot_bytes, page_bytes, piece_bytes
        Sizes: of a slot, of what is erased and of what is written at a time.
    cpu, features, firmware_version, signed
        What the firmware is, and whether it wants signatures.
    """

    status: int
    active: int | None
    pending: int | None
    version: int
    least_version: int
    wear: tuple[int, int]
    log_erasures: int
    slot_bytes: int
    page_bytes: int
    piece_bytes: int
    features: int
    firmware_version: int
    signed: bool
    image_bytes: int
    tail: bytes
    name: str
    cpu: str


@dataclass(frozen=True)
class UpdateResult:
    """What an update did.

    Attributes
    ----------
    board
        Its port.
    before, after
        What the board said of its model.
    sent_bytes, kept_bytes
        What was written, and what lay there already.
    interruptions
        How often the link broke.
    """

    board: str
    before: ModelState
    after: ModelState
    sent_bytes: int
    kept_bytes: int
    interruptions: int


@dataclass
class _Counts:
    sent: int = 0
    kept: int = 0
    interruptions: int = 0
    before: ModelState | None = field(default=None)


class Updater:
    """A board whose firmware has the functions of ``tvmtiny_image_rpc.h``.

    Parameters
    ----------
    open_session
        Opens TVM's session to it.
    url
        What errors call it.
    owns_bridge
        Whether the bridge to it is a process of this one.
    problem
        Says why the board has gone, where that is known.

    Raises
    ------
    DeviceError
        Its firmware has no such functions, or is of another version.
    LinkError, PortError
        It cannot be reached.
    """

    def __init__(
        self,
        open_session: Callable[[], Any],
        url: str,
        owns_bridge: bool = True,
        problem: Callable[[], str | None] = lambda: None,
        files: BoardFiles | None = None,
    ) -> None:
        self._url = url
        self._files = files or {}
        self._remote = Remote(open_session, url, owns_bridge, problem, self._describe)
        self._functions: dict[str, Callable[..., Any]] = {}

    def state(self) -> ModelState:
        """Ask what runs."""
        data = bytes(self._call("state"))
        if len(data) != _STATE.size or data[:4] != _FORMAT.to_bytes(4, "little"):
            raise DeviceError(
                f"the board at {self._url} answers in another format; flash firmware of this "
                "version of tvmtiny"
            )
        _, status, active, pending, version, least, *rest = _STATE.unpack(data)
        wear0, wear1, erased, slot, page, piece, features, firmware, keys, size = rest[:10]
        tail, name, cpu = rest[10:]
        return ModelState(
            status,
            None if active == _NONE else active,
            None if pending == _NONE else pending,
            version,
            least,
            (wear0, wear1),
            erased,
            slot,
            page,
            piece,
            features,
            firmware,
            bool(keys),
            size,
            tail,
            _text(name),
            _text(cpu),
        )

    def write(self, data: bytes, state: ModelState, counts: _Counts) -> None:
        """Write an image to the slot that does not run, but for the pages that are there."""
        self._checked("begin", len(data))
        memory = self._remote.memory("piece.0", state.piece_bytes)
        for page in range(0, len(data), state.page_bytes):
            part = data[page : page + state.page_bytes]
            there = self._there(page, part, state.piece_bytes)
            counts.kept += there
            for at in range(there, len(part), state.piece_bytes):
                piece = part[at : at + state.piece_bytes]
                self._remote.write(memory, piece.ljust(state.piece_bytes, b"\xff"))
                self._checked("write", page + at, len(piece))
                counts.sent += len(piece)

    def _there(self, page: int, part: bytes, piece_bytes: int) -> int:
        """How many bytes of a page are there already, so that the rest can be written behind."""

        def holds(at: int, data: bytes) -> bool:
            return int(self._call("crc", page + at, len(data))) & _WORD == zlib.crc32(data)

        if holds(0, part):
            return len(part)
        there = 0
        while holds(there, part[there : there + piece_bytes]):
            there += piece_bytes
        rest = len(part) - there
        return there if there and holds(there, b"\xff" * rest) else 0

    def finish(self) -> None:
        """Verify what was written.

        Raises
        ------
        ImageError
            The board refuses it.
        """
        self._checked("finish")

    def start(self) -> int:
        """Test and switch; 0 where a model runs then, else why none does."""
        return int(self._call("start"))

    def close(self) -> None:
        """End the session."""
        self._remote.close()

    def _call(self, name: str, *arguments: int) -> Any:
        if name not in self._functions:
            self._functions[name] = self._remote.function(f"tvmtiny.image.{name}")
        return self._functions[name](*arguments)

    def _checked(self, name: str, *arguments: int) -> None:
        status = int(self._call(name, *arguments))
        if status != 0:
            raise _refused(self._url, status)

    def _describe(self, registers: Mapping[str, int]) -> DeviceFaultError:
        board = str(self._remote.statistics().get("board", ""))
        return describe_fault(registers, None, (), find_board_by_name(board, self._files).cpu)


def update(
    board: str,
    image: Image,
    *,
    tracker: str | None = None,
    timeout: float = 60.0,
    baudrate: int = DEFAULT_BAUDRATE,
    attempts: int = 5,
    progress: Callable[[str], None] | None = None,
    files: BoardFiles | None = None,
) -> UpdateResult:
    """Update the model of a board.

    Pages that are there already are not sent again, so that an update that was broken off goes on:
    within this call, and in a later one. The board runs the old model until the new one is whole
    and has passed its test.

    Parameters
    ----------
    board
        The port of a board whose firmware has images; with `tracker` its key there.
    tracker
        ``HOST:PORT`` of a lab.
    timeout
        Seconds until a call counts as hung. Erasing a page and checking a signature are calls.
    baudrate
        Bits per second, where the line has any.
    attempts
        How often the link may break before the update is given up.
    progress
        Called with a few words before each step.

    Raises
    ------
    ImageError
        The image is not for this board, or the board refuses it; the old model goes on.
    DeviceError
        The firmware has no images.
    LinkError
        The link broke too often; another call goes on with what is there.
    PortError, InputError
        There is no such port, tracker or board.
    """
    tell = progress or (lambda _: None)
    if attempts < 1:
        raise InputError(f"{attempts} attempts are none; give 1 or more")
    counts = _Counts()
    url = board if tracker is None else f"{board} at {tracker}"

    def connect() -> Updater:
        if tracker is not None:
            return Updater(lambda: open_tracker(tracker, board), url, False, files=files)
        connecting = connect_timeout(timeout, None)
        return Updater(lambda: open_pipe(board, timeout, connecting, baudrate), url, files=files)

    def attempt(updater: Updater) -> ModelState:
        state = updater.state()
        if counts.before is None:
            counts.before = state
        data = image.pack()
        if state.status == 0 and _runs(state, data):
            return state
        _check(image, state, url)
        tell(f"writing {len(data):,} bytes")
        updater.write(data, state, counts)
        tell("verifying and testing the new model")
        updater.finish()
        updater.start()
        after = updater.state()
        if not _runs(after, data):
            raise ImageError(
                image.name,
                f"it failed its self-test on the board at {url}, which goes on with version "
                f"{after.version}",
                "check on the bench that it is right for this board (tvmtiny run --check)",
            )
        return after

    after = _repeated(connect, attempt, attempts, counts, tell, url)
    assert counts.before is not None
    return UpdateResult(url, counts.before, after, counts.sent, counts.kept, counts.interruptions)


def _repeated(
    connect: Callable[[], Updater],
    attempt: Callable[[Updater], _Result],
    attempts: int,
    counts: _Counts,
    tell: Callable[[str], None],
    url: str,
) -> _Result:
    """Try again where the link breaks."""
    while True:
        updater = None
        try:
            tell(f"connecting to {url}")
            updater = connect()
            return attempt(updater)
        except (LinkError, PortError) as error:
            counts.interruptions += 1
            # A port that was never there does not come back.
            never = counts.before is None and isinstance(error, PortError)
            if counts.interruptions >= attempts or never:
                raise
        finally:
            if updater is not None:
                updater.close()


def _runs(state: ModelState, data: bytes) -> bool:
    return (state.status, state.image_bytes, state.tail) == (0, len(data), data[-DIGEST_BYTES:])


def _check(image: Image, state: ModelState, url: str) -> None:
    """Refuse here what the board would refuse, before anything is sent."""
    missing = feature_bits(image.features) & ~state.features
    problems = (
        (image.cpu != state.cpu, 7),
        (missing, 8),
        (image.minimum_firmware > state.firmware_version, 9),
        (image.version < state.least_version, 10),
        (state.signed and not image.signature, 14),
        (image.total_bytes > state.slot_bytes, 66),
    )
    for wrong, status in problems:
        if wrong:
            raise _refused(url, status)


def _refused(url: str, status: int) -> ImageError:
    reason = _REASONS.get(status, f"status {status}")
    return ImageError(
        f"for the board at {url}",
        f"it is refused: {reason}",
        "the board goes on with its old model; build an image that it takes (docs/images.md)",
    )


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii", "replace")
