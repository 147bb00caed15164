"""``tvmtiny run``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tvmtiny.cli.console import JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import BaudrateOption, DataOption, TimeoutOption, compiles
from tvmtiny.cli.settings import Settings
from tvmtiny.errors.base import quoted

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.results import RunResult


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("run")(run)


@compiles()
def run(
    model: ModelArgument,
    board: Annotated[
        str,
        typer.Option(
            "--board",
            "-b",
            help="A board (tvmtiny boards lists them), a board's FILE.toml, or the port of a "
            "flashed one (tvmtiny devices lists them), such as /dev/ttyACM0 or socket://HOST:PORT.",
        ),
    ],
    data: DataOption = "ramp",
    real: Annotated[
        str | None,
        typer.Option(
            help="Inputs as real numbers, which are quantized; outputs are shown dequantized.",
            metavar="FILE.npy|FILE.npz",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every layer with LiteRT's reference kernels.")
    ] = False,
    via: Annotated[
        str | None,
        typer.Option(
            help="How to run: harness runs once and reports by semihosting; rpc drives the board "
            "over its serial port. By default rpc for ports, harness otherwise.",
            metavar="WAY",
        ),
    ] = None,
    timeout: TimeoutOption = 120.0,
    baudrate: BaudrateOption = 115200,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Compile a model, run it on a board, and count its instructions.

    Example: tvmtiny run model.tflite --board mps2-an386 --check

    Example: tvmtiny run model.tflite --board /dev/ttyACM0
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.checking import check as compare
        from tvmtiny.errors import InputError
        from tvmtiny.inputs import make_inputs, real_inputs
        from tvmtiny.report.summary import run_summary
        from tvmtiny.rpc.board import is_url, target_of
        from tvmtiny.rpc.session import Session
        from tvmtiny.running import run as run_once

        over_link = _over_link(via, is_url(board))
        target = target_of(board, baudrate, timeout, settings.boards)
        loaded = settings.read(model, tell)
        if real is not None and data != "ramp":
            raise InputError("--input and --real exclude each other; leave one of them out")
        inputs = make_inputs(data, loaded.graph.inputs)
        artifact = settings.artifact(loaded, target, tell)
        if real is not None:
            inputs = real_inputs(real, artifact.inputs)
        if over_link:
            where = board if is_url(board) else target.board
            with Session(
                artifact, where, timeout=timeout, baudrate=baudrate, progress=tell
            ) as session:
                tell(f"running on {session.info['board']}")
                result = session.measure(*inputs)
        else:
            result = run_once(artifact, *inputs, timeout=timeout, progress=tell)
        checked = None
        if check:
            tell("comparing every layer with the reference kernels")
            checked = compare(loaded, artifact, result, inputs)
    if real is not None:
        result = _in_real_numbers(result, artifact)
    if json:
        print_json(run_summary(result, checked, artifact.stream))
    else:
        from tvmtiny.report.terminal_tables import run_tables

        for table in run_tables(result, checked, artifact.stream):
            console().print(table)
    if checked is not None and not checked.exact:
        checked.raise_mismatch()


def _in_real_numbers(result: RunResult, artifact: Artifact) -> RunResult:
    from dataclasses import replace

    outputs = []
    for tensor, output in zip(artifact.outputs, result.outputs, strict=True):
        data = tensor.real(output.data)
        outputs.append(replace(output, data=data, dtype=str(data.dtype)))
    return replace(result, outputs=tuple(outputs))


def _over_link(via: str | None, is_port: bool) -> bool:
    from tvmtiny.errors import InputError

    if via not in (None, "harness", "rpc"):
        raise InputError(f"--via cannot be {quoted(via)}; allowed: harness, rpc")
    if is_port and via == "harness":
        raise InputError("--via harness needs an emulated board; use --via rpc for a port")
    return is_port if via is None else via == "rpc"
