"""`run`: from an artifact to results on a board, in one call."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tvmtiny.errors import BuildError, InputError
from tvmtiny.project.api import RunResult, platform_for
from tvmtiny.targets import Board, find_board

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact

#: Host seconds after which firmware counts as hung.
DEFAULT_TIMEOUT = 120.0


def run(
    artifact: Artifact,
    *inputs: np.ndarray,
    board: Board | str | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Callable[[str], None] | None = None,
) -> RunResult:
    """Build firmware around `artifact`, run it on a board, and return what it computed.

    Parameters
    ----------
    inputs
        One array for each input of the model, of its shape and dtype.
    board
        By default the board that the artifact was compiled for.
    timeout
        Seconds of host time.
    progress
        Called with a few words before each step.

    Raises
    ------
    InputError
        If there is no board, its CPU lacks what the code was compiled for, or there is no time.
    CapacityError, ToolMissingError, BuildError, DeviceError, InputDataError
        See `Platform`.
    """
    where = board_for(artifact, board)
    # The negation covers NaN.
    if not timeout > 0:
        raise InputError(f"a timeout of {timeout:g} s leaves no time to run; give more than 0")
    platform = platform_for(where)
    tell = progress or (lambda _: None)
    directory = Path(tempfile.mkdtemp(prefix="tvmtiny-project-"))
    keep = False
    try:
        tell(f"building firmware for {where.name}")
        firmware = platform.build(platform.generate(artifact, where, directory))
        platform.flash(firmware)
        tell(f"running on {where.name}")
        return platform.run(firmware, inputs, timeout)
    except BuildError:
        # The message points to the log in there.
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def board_for(artifact: Artifact, board: Board | str | None) -> Board:
    """Give the board to run an artifact on.

    Parameters
    ----------
    board
        A board or its name; by default the one that the artifact was compiled for.

    Raises
    ------
    InputError
        If there is none, or its CPU lacks what the code was compiled for.
    """
    found = find_board(board) if isinstance(board, str) else board or artifact.target.board
    cpu = artifact.target.cpu
    if found is None:
        raise InputError(
            f"the code was compiled for the CPU {cpu.name}, not for a board; name a board to run "
            "it on (tvmtiny boards lists them)"
        )
    missing = cpu.features - found.cpu.features
    if missing:
        raise InputError(
            f"the code was compiled for {cpu.name}, but {found.name} has a {found.cpu.name} "
            f"without {', '.join(sorted(missing))}; compile it for {found.name}"
        )
    return found
