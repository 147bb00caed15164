"""Clamping of int8 outputs to the range of an activation after the kernel of a layer.

The instructions that scale outputs saturate at the ends of int8. If an activation such as RELU6
ends within this range, the kernel leaves outputs beyond its ends, and a short loop clamps them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.primfunc_attributes import DIVISIBLE_ATTR, HEADERS_ATTR, SCHEDULE_ATTR
from tvmtiny.ops.shared.quantization import INT8_RANGE, activation_range
from tvmtiny.schedule import nest
from tvmtiny.schedule.implementation import Implementation
from tvmtiny.schedule.per_node import of_layer, per_node, resized

#: Operators whose kernels scale sums with constants of `tvmtiny.schedule.requantize`.
_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")

#: Bytes that a divided call clamps at once.
_PART = 64


@dataclass(frozen=True)
class ClampKernel:
    """A family's function that clamps bytes in place: pointer, count, smallest, largest value.

    Attributes
    ----------
    function, headers
        The name, and all headers that it needs except ``tvmtiny.h``.
    instructions
        Instructions per byte, roughly.
    """

    function: str
    headers: tuple[str, ...]
    instructions: float


#: The function for all CPUs.
PORTABLE = ClampKernel("tvmtiny_clamp_bytes", ("tvmtiny_clamp.h",), 8)


def free_limits(node: Node) -> tuple[int, int]:
    """Return the limits of `tvmtiny.schedule.requantize.solve` for a layer with int8 outputs."""
    return activation_range(node) if node.clamped_later else INT8_RANGE


@per_node
def clamped_later(node: Node) -> Node | None:
    """Return `node` without the clamping; None if its activation only clamps as int8 does."""
    if node.operator not in _OPERATORS or node.output.dtype != "int8" or node.clamped_later:
        return None
    if activation_range(node) == INT8_RANGE:
        return None
    changed = replace(node, clamped_later=True)
    layer = of_layer(node)
    original = changed if layer is node else clamped_later(layer)
    return changed if original is None else resized(changed, original)


def with_clamping(made: Implementation, node: Node, kernel: ClampKernel) -> Implementation:
    """Clamp the outputs of an implementation of `clamped_later(node)`."""
    function, count = made.function, node.output.elements
    clamp = nest.call(
        kernel.function, nest.address(function.params[-1]), count, *activation_range(node)
    )
    attributes = function.attrs
    headers = str(attributes[HEADERS_ATTR]).split()
    calls = json.loads(str(attributes[DIVISIBLE_ATTR])) if DIVISIBLE_ATTR in attributes else []
    calls.append(asdict(nest.Divisible(kernel.function, {0: _PART}, count={1: _PART})))
    body = function.body
    changed = tirx.PrimFunc(
        function.params,
        tirx.SeqStmt([*(body.seq if isinstance(body, tirx.SeqStmt) else [body]), clamp]),
        function.ret_type,
        attrs=attributes,
    ).with_attrs(
        {
            HEADERS_ATTR: " ".join(dict.fromkeys([*headers, *kernel.headers])),
            SCHEDULE_ATTR: f"{attributes[SCHEDULE_ATTR]}, clamped",
            DIVISIBLE_ATTR: json.dumps(calls),
        }
    )
    more = round(count * kernel.instructions)
    return replace(
        made,
        function=changed,
        instructions=made.instructions + more,
        cycles=made.cycles + 2 * more if made.cycles else 0,
    )
