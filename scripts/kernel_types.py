"""Write tvmtiny/report/kernels.toml: the dtypes that kernels of LiteRT and TFLM support.

Each operator is tested with each dtype as a model of its own, in a separate process. Run this
script after adding an operator, with the package ``tflite-micro`` installed in addition to the
others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tests.control_models import Control, Value, less, plus  # noqa: E402
from tests.ops.test_svdf import Filter  # noqa: E402
from tests.ops.test_unidirectional_sequence_lstm import Lstm  # noqa: E402
from tests.ops.test_unidirectional_sequence_rnn import Rnn  # noqa: E402
from tests.tflite_builder import ModelBuilder, schema  # noqa: E402
from tvmtiny.ops import operators  # noqa: E402

PAGE = ROOT / "tvmtiny" / "report" / "kernels.toml"

DTYPES = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")

#: Required scales and zero points of operators' results, by dtype.
_FIXED = {
    "SOFTMAX": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (2.0**-15, 0)},
    "LOG_SOFTMAX": {"int8": (1 / 16, 127), "uint8": (1 / 16, 255)},
    "LOGISTIC": {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (2.0**-15, 0)},
    "TANH": {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (2.0**-15, 0)},
    "L2_NORMALIZATION": {"int8": (1 / 128, 0), "uint8": (1 / 128, 128)},
}
_WINDOW = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
_POOL = {**_WINDOW, "filter_height": 2, "filter_width": 2}
_IMAGE = (1, 4, 4, 2)


class _Model:
    """A model of one operator with one dtype."""

    def __init__(self, dtype: str, version: int) -> None:
        self.b, self.dtype, self.version = ModelBuilder(), dtype, version
        self.data: list[np.ndarray] = []

    def scale(self, dtype: str, fixed: tuple[float, int] | None = None) -> dict[str, Any]:
        if dtype not in ("int8", "uint8", "int16"):
            return {}
        scale, zero = fixed or (2.0**-10 if dtype == "int16" else 0.05, 0)
        return {"scale": scale, "zero_point": zero}

    def x(self, shape: tuple[int, ...] = _IMAGE, dtype: str = "", value: int = 1) -> int:
        dtype = dtype or self.dtype
        self.data.append(np.full(shape, value, dtype))
        return self.b.input(f"x{len(self.data)}", shape, dtype, **self.scale(dtype))

    def c(self, value: Any, dtype: str = "int32", scaled: bool = False) -> int:
        array = np.array(value, dtype)
        return self.b.constant(
            f"c{len(self.b._tensors)}", array, **(self.scale(dtype) if scaled else {})
        )

    def y(self, shape: tuple[int, ...] = _IMAGE, dtype: str = "", fixed: Any = None) -> int:
        dtype = dtype or self.dtype
        return self.b.tensor(f"y{len(self.b._tensors)}", shape, dtype, **self.scale(dtype, fixed))

    def done(self, operator: str, inputs: list[int], outputs: list[int], **options: Any) -> bytes:
        with suppress(AssertionError):
            self.b.op(operator, inputs, outputs, options, self.version)
            return self.b.build(outputs)
        self.b.op(operator, inputs, outputs, None, self.version)
        return self.b.build(outputs)


def _weights(m: _Model, shape: tuple[int, ...]) -> tuple[int, int]:
    """Add weights and a bias to a model."""
    if m.dtype == "float32":
        return m.c(np.ones(shape), "float32"), m.c(np.ones(2), "float32")
    dtype = "uint8" if m.dtype == "uint8" else "int8"
    weights = m.b.constant("w", np.ones(shape, dtype), scale=1e-4, zero_point=0)
    return weights, m.c([1, 2], "int64" if m.dtype == "int16" else "int32")


def _layer_of_tests(operator: str, m: _Model) -> bytes | None:
    """Build a model of a stateful or control-flow operator; None for other operators or dtypes."""
    if operator == "SVDF" and m.dtype in ("int8", "float32"):
        m.data = [np.ones((1, 5), m.dtype)]
        return Filter(dtype=m.dtype).model()
    if operator == "UNIDIRECTIONAL_SEQUENCE_LSTM" and m.dtype in ("int8", "int16", "float32"):
        m.data = [np.ones((1, 5, 4), m.dtype)]
        return Lstm(dtype=m.dtype).model()
    if operator == "UNIDIRECTIONAL_SEQUENCE_RNN" and m.dtype == "float32":
        m.data = [np.ones((1, 3, 3), m.dtype)]
        return Rnn().model()
    value = Value((2, 3), m.dtype, 0.05 if m.dtype in ("int8", "uint8", "int16") else None)
    data = np.ones((2, 3), m.dtype)
    if operator == "WHILE":
        m.data = [data]
        step = lambda b, x: [plus(b, x[0]), *x[1:]]  # noqa: E731
        return Control("WHILE", (Value(value=0), value), (less(3), step), outputs=(1,)).model()
    if operator == "IF":
        m.data = [np.array(True), data]
        same = lambda b, x: list(x)  # noqa: E731
        return Control("IF", (value,), (same, same), Value((), "bool")).model()
    return None


def _build(operator: str, m: _Model) -> bytes | None:
    """Build a model of an operator; None if there is no template."""
    found = _layer_of_tests(operator, m)
    if found is not None:
        return found
    one = (1, 2, 1, 2)
    if operator in _UNARY:
        fixed = _FIXED.get(operator, {}).get(m.dtype)
        return m.done(operator, [m.x()], [m.y(fixed=fixed)], **_UNARY[operator])
    if operator in _BINARY:
        return m.done(operator, [m.x(), m.x()], [m.y()])
    if operator in _RELATIONS:
        return m.done(operator, [m.x(), m.x()], [m.y(dtype="bool")])
    if operator in _REDUCTIONS:
        return m.done(operator, [m.x(), m.c([1, 2])], [m.y((1, 2))], keep_dims=False)
    if operator in ("ARG_MAX", "ARG_MIN"):
        y = m.y((1, 4, 4), "int32")
        return m.done(operator, [m.x(), m.c(3)], [y], output_type=2)
    if operator in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        return m.done(operator, [m.x()], [m.y()], **_POOL)
    if operator == "CONV_2D":
        return m.done(operator, [m.x(), *_weights(m, (2, 3, 3, 2))], [m.y()], **_WINDOW)
    if operator == "DEPTHWISE_CONV_2D":
        options = {**_WINDOW, "depth_multiplier": 1}
        return m.done(operator, [m.x(), *_weights(m, (1, 3, 3, 2))], [m.y()], **options)
    if operator == "TRANSPOSE_CONV":
        w, bias = _weights(m, (2, 3, 3, 2))
        return m.done(operator, [m.c(_IMAGE), w, m.x(), bias], [m.y()], **_WINDOW)
    if operator == "FULLY_CONNECTED":
        x, (w, bias) = m.x((3, 4)), _weights(m, (2, 4))
        return m.done(operator, [x, w, bias], [m.y((3, 2))])
    if operator == "BATCH_MATMUL":
        return m.done(operator, [m.x((2, 3, 4)), m.x((2, 4, 5))], [m.y((2, 3, 5))])
    if operator == "PRELU":
        slopes = "int8" if m.dtype == "int16" else m.dtype
        slope = m.c(np.ones((1, 1, 2)), slopes, scaled=True)
        return m.done(operator, [m.x(), slope], [m.y()])
    moves: dict[str, Callable[[], tuple[list[int], list[int], dict[str, Any]]]] = {
        "BATCH_TO_SPACE_ND": lambda: (
            [m.x((4, 2, 2, 2)), m.c([2, 2]), m.c([[0, 0], [0, 0]])], [m.y()], {}),
        "BROADCAST_TO": lambda: ([m.x(one), m.c([2, 2, 2, 2])], [m.y((2, 2, 2, 2))], {}),
        "CAST": lambda: ([m.x()], [m.y(dtype="float32" if m.dtype != "float32" else "int32")], {}),
        "CONCATENATION": lambda: ([m.x(), m.x()], [m.y((1, 4, 4, 4))], {"axis": 3}),
        "CUMSUM": lambda: ([m.x(), m.c(1)], [m.y()], {}),
        "DEPTH_TO_SPACE": lambda: ([m.x((1, 2, 2, 8))], [m.y()], {"block_size": 2}),
        "SPACE_TO_DEPTH": lambda: ([m.x()], [m.y((1, 2, 2, 8))], {"block_size": 2}),
        "DEQUANTIZE": lambda: ([m.x()], [m.y(dtype="float32")], {}),
        "DYNAMIC_UPDATE_SLICE": lambda: (
            [m.x(), m.x((1, 2, 2, 2)), m.c([0, 1, 1, 0])], [m.y()], {}),
        "EMBEDDING_LOOKUP": lambda: (
            [m.x((3,), "int32"), m.c(np.ones((4, 2)), m.dtype, True)], [m.y((3, 2))], {}),
        "EXPAND_DIMS": lambda: ([m.x(), m.c(0)], [m.y((1, *_IMAGE))], {}),
        "FILL": lambda: ([m.c([2, 3]), m.x(())], [m.y((2, 3))], {}),
        "GATHER": lambda: ([m.x(), m.c([1, 0])], [m.y((1, 2, 4, 2))], {"axis": 1}),
        "GATHER_ND": lambda: ([m.x(), m.c([[0, 1], [0, 2]])], [m.y((2, 4, 2))], {}),
        "MIRROR_PAD": lambda: (
            [m.x(), m.c([[0, 0], [1, 1], [1, 1], [0, 0]])], [m.y((1, 6, 6, 2))],
            {"mode": "REFLECT"}),
        "ONE_HOT": lambda: (
            [m.x((3,), "int32"), m.c(4), m.c(1, m.dtype, True), m.c(0, m.dtype, True)],
            [m.y((3, 4))], {"axis": -1}),
        "PACK": lambda: ([m.x(), m.x()], [m.y((2, *_IMAGE))], {"values_count": 2, "axis": 0}),
        "PAD": lambda: ([m.x(), m.c([[0, 0], [1, 1], [1, 1], [0, 0]])], [m.y((1, 6, 6, 2))], {}),
        "PADV2": lambda: (
            [m.x(), m.c([[0, 0], [1, 1], [1, 1], [0, 0]]), m.c(1, m.dtype, True)],
            [m.y((1, 6, 6, 2))], {}),
        "QUANTIZE": lambda: ([m.x()], [m.y(dtype="int8")], {}),
        "RANK": lambda: ([m.x()], [m.y((), "int32")], {}),
        "RESHAPE": lambda: ([m.x(), m.c([1, 32])], [m.y((1, 32))], {}),
        "RESIZE_BILINEAR": lambda: ([m.x(), m.c([8, 8])], [m.y((1, 8, 8, 2))], {}),
        "RESIZE_NEAREST_NEIGHBOR": lambda: ([m.x(), m.c([8, 8])], [m.y((1, 8, 8, 2))], {}),
        "REVERSE_SEQUENCE": lambda: (
            [m.x(), m.c([2])], [m.y()], {"seq_dim": 1, "batch_dim": 0}),
        "REVERSE_V2": lambda: ([m.x(), m.c([1])], [m.y()], {}),
        "SCATTER_ND": lambda: (
            [m.c([[1], [3]]), m.x((2, 3)), m.c([5, 3])], [m.y((5, 3))], {}),
        "SELECT": lambda: ([m.x(_IMAGE, "bool"), m.x(), m.x()], [m.y()], {}),
        "SELECT_V2": lambda: ([m.x(_IMAGE, "bool"), m.x(), m.x()], [m.y()], {}),
        "SHAPE": lambda: ([m.x()], [m.y((4,), "int32")], {"out_type": 2}),
        "SLICE": lambda: ([m.x(), m.c([0, 1, 1, 0]), m.c([1, 2, 2, 2])], [m.y((1, 2, 2, 2))], {}),
        "SPACE_TO_BATCH_ND": lambda: (
            [m.x(), m.c([2, 2]), m.c([[0, 0], [0, 0]])], [m.y((4, 2, 2, 2))], {}),
        "SPLIT": lambda: (
            [m.c(1), m.x()], [m.y((1, 2, 4, 2)), m.y((1, 2, 4, 2))], {"num_splits": 2}),
        "SPLIT_V": lambda: (
            [m.x(), m.c([1, 3]), m.c(1)], [m.y((1, 1, 4, 2)), m.y((1, 3, 4, 2))],
            {"num_splits": 2}),
        "SQUEEZE": lambda: ([m.x()], [m.y((4, 4, 2))], {"squeeze_dims": [0]}),
        "STRIDED_SLICE": lambda: (
            [m.x(), m.c([0, 0, 0, 0]), m.c([1, 4, 4, 2]), m.c([1, 2, 2, 1])],
            [m.y((1, 2, 2, 2))], {}),
        "TILE": lambda: ([m.x(), m.c([1, 2, 1, 1])], [m.y((1, 8, 4, 2))], {}),
        "TOPK_V2": lambda: (
            [m.x(), m.c(1)], [m.y((1, 4, 4, 1)), m.y((1, 4, 4, 1), "int32")], {}),
        "TRANSPOSE": lambda: ([m.x(), m.c([0, 2, 3, 1])], [m.y((1, 4, 2, 4))], {}),
        "UNPACK": lambda: (
            [m.x((2, 3))], [m.y((3,)), m.y((3,))], {"num": 2, "axis": 0}),
    }  # fmt: skip
    if operator not in moves:
        return None
    inputs, outputs, options = moves[operator]()
    return m.done(operator, inputs, outputs, **options)


_UNARY: dict[str, dict[str, Any]] = {
    **{
        name: {}
        for name in (
            *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGICAL_NOT"),
            *("LOGISTIC", "LOG_SOFTMAX", "NEG", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"),
            *("ROUND", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE"),
            "L2_NORMALIZATION",
        )
    },
    "GELU": {"approximate": False},
    "LEAKY_RELU": {"alpha": 0.25},
    "SOFTMAX": {"beta": 1.0},
}
_BINARY = (
    *("ADD", "ADD_N", "ATAN2", "DIV", "FLOOR_DIV", "FLOOR_MOD", "LOGICAL_AND", "LOGICAL_OR"),
    *("MAXIMUM", "MINIMUM", "MUL", "POW", "SQUARED_DIFFERENCE", "SUB"),
)
_RELATIONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")
_REDUCTIONS = (
    *("MEAN", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM"),
)


def _litert(content: bytes, data: list[np.ndarray]) -> None:
    from ai_edge_litert import interpreter as module

    from tvmtiny.host.litert import make_interpreter

    made = make_interpreter(module, content)
    made.allocate_tensors()
    for detail, value in zip(made.get_input_details(), data, strict=True):
        made.set_tensor(detail["index"], value)
    made.invoke()


def _tflm(content: bytes, data: list[np.ndarray]) -> None:
    from tflite_micro import runtime

    made = runtime.Interpreter.from_bytes(content)
    for position, value in enumerate(data):
        made.set_input(value, position)
    made.invoke()


def _runs(
    engine: Callable[[bytes, list[np.ndarray]], None],
    model: _Model,
    content: bytes,
    output: int | None = None,
) -> bool:
    """Whether an engine runs a model, tested in a child process because kernels may crash."""
    child = os.fork()
    if child == 0:
        sink = os.open(os.devnull, os.O_WRONLY) if output is None else output
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        try:
            engine(content, model.data)
            os._exit(0)
        except BaseException as error:
            os.write(2, str(error).encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _taken(operator: str, engine: Callable[[bytes, list[np.ndarray]], None]) -> Iterator[str]:
    for dtype in DTYPES:
        # TFLM ignores operator versions.
        for number in range(1, 9 if engine is _litert else 2):
            model = _Model(dtype, number)
            content = _build(operator, model)
            if content is not None and _runs(engine, model, content):
                yield dtype
                break


def _registers(engine: Callable[[bytes, list[np.ndarray]], None], operator: str) -> bool:
    """Whether an engine registers an operator in its first version."""
    model = _Model("float32", 1)
    x, y = model.x(), model.y()
    model.b.op(operator, [x], [y], None, 1)
    with NamedTemporaryFile() as said:
        _runs(engine, model, model.b.build([y]), said.fileno())
        return b"Didn't find op" not in Path(said.name).read_bytes()


def main() -> None:
    """Test all operators and write the file."""
    import ai_edge_litert.interpreter  # noqa: F401 - once, for all processes
    from tflite_micro import runtime  # noqa: F401

    names = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}
    known = {operator.name for operator in operators()}
    versions = ", ".join(f"{name} {version(name)}" for name in ("ai-edge-litert", "tflite-micro"))
    lines = ["# Written by scripts/kernel_types.py.\n\n"]
    lines += [f'versions = "{versions}"\n\n[operators]\n']
    others = sorted(names - {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"})
    for engine, title in ((_litert, "litert"), (_tflm, "tflm")):
        registered = [f'  "{name}",\n' for name in others if _registers(engine, name)]
        lines.append(f"{title} = [\n{''.join(registered)}]\n")
    tried = sorted(name for name in names if _build(name, _Model("float32", 1)) is not None)
    for engine, title in ((_litert, "\n[litert]\n"), (_tflm, "\n[tflm]\n")):
        lines.append(title)
        for name in tried:
            found = ", ".join(f'"{dtype}"' for dtype in _taken(name, engine))
            lines.append(f"{name} = [{found}]\n")
            print(name, found, "" if name in known else "(not ours)", flush=True)
    PAGE.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
