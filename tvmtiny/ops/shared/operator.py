"""The interface of operators, and the registry that finds an operator by TFLite's name.

A new operator is one file in the package `tvmtiny.ops` with a subclass of `Operator`. Importing the
package registers it, and the table in the docs is generated from the registry.
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
    """The implementation whose bytes are the reference where implementations round differently.

    ``LITERT`` stands for LiteRT's reference kernels, ``TFLM`` for TensorFlow Lite for
    Microcontrollers.
    """

    LITERT = "litert"
    TFLM = "tflm"


@dataclass(frozen=True)
class Problem:
    """The reason why a node cannot be compiled, and what would be accepted instead."""

    reason: str
    allowed: str


@dataclass(frozen=True)
class Compute:
    """A node as a tensor expression.

    Attributes
    ----------
    arguments
        Values of the parameters of `expression`: tensors of the node (activations and constants),
        and arrays that were derived from constants at compile time.
    expression
        Takes one `te.Tensor` per argument and returns the output. Schedules find the stages by
        name: ``pad`` stages an input, ``acc`` is the reduction, ``out`` writes the output.
    in_place
        Positions of arguments that the output may overwrite, element by element from first to
        last: elements of these arguments are not read once the output has reached their position.
    """

    arguments: tuple[Tensor | np.ndarray, ...]
    expression: Callable[..., te.Tensor]
    in_place: tuple[int, ...] = ()


#: The ways in which an output can be computed.
Result = Compute | Alias | Movement | RuntimeCall | ControlCall


@dataclass(frozen=True, eq=False)
class Memory:
    """A value that an operator keeps between runs without a tensor in the file."""

    name: str
    initial: np.ndarray


class Operator(ABC):
    """A TFLite operator: the nodes that are accepted, tensor expression, and numpy reference.

    Attributes
    ----------
    name
        TFLite's name.
    input_count
        Number of inputs, all of which are present; None leaves the check to `check_node`.
    output_count
        Number of outputs; without `input_count`, the most outputs. None for any number except 0.
    dtypes
        Accepted dtypes of the first activation and of the outputs.
    result
        Dtype of the outputs, if it differs from the first activation's.
    data
        Position of the first activation among the inputs.
    per_channel
        Whether int8 activations may have a scale per slice, which `check_node` then checks.
    of_shape
        Whether the outputs depend only on the shapes of the inputs.
    needs_scale
        Whether int8 activations must have a scale; if not, `check_node` checks them as well.
    in_block
        Whether several outputs lie in one block, see `tvmtiny.ops.shared.block`.
    in_litert
        Whether the operator belongs to TFLite, so that LiteRT can run it.
    only_tflm
        Dtypes of the output for which LiteRT has no kernel; their results follow TFLM.
    exactness
        Entry of the table of operators: the reference kernel, and how exactly it is matched.
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
    only_tflm: ClassVar[tuple[str, ...]] = ()
    exactness: ClassVar[str]

    def check(self, node: Node) -> Iterator[Problem]:
        """Yield all reasons why `node` cannot be compiled."""
        problems = [] if self.input_count is None else [*self._check_count(node, self.input_count)]
        if self.output_count is not None and len(node.outputs) > self.output_count:
            found, allowed = len(node.outputs), self.output_count
            problems = problems or [Problem(f"{found} outputs", f"{allowed} outputs")]
        yield from problems or self.check_node(node)

    @abstractmethod
    def check_node(self, node: Node) -> Iterator[Problem]:
        """Yield further problems of a node that has the right number of inputs and outputs."""

    def known_to_litert(self, node: Node) -> bool:
        """Return whether LiteRT has a kernel for a node that passed `check`."""
        return self.in_litert and node.output.dtype not in self.only_tflm

    def memory(self, node: Node) -> tuple[Memory, ...]:
        """Return values that the operator keeps between runs without a tensor in the file.

        `tvmtiny.frontend.variables` adds an input and an output to the node for each of them,
        before the node is checked.

        Parameters
        ----------
        node
            The node as it is in the file, before any check.
        """
        return ()

    def check_oracle(self, node: Node, oracle: Oracle) -> Iterator[Problem]:
        """Yield reasons why a node that passed `check` is not supported by an oracle."""
        yield from ()

    @abstractmethod
    def compute(self, node: Node, oracle: Oracle) -> Result | tuple[Result, ...]:
        """Return the result for each output of a node that passed `check`."""

    def results(self, node: Node, oracle: Oracle) -> tuple[Result, ...]:
        """Return the results of `compute` as a tuple, even if there is one output."""
        result = self.compute(node, oracle)
        return result if isinstance(result, tuple) else (result,)

    @abstractmethod
    def reference(
        self, node: Node, inputs: Sequence[np.ndarray], oracle: Oracle
    ) -> list[np.ndarray]:
        """Compute the outputs with numpy.

        Parameters
        ----------
        node
            The node.
        inputs
            Values of the inputs that are present, including constants, in the node's order.
        oracle
            The reference whose rounding is reproduced.

        Returns
        -------
        list of np.ndarray
            Values of the outputs.
        """

    def macs(self, node: Node) -> int:
        """Return the multiply-accumulate operations of one execution."""
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
    """Register an operator; a class decorator."""
    assert cls.name not in _REGISTRY, cls.name
    _REGISTRY[cls.name] = cls()
    return cls


def find_operator(name: str) -> Operator | None:
    """Return the operator with TFLite's name `name`, or None if it is not supported."""
    return _REGISTRY.get(name)


def operators() -> tuple[Operator, ...]:
    """Return all registered operators, sorted by name."""
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))
