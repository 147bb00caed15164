"""From an artifact, or from firmware, to results on a board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tvmtiny.errors import (
    BuildError,
    DeviceTimeoutError,
    InputError,
    LinkClosedError,
    LinkTimeoutError,
    PortError,
)
from tvmtiny.host.unfinished import work_folder
from tvmtiny.project.api import HarnessPlatform
from tvmtiny.project.registry import board_for, platform_for
from tvmtiny.results import RunResult
from tvmtiny.rpc.board import end_of
from tvmtiny.rpc.session import Session
from tvmtiny.targets import BoardLike

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.results import Firmware

#: Host seconds after which firmware counts as hung.
DEFAULT_TIMEOUT = 120.0


def run(
    artifact: Artifact,
    *inputs: np.ndarray,
    board: BoardLike | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Callable[[str], None] | None = None,
) -> RunResult:
    """Build firmware around `artifact`, run it on a board, and return what it computed.

    Parameters
    ----------
    inputs
        One array for each input of the model, of its shape and dtype.
    board
        A board, its name or its file, see `tvmtiny.targets.find_board`; by default the board that
        the artifact was compiled for.
    timeout
        Seconds of host time.
    progress
        Called with a few words before each step.

    Raises
    ------
    InputError
        If there is no board, its CPU lacks what the code was compiled for, or there is no time.
    CapacityError, ToolMissingError, BuildError, DeviceError, InputDataError
        See `tvmtiny.project.api.Platform`.
    """
    where = board_for(artifact, board)
    # The negation covers NaN.
    if not timeout > 0:
        raise InputError(f"a timeout of {timeout:g} s leaves no time to run; give more than 0")
    platform = platform_for(where)
    tell = progress or (lambda _: None)
    # The message of this error points to a log in there.
    with work_folder("project", keep_after=(BuildError,)) as directory:
        tell(f"building firmware for {where.name}")
        firmware = platform.build(platform.generate(artifact, where, directory))
        platform.flash(firmware)
        tell(f"running on {where.name}")
        return run_firmware(firmware, inputs, timeout)


def run_firmware(
    firmware: Firmware, inputs: Sequence[np.ndarray], timeout: float = DEFAULT_TIMEOUT
) -> RunResult:
    """Run one inference of firmware that was flashed.

    The harness reports by itself where the platform has one; elsewhere the board is started, and a
    `Session` measures.

    Parameters
    ----------
    inputs
        One array for each input of the model, of its shape and dtype.
    timeout
        Seconds of host time.

    Raises
    ------
    InputDataError, ToolMissingError, DeviceError
        See `tvmtiny.project.api.HarnessPlatform`.
    """
    board = firmware.project.board
    platform = platform_for(board)
    if isinstance(platform, HarnessPlatform):
        return platform.run(firmware, inputs, timeout)
    transport = platform.open_transport(firmware)
    try:
        with Session(firmware.project.artifact, transport.url, timeout=timeout) as session:
            result = session.measure(*inputs)
    except LinkTimeoutError as error:
        raise DeviceTimeoutError(timeout, board.name) from error
    except (LinkClosedError, PortError) as error:
        reason = end_of(transport)
        if reason is None:
            raise
        raise LinkClosedError(transport.url, reason) from error
    finally:
        transport.close()
    return replace(result, flash=firmware.sizes, static_ram_bytes=firmware.static_ram_bytes)
