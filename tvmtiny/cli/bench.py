"""``tvmtiny bench``."""

from __future__ import annotations

from typing import Annotated

import typer

from tvmtiny.cli.console import JsonOption, console, print_json, progress
from tvmtiny.cli.options import DataOption, ModelsArgument, TimeoutOption, compiles
from tvmtiny.cli.settings import Settings, model_path


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("bench")(bench)


@compiles(leave_out=("signature", "trainable"))
def bench(
    models: ModelsArgument,
    boards: Annotated[
        list[str],
        typer.Option("--board", "-b", help="A board; may be repeated."),
    ],
    data: DataOption = "ramp",
    check: Annotated[
        bool, typer.Option("--check", help="Compare every layer with LiteRT's reference kernels.")
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option("--estimate/--no-estimate", help="Estimate cycles, the slowest step."),
    ] = True,
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", help="Output of an earlier bench --json to compare with.", metavar="FILE"
        ),
    ] = None,
    timeout: TimeoutOption = 600.0,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Run all models on all boards, and compare with other engines.

    Example: tvmtiny bench kws_int8.tflite ad_int8.tflite --board mps2-an386 --board mps2-an385
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.report.bench import BenchOptions, bench_summary, read_earlier
        from tvmtiny.report.bench import bench as run_bench

        found = [settings.board(name) for name in boards]
        earlier = None if compare is None else read_earlier(compare)
        options = BenchOptions(
            inputs=data,
            check=check,
            estimate=estimate,
            timeout=timeout,
            oracle=settings.load["oracle"],
            compile=settings.compile,
        )
        results = run_bench([model_path(model) for model in models], found, options, tell)
    if json:
        print_json(bench_summary(results, earlier))
    else:
        from tvmtiny.report.profile_tables import bench_tables

        for table in bench_tables(results, earlier):
            console().print(table)
    for result in results:
        if result.error is not None:
            raise result.error
