"""Base class of unary and binary operators, which checks their nodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from tvmtiny.ops.shared.checks import check_symmetric
from tvmtiny.ops.shared.node import Node
from tvmtiny.ops.shared.operator import Operator, Problem


class ElementOperator(Operator):
    """An operator that computes all elements of its output in the same way."""

    @abstractmethod
    def check_tensors(self, node: Node) -> Iterator[Problem]:
        """Yield problems with the dtypes and shapes of a node."""

    def check_more(self, node: Node) -> Iterator[Problem]:
        """Yield further problems with a node whose tensors have proper dtypes and scales."""
        yield from ()

    def check_node(self, node: Node) -> Iterator[Problem]:
        problems = [*self.check_tensors(node)]
        if not problems and self.needs_scale:
            problems = [*check_symmetric(node)]
        yield from problems or self.check_more(node)
