"""Files and tables of ``tvmtiny federate``."""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.errors import InputDataError, InputError
from tvmtiny.evaluating import quantized_samples, read_test_set
from tvmtiny.host.files import write_bytes

if TYPE_CHECKING:
    from rich.table import Table

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.rpc.federating import Federation

__all__ = ["federation_summary", "federation_table", "read_samples", "save_weights"]


def read_samples(data: Path, artifact: Artifact) -> list[tuple[np.ndarray, int]]:
    """Read the training samples of a board: inputs of the model, and classes.

    Parameters
    ----------
    data
        Samples and labels as for `tvmtiny.evaluating.read_test_set`.

    Raises
    ------
    InputError
        The model has more than one input.
    InputDataError
        The data cannot be read, or does not match the model.
    """
    if len(artifact.inputs) != 1 or artifact.training is None:
        raise InputError(
            f"{artifact.name} has {len(artifact.inputs)} inputs; federation needs a model with one"
        )
    found = read_test_set(data, artifact.inputs)
    values = quantized_samples(artifact.inputs[0], found.inputs[0])
    labels = found.labels
    if labels.dtype.kind not in "iu" or labels.shape != (len(values),):
        raise InputDataError(
            str(data),
            "the labels are no classes",
            f"{len(values)} integers, one per sample",
            f"{labels.dtype} {list(labels.shape)}",
        )
    most = artifact.training.channels - 1
    if labels.min() < 0 or labels.max() > most:
        spread = f"{labels.min()} to {labels.max()}"
        raise InputDataError(str(data), "wrong labels", f"0 to {most}", spread)
    return [(x, int(label)) for x, label in zip(values, labels, strict=True)]


def save_weights(file: Path, found: Federation, artifact: Artifact) -> None:
    """Write weights and biases as float32 arrays of these names."""
    training = artifact.training
    assert training is not None
    count = training.channels * training.depth
    content = BytesIO()
    np.savez(
        content,
        weights=found.weights[:count].reshape(training.channels, training.depth),
        biases=found.weights[count:],
    )
    write_bytes(file, content.getvalue())


def federation_summary(found: Federation) -> dict[str, Any]:
    """Summarize a federation for ``--json``."""
    return {"rounds": [asdict(r) for r in found.rounds]}


def federation_table(found: Federation) -> Table:
    """List the rounds, one in each row."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("round", "boards", "samples", "change"):
        table.add_column(column, justify="right")
    table.add_column("lost")
    for number, r in enumerate(found.rounds, 1):
        lost = ", ".join(name for name, _ in r.lost)
        table.add_row(str(number), str(len(r.boards)), f"{r.samples:,}", f"{r.change:.2g}", lost)
    return table
