"""Damaged ONNX files: whatever they hold, the result is a model or one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tvmtiny
from tvmtiny.errors import TvmtinyError
from tvmtiny.importers import import_model

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from onnx_models import FLOAT, OnnxBuilder  # noqa: E402

#: The part of the file before the weights.
_STRUCTURE = 2500


def test_damaged_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = [build().SerializeToString() for build in FLOAT.values()]
    refused = 0
    for _ in range(80):
        content = bytearray(whole[rng.integers(len(whole))])
        for place in rng.integers(min(len(content), _STRUCTURE), size=rng.integers(1, 4)):
            content[place] = rng.integers(256)
        path = tmp_path / "model.onnx"
        end = rng.integers(20, len(content)) if refused % 9 == 8 else len(content)
        path.write_bytes(bytes(content[:end]))
        try:
            tvmtiny.load(import_model(path).content)
        except TvmtinyError:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("Conv", {"strides": [0, 1]}),
        ("Conv", {"dilations": [9, 9]}),
        ("Conv", {"pads": [1, 2, 3]}),
        ("Conv", {"pads": [10**9, 0, 0, 0]}),
        ("Conv", {"group": 3}),
        ("MaxPool", {"kernel_shape": [3, 3, 3]}),
        ("MaxPool", {"kernel_shape": [99, 99]}),
        ("Transpose", {"perm": [0, 0, 1, 2]}),
        ("Concat", {"axis": 9}),
        ("Softmax", {"axis": -7}),
        ("Flatten", {"axis": 12}),
        ("ReduceMean", {"axes": [5]}),
        ("DepthToSpace", {"blocksize": 3}),
        ("LeakyRelu", {"alpha": float("nan")}),
    ],
)
def test_attributes_that_do_not_fit(kind: str, attributes: dict[str, object]) -> None:
    b = OnnxBuilder()
    more = [b.random(4, 2, 3, 3)] if kind == "Conv" else []
    model = b.build(b.op(kind, b.input(1, 2, 8, 8), *more, **attributes))
    with pytest.raises(TvmtinyError):
        tvmtiny.load(model)


def test_constants_that_would_fill_the_memory() -> None:
    b = OnnxBuilder()
    size = b.constant(np.array([10**6, 10**6], np.int64))
    huge = b.op("ConstantOfShape", size)
    model = b.build(b.op("Add", b.input(1, 8), b.op("ReduceMean", huge, keepdims=0)))
    with pytest.raises(TvmtinyError):
        tvmtiny.load(model)
