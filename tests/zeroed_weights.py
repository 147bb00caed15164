"""Models whose weights have more zeros: in blocks of two filters and four inputs, or anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tvmtiny
from tests.tools import MLPERF_TINY
from tvmtiny.codegen import Artifact
from tvmtiny.codegen.artifact import LayerInfo
from tvmtiny.compiler import optimized_nodes
from tvmtiny.frontend import Model
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.writer import packed
from tvmtiny.ops import Oracle
from tvmtiny.schedule import Goal, Implementation, implement
from tvmtiny.targets import resolve

#: Changes int8 weights, ``(filters, depth)``.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Layered(Protocol):
    """A case that builds the model of a layer."""

    def model(self) -> bytes: ...


def zero_blocks(weights: np.ndarray, rng: np.random.Generator, share: float = 0.75) -> np.ndarray:
    """`weights` with this share of the blocks of each pair of filters set to zero."""
    filters, depth = weights.shape
    mask = np.ones((-(-filters // 2), -(-depth // 4)), bool)
    for number, row in enumerate(mask):
        # Half of the pairs round up; no pair loses all blocks, which would make its outputs
        # constant.
        zeros = min(int(share * len(row) + 0.5 * (number % 2)), max(len(row) - 1, share == 1))
        row[rng.permutation(len(row))[:zeros]] = False
    whole = np.repeat(np.repeat(mask, 2, axis=0), 4, axis=1)
    return weights * whole[:filters, :depth]


def zero_anywhere(weights: np.ndarray, rng: np.random.Generator, share: float = 0.4) -> np.ndarray:
    """`weights` with this share of them set to zero."""
    return weights * (rng.random(weights.shape) >= share)


def zero_unevenly(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`weights` of pairs of filters with a different share of blocks each; the first has none."""
    filters, depth = weights.shape
    blocks = -(-depth // 4)
    mask = np.zeros((-(-filters // 2), blocks), bool)
    for number, row in enumerate(mask):
        row[rng.permutation(blocks)[: number % (blocks // 2 + 1)]] = True
    whole = np.repeat(np.repeat(mask, 2, axis=0), 4, axis=1)
    return weights * whole[:filters, :depth]


@dataclass(frozen=True)
class Zeroed:
    """A case of a layer whose weights are changed."""

    case: Layered
    change: Change = zero_blocks

    def model(self) -> bytes:
        """The bytes of the .tflite file."""
        return zeroed(self.case.model(), self.change)


def zeroed(model: bytes, change: Change = zero_blocks) -> bytes:
    """A .tflite file with the weights of all its convolutions and dense layers changed."""
    found = unpack_model(model)
    rng = np.random.default_rng(1)
    wanted = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.FULLY_CONNECTED)
    for graph in found.subgraphs:
        for operator in graph.operators:
            code = found.operatorCodes[operator.opcodeIndex]
            # Old files have the second field only.
            if max(code.builtinCode, code.deprecatedBuiltinCode) in wanted:
                weights = graph.tensors[operator.inputs[1]]
                buffer = found.buffers[weights.buffer]
                values = np.asarray(buffer.data, np.uint8).view(np.int8)
                flat = values.reshape(weights.shape[0], -1)
                buffer.data = change(flat, rng).astype(np.int8).reshape(-1).view(np.uint8)
    return packed(found)


def stored_weights(model: Model, layers: Iterable[LayerInfo]) -> int:
    """Bytes of the weights of convolutions and dense layers, with indices and without biases.

    A channel has an initial sum and a multiplier of 4 bytes each, and where products are rounded by
    sign another word.
    """
    channels = {node.output.name: node.output.shape[-1] for node in optimized_nodes(model)}
    total = 0
    for layer in layers:
        if layer.operator in ("CONV_2D", "FULLY_CONNECTED"):
            words = 3 if "by sign" in layer.schedule else 2
            total += layer.constants_bytes - 4 * words * channels[layer.name]
    return total


def run_with_zeros(name: str, board: str) -> tuple[list[int | None], list[tuple[Model, Artifact]]]:
    """Run a model of MLPerf Tiny as it is and with three of four blocks zero; both are exact.

    Returns
    -------
    tuple
        Instructions of both runs, and both models with their artifacts.
    """
    file = MLPERF_TINY / f"{name}_int8.tflite"
    if not file.is_file():
        pytest.skip(f"{file} is missing")
    instructions, compiled = [], []
    for content in (file.read_bytes(), zeroed(file.read_bytes())):
        model = tvmtiny.load(content, name=name)
        artifact = tvmtiny.compile(model, board)
        inputs = tvmtiny.make_inputs("ramp", artifact.inputs)
        result = tvmtiny.run(artifact, *inputs)
        expected = model.reference(inputs)[model.graph.outputs[0].index]
        assert (result.outputs[0].data == expected).all()
        instructions.append(result.instructions)
        compiled.append((model, artifact))
    return instructions, compiled


def implemented(model: bytes, goal: Goal = Goal.BALANCED, *, target: str) -> Implementation:
    """The implementation of the only layer of a model."""
    (node,) = optimized_nodes(tvmtiny.load(model, name="sparse"))
    found = implement(node, resolve(target).cpu, Oracle.LITERT, goal)
    assert found is not None
    return found
