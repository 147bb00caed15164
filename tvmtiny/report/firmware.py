"""Build temporary firmware for a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tvmtiny.errors import BuildError
from tvmtiny.host.unfinished import work_folder
from tvmtiny.project.registry import platform_for

if TYPE_CHECKING:
    from tvmtiny.codegen import Artifact
    from tvmtiny.results import Firmware
    from tvmtiny.targets import Board

__all__ = ["built_firmware"]


@contextmanager
def built_firmware(artifact: Artifact, board: Board) -> Iterator[Firmware]:
    """Build firmware in a temporary directory for the duration of the context.

    If the build fails, the directory is kept, because the error refers to a log in it.

    Raises
    ------
    CapacityError, ToolMissingError, BuildError
        Raised as by `tvmtiny.project.api.Platform`.
    """
    platform = platform_for(board)
    with work_folder("project", keep_after=(BuildError,)) as directory:
        yield platform.build(platform.generate(artifact, board, directory))
