"""Update the model of a board over the board link."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tvmtiny.errors import DeviceError, ImageError, InputError, LinkError, PortError
from tvmtiny.images.image_format import DIGEST_BYTES, Image, feature_bits
from tvmtiny.images.link_delta import make_pieces
from tvmtiny.link.transport import DEFAULT_BAUDRATE
from tvmtiny.project.faults import describe_fault
from tvmtiny.rpc.board import check_timeout, connect_timeout
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

#: Text for each status of ``tvmtiny_image_reason`` and ``tvmtiny_slots.h``.
_REASONS = {
    1: "it is not aligned to 16 bytes",
    2: "it is truncated",
    3: "it is not an image",
    4: "it has another format version",
    5: "it has another ABI",
    6: "its parts are inconsistent",
    7: "it is built for another CPU",
    8: "it uses instructions that the CPU lacks",
    9: "it requires a later firmware",
    10: "it is older than a version that has run there",
    11: "it needs more memory than the firmware provides",
    12: "it needs more stack than the firmware provides",
    13: "its hash does not match",
    14: "it is not signed",
    15: "it is signed with a key that the firmware does not have",
    16: "its signature is invalid",
    17: "its self-test computes different outputs",
    18: "it has no self-test",
    64: "the flash differs from what was written",
    65: "no slot has a valid image",
    66: "it is too large for a slot",
    67: "no update is in progress",
    68: "a piece of a difference is invalid",
}

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ModelState:
    """State of a board's model.

    Attributes
    ----------
    status
        0 if a model runs, else the reason; see ``tvmtiny_image.h`` and ``tvmtiny_slots.h``.
    active, pending
        The slot in use, and the slot waiting for its self-test; None if there is none.
    version, name, tail
        Version and name of the running model, and the last 32 bytes of its image.
    least_version
        Lowest version that the board accepts.
    wear
        Number of times that each slot was written.
    log_erasures
        Number of times that a page of the log was erased.
    slot_bytes, page_bytes, piece_bytes
        Size of a slot, of the erase unit and of the write unit, in bytes.
    cpu, features, firmware_version, signed
        CPU, features and version of the firmware, and whether it requires signatures.
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
    """The result of an update.

    Attributes
    ----------
    board
        Port of the board.
    before, after
        State of the board before and after the update.
    sent_bytes, kept_bytes
        Bytes that were written, and bytes that were already present.
    interruptions
        Number of times that the link broke.
    difference
        Whether the difference from the running image was sent instead of the whole image.
    """

    board: str
    before: ModelState
    after: ModelState
    sent_bytes: int
    kept_bytes: int
    interruptions: int
    difference: bool = False


@dataclass
class _Counts:
    sent: int = 0
    kept: int = 0
    interruptions: int = 0
    difference: bool = False
    before: ModelState | None = field(default=None)


class Updater:
    """A board whose firmware provides the functions of ``tvmtiny_image_rpc.h``.

    Parameters
    ----------
    open_session
        Opens TVM's session to the board.
    url
        Name of the board in error messages.
    owns_bridge
        Whether the bridge to the board is a child of this process.
    problem
        Returns why the board is gone, or None if unknown.

    Raises
    ------
    DeviceError
        The firmware lacks these functions, or has another version of them.
    LinkError, PortError
        The board cannot be reached.
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
        """Return the state of the board's model."""
        data = bytes(self._call("state"))
        if len(data) != _STATE.size or data[:4] != _FORMAT.to_bytes(4, "little"):
            raise DeviceError(
                f"the board at {self._url} answers in an unknown format; flash firmware that was "
                "built with this version of tvmtiny"
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
        """Write an image to the inactive slot, skipping pages that it already holds."""
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

    def write_difference(self, old: bytes, data: bytes, state: ModelState, counts: _Counts) -> bool:
        """Write an image as its difference from the running one, skipping what is already there.

        Returns
        -------
        bool
            False if the firmware does not take differences, or the whole image is smaller.
        """
        pieces = list(make_pieces(old, data, 0, state.piece_bytes))
        if sum(len(piece.data) for piece in pieces) >= len(data) or not self._takes("patch"):
            return False
        self._checked("begin", len(data))
        start = self._written(data, state.page_bytes)
        counts.kept += start
        for piece in make_pieces(old, data, start, state.piece_bytes):
            self._checked("patch", piece.offset, piece.data)
            counts.sent += len(piece.data)
        counts.difference = True
        return True

    def _written(self, data: bytes, page_bytes: int) -> int:
        """Return how many bytes from the start are already written; whole pages, or all."""

        def holds(pages: int) -> bool:
            part = data[: pages * page_bytes]
            return int(self._call("crc", 0, len(part))) & _WORD == zlib.crc32(part)

        # Pages are written in order, and a new update has written none.
        low, high = 0, -(-len(data) // page_bytes)
        if not holds(1):
            return 0
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if holds(middle) else (low, middle - 1)
        return min(low * page_bytes, len(data))

    def _takes(self, name: str) -> bool:
        """Whether the firmware has a function."""
        try:
            self._function(name)
        except LinkError:
            raise
        except DeviceError:
            return False
        return True

    def _there(self, page: int, part: bytes, piece_bytes: int) -> int:
        """Return how many leading bytes of a page are already written; the rest must be erased."""

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
        """Verify the written image.

        Raises
        ------
        ImageError
            The board rejects the image.
        """
        self._checked("finish")

    def start(self) -> int:
        """Test the new image and switch to it; return 0 if a model runs then, else the status."""
        return int(self._call("start"))

    def close(self) -> None:
        """Close the session."""
        self._remote.close()

    def _function(self, name: str) -> Callable[..., Any]:
        if name not in self._functions:
            self._functions[name] = self._remote.function(f"tvmtiny.image.{name}")
        return self._functions[name]

    def _call(self, name: str, *arguments: int | bytes) -> Any:
        return self._function(name)(*arguments)

    def _checked(self, name: str, *arguments: int | bytes) -> None:
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
    known: Sequence[Image] = (),
    tracker: str | None = None,
    timeout: float = 60.0,
    baudrate: int = DEFAULT_BAUDRATE,
    attempts: int = 5,
    progress: Callable[[str], None] | None = None,
    files: BoardFiles | None = None,
) -> UpdateResult:
    """Update the model of a board.

    Pages that the board already holds are not sent again, so an interrupted update resumes, within
    this call or in a later one. The board runs the old model until the new one is complete and has
    passed its self-test.

    Parameters
    ----------
    board
        Port of a board whose firmware supports images; with `tracker`, its key there.
    image
        The new model; see `tvmtiny.read_image`.
    known
        Images that the board may run. If it runs one of them and its firmware takes differences,
        only the difference between that image and the new one is sent.
    tracker
        Address of a lab's tracker, ``HOST:PORT``.
    timeout
        Seconds until a call counts as hung. Erasing a page or verifying a signature is one call.
    baudrate
        Bits per second, for serial lines.
    attempts
        Number of link failures after which the update is abandoned.
    progress
        Called with a short description before each step.
    files
        Additional board files; see `tvmtiny.targets.find_board`.

    Returns
    -------
    UpdateResult
        State of the board before and after, and the bytes that were sent.

    Raises
    ------
    ImageError
        The image is not for this board, or the board rejects it; the old model stays active.
    DeviceError
        The firmware does not support images.
    LinkError
        The link failed too often; a later call resumes the update.
    PortError, InputError
        The port, tracker or board does not exist.
    """
    tell = progress or (lambda _: None)
    check_timeout(timeout)
    if attempts < 1:
        raise InputError(f"{attempts} attempts: give 1 or more")
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
        olds = (old.pack() for old in known)
        running = next((old for old in olds if state.status == 0 and _runs(state, old)), None)
        tell(f"writing {len(data):,} bytes")
        if running is None or not updater.write_difference(running, data, state, counts):
            updater.write(data, state, counts)
        tell("verifying and testing the new model")
        try:
            updater.finish()
        except ImageError:
            if not counts.difference:
                raise
            # The flash does not hold what the board verified at its start.
            counts.difference = False
            updater.write(data, state, counts)
            updater.finish()
        updater.start()
        after = updater.state()
        if not _runs(after, data):
            raise ImageError(
                image.name,
                f"it failed its self-test on the board at {url}, which keeps version "
                f"{after.version}",
                "check that it is built for this board (tvmtiny run --check)",
            )
        return after

    after = _repeated(connect, attempt, attempts, counts, tell, url)
    assert counts.before is not None
    return UpdateResult(
        url,
        counts.before,
        after,
        counts.sent,
        counts.kept,
        counts.interruptions,
        counts.difference,
    )


def _repeated(
    connect: Callable[[], Updater],
    attempt: Callable[[Updater], _Result],
    attempts: int,
    counts: _Counts,
    tell: Callable[[str], None],
    url: str,
) -> _Result:
    """Call `attempt` again after each link failure, up to the limit."""
    while True:
        updater = None
        try:
            tell(f"connecting to {url}")
            updater = connect()
            return attempt(updater)
        except (LinkError, PortError) as error:
            counts.interruptions += 1
            # A port that could never be opened will not appear later.
            never = counts.before is None and isinstance(error, PortError)
            if counts.interruptions >= attempts or never:
                raise
        finally:
            if updater is not None:
                updater.close()


def _runs(state: ModelState, data: bytes) -> bool:
    return (state.status, state.image_bytes, state.tail) == (0, len(data), data[-DIGEST_BYTES:])


def _check(image: Image, state: ModelState, url: str) -> None:
    """Reject an image that the board would reject, before sending anything."""
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
        f"the board refuses it: {reason}",
        "the board keeps its old model; build an image that it accepts (docs/images.md)",
    )


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii", "replace")
