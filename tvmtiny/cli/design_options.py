"""Options shared by the commands that design models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tvmtiny.design.figures import Budget

CpuOption = Annotated[
    str,
    typer.Option("--cpu", help="A CPU or a board (tvmtiny boards), or a board's FILE.toml."),
]
RamOption = Annotated[
    str | None,
    typer.Option("--ram", help="RAM for arena and states, such as 32768 or 32K.", metavar="SIZE"),
]
FlashOption = Annotated[
    str | None,
    typer.Option("--flash", help="Flash for constants, such as 262144 or 256K.", metavar="SIZE"),
]
DeadlineOption = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        help="Deadline of an inference: cycles (1.5M), or time and clock (20ms@80MHz).",
        metavar="TIME",
    ),
]
DatasetArgument = Annotated[
    Path,
    typer.Argument(metavar="DATA.npz", help="Arrays x_train, y_train, x_test and y_test."),
]
VerifyOption = Annotated[
    str | None,
    typer.Option("--verify", help="Also run the result on this board.", metavar="BOARD"),
]


def check_outputs(
    *files: Path | None, folder: Path | None = None, verify: str | None = None
) -> None:
    """Check paths and the board to verify on before a training that takes minutes.

    Raises
    ------
    OutputPathError
        A file or the folder cannot be written.
    UnknownTargetError, BoardFileError
        There is no such board.
    """
    from tvmtiny.host.files import check_path
    from tvmtiny.targets import resolve

    for file in files:
        if file is not None:
            check_path(file)
    if folder is not None:
        check_path(folder, folder=True)
    if verify is not None:
        resolve(verify)


def budget(ram: str | None, flash: str | None, deadline: str | None) -> Budget:
    """Parse the limits of a budget.

    Raises
    ------
    InputError
        A limit is invalid.
    """
    from tvmtiny.design.figures import Budget, parse_deadline
    from tvmtiny.targets import parse_size

    return Budget(
        None if ram is None else parse_size(ram),
        None if flash is None else parse_size(flash),
        None if deadline is None else parse_deadline(deadline),
    )
