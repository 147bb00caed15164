"""Generation of an `Artifact` from a scheduled module."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

import jinja2
import numpy as np
import tvm
from tvm import IRModule

from tvmtiny.codegen.arrange import Arrangement
from tvmtiny.codegen.artifact import Artifact, LayerInfo, StateInfo, TensorInfo
from tvmtiny.codegen.feed_emit import feed_context, feed_headers, feed_info
from tvmtiny.codegen.headers import header_texts
from tvmtiny.codegen.lower import Kernel, reached, used_kernels
from tvmtiny.codegen.names import InterfaceNames, c_type, interface_names, macro_stem
from tvmtiny.codegen.placement import Placement
from tvmtiny.codegen.program import Call, StateValues, Value
from tvmtiny.codegen.requests import ALIGNMENT, alignment_of, in_place, output_name, workspace_name
from tvmtiny.codegen.training import TRAINING_HEADER, training_context
from tvmtiny.frontend import Model
from tvmtiny.frontend.converter import variable_name
from tvmtiny.ops import Tensor, find_operator
from tvmtiny.ops.shared.checks import check_scale
from tvmtiny.ops.shared.quantization import INTEGER_RANGES
from tvmtiny.passes import Optimized
from tvmtiny.targets import Target

#: Additional arguments of a kernel that runs in parts.
PART_ARGUMENTS = ("begin", "end")

_SOURCE_WIDTH = 100
#: Alignment of states in bytes: kernels access activations by words.
_STATE_ALIGNMENT = 8
#: Number of copies up to which a compiler may insert the function that copies.
_MOST_INSERTED = 32


@dataclass(frozen=True, eq=False)
class _Constant:
    name: str
    declaration: str
    data: np.ndarray


def emit(
    model: Model,
    optimized: Optimized,
    module: IRModule,
    target: Target,
    arrangement: Arrangement,
    kernels: Mapping[str, Kernel],
    placement: Placement,
    names: InterfaceNames | None = None,
    cycles: float = 0.0,
) -> Artifact:
    """Generate all files of a model.

    Parameters
    ----------
    optimized
        The graph that `module` was made from.
    module
        The module that the arrangement's program was read from.
    kernels
        Kernels by PrimFunc name.
    placement
        Memory regions of the target's board.
    names
        Names of inputs and outputs; by default `interface_names` derives them from the model.
    cycles
        Estimated cycles of an inference.
    """
    names = names or interface_names(optimized.graph)
    return Emitter(
        model, optimized, module, target, arrangement, kernels, placement, names, cycles
    ).artifact()


class Emitter:
    """Generates the files of one model; see `emit`."""

    #: Runtime headers that the entry point includes.
    _included: tuple[str, ...] = ()

    def __init__(
        self,
        model: Model,
        optimized: Optimized,
        module: IRModule,
        target: Target,
        arrangement: Arrangement,
        kernels: Mapping[str, Kernel],
        placement: Placement,
        names: InterfaceNames,
        cycles: float = 0.0,
    ) -> None:
        self._placement = placement
        self._cycles = cycles
        self._names = names
        self._model = model
        self._graph = optimized.graph
        self._kept = optimized.kept
        self._module = module
        self._target = target
        self._problem = arrangement.problem
        self._external = arrangement.external
        self._program = program = arrangement.program
        self._plan = arrangement.plan
        # A concatenation whose parts were produced in place needs no call.
        self._idle = {i for i, c in enumerate(program.calls) if in_place(c, self._problem)}
        called = [c.function for i, c in enumerate(program.calls) if i not in self._idle]
        self._kernels = used_kernels(called, kernels)
        self._constants: dict[tuple[str, bytes], _Constant] = {}
        self._nodes = {variable_name(t): n for n in optimized.graph.nodes for t in n.outputs}
        self._state_offsets = _offsets([s.before.nbytes for s in program.states])

    def artifact(self) -> Artifact:
        calls = [self._call(step, call) for step, call in enumerate(self._program.calls)]
        layers = tuple(self._layer(i, call) for i, call in enumerate(self._program.calls))
        inputs = self._interface(self._graph.inputs, self._program.inputs, self._names.inputs)
        outputs = self._interface(self._graph.outputs, self._program.outputs, self._names.outputs)
        sources = [self._source(i, v) for i, v in enumerate(self._program.outputs)]
        states = self._states()
        initial = [self._initial(i, s.initial) for i, s in enumerate(self._graph.states)]
        updates = [self._update(i, s) for i, s in enumerate(self._program.states)]
        copies = sum(map(bool, (*sources, *updates)))
        copies += 0 if self._external.external else len(inputs)
        stream = self._stream(layers)
        state_bytes = _state_bytes(states)
        constants = tuple(self._constants.values())
        name = self._model.name
        # Templates read attributes faster than items.
        context: dict[str, Any] = {
            "name": name,
            "prefix": f"tvmtiny_{name}",
            "PREFIX": f"TVMTINY_{name.upper()}",
            "cpu": self._target.cpu.name,
            "arena_bytes": self._plan.total,
            "constants_bytes": sum(c.data.nbytes for c in constants),
            "macs": sum(layer.macs for layer in layers),
            "constants": constants,
            "external": self._external.external,
            "placement": self._placement,
            "io_alignment": max(
                (alignment_of(t.dtype) for t in (*inputs, *outputs)), default=ALIGNMENT
            ),
            "uses_arena": bool(self._plan.total),
            "copies": copies,
            "one_copy": copies > _MOST_INSERTED,
            "state_bytes": state_bytes,
            "states": [
                SimpleNamespace(**vars(state), initial=value, source=update)
                for state, value, update in zip(states, initial, updates, strict=True)
            ],
            "inputs": [
                SimpleNamespace(**vars(t), stem=macro_stem("input", i, t.c_name))
                for i, t in enumerate(inputs)
            ],
            "outputs": [
                SimpleNamespace(**vars(t), stem=macro_stem("output", i, t.c_name), source=source)
                for i, (t, source) in enumerate(zip(outputs, sources, strict=True))
            ],
            "ranges": INTEGER_RANGES,
            "layers": [
                SimpleNamespace(
                    **vars(layer),
                    call=text,
                    comment=self._describe(layer),
                    pointer=self._pointer(call.output),
                )
                for layer, call, text in zip(layers, self._program.calls, calls, strict=True)
            ],
            "kernels": [
                SimpleNamespace(**vars(kernel), operators=self._operators(function))
                for function, kernel in self._kernels.items()
            ],
        }
        context["stream"] = stream
        context["train"] = train = training_context(self._model.training, outputs, states)
        trained = (TRAINING_HEADER,) if train else ()
        feed = feed_info(self._model.feed, outputs, self._cycles)
        context["feed"] = feed_context(feed, states, inputs, outputs)
        headers = sorted({h for kernel in self._kernels.values() for h in kernel.headers})
        context["headers"] = headers
        context["preamble"] = list(
            dict.fromkeys(line for kernel in self._kernels.values() for line in kernel.preamble)
        )
        files = {
            f"{name}.h": _render("model.h.j2", context),
            f"{name}.c": _render("model.c.j2", context),
            f"{name}_kernels.h": _render("kernels.h.j2", context),
            f"{name}_kernels.c": _render("kernels.c.j2", context),
            **header_texts(("tvmtiny.h", *headers, *self._included, *feed_headers(feed), *trained)),
        }
        parameters = tvm.runtime.save_param_dict(
            {c.name: tvm.runtime.tensor(c.data) for c in constants}
        )
        return Artifact(
            name,
            self._target,
            self._model.oracle.value,
            files,
            self._graph,
            inputs,
            outputs,
            layers,
            states,
            state_bytes,
            self._external.external,
            self._placement,
            self._plan,
            self._problem,
            self._plan.total,
            context["constants_bytes"],
            self._module,
            bytes(parameters),
            feed=feed,
            training=self._model.training,
        )

    def _stream(self, layers: Sequence[LayerInfo]) -> Mapping[str, Any] | None:
        """Return the template's values for a model that runs row by row; None for others."""
        return None

    def _call(self, step: int, call: Call) -> str:
        if step in self._idle:
            return ""
        kernel = self._kernels[call.function]
        names = [str(p.name) for p in self._module[call.function].params][:-1]
        # A function that runs a subgraph also takes the constants of the subgraph.
        names += [f"x{i}" for i in range(len(names), len(call.arguments))]
        arguments = [
            self._pointer(a)
            if isinstance(a, Value)
            else self._constant(a, f"{call.output.name}_{name}")
            for a, name in zip(call.arguments, names, strict=False)
        ]
        arguments.append(self._pointer(call.output))
        arguments += [
            pointer_text(w.dtype, self._plan.offsets[workspace_name(step, w.name)])
            for w in kernel.workspaces
        ]
        if kernel.weights is not None:
            arguments += PART_ARGUMENTS
        return f"{kernel.symbol}({', '.join(arguments)})"

    def _pointer(self, value: Value) -> str:
        external = self._external
        if value.buffer in external.inputs:
            field = f"inputs->{self._names.inputs[external.inputs[value.buffer]]}"
            return _part(field, value, "const ") if value.offset else field
        if value.buffer in external.outputs:
            field = f"outputs->{self._names.outputs[external.outputs[value.buffer]]}"
            return _part(field, value) if value.offset else field
        if value.buffer in external.states:
            offset = self._state_offsets[external.states[value.buffer]] + value.offset
            return pointer_text(value.dtype, offset, f"tvmtiny_{self._model.name}_state")
        return pointer_text(value.dtype, self._plan.offsets[value.buffer] + value.offset)

    def _source(self, position: int, value: Value | np.ndarray) -> str:
        """Return the source of an output's copy at the end; empty if a kernel writes the output."""
        if isinstance(value, np.ndarray):
            return self._constant(value, f"output_{position}")
        if self._external.outputs.get(value.buffer) == position:
            return ""
        return self._pointer(value)

    def _states(self) -> tuple[StateInfo, ...]:
        return tuple(
            StateInfo(state.name, t.index, t.shape, t.dtype, t.nbytes, offset)
            for state, offset in zip(self._graph.states, self._state_offsets, strict=True)
            for t in [state.before]
        )

    def _initial(self, position: int, value: np.ndarray) -> int | str:
        """Return the byte that fills a state initially, or the constant that is copied to it."""
        content = set(value.tobytes())
        return content.pop() if len(content) == 1 else self._constant(value, f"state_{position}")

    def _update(self, position: int, state: StateValues) -> str:
        """Return the source of a state's copy at the end; empty if it was computed in place."""
        if self._external.states.get(state.after.buffer) == position:
            return ""
        return self._pointer(state.after)

    def _constant(self, data: np.ndarray, wanted: str) -> str:
        key = (str(data.dtype), data.tobytes())
        if key not in self._constants:
            name = f"tvmtiny_{self._model.name}_{wanted}"
            self._constants[key] = _Constant(name, _array(name, data), data)
        return self._constants[key].name

    def _layer(self, index: int, call: Call) -> LayerInfo:
        kernel = None if index in self._idle else self._kernels[call.function]
        found = self._layer_of(
            index,
            call,
            kernel.symbol if kernel else "",
            sum(a.nbytes for a in call.arguments if isinstance(a, np.ndarray)),
            sum(w.size for w in kernel.workspaces) if kernel else 0,
            kernel.schedule if kernel else "in place",
        )
        return replace(found, tuned=kernel is not None and kernel.tuned)

    def _layer_of(
        self, index: int, call: Call, symbol: str, constants: int, workspace: int, schedule: str
    ) -> LayerInfo:
        node = self._nodes[call.output.name]
        operator = find_operator(node.operator)
        assert operator is not None
        tensor = next(t for t in node.outputs if variable_name(t) == call.output.name)
        return LayerInfo(
            index,
            node.operator,
            tensor.name,
            tensor.index,
            call.output.shape,
            call.output.dtype,
            call.output.nbytes,
            self._plan.offsets.get(call.output.buffer),
            symbol,
            operator.macs(node) if tensor is node.output else 0,
            constants,
            workspace,
            schedule,
            tuple(dict.fromkeys(a.buffer for a in call.arguments if isinstance(a, Value))),
            call.output.buffer,
            self._kept.get(tensor.index),
        )

    def _describe(self, layer: LayerInfo) -> str:
        node = self._nodes[f"t{layer.tensor}"]
        shapes = " x ".join(_shape(t.shape) for t in node.inputs if t is not None and t.shape)
        macs = f", {layer.macs} MACs" if layer.macs else ""
        original = self._model.graph.tensors[layer.tensor].shape
        dead = f" of {original[-1]} channels" if layer.kept_channels is not None else ""
        return (
            f"Layer {layer.index}: {layer.operator}, {_comment(layer.name)}: {shapes} -> "
            f"{_shape(layer.shape)}{dead}{macs}; {layer.schedule}"
        )

    def _operators(self, function: str) -> str:
        used = [f"layer {i}" for i in self._layers_of.get(function, ())]
        operator = self._module[function].attrs["tvmtiny.operator"]
        return f"{operator}, {', '.join(used)}"

    @cached_property
    def _layers_of(self) -> Mapping[str, Sequence[int]]:
        """Layers by the functions that they call; layers that run row by row are omitted."""
        found: dict[str, list[int]] = {}
        for i, call in enumerate(self._program.calls):
            if i not in self._idle and call.function in self._kernels:
                for function in reached([call.function], self._kernels):
                    found.setdefault(function, []).append(i)
        return found

    def _interface(
        self,
        tensors: tuple[Tensor, ...],
        values: tuple[Value | np.ndarray, ...],
        names: Sequence[str],
    ) -> tuple[TensorInfo, ...]:
        infos = []
        for i, (tensor, value, c_name) in enumerate(zip(tensors, values, names, strict=True)):
            slot, offset = output_name(i), 0
            if isinstance(value, Value) and value.buffer not in self._external:
                slot, offset = value.buffer, value.offset
            scaled = tensor.quantized and not any(check_scale(tensor))
            infos.append(
                TensorInfo(
                    tensor.name,
                    c_name,
                    tensor.shape,
                    tensor.dtype,
                    tensor.nbytes,
                    None if self._external.external else self._plan.offsets[slot] + offset,
                    tensor.scale if scaled else None,
                    tensor.zero_point if scaled else None,
                )
            )
        return tuple(infos)


def pointer_text(dtype: str, offset: int, memory: str = "arena") -> str:
    """Return a C pointer into the arena or other memory."""
    return f"({c_type(dtype)} *)(void *)({memory} + {offset})"


def _offsets(sizes: Sequence[int]) -> list[int]:
    """Return the offsets of states of these sizes, one after the other."""
    aligned = [-(-size // _STATE_ALIGNMENT) * _STATE_ALIGNMENT for size in sizes]
    return [sum(aligned[:position]) for position in range(len(sizes))]


def _state_bytes(states: Sequence[StateInfo]) -> int:
    """Return the static RAM of states, including the byte that records whether they were set."""
    return states[-1].offset + states[-1].bytes + 1 if states else 0


def _part(field: str, value: Value, const: str = "") -> str:
    """Return a pointer to the first element of a view in the caller's memory."""
    bytes_ = f"({const}uint8_t *)(uintptr_t){field}"
    return f"({const}{c_type(value.dtype)} *)({const}void *)({bytes_} + {value.offset})"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _comment(text: str) -> str:
    """Make text of a model file safe inside a C comment."""
    return "".join(c if c.isascii() and c.isprintable() and c not in "*\\?" else "_" for c in text)


def float_literal(value: float) -> str:
    """Return a C literal that reads back as exactly the float32 `value`."""
    if not np.isfinite(value):
        return _not_finite(value)
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def _not_finite(value: float) -> str:
    sign = "-" if value < 0 else ""
    return "TVMTINY_NAN" if np.isnan(value) else f"{sign}TVMTINY_INFINITY"


def _element(value: Any, dtype: str) -> str:
    if dtype == "float32":
        return float_literal(value)
    if dtype == "float64":
        return repr(float(value)) if np.isfinite(value) else _not_finite(value)
    number = int(value)
    if dtype == "int64":
        return "INT64_MIN" if number == -(2**63) else f"INT64_C({number})"
    # The most negative integer has no literal of its own.
    return "(-2147483647 - 1)" if number == -(2**31) else str(number)


def _elements(data: np.ndarray, dtype: str) -> list[str]:
    """Return the elements as they appear in an initializer list."""
    flat = data.ravel()
    values = flat.tolist()
    if dtype == "int32" and flat.size and flat.min() > -(2**31):
        # Most bytes of a model are words of weights. Few of these are equal, so no table is used.
        return [f" {value}," for value in values]
    if data.dtype.kind != "i" or data.dtype.itemsize > 2:
        return [f" {_element(value, dtype)}," for value in values]
    known = {value: f" {_element(value, dtype)}," for value in np.unique(flat).tolist()}
    return [known[value] for value in values]


def _array(name: str, data: np.ndarray) -> str:
    dtype = str(data.dtype)
    texts, lines = _elements(data, dtype), []
    begin, width = 0, 1
    for position, size in enumerate(map(len, texts)):
        if width + size > _SOURCE_WIDTH:
            lines.append(" " + "".join(texts[begin:position]))
            begin, width = position, 1
        width += size
    body = "\n".join([*lines, " " + "".join(texts[begin:])])
    attributes = "TVMTINY_ALIGN(4) TVMTINY_CONSTANTS_SECTION"
    declaration = f"static const {c_type(dtype)} {name}[{data.size}] {attributes}"
    return f"{declaration} = {{\n{body}\n}};"


def _render(template: str, context: Mapping[str, Any]) -> str:
    return _environment().get_template(template).render(context)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tvmtiny.codegen"),
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters.update(
        comment=_comment,
        shape=_shape,
        ctype=c_type,
        float_literal=float_literal,
        elements=math.prod,
    )
    return environment
