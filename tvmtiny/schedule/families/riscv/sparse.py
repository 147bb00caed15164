"""Weights with blocks of zeros: ``tvmtiny_riscv_sparse.h`` and ``tvmtiny_blocks.h``."""

from __future__ import annotations

from tvmtiny.schedule.families.riscv.pairs import HEADERS, PACKING
from tvmtiny.schedule.product_blocks import BLOCK, pack_blocks
from tvmtiny.schedule.product_sparse import SparsePairs, SparseSingle

SPARSE, SPARSE_SINGLE = "riscv_sparse", "riscv_sparse_single"

#: Channels of a block.
_TILE = 2


def _block(chunk: int, pixels: int) -> float:
    """Estimate loads, products and the ends of the chunks of a block."""
    pairs = pixels // 2
    sums = _TILE * pairs
    return BLOCK * (pairs + _TILE + 2 * sums) + BLOCK // chunk * 3 * sums


PAIRS = SparsePairs(
    family="riscv",
    headers=(*HEADERS, "tvmtiny_riscv_sparse.h"),
    tile=_TILE,
    block=_block,
    step=5,
    channel=lambda pixels: 7 + 11 * pixels,
    frame=450,
    code=3.5,
    packing=PACKING,
    pack=lambda weights, scaling, _: pack_blocks(weights, scaling),
)

SINGLE = SparseSingle(
    family="riscv",
    headers=("tvmtiny_riscv.h", "tvmtiny_blocks.h"),
    block=33,
    channel=22,
    code=320,
)
