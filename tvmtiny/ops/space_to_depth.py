"""SPACE_TO_DEPTH."""

from __future__ import annotations

from collections.abc import Sequence

from tvmtiny.ops.shared.block_operator import BlockOperator, Blocks
from tvmtiny.ops.shared.operator import register


@register
class SpaceToDepth(BlockOperator):
    """The channels of each block of pixels, row by row, as the channels of one pixel."""

    name = "SPACE_TO_DEPTH"
    divides = "a height and width that blocks divide"

    def fits(self, shape: Sequence[int], block: int) -> bool:
        return shape[1] % block == shape[2] % block == 0

    def expected(self, shape: Sequence[int], block: int) -> tuple[int, ...]:
        n, height, width, channels = shape
        return n, height // block, width // block, channels * block * block

    def blocks(self, shape: Sequence[int], block: int) -> Blocks:
        n, height, width, channels = shape
        return n, height // block, block, width // block, block, channels
