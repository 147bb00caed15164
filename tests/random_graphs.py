"""Random graphs of all operators and dtypes, made of the operators' case tables.

A graph is a number of cases side by side. Inputs of a case may be earlier tensors of the same
dtype, which are reshaped, cut or padded if their shape differs. Scales and zero points are drawn
anew, from the whole range that a file can hold; tensors of a case with equal ones keep them equal,
because many operators require that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from merge_models import MergedModel
from tflite_builder import ModelBuilder

from tests.ops.case_groups import families
from tests.ops.three_ways import Case
from tvmtiny.frontend.flatbuffer import unpack_model
from tvmtiny.frontend.reader import read_graph
from tvmtiny.frontend.writer import packed
from tvmtiny.ops import find_operator
from tvmtiny.ops.shared.quantization import INTEGER_RANGES

#: Scale and zero point of a tensor.
Pair = tuple[float, int]

#: Scales that operators require.
_FIXED = {1 / 128, 1 / 256, 1 / 32768, 16 / 256}
#: Cases with tensors of more elements are left out.
_LARGEST = 1000
#: Operators whose float32 results may differ from the oracle's bytes: sums in another order, and
#: functions of another library. No later operator uses their results.
INEXACT = (
    *("ATAN2", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONV_2D", "COS", "CUMSUM", "DEPTHWISE_CONV_2D"),
    *("ELU", "EXP", "FULLY_CONNECTED", "GELU", "L2_NORMALIZATION", "L2_POOL_2D", "LOG", "LOGISTIC"),
    *(
        "LOG_SOFTMAX",
        "MEAN",
        "POW",
        "REDUCE_PROD",
        "RESIZE_BILINEAR",
        "RSQRT",
        "SIN",
        "SOFTMAX",
        "SUM",
    ),
    *("SVDF", "TANH", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    *("UNIDIRECTIONAL_SEQUENCE_RNN", "WHILE", "CUSTOM:TFLite_Detection_PostProcess"),
)
#: Operators and dtypes whose results LiteRT defines for some scales only; their scales are kept.
_OWN_SCALES = (("DIV", "INT8"), ("DIV", "INT16"))
#: Operators for which LiteRT has no reference kernel, or a wrong one. In graphs with variables, the
#: oracle computes the whole model with other kernels, see `tvmtiny.litert_operators`.
_WITHOUT_REFERENCE = ("CEIL", "ELU", "ROUND", "SQUEEZE", "SUM")
_VARIABLES = ("ASSIGN_VARIABLE", "READ_VARIABLE")
#: Dtypes whose tensors are cut and padded to fit their readers.
_CUT = ("INT8", "INT16", "INT32", "INT64", "FLOAT32")
_DTYPES = {code: name for name, code in vars(schema.TensorType).items() if name.isupper()}


@dataclass
class RandomGraph:
    """A graph with its properties.

    Attributes
    ----------
    content
        The .tflite file.
    limits
        Smallest and largest value of the inputs that have limits, by name.
    refused
        Operators that were left out because tvmtiny refuses them, with the reason, and the model
        that holds just that operator.
    """

    content: bytes = b""
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    refused: list[tuple[str, bytes]] = field(default_factory=list)


@lru_cache(64)
def random_graph(seed: int, most: int = 6) -> RandomGraph:
    """The graph that `seed` stands for, of up to `most` cases; nobody may change it."""
    rng = np.random.default_rng(seed)
    graph, count = RandomGraph(), int(rng.integers(1, most + 1))
    maker = _Maker(rng, graph)
    for _ in range(20 * count):
        maker.add_case()
        if maker.cases >= count and maker.has_results:
            break
    graph.content = maker.build()
    return graph


@cache
def table() -> dict[str, list[tuple[Case, bytes]]]:
    """Case and model of each operator; an operator in several families has them together."""
    found: dict[str, list[tuple[Case, bytes]]] = {}
    for family in families().values():
        for operator, named in family.tables.items():
            models = [(case, case.model()) for case in named.values()]
            small = [(case, content) for case, content in models if _largest(content) <= _LARGEST]
            found.setdefault(operator, []).extend(small)
    return {operator: cases for operator, cases in sorted(found.items()) if cases}


def _largest(content: bytes) -> int:
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    tensors = (graph.Tensors(position) for position in range(graph.TensorsLength()))
    # A scalar has no shape.
    return max(prod(t.ShapeAsNumpy()) if t.ShapeLength() else 1 for t in tensors)


class _Maker:
    """Adds one case after the other to a graph."""

    def __init__(self, rng: np.random.Generator, graph: RandomGraph) -> None:
        self.cases = 0
        #: Operators of the graph that must be the only one of their kind.
        self._apart: tuple[str, ...] = ()
        self._rng, self._graph = rng, graph
        self._merged = MergedModel()
        #: Tensors that are inexact, or computed from inexact tensors.
        self._inexact: set[int] = set()
        self._adapters = 0

    def build(self) -> bytes:
        """Return the file; its outputs are tensors that no operator reads, and some others."""
        graph = self._merged.graph
        read = {i for operator in graph.operators for i in operator.inputs}
        outputs = self._results()
        kept = [i for i in outputs if i not in read or self._rng.random() < 0.2]
        graph.outputs = kept or outputs[-1:]
        return self._merged.build()

    @property
    def has_results(self) -> bool:
        """Whether any tensor can be an output."""
        return bool(self._results())

    def add_case(self) -> None:
        """Add a case, or record the reason why that is not possible."""
        operator = str(self._rng.choice(list(table())))
        apart = next((names for names in (_WITHOUT_REFERENCE, _VARIABLES) if operator in names), ())
        if apart and self._apart not in ((), apart):
            return
        cases = table()[operator]
        case, content = cases[int(self._rng.integers(len(cases)))]
        model = unpack_model(content)
        part = model.subgraphs[0]
        limits = getattr(case, "limits", dict)()
        names = {i: part.tensors[i].name.decode() for i in part.inputs}
        free = [i for i, name in names.items() if name not in limits]
        if self.cases == 0 and not names:
            return
        own = (operator, _DTYPES[part.tensors[part.outputs[0]].type]) in _OWN_SCALES
        sources, pairs = ({}, {}) if own else self._sources(part, free)
        if not own:
            self._draw_pairs(part, pairs)
        limits = _moved(limits, part, pairs)
        for tensor in part.tensors:
            _set_pair(tensor, pairs)
        if operator == "FULLY_CONNECTED":
            _scale_bias(part)
        self._draw_data(model, finite=operator in INEXACT)
        alone = packed(model)
        reasons = _refusals(alone)
        if reasons:
            self._graph.refused.append((f"{operator}: {reasons[0]}", alone))
            return
        inexact = operator in INEXACT or any(s in self._inexact for s in sources.values())
        name = f"g{self.cases}"
        first = self._merged.add(name, model)
        self._graph.limits |= {f"{name}/{key}": ends for key, ends in limits.items()}
        outputs = [first + i for i in part.outputs]
        if inexact:
            self._inexact.update(i for i in outputs if self._dtype(i) == "FLOAT32")
        for target, source in sources.items():
            self._connect(source, first + target)
        self.cases += 1
        self._apart = apart or self._apart

    def _sources(self, part: Any, free: Sequence[int]) -> tuple[dict[int, int], dict[Pair, Pair]]:
        """Choose tensors of the graph as inputs, and derive the scales that follow."""
        sources: dict[int, int] = {}
        pairs: dict[Pair, Pair] = {}
        known = self._values()
        for target in free:
            tensor = part.tensors[target]
            wanted = _pair(tensor)
            fitting = [
                i
                for i in known
                if self._merged.graph.tensors[i].type == tensor.type
                and (_pair(self._merged.graph.tensors[i]) is None) == (wanted is None)
                and (_DTYPES[tensor.type] in _CUT or self._elements(i) == _elements(tensor))
            ]
            if not fitting or self._rng.random() < 0.3:
                continue
            source = fitting[-1 - int(self._rng.integers(min(4, len(fitting))))]
            given = _pair(self._merged.graph.tensors[source])
            if (
                wanted is not None
                and given is not None
                and pairs.setdefault(wanted, given) != given
            ):
                continue
            sources[target] = source
        return sources, pairs

    def _values(self) -> list[int]:
        """Tensors of the graph that can be read: inputs and results."""
        graph = self._merged.graph
        found = [*graph.inputs, *(i for o in graph.operators for i in o.outputs)]
        return [
            i
            for i in found
            if i not in self._inexact and not self._handle(i) and _elements(graph.tensors[i])
        ]

    def _draw_pairs(self, part: Any, pairs: dict[Pair, Pair]) -> None:
        """Draw new scales and zero points for tensors whose own are not fixed."""
        rng, how = self._rng, self._rng.choice(["same", "near", "far", "far"])
        for tensor in part.tensors:
            old = _pair(tensor)
            if old is None or old in pairs:
                continue
            dtype = _DTYPES[tensor.type].lower()
            scale, zero = old
            if how != "same" and scale not in _FIXED:
                scale *= 2.0 ** rng.uniform(-3, 3)
                if how == "far" and rng.random() < 0.6:
                    scale = 10.0 ** rng.uniform(-8, 6)
                if rng.random() < 0.2:
                    scale = 2.0 ** np.round(np.log2(scale))
                if zero or rng.random() < 0.1 * (dtype != "int16"):
                    low, high = INTEGER_RANGES.get(dtype, (0, 0))
                    ends = [low, high, 0, int(rng.integers(low, high + 1))]
                    zero = int(ends[rng.integers(4)])
            pairs[old] = float(np.float32(scale)), zero

    def _draw_data(self, model: Any, finite: bool) -> None:
        """Change some of the constants that are weights or operands."""
        rng = self._rng
        for tensor in model.subgraphs[0].tensors:
            data = model.buffers[tensor.buffer].data if tensor.buffer else None
            if data is None or rng.random() < 0.7:
                continue
            dtype = _DTYPES[tensor.type]
            if dtype == "INT8" and _pair(tensor) is not None:
                chosen = rng.choice([-127, 127, 0, 1], len(data))
                random = rng.integers(-127, 128, len(data))
                data = np.where(rng.random(len(data)) < 0.2, chosen, random).astype(np.int8)
                model.buffers[tensor.buffer].data = data.view(np.uint8)
            elif dtype == "FLOAT32" and not finite and rng.random() < 0.2:
                values = np.frombuffer(bytes(data), np.float32).copy()
                values[rng.integers(len(values))] = rng.choice([np.inf, -np.inf, np.nan, 3e38])
                model.buffers[tensor.buffer].data = values.view(np.uint8)

    def _connect(self, source: int, target: int) -> None:
        """Make all readers of the input `target` read `source`."""
        graph = self._merged.graph
        source = self._adapted(source, target)
        for operator in graph.operators:
            operator.inputs = [source if i == target else i for i in operator.inputs]
        graph.inputs = [i for i in graph.inputs if i != target]

    def _adapted(self, source: int, target: int) -> int:
        """A tensor of the shape of `target` with values of `source`."""
        shape, wanted = (self._shape(i) for i in (source, target))
        if shape == wanted:
            return source
        pair, dtype = _pair(self._merged.graph.tensors[source]), self._dtype(source).lower()
        quantized: dict[str, Any] = {}
        if pair is not None:
            quantized = {"scale": pair[0], "zero_point": pair[1]}
        b = ModelBuilder()
        value = b.input("from", shape, dtype, **quantized)
        size, count = prod(shape), prod(wanted)

        def then(operator: str, *numbers: Any, shape: Sequence[int], options: Any) -> None:
            nonlocal value
            constants = [b.constant(f"{operator}{i}", np.array(n, np.int32)) for i, n in numbers]
            result = b.tensor(f"{operator}_result", shape, dtype, **quantized)
            b.op(operator, [value, *constants], [result], options, 1 + (operator != "RESHAPE"))
            value = result

        if size != count and len(shape) != 1:
            then("RESHAPE", (0, [size]), shape=[size], options={"new_shape": [size]})
        if size > count:
            begin = int(self._rng.integers(size - count + 1))
            then("SLICE", (0, [begin]), (1, [count]), shape=[count], options={})
        if size < count:
            before = int(self._rng.integers(count - size + 1))
            then("PAD", (0, [[before, count - size - before]]), shape=[count], options={})
        if size == count or len(wanted) != 1:
            then("RESHAPE", (1, list(wanted)), shape=wanted, options={"new_shape": list(wanted)})
        model = unpack_model(b.build([value]))
        self._adapters += 1
        # The tensor comes before the operators that read it.
        own = self._merged.graph.operators
        self._merged.graph.operators = []
        first = self._merged.add(f"a{self._adapters}", model)
        adapters, self._merged.graph.operators = self._merged.graph.operators, own
        position = min(i for i, o in enumerate(own) if target in o.inputs)
        own[position:position] = adapters
        self._merged.graph.inputs.remove(first)
        for operator in adapters:
            operator.inputs = [source if i == first else i for i in operator.inputs]
        return first + value

    def _results(self) -> list[int]:
        """Tensors that operators write."""
        outputs = [i for o in self._merged.graph.operators for i in o.outputs]
        return [i for i in outputs if not self._handle(i)]

    def _dtype(self, index: int) -> str:
        return _DTYPES[self._merged.graph.tensors[index].type]

    def _handle(self, index: int) -> bool:
        return self._dtype(index) == "RESOURCE"

    def _shape(self, index: int) -> tuple[int, ...]:
        shape = self._merged.graph.tensors[index].shape
        return () if shape is None else tuple(int(d) for d in shape)

    def _elements(self, index: int) -> int:
        return prod(self._shape(index))


def _elements(tensor: Any) -> int:
    return 1 if tensor.shape is None else prod(int(d) for d in tensor.shape)


def _pair(tensor: Any) -> Pair | None:
    """The scale and zero point of a tensor that has one of each."""
    found = tensor.quantization
    if found is None or found.scale is None or len(found.scale) != 1:
        return None
    zeros = found.zeroPoint
    return float(found.scale[0]), int(zeros[0]) if zeros is not None and len(zeros) else 0


def _set_pair(tensor: Any, pairs: dict[Pair, Pair]) -> None:
    old = _pair(tensor)
    if old in pairs:
        scale, zero = pairs[old]
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]


def _moved(
    limits: dict[str, tuple[float, float]], part: Any, pairs: dict[Pair, Pair]
) -> dict[str, tuple[float, float]]:
    """Limits of inputs whose zero points have been drawn anew."""
    moved = dict(limits)
    for tensor in part.tensors:
        name, old = tensor.name.decode(), _pair(tensor)
        if name in limits and old in pairs:
            low, high = INTEGER_RANGES[_DTYPES[tensor.type].lower()]
            least, most = (end + pairs[old][1] - old[1] for end in limits[name])
            moved[name] = max(low, least), min(high, most)
    return moved


def _scale_bias(part: Any) -> None:
    """Give a bias the scale of the products, which LiteRT checks where there is one scale."""
    x, weights, *bias = (part.tensors[i] for i in part.operators[0].inputs if i >= 0)
    left, right = _pair(x), _pair(weights)
    if bias and left is not None and right is not None:
        bias[0].quantization = schema.QuantizationParametersT()
        bias[0].quantization.scale = [left[0] * right[0]]
        bias[0].quantization.zeroPoint = [0]


def _refusals(content: bytes) -> list[str]:
    """The reasons why tvmtiny refuses the operators of a model."""
    return [
        problem.reason
        for node in read_graph(content, "case").nodes
        if (operator := find_operator(node.operator)) is not None
        for problem in operator.check(node)
    ]
