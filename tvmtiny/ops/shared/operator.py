"""The contract of an operator, and the registry that finds one by TFLite's name.

A new operator is one file in this folder with one subclass of `Operator`: importing the package
registers it, and the table in the docs is generated from the registry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from tvm import te

from tvmtiny.ops.shared.control_call import ControlCall
from tvmtiny.ops.shared.movement import Alias, Movement
from tvmtiny.ops.shared.node import Node, Tensor
from tvmtiny.ops.shared.runtime_call import RuntimeCall


class Oracle(str, Enum):
    """Whose bytes are the reference where implementations round differently.

    ``LITERT`` means LiteRT's reference kernels, ``TFLM`` TensorFlow Lite for Microcontrollers.
    """

    LITERT = "litert"
    TFLM = "tflm"


@dataclass(frozen=True)
class Problem:
    """Why a node cannot be compiled, and what would be accepted instead."""

    reason: str
    allowed: str


@dataclass(frozen=True)
class Compute:
    """A node as a tensor expression.

    Attributes
    ----------
    arguments
        In the order of the parameters of `expression`: the node's tensors (activations and
        constants alike) and arrays that were derived from constants at compile time.
    expression
        Takes one `te.Tensor` per argument and returns the output. Schedules find the stages by
        name: ``pad`` stages an input, ``acc`` is the reduction, ``out`` writes the output.
    in_place
        Positions of arguments over which the output may be written, element by element from the
        first to the last: none is read after the output at its place or behind it was written.
    """

    arguments: tuple[Tensor | np.ndarray, ...]
    expression: Callable[..., te.Tensor]
    in_place: tuple[int, ...] = ()


#: How an output comes about.
Result = Compute | Alias | Movement | RuntimeCall | ControlCall


@dataclass(frozen=True, eq=False)
class Memory:
    """What an operator remembers and no file has a tensor for, with its first value."""

    name: str
    initial: np.ndarray


class Operator(ABC):
    """One TFLite operator: what is accepted, its tensor expression, its numpy reference.

    Attributes
    ----------
    name
        TFLite's name.
    input_count
        How many inputs there are, all of them present; None where that is left to `check_node`.
    output_count
        How many outputs there are, or at most where there is no `input_count`; None for any number,
        but not for 0 where there is one.
    dtypes
        The activations' dtypes that are accepted: those of the first one and of the outputs.
    result
        The outputs' dtype, where that is another one.
    data
        Position of the first activation among the inputs.
    per_channel
        Whether int8 activations may have a scale per slice; `check_node` then looks at them.
    of_shape
        Whether the outputs depend on nothing but the inputs' shapes.
    needs_scale
        Whether int8 activations must have a scale; where not, `check_node` looks at them, too.
    in_block
        Whether several outputs lie in one block, see `tvmtiny.ops.shared.block`.
    in_litert
        Whether it is an operator of TFLite's, which LiteRT can run.
    exactness
        One sentence for the support table: which reference kernel is matched, and how exactly.
    """

    name: ClassVar[str]
    input_count: ClassVar[int | None] = None
    output_count: ClassVar[int | None] = 1
    dtypes: ClassVar[tuple[str, ...]] = ("int8", "float32")
    data: ClassVar[int] = 0
    result: ClassVar[str | None] = None
    per_channel: ClassVar[bool] = False
    of_shape: ClassVar[bool] = False
    needs_scale: ClassVar[bool] = True
    in_block: ClassVar[bool] = False
    in_litert: ClassVar[bool] = True
    exactness: ClassVar[str]

    def check(self, node: Node) -> Iterator[Problem]:
        """Yield every reason why `node` cannot be compiled."""
        problems = [] if self.input_count is None else [*self._check_count(node, self.input_count)]
        if self.output_count is not None and len(node.outputs) > self.output_count:
            found, allowed = len(node.outputs), self.output_count
            problems = problems or [Problem(f"{found} outputs", f"{allowed} outputs")]
        yield from problems or self.check_node(node)

    @abstractmethod
    def check_node(self, node: Node) -> Iterator[Problem]:
        """Yield what else is wrong with a node that has the right number of inputs and outputs."""

    def memory(self, node: Node) -> tuple[Memory, ...]:
        """What the operator remembers that is in no file.

        `tvmtiny.frontend.variables` gives a node one more input for each, and one more output,
        before it is checked.

        Parameters
        ----------
        node
            As it is in the file, whatever that may be.
        """
        return ()

    def check_oracle(self, node: Node, oracle: Oracle) -> Iterator[Problem]:
        """Yield why a node that passed `check` has no results of an oracle; mostly nothing."""
        yield from ()

    @abstractmethod
    def compute(self, node: Node, oracle: Oracle) -> Result | tuple[Result, ...]:
        """How the outputs of a node that passed `check` come about; one result for each."""

    def results(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        """`compute`, as a tuple even where there is one output."""
        result = self.compute(node, oracle)
        return result if isinstance(result, tuple) else (result,)

    @abstractmethod
    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        """Compute the outputs with numpy.

        Parameters
        ----------
        inputs
            The values of the present inputs, constants included, in the node's order.
        """

    def macs(self, node: Node) -> int:
        """Multiply-accumulate operations of one execution."""
        return 0

    def _check_count(self, node: Node, inputs: int) -> Iterator[Problem]:
        outputs = len(node.outputs) or 1 if self.output_count is None else self.output_count
        present = sum(tensor is not None for tensor in node.inputs)
        absent_first = any(node.optional_input(i) is None for i in range(inputs))
        if present != inputs or absent_first or len(node.outputs) != outputs:
            yield Problem(
                f"{present} inputs and {len(node.outputs)} outputs",
                f"{inputs} inputs and {outputs} output" + "s" * (outputs != 1),
            )


_REGISTRY: dict[str, Operator] = {}


def register(cls: type[Operator]) -> type[Operator]:
    """Class decorator that puts an operator into the registry."""
    assert cls.name not in _REGISTRY, cls.name
    _REGISTRY[cls.name] = cls()
    return cls


def find_operator(name: str) -> Operator | None:
    """The operator of TFLite's name `name`, or None where it is not supported."""
    return _REGISTRY.get(name)


def operators() -> tuple[Operator, ...]:
    """All registered operators by name."""
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))
