"""Replace If and Loop by their bodies if the branch or the number of iterations is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["MOST_INLINED", "inlined"]

#: The limit on operators of all iterations of a loop.
MOST_INLINED = 1_000
#: Operators that pass a condition on.
_PASSING = ("Identity", "Cast")


def inlined(node: Any, constants: dict[str, np.ndarray], opset: int) -> list[Any] | None:
    """Return the nodes that replace a node with a body; None if they cannot be determined.

    Parameters
    ----------
    node
        A ``NodeProto``.
    constants
        Known values by name, to which those of the body are added.
    opset
        The version of ONNX's own operators.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("If", "Loop"):
        return None
    bodies = {a.name: a.g for a in node.attribute if a.HasField("g")}
    if node.op_type == "Loop":
        return _turns(node, bodies["body"], constants, opset)
    condition = constants.get(node.input[0])
    if condition is None:
        return None
    branch = bodies["then_branch" if condition.reshape(-1)[0] else "else_branch"]
    nodes, names = _renamed(branch, {}, f"{_stem(node)}/", constants)
    results = [names.get(value.name, value.name) for value in branch.output]
    return nodes + [_copy(a, b) for a, b in zip(results, node.output, strict=True) if b]


def _turns(node: Any, body: Any, constants: dict[str, np.ndarray], opset: int) -> list[Any] | None:
    turns, given = constants.get(node.input[0]), constants.get(node.input[1])
    if turns is None or (node.input[1] and given is None) or not _goes_on(body, constants):
        return None
    count = int(turns.reshape(-1)[0])
    if given is not None and not given.reshape(-1)[0]:
        count = 0
    carried = [*node.input[2:]]
    scans = len(body.output) - 1 - len(carried)
    if count * len(body.node) > MOST_INLINED or (scans and count < 1):
        return None
    made: list[Any] = []
    rows: list[list[str]] = [[] for _ in range(scans)]
    for turn in range(count):
        prefix = f"{_stem(node)}/{turn}/"
        number, go = f"{prefix}number", f"{prefix}condition"
        constants[number], constants[go] = np.array(turn, np.int64), np.array(True)
        values = [number, go, *carried]
        start = dict(zip((value.name for value in body.input), values, strict=True))
        nodes, names = _renamed(body, start, prefix, constants)
        made += nodes
        results = [names.get(value.name, value.name) for value in body.output[1:]]
        carried = results[: len(carried)]
        for row, name in zip(rows, results[len(carried) :], strict=True):
            row.append(name)
    made += [_copy(a, b) for a, b in zip(carried, node.output, strict=False) if b]
    for row, output in zip(rows, node.output[len(carried) :], strict=False):
        made += _stacked(row, output, constants, opset) if output else []
    return made


def _goes_on(body: Any, constants: Mapping[str, np.ndarray]) -> bool:
    """Return whether a loop's body never ends it."""
    makers = {name: node for node in body.node for name in node.output}
    own = {tensor.name: tensor for tensor in body.initializer}
    name = body.output[0].name
    while name in makers and makers[name].op_type in _PASSING:
        name = makers[name].input[0]
    if name == body.input[1].name:
        return True
    from onnx import numpy_helper

    if name in makers and makers[name].op_type == "Constant":
        own[name] = next(a.t for a in makers[name].attribute if a.name == "value")
    value = numpy_helper.to_array(own[name]) if name in own else constants.get(name)
    return value is not None and bool(value.reshape(-1)[0])


def _renamed(
    graph: Any, names: Mapping[str, str], prefix: str, constants: dict[str, np.ndarray]
) -> tuple[list[Any], dict[str, str]]:
    """Return a body's nodes with unique names, and a map from the body's names to these."""
    from onnx import numpy_helper

    known = dict(names)
    for tensor in graph.initializer:
        known[tensor.name] = f"{prefix}{tensor.name}"
        constants[known[tensor.name]] = numpy_helper.to_array(tensor)
    known |= {name: f"{prefix}{name}" for node in graph.node for name in node.output if name}
    return [_with_names(node, known, prefix) for node in graph.node], known


def _with_names(node: Any, names: Mapping[str, str], prefix: str) -> Any:
    import onnx

    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.name = f"{prefix}{node.name}" if node.name else ""
    for field in (made.input, made.output):
        field[:] = [names.get(name, name) for name in field]
    for attribute in made.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            _rename_captured(inner, names)
    return made


def _rename_captured(graph: Any, names: Mapping[str, str]) -> None:
    """Rename the outer values that a body uses, including those of nested bodies."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _rename_captured(inner, names)
    for value in graph.output:
        value.name = names.get(value.name, value.name)


def _stacked(
    row: list[str], output: str, constants: dict[str, np.ndarray], opset: int
) -> list[Any]:
    """Return the nodes that concatenate the values of all iterations."""
    from onnx import helper

    nodes, parts = [], [f"{name}/row/{turn}" for turn, name in enumerate(row)]
    for name, part in zip(row, parts, strict=True):
        if opset < 13:
            nodes.append(helper.make_node("Unsqueeze", [name], [part], axes=[0]))
            continue
        constants[f"{part}/axes"] = np.array([0], np.int64)
        nodes.append(helper.make_node("Unsqueeze", [name, f"{part}/axes"], [part]))
    return [*nodes, helper.make_node("Concat", parts, [output], axis=0)]


def _copy(value: str, name: str) -> Any:
    from onnx import helper

    return helper.make_node("Identity", [value], [name])


def _stem(node: Any) -> str:
    return str(node.name or node.output[0])
