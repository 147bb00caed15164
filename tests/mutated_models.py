"""Models damaged in many ways, each reproducible from a number, and their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from random_graphs import table
from small_networks import Network
from tflite_builder import ModelBuilder

import tvmtiny
from tests.ops.test_svdf import Filter
from tests.ops.test_unidirectional_sequence_lstm import Lstm
from tests.tools import MLPERF_TINY
from tvmtiny import models
from tvmtiny.errors import TvmtinyError
from tvmtiny.frontend.writer import packed
from tvmtiny.oracle import run_litert
from tvmtiny.report.inspection import inspect_model

#: The data of buffers above this size is damaged less often than the bytes around it.
_LARGE = 64
_CPUS = ("cortex-m4", "cortex-m0")
_MLPERF_TINY = ("kws_int8", "ad_int8", "sww_int8")


@cache
def originals() -> Mapping[str, bytes]:
    """The models to be damaged, by name."""
    found = {name: models.path(name).read_bytes() for name in models.names()}
    found.update({build.__name__.strip("_"): build() for build in _BUILT})
    found.update({operator.lower(): cases[0][1] for operator, cases in table().items()})
    for name in _MLPERF_TINY:
        path = MLPERF_TINY / f"{name}.tflite"
        if path.is_file():
            found[name] = path.read_bytes()
    return found


def mutated(content: bytes, seed: int) -> bytes:
    """`content` with the damage that `seed` stands for."""
    rng = np.random.default_rng(seed)
    change = _CHANGES[seed % len(_CHANGES)]
    for _ in range(int(rng.integers(1, 4))):
        content = change(content, rng)
    return content


def outcome(content: bytes, seed: int) -> str:
    """Inspect, load, compile and run a model: ``ok``, or the name of the error that refuses it.

    Raises
    ------
    Exception
        Anything but one of tvmtiny's own errors, which would be a fault.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.tflite"
        path.write_bytes(content)
        with suppress(TvmtinyError):
            inspect_model(path)
        try:
            model = tvmtiny.load(path)
            artifact = tvmtiny.compile(model, _CPUS[seed // len(_CHANGES) % len(_CPUS)])
            run_litert(model.content, tvmtiny.make_inputs("ramp", artifact.inputs))
        except TvmtinyError as error:
            assert str(error) and error.exit_code
            return type(error).__name__
        return "ok"


def _flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    for position in rng.choice(_structure(content), int(rng.integers(1, 5))):
        data[position] ^= 1 << rng.integers(8)
    return data.tobytes()


def _flip_bits_anywhere(content: bytes, rng: np.random.Generator) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    data[rng.integers(len(data), size=4)] ^= rng.integers(1, 256, 4).astype(np.uint8)
    return data.tobytes()


def _set_word(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    position = int(rng.choice(_structure(content))) & ~3
    value = int(rng.choice([0, 1, 2, 4, 0x7F, 0xFF, 0xFFFF, 1 << 30, 2**31 - 1, 2**31, 2**32 - 1]))
    data[position : position + 4] = value.to_bytes(4, "little")
    return bytes(data)


def _truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))] or content[:9]


def _cut_out(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.choice(_structure(content))) & ~3
    return content[:start] + content[start + 4 * int(rng.integers(1, 16)) :]


def _swap_tables(content: bytes, rng: np.random.Generator) -> bytes:
    """Exchange the targets of two references to tables."""
    slots = _table_slots(content)
    targets = [slot + int.from_bytes(content[slot : slot + 4], "little") for slot in slots]
    data = bytearray(content)
    for _ in range(10 if slots else 0):
        pair = rng.integers(len(slots), size=2)
        first, second = (slots[i] for i in pair)
        theirs, mine = (targets[i] for i in pair)
        # Offsets lead forward.
        if first != second and mine > first and theirs > second:
            data[first : first + 4] = (mine - first).to_bytes(4, "little")
            data[second : second + 4] = (theirs - second).to_bytes(4, "little")
            break
    return bytes(data)


def _swap_words(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    first, second = (int(p) & ~3 for p in rng.choice(_structure(content), 2))
    data[first : first + 4], data[second : second + 4] = (
        data[second : second + 4],
        data[first : first + 4],
    )
    return bytes(data[: len(content)])


def _change_field(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a number of a tensor, an operator or its options in a file that stays valid."""
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        tensors, operators = list(graph.tensors), list(graph.operators)
        chosen = [*tensors, *operators, *(o.builtinOptions for o in operators)]
        chosen += [t.quantization for t in tensors]
        target = _pick([thing for thing in chosen if thing is not None], rng)
        fields = [k for k, v in vars(target).items() if _changeable(v) and k not in _KEPT]
        name = _pick(fields, rng)
        value = getattr(target, name)
        if isinstance(value, bool | int | float):
            setattr(target, name, _other(value, rng))
        else:
            values = list(value)
            position = int(rng.integers(len(values)))
            change = _pick(["value", "drop", "double"], rng)
            values[position : position + 1] = {
                "value": [_other(values[position], rng)],
                "drop": [],
                "double": [values[position]] * 2,
            }[change]
            setattr(target, name, values)
        return packed(model)
    except Exception:
        # Fields that were damaged before, or hold a value that no file can hold, stay unchanged.
        return content


#: Fields that state the type of the table that follows.
_KEPT = ("builtinOptionsType", "builtinOptions2Type", "detailsType", "hasRank")
_NUMBERS = (-129, -128, -2, -1, 0, 1, 2, 3, 4, 5, 7, 8, 127, 128, 255, 256, 1000, 2**31 - 1)
_REALS = (0.0, -0.0, -1.0, 1.0, 1e-30, 1e-8, 1e-3, 0.5, 3.0, 1e6, 1e30, np.inf, np.nan)


def _changeable(value: object) -> bool:
    if isinstance(value, np.ndarray | list):
        return len(value) > 0 and isinstance(value[0], int | float | np.integer | np.floating)
    return isinstance(value, bool | int | float)


def _other(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float | np.floating):
        return float(_pick(_REALS, rng))
    return int(_pick([*_NUMBERS, int(value) + 1, int(value) - 1], rng))


def _pick(things: Sequence[Any], rng: np.random.Generator) -> Any:
    return things[int(rng.integers(len(things)))]


_CHANGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _flip_bits,
    _set_word,
    _swap_tables,
    _flip_bits_anywhere,
    _cut_out,
    _swap_words,
    _truncate,
    _change_field,
    _change_field,
)


def _structure(content: bytes) -> np.ndarray:
    """Positions of bytes outside the data of large buffers; all positions if these are unknown."""
    inside = np.ones(max(len(content), 1), bool)
    try:
        model = schema.Model.GetRootAs(content)
        for position in range(min(model.BuffersLength(), 1000)):
            data = model.Buffers(position).DataAsNumpy()
            if not isinstance(data, int) and data.size > _LARGE:
                start = data.__array_interface__["data"][0] - _address(content)
                inside[start : start + data.size] = False
    except Exception:
        return np.arange(len(inside))
    return np.flatnonzero(inside)


def _address(content: bytes) -> int:
    return int(np.frombuffer(content, np.uint8).__array_interface__["data"][0])


def _table_slots(content: bytes) -> list[int]:
    """Positions of the offsets to subgraphs, tensors, operators, codes and buffers."""
    slots: list[int] = []
    try:
        model = schema.Model.GetRootAs(content)
        vectors = [(model, 6), (model, 8), (model, 12)]
        for position in range(min(model.SubgraphsLength(), 10)):
            vectors += [(model.Subgraphs(position), 4), (model.Subgraphs(position), 10)]
        for table, entry in vectors:
            offset = table._tab.Offset(entry)
            if offset:
                start, length = table._tab.Vector(offset), table._tab.VectorLen(offset)
                slots += range(start, start + 4 * min(length, 1000), 4)
    except Exception:
        return []
    return [slot for slot in slots if 0 <= slot <= len(content) - 4]


def _convolutions() -> bytes:
    network = Network(3)
    x = network.input(1, 8, 8, 3)
    x = network.conv(x, 8, (3, 3))
    return network.builder.build([network.conv(x, 5).index])


def _floats() -> bytes:
    network = Network(4, "float32")
    x = network.input(1, 6, 6, 4)
    return network.builder.build([network.conv(x, 3, (3, 3)).index])


def _streaming() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 2, 4), scale=0.1)
    variable = b.variable("ring", np.zeros((1, 2, 4), np.int8))
    ring, y = b.tensor("ring", (1, 2, 4), scale=0.1), b.tensor("y", (1, 4, 4), scale=0.1)
    b.op("READ_VARIABLE", [variable], [ring], {})
    b.op("CONCATENATION", [ring, x], [y], {"axis": 1})
    b.op("ASSIGN_VARIABLE", [variable, x], [], {})
    return b.build([y])


def _many_operators() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 2), scale=0.1, zero_point=3)
    axes = b.constant("axes", np.array([1, 2], np.int32))
    padding = b.constant("paddings", np.array([[0, 0], [1, 1], [1, 0], [0, 0]], np.int32))
    shape = b.constant("shape", np.array([1, 2], np.int32))
    padded = b.tensor("padded", (1, 6, 5, 2), scale=0.1, zero_point=3)
    pooled = b.tensor("pooled", (1, 3, 2, 2), scale=0.1, zero_point=3)
    mean = b.tensor("mean", (1, 1, 1, 2), scale=0.05)
    flat = b.tensor("flat", (1, 2), scale=0.05)
    y = b.tensor("y", (1, 2), scale=1 / 256, zero_point=-128)
    pool = {"padding": "VALID", "stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
    b.op("PAD", [x, padding], [padded], {})
    b.op("MAX_POOL_2D", [padded], [pooled], pool)
    b.op("MEAN", [pooled, axes], [mean], {"keep_dims": True})
    b.op("RESHAPE", [mean, shape], [flat], {"new_shape": [1, 2]})
    b.op("SOFTMAX", [flat], [y], {"beta": 1.0})
    return b.build([y])


def _two_paths() -> bytes:
    b = ModelBuilder()
    x = b.input("x", (1, 8), scale=0.1)
    weights = b.constant("w", np.arange(32, dtype=np.int8).reshape(4, 8), scale=0.02)
    bias = b.constant("bias", np.arange(4, dtype=np.int32), scale=0.002)
    left, right = (b.tensor(name, (1, 4), scale=0.2) for name in ("left", "right"))
    total, y = b.tensor("total", (1, 4), scale=0.4), b.tensor("y", (1, 4), scale=0.01)
    b.op("FULLY_CONNECTED", [x, weights, bias], [left], {}, version=4)
    b.op("FULLY_CONNECTED", [x, weights, None], [right], {"fused_activation_function": "RELU"})
    b.op("ADD", [left, right], [total], {})
    b.op("MUL", [total, right], [y], {})
    return b.build([total, y])


def _filter() -> bytes:
    return Filter().model()


def _lstm() -> bytes:
    return Lstm(steps=2).model()


_BUILT = (_filter, _lstm, _convolutions, _floats, _streaming, _many_operators, _two_paths)
