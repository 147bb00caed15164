"""Random graphs give LiteRT's bytes; scripts/fuzz_models.py tries many more."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from compared_graphs import reduced
from fuzzing import smallest, try_graphs
from random_graphs import random_graph, table

from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.ops import Oracle, find_operator
from tvmtiny.ops import operators as every_operator

_TOGETHER = 50


@pytest.mark.parametrize("first", range(0, 200, _TOGETHER))
def test_random_graphs_give_the_bytes_of_litert(first: int) -> None:
    found = list(try_graphs(range(first, first + _TOGETHER), most=3))
    failed = [f"seed {tried.seed}: {tried.outcome}" for tried in found if tried.outcome.failed]
    assert not failed, "\n".join(failed)
    exact = [tried for tried in found if tried.outcome.kind == "exact"]
    assert len(exact) > _TOGETHER * 0.9


def test_graphs_have_all_operators_and_dtypes_branches_and_several_outputs() -> None:
    operators, dtypes, shared, outputs, scales = set(), set(), 0, 0, []
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    for seed in range(60):
        model = unpack_model(random_graph(seed).content)
        graph = model.subgraphs[0]
        operators |= {names[code.builtinCode] for code in model.operatorCodes}
        dtypes |= {tensor.type for tensor in graph.tensors}
        read = [int(i) for o in graph.operators for i in o.inputs if not _constant(model, graph, i)]
        shared += len(set(read)) < len(read)
        outputs += len(graph.outputs) > 1
        found = (t.quantization.scale for t in graph.tensors if t.quantization is not None)
        scales += [float(s) for scale in found if scale is not None for s in scale]
    in_litert = {operator.name for operator in every_operator() if operator.in_litert}
    assert set(table()) == in_litert
    assert len(operators) > 50 and len(dtypes) >= 7
    assert shared > 10 and outputs > 30
    assert min(scales) < 1e-6 and max(scales) > 1e4


def _constant(model: schema.ModelT, graph: schema.SubGraphT, index: int) -> bool:
    return index < 0 or model.buffers[graph.tensors[index].buffer].data is not None


def test_a_wrong_operator_is_found_and_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = find_operator("RELU")
    right = type(operator).numbers

    def wrong(self: object, node: object, x: np.ndarray, oracle: Oracle) -> np.ndarray:
        return right(operator, node, x, oracle) + (x == x.max())

    seeds = (seed for seed in range(1000) if _has_relu(seed))
    monkeypatch.setattr(type(operator), "numbers", wrong)
    failures = [t for t in try_graphs([next(seeds) for _ in range(3)]) if t.outcome.failed]
    assert failures and "RELU" in failures[0].outcome.detail
    content, operators = smallest(failures[0])
    assert operators == "RELU"
    assert len(content) < len(failures[0].content)


def _has_relu(seed: int) -> bool:
    model = unpack_model(random_graph(seed).content)
    codes = [code.builtinCode for code in model.operatorCodes]
    return schema.BuiltinOperator.RELU in codes and len(model.subgraphs[0].operators) > 4


def test_what_fails_together_alone_is_kept_whole() -> None:
    content = random_graph(7).content
    assert reduced(content, [], lambda *_: False) == (content, [])
