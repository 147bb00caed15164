"""Diagnosis of models that cannot be compiled: one sentence in place of many problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvmtiny.errors import OperatorProblem, UnsupportedModelError
from tvmtiny.ops import Node, find_operator
from tvmtiny.ops.shared.control_call import OF_DATA, REFUSED
from tvmtiny.ops.shared.graph import Graph

__all__ = ["diagnosed", "is_foreign"]

#: Advice on how to get a model that can be compiled from the float model.
_AGAIN = (
    "convert it again with a representative_dataset and TFLITE_BUILTINS_INT8, or convert it as "
    "plain float32 and use tvmtiny quantize"
)


@dataclass(frozen=True)
class _Kind:
    """A kind of model that cannot be compiled.

    Attributes
    ----------
    text
        Description of the kind, and advice.
    explains
        Whether this kind explains the problem of a node.
    """

    text: str
    explains: Callable[[Node], bool]


def is_foreign(node: Node) -> bool:
    """Return whether a node shows that the model was made for another runtime.

    Problems with shapes and dtypes of such a model are consequences.
    """
    return find_operator(node.operator) is None and any(k.explains(node) for k in _FOREIGN)


def _has(dtype: str) -> Callable[[Node], bool]:
    def found(node: Node) -> bool:
        return any(t is not None and t.dtype == dtype for t in (*node.inputs, *node.outputs))

    return found


def _custom(name: str) -> Callable[[Node], bool]:
    return lambda node: node.operator.lower().startswith(f"custom:{name}")


#: Kinds that operators give away. If several kinds fit, the first one is named.
_FOREIGN = (
    _Kind(
        "this is an NPU binary (compiled for Ethos-U by Vela): its layers are commands for the "
        "NPU; give the .tflite that was Vela's input",
        _custom("ethos-u"),
    ),
    _Kind(
        "this is a binary for the Edge TPU: its layers are commands for that accelerator; give the "
        ".tflite that was the input of edgetpu_compiler",
        _custom("edgetpu"),
    ),
    _Kind(
        "this model has operators of TensorFlow itself (SELECT_TF_OPS), which no microcontroller "
        "runs; convert it with TFLITE_BUILTINS alone, and replace the layers that the converter "
        "then refuses",
        _custom("flex"),
    ),
)

_KINDS = (
    *_FOREIGN,
    _Kind(
        "this model has a loop (WHILE) whose number of turns depends on data, so that no time and "
        "no memory can be stated for it; build a recurrent layer with unroll=True and the model "
        "with batch_size=1, and other loops with a number of turns that is a constant",
        lambda node: node.options.get(REFUSED, ("",))[0] == OF_DATA,
    ),
    _Kind(
        "this model has weights with a scale for each block of elements (blockwise), which LiteRT "
        f"itself runs in delegates only; quantize it with a scale per channel: {_AGAIN}",
        lambda node: any(t.quantization.block for t in node.inputs if t and t.quantization),
    ),
    _Kind(
        "this model computes in float16, which is supported for constants alone (behind "
        f"DEQUANTIZE); {_AGAIN}",
        _has("float16"),
    ),
)


def diagnosed(graph: Graph, problems: Sequence[OperatorProblem]) -> UnsupportedModelError:
    """Combine all problems into one error that names the kind of model and marks consequences.

    Parameters
    ----------
    graph
        The graph, with constants folded as far as its operators are supported.
    problems
        One or more problems, of nodes of `graph` and of operators that are no longer nodes.
    """
    refused = {problem.index for problem in problems}
    nodes = {node.index: node for node in graph.nodes if node.index in refused}
    following = frozenset(_following(graph, refused))
    for kind in _KINDS:
        explained = {index for index, node in nodes.items() if kind.explains(node)}
        explained |= {
            p.index for p in problems if p.index not in nodes and kind.explains(_stand_in(p))
        }
        if explained:
            # Problems that follow from explained ones alone are explained, too.
            explained |= set(_following(graph, refused, explained))
            return UnsupportedModelError(
                tuple(problems), kind.text, frozenset(explained), following - explained
            )
    return UnsupportedModelError(tuple(problems), following=following)


def _stand_in(problem: OperatorProblem) -> Node:
    return Node(problem.index, problem.operator, 1, (), (), {})


def _following(graph: Graph, refused: set[int], causes: set[int] | None = None) -> list[int]:
    """Return the refused operators that need a constant from another refused operator.

    Parameters
    ----------
    causes
        Restricts the result to consequences of these operators; None: of any refused operator.
    """
    would_be: set[int] = set()
    found = []
    for node in graph.nodes:
        inputs = [t for t in node.inputs if t is not None]
        if node.index in refused and any(t.index in would_be for t in inputs):
            found.append(node.index)
        known = all(t.data is not None or t.index in would_be for t in inputs)
        counts = causes is None or node.index in causes or node.index in found
        if node.index in refused and inputs and known and counts:
            would_be.update(t.index for t in node.outputs)
    return found
