"""Sliding windows of a model with a front end: each decision computes only the new rows.

With a front end, the rows of a window are part of the graph. Where a layer neither pads nor has a
stride along the height, which is time, its output for the next window consists of rows that are
known already and of a new row for each new row of its input. Such a layer is replaced by one that
computes the new rows; the rows of its input that it needs again become a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tvmtiny.errors import InputError
from tvmtiny.errors.base import short_name
from tvmtiny.frontend import Model
from tvmtiny.ops import Node, Tensor
from tvmtiny.ops.shared.evaluate import evaluate
from tvmtiny.ops.shared.graph import Graph, State
from tvmtiny.streaming.rows import activations_of, row_rule
from tvmtiny.streaming.time import obstacle

#: Name of the state that `with_front_end` keeps the rows of a window in.
_WINDOW = "window"
_VIEWS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_SLICE = dict.fromkeys(
    ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0
)


def slide_rows(model: Model) -> Model:
    """Return a model that computes only the new rows of its windows in each decision.

    Parameters
    ----------
    model
        A model with a front end whose windows slide; see `with_front_end`.

    Returns
    -------
    Model
        A model with the same outputs, byte for byte, or `model` itself if it was made by this
        function. After the layers that slide, the other layers run on whole windows.

    Raises
    ------
    InputError
        If no rows are kept from one window to the next, or the first layer that covers several
        rows cannot slide.
    """
    assert model.front is not None and model.feed is not None
    if model.feed.slides:
        return model
    if all(state.name != _WINDOW for state in model.front.states):
        raise InputError(
            f"no rows of {model.name} are in two windows, as each decision has only new rows; "
            "leave --stream time out, or give a smaller --stride"
        )
    return _Slide(model, model.front).made()


@dataclass(frozen=True)
class _Rows:
    """The last rows of a tensor of the file."""

    whole: Tensor
    new: Tensor

    @property
    def count(self) -> int:
        return self.new.shape[1]


class _Slide:
    def __init__(self, model: Model, front: Graph) -> None:
        self._model, self._front = model, front
        self._tensors = list(model.graph.tensors)
        self._nodes: list[Node] = []
        self._states: list[State] = []
        self._next = 1 + max(node.index for node in model.graph.nodes)
        #: The tensors whose new rows are known, and windows of them, by index and rows.
        self._rows: dict[int, _Rows] = {}
        self._windows: dict[tuple[int, int], Tensor] = {}
        self._wholes: dict[int, int] = {}
        self._silent = self._silence()
        self._reason = "no layer covers several rows"

    def made(self) -> Model:
        front, graph = self._front, self._model.graph
        # The last four nodes of the front end keep the window: see `with_front_end`.
        *samples_nodes, _, joined, view, _ = front.nodes
        fed = {node.index for node in front.nodes}
        nodes = [node for node in graph.nodes if node.index not in fed]
        root, views = _root(front.outputs[0], nodes)
        features = joined.input(1)
        count, rest = divmod(features.elements * root.shape[1], root.elements)
        if len(root.shape) != 4 or rest or not 0 < count < root.shape[1]:
            raise self._refusal(f"{list(root.shape)} has no row for each row of features")
        self._nodes += samples_nodes
        new = self._tensor(root, "new", count)
        self._view(features, new, view)
        self._rows[root.index] = _Rows(root, new)
        nodes = [node for node in nodes if node.index not in views]
        if not self._follow(nodes):
            raise self._refusal(self._reason)
        kept = [state for state in graph.states if state.name != _WINDOW]
        whole = replace(
            graph,
            tensors=tuple(self._tensors),
            nodes=tuple(self._nodes),
            states=(*kept, *self._states),
        )
        assert self._model.feed is not None
        feed = replace(self._model.feed, nodes=len(samples_nodes), slides=True)
        return replace(self._model, graph=whole, feed=feed, row_tensors=self._wholes)

    def _follow(self, nodes: list[Node]) -> bool:
        """Add all nodes, with new rows only where possible; return whether a window slid."""
        slides = False
        for node in nodes:
            read = [t for t in activations_of(node) if t.index in self._rows]
            if not read:
                self._nodes.append(node)
                continue
            rule, stop = row_rule(node), obstacle(node)
            if rule is None or stop is not None or not self._in_equal_rows(node, read):
                if stop is not None and not slides:
                    where = f"{node.operator} #{node.index} ({short_name(node.output.name)})"
                    self._reason = f"{where} {stop.reason}"
                for tensor in read:
                    self._restore(tensor)
                self._nodes.append(node)
                continue
            count = min(self._rows[read[0].index].count, node.output.shape[1])
            windows = {t.index: self._window(t, count + rule.reach - 1) for t in read}
            whole = count == node.output.shape[1]
            output = node.output if whole else self._tensor(node.output, "new", count)
            inputs = tuple(t if t is None else windows.get(t.index, t) for t in node.inputs)
            self._add(replace(node, inputs=inputs, outputs=(output,)))
            slides |= rule.reach > 1
            if not whole:
                self._rows[node.output.index] = _Rows(node.output, output)
        return slides

    def _in_equal_rows(self, node: Node, read: list[Tensor]) -> bool:
        """Whether all activations of a node are known in rows, in the same number."""
        counts = {self._rows[t.index].count for t in read}
        return len(read) == len(activations_of(node)) and len(counts) == 1

    def _restore(self, tensor: Tensor) -> None:
        """Make the whole window of a tensor."""
        rows = self._rows.pop(tensor.index)
        self._window(rows.whole, rows.whole.shape[1], rows)

    def _window(self, tensor: Tensor, height: int, rows: _Rows | None = None) -> Tensor:
        """Return the last rows of a tensor, for which its earlier rows are kept in a state."""
        rows = rows or self._rows[tensor.index]
        found = self._windows.get((tensor.index, height))
        if found is not None or height == rows.count:
            return found or rows.new
        whole = height == tensor.shape[1]
        window = tensor if whole else self._tensor(tensor, f"last_{height}", height)
        self._windows[tensor.index, height] = window
        if height < rows.count:
            self._cut(rows.new, rows.count - height, window)
            return window
        kept = height - rows.count
        before = self._tensor(tensor, f"before_{height}", kept)
        after = self._tensor(tensor, f"after_{height}", kept)
        for state_tensor in (before, after):
            self._wholes.pop(state_tensor.index)
        self._add(Node(0, "CONCATENATION", 1, (before, rows.new), (window,), {"axis": 1}))
        self._cut(window, rows.count, after)
        initial = self._silent[tensor.index][:, -kept:].copy()
        self._states.append(State(short_name(after.name), before, after, initial))
        return window

    def _cut(self, x: Tensor, first: int, output: Tensor) -> None:
        """Add a node that drops the first rows."""
        begin = self._constant(np.array([0, first, *[0] * (len(x.shape) - 2)], np.int32))
        end = self._constant(np.array(x.shape, np.int32))
        step = self._constant(np.ones(len(x.shape), np.int32))
        self._add(Node(0, "STRIDED_SLICE", 1, (x, begin, end, step), (output,), dict(_SLICE)))

    def _view(self, features: Tensor, new: Tensor, view: Node) -> None:
        shape = self._constant(np.array(new.shape, np.int32))
        options = {"new_shape": list(new.shape)}
        self._add(replace(view, inputs=(features, shape), outputs=(new,), options=options))

    def _add(self, node: Node) -> None:
        self._nodes.append(replace(node, index=self._next))
        self._next += 1

    def _tensor(self, like: Tensor, what: str, height: int) -> Tensor:
        shape = (like.shape[0], height, *like.shape[2:])
        name = f"{short_name(like.name, 60)}/{what}"
        made = replace(like, index=len(self._tensors), name=name, shape=shape)
        self._tensors.append(made)
        self._wholes[made.index] = like.index
        return made

    def _constant(self, data: np.ndarray) -> Tensor:
        index = len(self._tensors)
        made = Tensor(index, f"constant_{index}", data.shape, str(data.dtype), data=data)
        self._tensors.append(made)
        return made

    def _silence(self) -> Mapping[int, np.ndarray]:
        """Compute all tensors of the file for a window of silence, whose rows are all alike."""
        graph, (x,) = self._model.graph, self._front.outputs
        fed = {node.index for node in self._front.nodes}
        states = [s for s in graph.states if all(s is not own for own in self._front.states)]
        alone = replace(
            graph,
            inputs=(x,),
            nodes=tuple(node for node in graph.nodes if node.index not in fed),
            states=tuple(states),
        )
        silence = np.full(x.shape, x.zero_point, x.dtype)
        return evaluate(alone, [silence], self._model.oracle)

    def _refusal(self, reason: str) -> InputError:
        return InputError(
            f"windows over the input of {self._model.name} cannot slide: {reason}; or leave "
            "--stream time out"
        )


def _root(x: Tensor, nodes: list[Node]) -> tuple[Tensor, set[int]]:
    """Return the first image with several rows that is a view of the input, and the views."""
    views: set[int] = set()
    while len(x.shape) != 4 or x.shape[1] == 1:
        readers = [node for node in nodes if x in node.inputs]
        if len(readers) != 1 or readers[0].operator not in _VIEWS:
            break
        views.add(readers[0].index)
        x = readers[0].output
    return x, views
