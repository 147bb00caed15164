"""Run an artifact or firmware on a board and return the results."""

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
    """Build firmware around `artifact`, run it on a board, and return the results.

    Parameters
    ----------
    artifact
        Model compiled for a board or CPU; see `tvmtiny.compile`.
    inputs
        One array for each input of the model, of its shape and dtype.
    board
        A board, its name or its file (see `tvmtiny.targets.find_board`); by default the board that
        the artifact was compiled for.
    timeout
        Limit on the run in host seconds.
    progress
        Called with a short description before each step.

    Returns
    -------
    RunResult
        Outputs, layers, and the instructions and memory of one inference.

    Raises
    ------
    InputError
        If there is no board, its CPU lacks a feature that the code requires, or `timeout` is not
        positive.
    CapacityError, ToolMissingError, BuildError, DeviceError, InputDataError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    where = board_for(artifact, board)
    # The negated comparison also rejects NaN.
    if not timeout > 0:
        raise InputError(f"a timeout of {timeout:g} s leaves no time to run; give more than 0")
    platform = platform_for(where)
    tell = progress or (lambda _: None)
    # A BuildError refers to a log in the folder.
    with work_folder("project", keep_after=(BuildError,)) as directory:
        tell(f"building firmware for {where.name}")
        firmware = platform.build(platform.generate(artifact, where, directory))
        platform.flash(firmware)
        tell(f"running on {where.name}")
        return run_firmware(firmware, inputs, timeout)


def run_firmware(
    firmware: Firmware, inputs: Sequence[np.ndarray], timeout: float = DEFAULT_TIMEOUT
) -> RunResult:
    """Run one inference on firmware that is already flashed.

    The harness reports the results itself if the platform has one; otherwise the board is started
    and measured by a `Session`.

    Parameters
    ----------
    firmware
        Firmware built by a platform.
    inputs
        One array for each input of the model, of its shape and dtype.
    timeout
        Limit on the run in host seconds.

    Returns
    -------
    RunResult
        Outputs, layers, and the instructions and memory of one inference.

    Raises
    ------
    InputDataError, ToolMissingError, DeviceError
        Raised as by `tvmtiny.project.api.HarnessPlatform`.
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
