"""RESHAPE."""

from __future__ import annotations

from tvmtiny.ops.shared.operator import register
from tvmtiny.ops.shared.reshaping_operator import Reshaping


@register
class Reshape(Reshaping):
    """The same bytes under another shape.

    The new shape is the output tensor's: the options, or the second input, say the same less
    directly, with -1 for a dimension to be inferred, and may be absent.
    """

    name = "RESHAPE"
