"""Weights with blocks of zeros: ``tvmtiny_thumb_sparse.h`` and ``tvmtiny_blocks.h``."""

from __future__ import annotations

from tvmtiny.schedule.families.thumb.packing import pack_sparse
from tvmtiny.schedule.families.thumb.pairs import (
    CHANNEL,
    FRAME,
    HEADERS,
    PACKING,
    chunk_instructions,
)
from tvmtiny.schedule.product_blocks import BLOCK
from tvmtiny.schedule.product_sparse import SparsePairs, SparseSingle

SPARSE, SPARSE_SINGLE = "sparse_pairs", "sparse_single"


def _block(chunk: int, pixels: int) -> float:
    """Estimate loads, products and the ends of the chunks of a block."""
    return BLOCK // chunk * chunk_instructions(chunk, pixels // 2)


#: A block belongs to one channel; the words behind its blocks are aligned.
PAIRS = SparsePairs(
    family="thumb",
    headers=(*HEADERS, "tvmtiny_thumb_sparse.h"),
    tile=1,
    block=_block,
    step=3,
    channel=lambda pixels: CHANNEL * (pixels // 2) + 3,
    frame=FRAME,
    code=4,
    packing=PACKING,
    pack=pack_sparse,
)

#: Like those of the kernels for all weights, these are instructions of Thumb-2. Armv6-M takes about
#: twice as many for blocks, and more than that for dense layers.
SINGLE = SparseSingle(
    family="thumb",
    headers=("tvmtiny_thumb.h", "tvmtiny_blocks.h"),
    block=26,
    channel=25,
    code=250,
)
