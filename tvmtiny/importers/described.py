"""Results of importers that produce a whole .tflite file."""

from __future__ import annotations

from collections.abc import Sequence

from tvmtiny.frontend.reader import read_graph
from tvmtiny.importers.results import Imported, ImportedTensor
from tvmtiny.ops import Tensor

__all__ = ["described"]


def described(
    framework: str,
    content: bytes,
    shapes: Sequence[Sequence[int | None]] = (),
    orders: Sequence[Sequence[int]] = (),
    notes: tuple[str, ...] = (),
) -> Imported:
    """Describe the content of a .tflite file that another converter wrote.

    Parameters
    ----------
    shapes
        Shapes of the inputs in the framework; by default those of the file.
    orders
        For each input, the framework's axis for each axis of the file.
    """
    graph = read_graph(content, f"the {framework} model")
    inputs = tuple(
        _tensor(
            t,
            graph.input_labels[i] if graph.input_labels else t.name,
            tuple(orders[i]) if orders else tuple(range(len(t.shape))),
            shapes[i] if shapes else None,
        )
        for i, t in enumerate(graph.inputs)
    )
    outputs = tuple(
        _tensor(
            t,
            graph.output_labels[i] if graph.output_labels else t.name,
            tuple(range(len(t.shape))),
            None,
        )
        for i, t in enumerate(graph.outputs)
    )
    return Imported(framework, content, inputs, outputs, notes)


def _tensor(
    tensor: Tensor, name: str, order: tuple[int, ...], shape: Sequence[int | None] | None
) -> ImportedTensor:
    original = tensor.shape if shape is None else tuple(1 if n is None else n for n in shape)
    if len(original) != len(order):
        original = tensor.shape
    return ImportedTensor(
        name or tensor.name,
        tensor.shape,
        tensor.dtype,
        tensor.scale if tensor.quantization else None,
        tensor.zero_point if tensor.quantization else 0,
        original,
        order,
    )
