"""Implementation that kernels of front ends share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tvmtiny.ops import Node
from tvmtiny.ops.mel_features import mel_call, mel_features, settings_of
from tvmtiny.ops.microfrontend import microfrontend_call
from tvmtiny.ops.shared.movement import Alias
from tvmtiny.ops.shared.runtime_call import call_function
from tvmtiny.schedule.implementation import Implementation


def microfrontend_layer(
    node: Node,
    function: str,
    family: str,
    headers: Sequence[str],
    per_word: int,
    **layout: Any,
) -> Implementation:
    """Implement a MICROFRONTEND by a function with the parameters of ``tvmtiny_microfrontend``.

    Parameters
    ----------
    node
        The MICROFRONTEND.
    function
        Name of the function.
    family
        Name of the kernel family, for reports.
    headers
        Headers of the family; they follow those of the runtime's core.
    per_word
        Estimated instructions for each word of the transform in a frame.
    layout
        Arguments of `microfrontend_call`.
    """
    call = microfrontend_call(node, function, **layout)
    call = replace(call, headers=(*call.headers, *headers))
    words = call.workspaces[0][0] // 2
    frames = node.output.elements // node.input(2).elements
    return Implementation(
        call_function(call, node.output, node.operator, family),
        call.arguments,
        {},
        frames * words * per_word,
        (Alias(node.input(1)), Alias(node.input(2))),
    )


def mel_layer(
    node: Node, function: str, family: str, headers: Sequence[str], per_word: int
) -> Implementation:
    """Implement MEL_FEATURES by a function with the parameters of ``tvmtiny_mel``.

    Parameters
    ----------
    node, function, family, headers, per_word
        As those of `microfrontend_layer`.
    """
    call = mel_call(node, function)
    call = replace(call, headers=(*call.headers, *headers))
    words = call.workspaces[0][0] // 2
    frames = node.output.elements // mel_features(settings_of(node)).features
    return Implementation(
        call_function(call, node.output, node.operator, family),
        call.arguments,
        {},
        frames * words * per_word,
        (Alias(node.input(1)),),
    )
