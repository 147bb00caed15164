"""``tvmtiny profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import BoardOption, DataOption, TimeoutOption, compiles
from tvmtiny.cli.settings import Settings

if TYPE_CHECKING:
    from tvmtiny.report.energy import Energy
    from tvmtiny.report.profile import Profile
    from tvmtiny.targets import Cpu
    from tvmtiny.targets.energy import EnergyFigure


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("profile")(profile)


@compiles()
def profile(
    model: ModelArgument,
    board: BoardOption,
    data: DataOption = "ramp",
    timeout: TimeoutOption = 600.0,
    energy: Annotated[
        str | None,
        typer.Option(
            help="A board with a published figure, such as nucleo-l4r5zi, or a FILE.toml.",
            metavar="BOARD",
        ),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(help="With --energy: clock; by default the figure's.", metavar="80M"),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(help="With --energy: time from one inference to the next.", metavar="20ms"),
    ] = None,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Count instructions and estimate cycles of each layer.

    Cycles are estimated from the timings in the core's manual, without wait states of the flash.

    Example: tvmtiny profile model.tflite --board mps2-an386

    Example: tvmtiny profile model.tflite --board mps2-an386 --energy nucleo-l4r5zi --deadline 20ms
    """
    wanted = _wanted(energy, clock, deadline)
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.inputs import make_inputs
        from tvmtiny.report.energy import energy_summary, energy_tables
        from tvmtiny.report.profile import profile as profile_artifact
        from tvmtiny.report.profile_tables import profile_summary, profile_tables

        target = settings.board(board).target
        if wanted is not None:
            _check_cpu(wanted[0], target.cpu)
        loaded = settings.read(model, tell)
        inputs = make_inputs(data, loaded.graph.inputs)
        artifact = settings.artifact(loaded, target, tell)
        found = profile_artifact(artifact, *inputs, timeout=timeout, progress=tell)
    taken = None if wanted is None else _energy(found, wanted)
    if json:
        print_json(
            profile_summary(found)
            if taken is None
            else {**profile_summary(found), "energy": energy_summary(taken)}
        )
        return
    for table in profile_tables(found):
        console().print(table)
    if taken is not None:
        for table in energy_tables(taken):
            console().print(table)


def _wanted(
    energy: str | None, clock: str | None, deadline: str | None
) -> tuple[EnergyFigure, float | None, float | None] | None:
    from tvmtiny.errors import InputError
    from tvmtiny.report.energy import parse_clock, parse_duration
    from tvmtiny.targets.energy import energy_figure

    if energy is None:
        if clock is not None or deadline is not None:
            raise InputError("--clock and --deadline need --energy; give --energy BOARD, too")
        return None
    return (
        energy_figure(energy),
        None if clock is None else parse_clock(clock),
        None if deadline is None else parse_duration(deadline),
    )


def _check_cpu(figure: EnergyFigure, cpu: Cpu) -> None:
    from tvmtiny.errors import InputError

    if figure.cpu != cpu:
        raise InputError(
            f"{figure.name} has a {figure.cpu.name}, whose cycles are not those of a {cpu.name}; "
            f"profile on a board with a {figure.cpu.name}"
        )


def _energy(found: Profile, wanted: tuple[EnergyFigure, float | None, float | None]) -> Energy:
    from tvmtiny.errors import InputError
    from tvmtiny.report.energy import energy_of

    cycles = found.total.estimated_cycles
    if cycles is None:
        raise InputError(
            f"energy needs cycles, and there are no instruction timings for {found.cpu}"
        )
    return energy_of(cycles, *wanted)
