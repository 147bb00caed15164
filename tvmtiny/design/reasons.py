"""Reasons why a layer takes more time than others with as many products."""

from __future__ import annotations

from collections.abc import Iterator

from tvmtiny.ops import Node
from tvmtiny.schedule.families.registry import families

__all__ = ["reasons"]

_SLOW_FAMILIES = ("scalar",)
_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")


def reasons(node: Node | None, schedule: str, macs: int) -> tuple[str, ...]:
    """List the reasons why a layer is slow; empty for a layer that is as fast as it can be.

    Parameters
    ----------
    node
        The node after all graph passes; None if the passes removed it.
    schedule
        Description of the layer's schedule.
    macs
        Multiply-accumulate operations of the layer.
    """
    return () if node is None else tuple(_reasons(node, schedule, macs))


def _reasons(node: Node, schedule: str, macs: int) -> Iterator[str]:
    family = schedule.split(",")[0]
    if node.output.dtype == "float32":
        yield "computes in float"
    elif node.output.dtype == "int16":
        yield "has int16 activations, twice the bytes and half the products of an instruction"
    if family in _SLOW_FAMILIES and node.operator in _PRODUCTS:
        yield "falls off the fast path: plain C, as no kernel of this CPU takes it"
    if "sums" in schedule:
        yield "falls off the fast path: sums are stored and scaled apart, as no constants are exact"
    if "by sign" in schedule:
        yield "rounds by sign, as its output is not clamped at its zero point"
    lanes = next((f.lanes for f in families() if f.name == family), 1)
    if node.operator in ("CONV_2D", "FULLY_CONNECTED"):
        depth = node.input(1).shape[-1]
        if depth % lanes:
            yield f"takes {lanes} inputs at a time and has {depth}: lanes are wasted"
        if depth <= 8 and node.operator == "CONV_2D":
            yield "has few inputs: gathering patches and rounding outputs weigh more than products"
    if node.operator == "DEPTHWISE_CONV_2D":
        yield "reads each weight for one channel only, so that loads bound it"
        if max(node.options.get("stride_h", 1), node.options.get("stride_w", 1)) > 1:
            yield "has stride 2: neighbouring outputs share few inputs"
    if node.operator in ("PAD", "PADV2"):
        yield "copies the tensor, as it cannot become the padding of a convolution"
