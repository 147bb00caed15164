"""``tvmtiny evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tvmtiny.cli.console import NOTE, JsonOption, ModelArgument, console, print_json, progress
from tvmtiny.cli.options import ImageRangeOption, TimeoutOption, compiles, image_range_of
from tvmtiny.cli.settings import Settings

if TYPE_CHECKING:
    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.evaluating import TestSet


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("evaluate")(evaluate)


@compiles(leave_out=("place", "stream", "longest_slice"))
def evaluate(
    model: ModelArgument,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "-d",
            help="A test set: FILE.npz with the samples (x, or the inputs' names), real or "
            "quantized, and their labels (y); or a folder with a folder of images per class. "
            "The shipped model digits has its own test set.",
            metavar="FILE|FOLDER",
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board",
            "-b",
            help="A board (tvmtiny boards lists them), or a board's FILE.toml; by default the "
            "generated C runs on this machine, which gives the same bytes in less time.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="accuracy, auc or error; by default chosen from labels and output.",
            metavar="NAME",
        ),
    ] = None,
    image_range: ImageRangeOption = "0,1",
    timeout: TimeoutOption = 120.0,
    json: JsonOption = False,
    *,
    settings: Settings,
) -> None:
    """Run a test set through the generated C and measure accuracy.

    Example: tvmtiny evaluate digits

    Example: tvmtiny evaluate model.tflite --data test.npz --board mps2-an386
    """
    with progress(quiet=json) as tell:
        tell("importing TVM")
        from tvmtiny.evaluating import evaluate as evaluate_artifact
        from tvmtiny.report.evaluation_tables import evaluation_summary, evaluation_tables

        target = settings.target(board or "cortex-m4")
        loaded = settings.read(model, tell)
        artifact = settings.artifact(loaded, target, tell)
        samples = _samples(model, data, artifact, image_range_of(image_range))
        for note in samples.notes:
            tell(f"{NOTE}{note}")
        found = evaluate_artifact(
            artifact,
            samples,
            board=target.board if board else None,
            metric=metric,
            timeout=timeout,
            progress=tell,
        )
    if json:
        print_json(evaluation_summary(found, artifact.name))
        return
    for table in evaluation_tables(found):
        console().print(table)


def _samples(
    model: str, data: str | None, artifact: Artifact, image_range: tuple[float, float]
) -> TestSet:
    from tvmtiny import models
    from tvmtiny.errors import InputError
    from tvmtiny.evaluating import TestSet, read_test_set

    if data is not None:
        return read_test_set(data, artifact.inputs, image_range=image_range)
    if model != "digits":
        raise InputError(
            "no test set is given; give --data FILE.npz, with the samples as x and their "
            "labels as y"
        )
    images, labels = models.digits_test()
    return TestSet((images,), labels)
