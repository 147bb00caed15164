"""DEPTH_TO_SPACE."""

from __future__ import annotations

from collections.abc import Sequence

from tvmtiny.ops.shared.block_operator import BlockOperator, Blocks
from tvmtiny.ops.shared.operator import register


@register
class DepthToSpace(BlockOperator):
    """The channels of each pixel as a block of pixels, row by row."""

    name = "DEPTH_TO_SPACE"
    divides = "channels for all pixels of a block"

    def fits(self, shape: Sequence[int], block: int) -> bool:
        return shape[3] % (block * block) == 0

    def expected(self, shape: Sequence[int], block: int) -> tuple[int, ...]:
        n, height, width, channels = shape
        return n, height * block, width * block, channels // block // block

    def blocks(self, shape: Sequence[int], block: int) -> Blocks:
        n, height, width, channels = shape
        return n, height, width, block, block, channels // block // block
