"""Files and tables of ``tvmtiny federate``."""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tvmtiny.errors import InputDataError, InputError
from tvmtiny.host.files import write_bytes

if TYPE_CHECKING:
    from rich.table import Table

    from tvmtiny.codegen.artifact import Artifact
    from tvmtiny.rpc.federating import Federation

__all__ = ["federation_summary", "federation_table", "read_samples", "save_weights"]


def read_samples(file: Path, artifact: Artifact) -> list[tuple[np.ndarray, int]]:
    """Read the training samples of a board: inputs of the model, and classes.

    Parameters
    ----------
    file
        File with an array ``labels`` and one other array with a sample in each row, either of the
        dtype of the model's only input or of floats, which are quantized.

    Raises
    ------
    InputError
        The file cannot be read, or the model has more than one input.
    InputDataError
        The arrays do not match the model.
    """
    if len(artifact.inputs) != 1 or artifact.training is None:
        raise InputError(
            f"{artifact.name} has {len(artifact.inputs)} inputs; federation needs a model with one"
        )
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read samples from {file}: {error}; give a .npz file") from error
    labels = found.pop("labels", None)
    tensor = artifact.inputs[0]
    if labels is None or len(found) != 1:
        names = ", ".join(sorted(found)) or "nothing else"
        raise InputDataError(str(file), "wrong arrays", "labels and one input", names)
    (values,) = found.values()
    if values.dtype.kind == "f":
        values = tensor.quantize(values)
    size = values[0].size if len(values) else 0
    if len(values) != len(labels) or size != int(np.prod(tensor.shape)):
        shapes = f"{values.shape} and {labels.shape}"
        raise InputDataError(
            str(file), "wrong shapes", f"rows of {tensor.shape}, one label per row", shapes
        )
    if values.dtype != tensor.dtype:
        raise InputDataError(
            str(file), "wrong dtype", f"{tensor.dtype} or floats", str(values.dtype)
        )
    if labels.min() < 0 or labels.max() >= artifact.training.channels:
        most = artifact.training.channels - 1
        raise InputDataError(str(file), "wrong labels", f"0 to {most}", f"up to {labels.max()}")
    shaped = values.reshape(-1, *tensor.shape)
    return [(x, int(label)) for x, label in zip(shaped, labels, strict=True)]


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
