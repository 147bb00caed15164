"""Files with several signatures, each with its own subgraph, and names that carry no meaning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from control_models import Control, Value, less, plus
from host_main import HostRun
from host_runner import run_all_on_host
from tflite_builder import ModelBuilder
from tools import on_qemu

import tvmtiny
from tvmtiny.errors import InputError, ModelFormatError
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.writer import packed

SHAPE = (1, 6)
NONE = {"fused_activation_function": "NONE"}


@cache
def coder() -> bytes:
    """``encode`` has two inputs of one name, one also an output; ``decode`` has one input."""
    b = ModelBuilder()

    def decode(inner: ModelBuilder) -> Sequence[int]:
        code = inner.input("x", SHAPE, "int8", scale=0.25)
        real = inner.tensor("y", SHAPE, "float32")
        inner.op("DEQUANTIZE", [code], [real], {}, version=2)
        return [real]

    decoder = b.subgraph("decode", decode)
    left, right = (b.input("x", SHAPE, "float32") for _ in range(2))
    total = b.tensor("x", SHAPE, "float32")
    code = b.tensor("y", SHAPE, "int8", scale=0.25)
    b.op("ADD", [left, right], [total], NONE)
    b.op("QUANTIZE", [total], [code], {})
    b.signature([("left", left), ("right", right)], [("code", code), ("same", right)], key="encode")
    b.signature([("code", 0)], [("real", 1)], key="decode", subgraph=decoder)
    return b.build([code, right])


@cache
def counter() -> bytes:
    """``count`` has a loop in two more subgraphs; ``first`` returns its input and one sum twice."""
    b = ModelBuilder()
    turns = (less(3), lambda b, x: [plus(b, x[0]), plus(b, x[1], 7)])
    loop = Control("WHILE", (Value(), Value()), turns)

    def count(inner: ModelBuilder) -> Sequence[int]:
        start = inner.input("x", (), "int32")
        none = inner.constant("none", np.array(0, np.int32))
        return loop.add(inner, [none, start])[1:]

    counting = b.subgraph("count", count)
    x = b.input("x", SHAPE, "int16", scale=0.5)
    one = b.constant("one", np.ones(SHAPE, np.int16), scale=0.5)
    y = b.tensor("y", SHAPE, "int16", scale=0.5)
    b.op("ADD", [x, one], [y], NONE)
    b.signature([("start", 0)], [("end", 3)], key="count", subgraph=counting)
    b.signature([("signal", x)], [("signal", y), ("raw", x), ("again", y)], key="first")
    return b.build([y, x, y])


FILES = {"coder": coder, "counter": counter}

#: Names of inputs and of outputs in C, by file and signature.
FIELDS = {
    ("coder", "encode"): (["left", "right"], ["code", "same"]),
    ("coder", "decode"): (["code"], ["real"]),
    ("counter", "count"): (["start"], ["end"]),
    ("counter", "first"): (["signal"], ["signal", "raw", "again"]),
}


@cache
def compiled(file: str, key: str) -> tuple[tvmtiny.Model, tvmtiny.Artifact]:
    model = tvmtiny.load(FILES[file](), name=f"{file}_{key}", signature=key)
    return model, tvmtiny.compile(model, "mps2-an386")


def expected(file: str, key: str, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """LiteRT's results for a signature of the unchanged file, in the order of the outputs."""
    interpreter = Interpreter(
        model_content=FILES[file](), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    run = interpreter.get_signature_runner(key)
    names, outputs = FIELDS[file, key]
    given = run(**dict(zip(names, inputs, strict=True)))
    return [given[name] for name in outputs]


def samples(file: str, key: str) -> list[list[np.ndarray]]:
    _, artifact = compiled(file, key)
    kinds = ("ramp", "random:5") if key != "count" else ("zeros",)
    return [tvmtiny.make_inputs(kind, artifact.inputs) for kind in kinds]


@pytest.mark.parametrize(("file", "key"), FIELDS)
def test_headers(file: str, key: str) -> None:
    model, artifact = compiled(file, key)
    inputs, outputs = FIELDS[file, key]
    assert [t.c_name for t in artifact.inputs] == inputs
    assert [t.c_name for t in artifact.outputs] == outputs
    header = artifact.files[f"{model.name}.h"]
    for name in inputs:
        assert f" *{name};" in header
    assert model.notes == ()


def test_on_this_machine(tmp_path: Path) -> None:
    """All four signatures in one program."""
    runs = [HostRun(compiled(*each)[1], samples(*each)) for each in FIELDS]
    found = run_all_on_host(runs, tmp_path)
    for (file, key), run, results in zip(FIELDS, runs, found, strict=True):
        for inputs, result in zip(run.input_sets, results, strict=True):
            for output, value in zip(result.outputs, expected(file, key, inputs), strict=True):
                np.testing.assert_array_equal(output.data, value, f"{file} {key} {output.name}")


@on_qemu
@pytest.mark.parametrize(("file", "key"), FIELDS)
def test_on_a_board(file: str, key: str) -> None:
    model, artifact = compiled(file, key)
    for inputs in samples(file, key):
        result = tvmtiny.run(artifact, *inputs)
        assert tvmtiny.check(model, artifact, result, inputs).exact
        for output, value in zip(result.outputs, expected(file, key, inputs), strict=True):
            np.testing.assert_array_equal(output.data, value)


@on_qemu
def test_over_a_session() -> None:
    """A signature may have an input as one of two outputs, and one name for both inputs."""
    _, artifact = compiled("coder", "encode")
    inputs = samples("coder", "encode")[0]
    with tvmtiny.Session(artifact, timeout=60) as session:
        outputs = session.run(*inputs)
    for output, value in zip(outputs, expected("coder", "encode", inputs), strict=True):
        np.testing.assert_array_equal(output, value)


@pytest.mark.parametrize("file", FILES)
def test_the_first_subgraph_by_default(file: str) -> None:
    key = {"coder": "encode", "counter": "first"}[file]
    model = tvmtiny.load(FILES[file](), name=f"{file}_{key}")
    others = {"coder": "encode, decode", "counter": "count, first"}[file]
    note = f"of the file's signatures {others} this is '{key}'; --signature takes another"
    assert model.notes == (note,)
    assert tvmtiny.compile(model, "mps2-an386").files == compiled(file, key)[1].files


def test_a_signature_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"no signature 'train'; known: encode, decode$"):
        tvmtiny.load(coder(), signature="train")
    b = ModelBuilder()
    x = b.input("x", SHAPE, "float32")
    with pytest.raises(InputError, match=r"no signature 'train'; it has none$"):
        tvmtiny.load(b.build([x]), signature="train")


def changed(content: bytes, change: Any) -> bytes:
    model = unpack_model(content)
    change(model)
    return packed(model)


def test_damaged_files() -> None:
    for length in (0, 3, 200):
        with pytest.raises(ModelFormatError, match="truncated or damaged"):
            tvmtiny.load(coder()[:length], signature="encode")

    def far(model: Any) -> None:
        model.signatureDefs[0].subgraphIndex = 7

    with pytest.raises(ModelFormatError, match="'encode' names subgraph 7, but there are only 2"):
        tvmtiny.load(changed(coder(), far), signature="encode")

    (count,) = (i for i, g in enumerate(unpack_model(counter()).subgraphs) if g.name == b"count")

    def lose(model: Any) -> None:
        model.subgraphs[count].operators[0].builtinOptions.bodySubgraphIndex = 99

    with pytest.raises(ModelFormatError, match="subgraph 99 is used"):
        tvmtiny.load(changed(counter(), lose), signature="count")


def test_constants_behind_the_flatbuffer() -> None:
    content = counter()
    model = unpack_model(content)
    buffer = next(b for b in model.buffers if b.data is not None and len(b.data) == 12)
    data, buffer.data = bytes(buffer.data), None
    buffer.offset, buffer.size = 1 << 20, len(data)
    moved = packed(model).ljust(1 << 20, b"\0") + data
    found = tvmtiny.load(moved, signature="first").content
    assert len(unpack_model(found).subgraphs) == 1
    assert found == tvmtiny.load(content, signature="first").content
