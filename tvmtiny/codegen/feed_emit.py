"""The generated function that takes samples in blocks and returns events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tvmtiny.codegen.arrange import Interface
from tvmtiny.codegen.artifact import FeedInfo, StateInfo, TensorInfo
from tvmtiny.codegen.built import Built
from tvmtiny.codegen.names import c_type
from tvmtiny.codegen.slicing import Slices
from tvmtiny.codegen.stream_info import StreamMode
from tvmtiny.errors import InputError
from tvmtiny.frontend.feed import Feed

__all__ = ["check_fed", "estimated_cycles", "feed_context", "feed_headers", "feed_info"]

#: Counters of 32 bits that the function keeps in addition to sums and outputs.
_COUNTERS = 5
#: Cycles of a call apart from the inference: fixed, for each event, and for each sample.
_CALL, _EVENT, _SAMPLE = 200, 30, 10


def check_fed(model: str, interface: Interface, mode: StreamMode) -> None:
    """Refuse options that a front end which takes samples in blocks does not allow.

    Raises
    ------
    InputError
        If inputs lie in memory of the caller, or rows of the model's input are pushed.
    """
    if interface is Interface.EXTERNAL:
        raise InputError(
            f"{model} takes samples in blocks and keeps them in its arena; leave out --io external"
        )
    if mode.pushes:
        raise InputError(
            f"{model} has a front end, which makes its rows: leave --stream {mode.value} out"
        )


def feed_info(feed: Feed | None, outputs: Sequence[TensorInfo], cycles: float) -> FeedInfo | None:
    """Compute the sizes of a feed; return None without one.

    Parameters
    ----------
    cycles
        Estimated cycles of an inference.
    """
    if feed is None:
        return None
    events = len(feed.classes)
    kept = feed.average * events * np.dtype(outputs[0].dtype).itemsize
    size = 4 * (events + _COUNTERS) + kept
    total = cycles + _CALL + _EVENT * events + _SAMPLE * feed.samples
    return FeedInfo(feed, size + -size % 4, int(np.ceil(total)))


def feed_headers(info: FeedInfo | None) -> tuple[str, ...]:
    """Return the runtime headers that the function and the copies of states include."""
    return () if info is None else ("tvmtiny_feed.h", "tvmtiny_copy.h")


def feed_context(
    info: FeedInfo | None,
    states: Sequence[StateInfo],
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
) -> Mapping[str, Any] | None:
    """Return the values for the templates; None without a feed."""
    if info is None:
        return None
    feed = info.feed
    return {
        **vars(feed),
        "milliseconds": feed.milliseconds,
        "bytes": info.bytes,
        "cycles": info.cycles,
        "type": c_type(inputs[0].dtype),
        "output_type": c_type(outputs[0].dtype),
        "early_offset": states[feed.early_state].offset if feed.early else 0,
    }


def estimated_cycles(built: Built, slices: Slices) -> float:
    """Estimate the cycles of an inference as the sum over its layers."""
    total = 0.0
    for call in built.arrangement.program.calls:
        node = built.nodes[call.output.name]
        constants = sum(a.nbytes for a in call.arguments if isinstance(a, np.ndarray))
        kernel = built.kernels[call.function]
        total += slices.estimate(node, built.choices.get(node.index), kernel, constants)
    return total
