"""Errors in a name, a file or a path that was given."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from tvmtiny.errors.base import InputError, one_line, quoted

#: System messages for a full disk.
_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT)))
#: Advice for chips that are not listed, for each kind of name in `UnknownTargetError` for which a
#: board file can be given instead.
_OTHER_CHIP = {
    "target": "for any other chip, name its CPU",
    "board": "for any other chip, name a board that has the same CPU",
}


@dataclass(eq=False)
class UnknownTargetError(InputError):
    """A name is neither a board nor a CPU.

    Attributes
    ----------
    name
        The name given.
    known
        All names allowed there.
    nearest
        The most similar allowed names, best first; may be empty.
    kind
        Kind of name: a ``target``, a ``board``, a ``CPU`` or a ``board of Zephyr``.
    """

    name: str
    known: tuple[str, ...]
    nearest: tuple[str, ...] = ()
    kind: str = "target"

    def __str__(self) -> str:
        text = f"there is no {self.kind} {quoted(one_line(self.name))}"
        if self.nearest:
            text += f"; did you mean {' or '.join(self.nearest)}?"
        text += f"{'' if self.nearest else ';'} known: {', '.join(self.known)}"
        if self.kind not in _OTHER_CHIP:
            return text
        text += ", or a board file NAME.toml"
        return text if self.nearest else f"{text}; {_OTHER_CHIP[self.kind]}"


@dataclass(eq=False)
class BoardFileError(InputError):
    """A board file cannot be read, or says something that is not usable.

    Attributes
    ----------
    file
        Path of the file, as given.
    key
        The invalid key, such as ``regions[0].length``; empty if the whole file is invalid.
    problem
        Description of the problem, in words that follow the key.
    allowed
        Description of valid values.
    """

    file: str
    key: str
    problem: str
    allowed: str

    def __str__(self) -> str:
        file = one_line(self.file)
        # A name with control characters is shown with escapes.
        file = file if file.isprintable() else ascii(file)
        what = f"{self.key} {one_line(self.problem)}" if self.key else one_line(self.problem)
        return f"board file {file}: {what}; allowed: {one_line(self.allowed)}"


@dataclass(eq=False)
class ProfileBoardError(InputError):
    """Layers cannot be counted on a board.

    Attributes
    ----------
    board, cpu
        Names of the board and its processor.
    supported
        Names of the boards that can be profiled.
    """

    board: str
    cpu: str
    supported: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"cannot profile on {self.board}: it is not a board of the platform qemu, or "
            f"the instructions of its {self.cpu} cannot be counted; boards that can be profiled: "
            f"{', '.join(self.supported)}"
        )


@dataclass(eq=False)
class InputDataError(InputError):
    """Data for an input of the model has the wrong shape, dtype or content.

    Attributes
    ----------
    name
        Name of the input, or of the file that it came from.
    reason
        Short description of the problem.
    expected
        Description of valid data, for example ``int8 (1, 49, 10, 1)``.
    got
        Description of the data that was given; empty if the reason says enough.
    """

    name: str
    reason: str
    expected: str
    got: str

    def __str__(self) -> str:
        got = f", got {one_line(self.got)}" if self.got else ""
        return (
            f"input {quoted(self.name)}: {one_line(self.reason)}; expected "
            f"{one_line(self.expected)}{got}"
        )


@dataclass(eq=False)
class OutputPathError(InputError):
    """Results cannot be written where they were asked for.

    Attributes
    ----------
    path
        Path of the file or directory.
    reason
        Reason for the failure.
    """

    path: str | os.PathLike[str]
    reason: str

    def __str__(self) -> str:
        remedy = "give a path that you may write to"
        if self.reason in _FULL:
            remedy = "free some space, or give another path"
        return f"cannot write to {os.fspath(self.path)}: {one_line(self.reason)}; {remedy}"
