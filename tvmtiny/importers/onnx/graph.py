"""An ONNX model as plain data, with fixed shapes, computed constants and the user's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tvmtiny.errors import DynamicShapeError, ModelFormatError, OperatorProblem
from tvmtiny.host.imports import importing
from tvmtiny.importers.onnx.inlining import inlined
from tvmtiny.importers.onnx.qoperators import with_scales

__all__ = ["Graph", "Op", "read"]

#: Operators whose results are constant once shapes are known.
_OF_SHAPES = ("Shape", "Size")
#: Operators that describe quantization, which folding to a constant would lose.
_NEVER_FOLDED = ("QuantizeLinear", "DequantizeLinear")
#: Operators whose results can have any size, independent of the size of their operands.
_GROWING = (*("ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample"),)
#: Larger constants are not computed: a graph of a few bytes can ask for terabytes.
_MOST_ELEMENTS = 1 << 26


@dataclass(eq=False)
class Op:
    """One node.

    Attributes
    ----------
    kind
        ONNX's operator, such as ``Conv``, with its domain as a prefix if this is not ONNX's own.
    name
        The name of the node, or of its first output if the node has no name.
    index
        The position in the user's model.
    inputs, outputs
        Names of values; empty for an omitted input.
    activation
        TFLite's name of an activation function that was fused.
    """

    kind: str
    name: str
    index: int
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    activation: str = "NONE"

    def input(self, position: int) -> str:
        """The name of an input; empty if the input is omitted."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def problem(self, reason: str, allowed: str = "") -> OperatorProblem:
        """Return the error that this operator cannot be converted."""
        return OperatorProblem(self.kind, self.index, self.name, reason, allowed, "node")


@dataclass(eq=False)
class Graph:
    """A model whose shapes are all known.

    Attributes
    ----------
    name
        The name of the graph.
    opset
        The version of ONNX's own operators.
    ops
        The operators, in execution order.
    constants
        Known values, by name.
    shapes, dtypes
        Shapes and dtypes of all values, by name.
    inputs, outputs
        Names of inputs and outputs, in the model's order.
    """

    name: str
    opset: int
    ops: list[Op]
    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    inputs: list[str]
    outputs: list[str]

    def readers(self) -> dict[str, list[Op]]:
        """The operators that read each value."""
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                found.setdefault(name, []).append(op)
        return found

    def makers(self) -> dict[str, Op]:
        """The operator that computes each value."""
        return {name: op for op in self.ops for name in op.outputs}


def read(model: Any, path: str) -> Graph:
    """Take an ``onnx.ModelProto`` apart.

    Parameters
    ----------
    model
        The model, with its external data.
    path
        The path of the model, for messages.

    Raises
    ------
    ToolMissingError
        ``onnx`` is not installed.
    ModelFormatError
        If the model is invalid.
    DynamicShapeError
        If a dimension of an input other than the first one is dynamic.
    """
    with importing("onnx", "'tvmtiny[onnx]'", "to read ONNX models"):
        import onnx
        from onnx import inliner
    try:
        onnx.checker.check_model(model)
        model = with_scales(inliner.inline_local_functions(model))
        model = _with_fixed_inputs(model)
        constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        return _folded(model, constants)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ArithmeticError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelFormatError(path, f"onnx refuses it: {error}", "ONNX") from error


def _with_fixed_inputs(model: Any) -> Any:
    """Return the model with dynamic batches set to 1 and without shapes of intermediate values."""
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    known = {t.name for t in made.graph.initializer}
    inputs = [i for i in made.graph.input if i.name not in known]
    del made.graph.input[:]
    made.graph.input.extend(inputs)
    for value in made.graph.input:
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            raise DynamicShapeError(value.name, (-1,))
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1
        shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
        if min(shape, default=1) < 1:
            raise DynamicShapeError(value.name, shape)
    del made.graph.value_info[:]
    for value in made.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    return made


def _folded(model: Any, constants: dict[str, np.ndarray]) -> Graph:
    """Infer shapes and compute constants, until neither finds anything new."""
    import onnx

    own = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    while True:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False, data_prop=True)
        shapes, dtypes = _types(inferred, constants)
        nodes = [*model.graph.node]
        found = False
        left = []
        for node in nodes:
            inner = inlined(node, constants, own)
            if inner is not None:
                found = True
                left += inner
                continue
            values = _computed(node, model, constants, shapes)
            if values is None:
                left.append(node)
                continue
            found = True
            constants.update(values)
        if not found:
            break
        del model.graph.node[:]
        model.graph.node.extend(left)
        present = {t.name for t in model.graph.initializer}
        model.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.asarray(array), name)
            for name, array in constants.items()
            if name not in present
        )
    indices = {name: i for i, node in enumerate(nodes) for name in node.output}
    ops = [_op(node, indices[node.output[0]]) for node in left]
    missing = next((n for op in ops for n in op.outputs if n and n not in shapes), None)
    if missing is not None:
        shapes = {**shapes, **{n: (-1,) for op in ops for n in op.outputs if n not in shapes}}
    return Graph(
        model.graph.name,
        own,
        ops,
        constants,
        shapes,
        dtypes,
        [value.name for value in model.graph.input],
        [value.name for value in model.graph.output],
    )


def _op(node: Any, index: int) -> Op:
    import onnx

    own = node.domain in ("", "ai.onnx")
    kind = node.op_type if own else f"{node.domain}.{node.op_type}"
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    name = node.name or node.output[0]
    return Op(kind, name, index, [*node.input], [*node.output], attributes)


def _types(
    model: Any, constants: Mapping[str, np.ndarray]
) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    import onnx

    shapes = {name: array.shape for name, array in constants.items()}
    dtypes = {name: array.dtype.name for name, array in constants.items()}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        if kind.elem_type:
            dtypes[value.name] = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        if kind.HasField("shape"):
            dims = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
            shapes[value.name] = tuple(dims)
    return shapes, dtypes


def _computed(
    node: Any,
    model: Any,
    constants: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, np.ndarray] | None:
    """Compute the results of a node that does not depend on inputs of the model."""
    own = node.domain in ("", "ai.onnx")
    if not own or node.op_type in _NEVER_FOLDED:
        return None
    if node.op_type in _OF_SHAPES:
        shape = shapes.get(node.input[0])
        if shape is None or min(shape, default=1) < 0:
            return None
        return {node.output[0]: _of_shape(node, shape)}
    has_graph = any(a.HasField("g") or a.graphs for a in node.attribute)
    if has_graph or any(name and name not in constants for name in node.input):
        return None
    known = [shapes.get(name, (-1,)) for name in node.output]
    if node.op_type in _GROWING and any(min(shape, default=1) < 0 for shape in known):
        return None
    if any(prod(shape) > _MOST_ELEMENTS for shape in known):
        return None
    return _evaluated(node, model, constants)


def _of_shape(node: Any, shape: Sequence[int]) -> np.ndarray:
    limits = {a.name: a.i for a in node.attribute}
    part = [*shape][limits.get("start", 0) : limits.get("end", len(shape))]
    if node.op_type == "Size":
        return np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
    return np.array(part, np.int64)


def _evaluated(
    node: Any, model: Any, constants: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray] | None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    inputs = [name for name in dict.fromkeys(node.input) if name]
    entries = [
        onnx.helper.make_tensor_value_info(
            n, onnx.helper.np_dtype_to_tensor_dtype(constants[n].dtype), constants[n].shape
        )
        for n in inputs
    ]
    results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", entries, results)
    single = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    try:
        evaluator = ReferenceEvaluator(single)
        values = evaluator.run(None, {name: constants[name] for name in inputs})
    except Exception:
        # An operator that ONNX's reference lacks stays, and is refused later with the others.
        return None
    names = [name for name in node.output if name]
    return {n: np.asarray(v) for n, v in zip(names, values, strict=True)}
