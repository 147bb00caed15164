"""A single layer of a model, as a model by itself."""

from __future__ import annotations

from dataclasses import dataclass

from tvmtiny import passes
from tvmtiny.codegen.arrange import Interface
from tvmtiny.codegen.artifact import Artifact
from tvmtiny.codegen.built import Built, build_functions
from tvmtiny.codegen.emit import emit
from tvmtiny.codegen.placement import Placement
from tvmtiny.frontend import Model
from tvmtiny.frontend.converter import node_to_relax
from tvmtiny.frontend.reader import Graph
from tvmtiny.ops import Node
from tvmtiny.schedule.implementation import Implementation
from tvmtiny.targets import Target


@dataclass(frozen=True, eq=False)
class BuiltLayer:
    """A single layer between its schedule and its C."""

    model: Model
    target: Target
    built: Built


def build_layer(
    model: Model, node: Node, target: Target, done: Implementation, name: str
) -> BuiltLayer:
    """Lower the kernels of an implementation of `node`, and plan the arena of this layer alone.

    Parameters
    ----------
    model, node
        See `tvmtiny.compiler.compile_layer`.
    done
        The implementation.
    name
        Prefix of the generated code.
    """
    inputs = {t.index: t for t in node.inputs if t is not None and t.data is None}
    tensors = model.graph.tensors
    graph = Graph(tensors, (node,), tuple(inputs.values()), node.outputs[:1], {})
    layer = Model(name, b"", graph, model.oracle)
    module = node_to_relax(node, done)
    choices = {node.index: done}
    built = build_functions(layer, module, graph, target.cpu, Interface.ARENA, choices)
    return BuiltLayer(layer, target, built)


def emit_layer(layer: BuiltLayer) -> Artifact:
    """Generate C for a layer of `build_layer`."""
    return emit(
        layer.model,
        passes.Optimized(layer.model.graph),
        layer.built.module,
        layer.target,
        layer.built.arrangement,
        layer.built.kernels,
        Placement(),
    )
