"""Construction of a graph whose tensors hold only some of their channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node, Quantization, Tensor
from tvmtiny.passes.channels import Dense, Link, channel_count


class GraphSlicer:
    """Collects the nodes of a smaller graph.

    Activations keep their tensor index. Sliced constants get new indices after those of the
    original graph, because another node may slice the same constant differently.

    Parameters
    ----------
    graph
        The original graph.
    kept
        By index of an activation, a bool per channel.
    """

    def __init__(self, graph: Graph, kept: Mapping[int, np.ndarray]) -> None:
        self._graph = graph
        self._kept = kept
        self._tensors = list(graph.tensors)
        self._nodes: list[Node] = []
        for index, mask in kept.items():
            if mask.any() and not mask.all():
                tensor = graph.tensors[index]
                self._tensors[index] = replace(tensor, shape=(*tensor.shape[:-1], int(mask.sum())))

    def graph(self) -> Graph:
        """Return the graph of all nodes that were added."""
        return replace(self._graph, tensors=tuple(self._tensors), nodes=tuple(self._nodes))

    def kept_channels(self) -> dict[int, tuple[int, ...]]:
        """Return the remaining channels of each tensor that lost some but not all."""
        return {
            index: tuple(int(c) for c in np.flatnonzero(mask))
            for index, mask in self._kept.items()
            if mask.any() and not mask.all()
        }

    def add_whole(self, node: Node) -> None:
        """Add a node whose tensors keep all channels."""
        self._add(node, node.inputs)

    def add_dense(self, node: Node, product: Dense, values: np.ndarray) -> None:
        """Add a node with fewer weights; its bias holds the contribution of removed channels.

        Parameters
        ----------
        product
            The sums that the node computes.
        values
            The known values of the input's channels; those of unknown channels are not used.
        """
        x, weights, bias = node.input(0), node.input(1), node.optional_input(2)
        inputs, outputs = self._kept[x.index], self._kept[node.output.index]
        if inputs.all() and outputs.all():
            self.add_whole(node)
            return
        assert weights.data is not None
        if node.operator == "CONV_2D":
            data = weights.data[outputs][..., inputs]
        else:
            rows = weights.data[outputs].reshape(int(outputs.sum()), -1, len(inputs))
            data = rows[..., inputs].reshape(len(rows), -1)
        folded = product.sums[:, ~inputs] @ (values - product.zero_point)[~inputs]
        total = product.bias + folded
        scales = None if bias is None else _sliced_scales(bias, outputs, 0)
        name = f"{node.output.name}/bias" if bias is None else bias.name
        new_bias = self._constant(name, total[outputs].astype(np.int32), scales)
        new_weights = self._constant(weights.name, data, _sliced_scales(weights, outputs, 0))
        self._add(node, (x, new_weights, new_bias))

    def add_linked(self, node: Node, connections: Sequence[Link]) -> None:
        """Add a node whose output channels come from certain channels of its operands."""
        output = self._kept[node.output.index]
        inputs = list(node.inputs)
        for link in connections:
            operand = node.input(link.position)
            if operand.data is not None and channel_count(operand) > 1:
                mask = np.zeros(channel_count(operand), bool)
                mask[link.source[output[link.target]]] = True
                inputs[link.position] = self._sliced(operand, mask, len(operand.shape) - 1)
        options = dict(node.options)
        if not output.all():
            if node.operator == "DEPTHWISE_CONV_2D":
                inputs[1] = self._sliced(node.input(1), output, 3)
                bias = node.optional_input(2)
                if bias is not None and bias.data is not None:
                    scales = _sliced_scales(bias, output, 0)
                    inputs[2] = self._constant(bias.name, bias.data.reshape(-1)[output], scales)
                options["depth_multiplier"] = int(output.sum()) // self._count(node.input(0))
            elif node.operator == "PAD":
                inputs[1] = self._paddings(node, connections[0])
            elif node.operator == "RESHAPE":
                inputs = inputs[:1]
                options["new_shape"] = list(self._tensors[node.output.index].shape)
        if node.operator == "CONCATENATION":
            inputs = [t for t in inputs if t is not None and self._present(t)]
        self._add(replace(node, options=options), inputs)

    def _count(self, tensor: Tensor) -> int:
        """Return the number of remaining channels."""
        return channel_count(self._tensors[tensor.index])

    def _present(self, tensor: Tensor) -> bool:
        if tensor.data is not None:
            return tensor.elements > 0
        return bool(self._kept[tensor.index].any())

    def _paddings(self, node: Node, link: Link) -> Tensor:
        paddings = node.input(1)
        assert paddings.data is not None
        output, data = self._kept[node.output.index], paddings.data.copy()
        before = int(link.target[0])
        data[-1] = [output[:before].sum(), output[before + len(link.target) :].sum()]
        return self._constant(paddings.name, data, None)

    def _sliced(self, tensor: Tensor, mask: np.ndarray, axis: int) -> Tensor:
        assert tensor.data is not None
        if mask.all():
            return tensor
        data = np.compress(mask, tensor.data, axis)
        return self._constant(tensor.name, data, _sliced_scales(tensor, mask, axis))

    def _constant(self, name: str, data: np.ndarray, scales: Quantization | None) -> Tensor:
        index = len(self._tensors)
        data = np.ascontiguousarray(data)
        tensor = Tensor(index, name, data.shape, str(data.dtype), scales, data)
        self._tensors.append(tensor)
        return tensor

    def _add(self, node: Node, inputs: Sequence[Tensor | None]) -> None:
        current = tuple(None if t is None else self._tensors[t.index] for t in inputs)
        outputs = tuple(self._tensors[t.index] for t in node.outputs)
        self._nodes.append(replace(node, inputs=current, outputs=outputs))


def _sliced_scales(tensor: Tensor, mask: np.ndarray, axis: int) -> Quantization | None:
    scales = tensor.quantization
    if scales is None or not scales.per_channel or scales.axis != axis:
        return scales
    picked = np.flatnonzero(mask)
    return replace(
        scales,
        scales=tuple(scales.scales[i] for i in picked),
        zero_points=tuple(scales.zero_points[i] for i in picked),
    )
