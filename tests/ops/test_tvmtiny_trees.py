"""Decision trees: equal to a plain walk over the trees, in numpy, in C here and on a board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_runner import compiler_or_skip, run_on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_builder import ModelBuilder
from tools import on_qemu

import tvmtiny
from tvmtiny.errors import UnsupportedModelError
from tvmtiny.ops.shared.tree_tables import (
    Split,
    TableError,
    Tree,
    decode,
    encode,
    from_keys,
    keys,
)

#: Features, dtype, leaves, and the reading of the features.
FORESTS = {
    "narrow_votes": (9, "int8", 4, "votes"),
    "narrow_shares": (9, "int8", 20, "shares"),
    "wide_sums": (300, "int8", 40, "sums"),
    "int16_shares": (5, "int16", 300, "shares"),
    "float_votes": (6, "float32", 3, "votes"),
    "float_sums": (6, "float32", 700, "sums"),
}
_OUTPUTS = 3


def random_tree(
    rng: np.random.Generator, depth: int, features: int, leaves: int, ends: Any
) -> Tree:
    if depth == 0 or rng.random() < 0.15:
        return int(rng.integers(leaves))
    below, above = (random_tree(rng, depth - 1, features, leaves, ends) for _ in range(2))
    threshold = int(rng.integers(*ends, endpoint=True))
    return Split(int(rng.integers(features)), threshold, below, above)


def ends_of(dtype: str) -> tuple[int, int]:
    if dtype == "float32":
        low, high = keys(np.array([-3, 3], np.float32))
        return int(low), int(high)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def walked(tree: Tree, sample: list[int]) -> int:
    while isinstance(tree, Split):
        tree = tree.above if sample[tree.feature] > tree.threshold else tree.below
    return tree


class Forests:
    """All of `FORESTS` as one model."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        b, self.trees, self.values, outputs = ModelBuilder(), {}, {}, []
        self.start = np.array([0.5, -1, 2], np.float32)
        for name, (features, dtype, leaves, kind) in FORESTS.items():
            trees = [random_tree(rng, 6, features, leaves, ends_of(dtype)) for _ in range(7)]
            trees.append(int(leaves - 1))
            values: np.ndarray = rng.normal(size=leaves).astype(np.float32)
            outs = leaves if kind == "votes" else _OUTPUTS
            if kind == "votes":
                values = 65535 * np.eye(leaves, dtype=np.uint16)
            elif kind == "shares":
                values = rng.integers(0, 65536, (leaves, _OUTPUTS)).astype(np.uint16)
            self.trees[name], self.values[name] = trees, values
            scale = {} if dtype == "float32" else {"scale": 1.0}
            x = b.input(f"{name}/x", (1, features), dtype, **scale)
            table, roots = encode(trees, dtype, features, leaves)
            start = self.start if kind == "sums" else np.zeros(outs, np.float32)
            constants = [
                b.constant(f"{name}/{i}", data)
                for i, data in enumerate((table, roots, values, start))
            ]
            y = b.tensor(f"{name}/y", (1, outs), "float32")
            b.op("CUSTOM:TVMTINY_TREES", [x, *constants], [y], custom_options=b"")
            outputs.append(y)
        self.model = tvmtiny.load(b.build(outputs), name="forests")

    def inputs(self, seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        given = []
        for features, dtype, _, _ in FORESTS.values():
            if dtype == "float32":
                x = rng.normal(size=(1, features)).astype(np.float32)
                x[0, :2] = [0.0, -0.0] if seed % 2 else [-1e30, 1e30]
            else:
                low, high = ends_of(dtype)
                x = rng.integers(low, high, (1, features), dtype, endpoint=True)
                x[0, :2] = low, high
            given.append(x)
        return given

    def expected(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        results = []
        for x, (name, (_, dtype, _, kind)) in zip(inputs, FORESTS.items(), strict=True):
            sample = (keys(x) if dtype == "float32" else x).reshape(-1).tolist()
            found = [walked(tree, sample) for tree in self.trees[name]]
            if kind == "sums":
                sums = self.start.astype(np.float64)
                for number, leaf in enumerate(found):
                    sums[number % _OUTPUTS] += self.values[name][leaf]
                results.append(sums)
            else:
                results.append(self.values[name][found].mean(axis=0) / 65535)
        return results


@pytest.fixture(scope="module")
def forests() -> Forests:
    return Forests()


def assert_right(forests: Forests, inputs: list[np.ndarray], outputs: Any) -> None:
    for got, wanted in zip(outputs, forests.expected(inputs), strict=True):
        np.testing.assert_allclose(got.reshape(-1), wanted, rtol=1e-6, atol=1e-6)


def test_numpy_reference(forests: Forests) -> None:
    for seed in range(6):
        inputs = forests.inputs(seed)
        values = forests.model.reference(inputs)
        assert_right(forests, inputs, [values[t.index] for t in forests.model.graph.outputs])


def test_c_on_host(forests: Forests, tmp_path: Path) -> None:
    compiler_or_skip("gcc")
    artifact = tvmtiny.compile(forests.model, "cortex-m4")
    sets = [forests.inputs(seed) for seed in range(20)]
    for inputs, result in zip(sets, run_on_host(artifact, sets, tmp_path), strict=True):
        assert_right(forests, inputs, [o.data for o in result.outputs])


@on_qemu
@pytest.mark.parametrize("board", ["mps2-an386", "mps2-an385"])
def test_c_on_a_board(board: str, forests: Forests) -> None:
    """Compared with the numpy reference, since LiteRT does not have the operator."""
    inputs = forests.inputs(3)
    artifact = tvmtiny.compile(forests.model, board)
    result = tvmtiny.run(artifact, *inputs)
    assert_right(forests, inputs, [o.data for o in result.outputs])
    checked = tvmtiny.check(forests.model, artifact, result, inputs)
    assert checked.exact and checked.oracle == "numpy"


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=2, max_size=2))
def test_keys_are_in_the_order_of_floats(pair: list[float]) -> None:
    values = np.array(pair, np.float32)
    first, second = (int(key) for key in keys(values))
    assert (first < second) == bool(values[0] < values[1])
    np.testing.assert_array_equal(from_keys(keys(values)), values + np.float32(0))


@settings(max_examples=60)
@given(st.data())
def test_tables_that_nobody_vouches_for(data: st.DataObject) -> None:
    """Any content is refused, or every path ends at an existing leaf."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    dtype = data.draw(st.sampled_from(["int8", "int16", "float32"]))
    trees = [random_tree(rng, 3, 4, 5, ends_of(dtype)) for _ in range(2)]
    table, roots = encode(trees, dtype, 4, 5)
    changed = table.copy()
    for _ in range(data.draw(st.integers(0, 3))):
        limits = np.iinfo(table.dtype)
        place = data.draw(st.integers(0, len(table) - 1))
        changed[place] = data.draw(st.integers(int(limits.min), int(limits.max)))
    try:
        found = decode(changed, roots, dtype, 4, 5)
    except TableError:
        return
    for nodes in found:
        for place, node in nodes.items():
            if node.feature is None:
                assert 0 <= node.value < 5
            else:
                assert 0 <= node.feature < 4
                assert all(
                    place < place + n and place + n in nodes for n in (node.size, node.offset)
                )


def _one(table: np.ndarray, **changes: Any) -> bytes:
    parts = {
        "roots": np.array([0], np.int32),
        "values": np.array([1, 2], np.float32),
        "start": np.zeros(1, np.float32),
        **changes,
    }
    b = ModelBuilder()
    x = b.input("x", (1, 2), "float32")
    inputs = [b.constant(name, data) for name, data in {"table": table, **parts}.items()]
    y = b.tensor("y", (1, parts["start"].size), "float32")
    b.op("CUSTOM:TVMTINY_TREES", [x, *inputs], [y], custom_options=b"")
    return b.build([y])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (_one(np.array([0, 0], np.int32)), "branch backwards"),
        (_one(np.array([1 << 16 | 9, 0, -65536], np.int32)), "branch to outside"),
        (_one(np.array([2 << 16 | 3, 0, -65536, -65535], np.int32)), "feature 2 of 2"),
        (_one(np.array([-65534], np.int32)), "leaf 2 of 2"),
        (_one(np.array([-1, 0], np.int16)), "table of int16 for float32 features"),
        (_one(np.array([-65536], np.int32), roots=np.array([4], np.int32)), "branch to outside"),
        (_one(np.array([-65536], np.int32), values=np.zeros((2, 3), np.float32)), "leaves"),
        (_one(np.array([-65536], np.int32), roots=np.array([0], np.int64)), "another dtype"),
    ],
)
def test_what_is_refused(model: bytes, reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=reason):
        tvmtiny.load(model)


def test_trees_that_do_not_fit() -> None:
    deep: Tree = 0
    for _ in range(40000):
        deep = Split(0, 0, deep, 1)
    with pytest.raises(TableError, match="more than 65535"):
        encode([deep], "int8", 1, 2)
    with pytest.raises(TableError, match="at most"):
        encode([0], "float32", 70000, 2)
