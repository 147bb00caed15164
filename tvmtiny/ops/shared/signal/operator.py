"""Base class and helpers of TensorFlow's signal operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.operator import Operator, Problem
from tvmtiny.ops.shared.runtime_call import RuntimeCall

_HEADERS = ("tvmtiny_signal.h", "tvmtiny_signal_ops.h")


class SignalOperator(Operator):
    """A custom operator of TFLM's signal library.

    Attributes
    ----------
    types
        Dtypes of the inputs and of the outputs, without those of memory.
    needed
        Required options, with the smallest and largest value of each.
    constants
        Positions of constant inputs.
    """

    in_litert = False
    needs_scale = False
    output_count = None
    exactness = "bit-exact with TFLM's signal library, which LiteRT does not have"
    types: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]]
    needed: ClassVar[dict[str, tuple[int, int]]] = {}
    constants: ClassVar[tuple[int, ...]] = ()

    def check_node(self, node: Node) -> Iterator[Problem]:
        memories = len(self.memory(node))
        ins, outs = self.types
        if (len(node.inputs), len(node.outputs)) != (len(ins) + memories, len(outs) + memories):
            yield Problem(
                f"{len(node.inputs)} inputs and {len(node.outputs)} outputs",
                f"{len(ins)} inputs and {len(outs)} outputs",
            )
            return
        found = tuple(t.dtype if t is not None else "none" for t in node.inputs[: len(ins)])
        made = tuple(t.dtype for t in node.outputs[: len(outs)])
        if (found, made) != self.types:
            yield Problem(
                f"{', '.join(found)} to {', '.join(made)}", f"{', '.join(ins)} to {', '.join(outs)}"
            )
            return
        for name, (low, high) in self.needed.items():
            value = node.options.get(name)
            if value is None or not low <= int(value) <= high:
                yield Problem(f"the option {name} is {value}", f"{low} to {high}")
                return
        for position in self.constants:
            if node.input(position).data is None:
                yield Problem(f"input {position} is computed at run time", "a constant")
                return
        yield from self.check_shapes(node)

    def check_shapes(self, node: Node) -> Iterator[Problem]:
        """Yield problems with shapes and the values of constants."""
        return iter(())


def option(node: Node, name: str) -> int:
    """Return a number among a node's options; 0 if it is missing."""
    value: Any = node.options.get(name, 0)
    return int(value)


def signal_call(
    function: str,
    arguments: Sequence[Tensor | np.ndarray],
    numbers: Sequence[int],
    workspaces: Sequence[tuple[int, str]] = (),
) -> RuntimeCall:
    """Call a function of ``tvmtiny_signal_ops.h``, without the prefix tvmtiny_signal."""
    return RuntimeCall(
        f"tvmtiny_signal_{function}",
        tuple(arguments),
        tuple(int(n) for n in numbers),
        _HEADERS,
        tuple(workspaces),
    )
