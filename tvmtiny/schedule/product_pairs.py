"""CONV_2D and FULLY_CONNECTED with two products in one multiplication, for all kernel families.

The patches of two or four pixels are first packed into words, see
``runtime/core/tvmtiny_pairs.h``. A family's kernels then loop over the channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from tvmtiny.ops import Node
from tvmtiny.ops.shared.sliding_window import Window
from tvmtiny.schedule import nest
from tvmtiny.schedule.matrix_layer import Layer, patch_distance
from tvmtiny.schedule.overlap import Overlap
from tvmtiny.schedule.product_chunks import ChunkPart
from tvmtiny.schedule.scaling import Scaling

PAIRS_HEADER = "tvmtiny_pairs.h"


def pairs_function(
    node: Node,
    layer: Layer,
    scaling: Scaling,
    pixels: int,
    parts: Sequence[ChunkPart],
    ends: Sequence[int],
    *,
    family: str,
    headers: Sequence[str],
    kernel: str = "pairs",
    tile: int = 1,
    kept: tuple[int, int] = (0, 0),
) -> tirx.PrimFunc:
    """Make the function of an int8 CONV_2D or FULLY_CONNECTED.

    The macro ``TVMTINY_<FAMILY>_<KERNEL>`` makes a kernel ``NAME(patches, stream, out, end)`` for
    each part, and ``tvmtiny_<family>_pack`` is an instance of ``TVMTINY_PAIRS_PACK``.

    Parameters
    ----------
    pixels
        Pixels of a step: two or four, and at most those of the layer.
    ends
        End of each part's words in the stream, the parameter after the input.
    family
        Name of the kernel family, which is also the prefix of its macros and functions.
    headers
        See `tvmtiny.schedule.nest.function`.
    kernel
        Kind of the kernels: ``pairs``, ``sparse`` or ``mixed``.
    tile
        Channels that an iteration of the kernels computes; those of all parts are whole tiles.
    kept
        Inputs of a pixel that ``tvmtiny_<family>_pack_mixed`` keeps as bytes, and those that a
        kernel reads, with weights of zero for the rest; for ``mixed`` kernels of layers whose
        patches are pixels.
    """
    channels, positions = layer.channels, layer.pixels
    rounding = "SIGNED" if scaling.signed else "PLAIN"
    preamble, kernels, divisible = [], [], []
    for part, start, end in zip(parts, [0, *ends[:-1]], ends, strict=True):
        sizes = (pixels, part.chunk, *part.counts, scaling.shift, channels)
        name = f"{kernel}_{'_'.join(map(str, sizes))}_{rounding.lower()}"
        arguments = ", ".join(map(str, sizes))
        macro = f"TVMTINY_{family}_{kernel}".upper()
        preamble.append(f"{macro}({name}, {arguments}, {rounding})")
        kernels.append(name)
        if kernel != "sparse":
            # Tiles with blocks of zeros differ in size.
            words = (end - start) * tile // len(part.channels)
            divisible.append(nest.Divisible(name, {1: words}, {3: words}))
    packer = f"tvmtiny_{family}_pack"
    pack, staging = f"{packer}_{'mixed' if kept[0] else pixels}", "pixels"
    if layer.geometry is not None:
        pack, line = _gather(node, layer, layer.geometry, pixels, packer)
        preamble.append(line)
        staging = "patches"
    # Kernels whose chunks do not divide the depth read a few more words, with weights of zero.
    padded = max(p.chunk * -(-(layer.depth - kept[0]) // p.chunk) for p in parts)
    x = nest.buffer("x", node.input(0).elements, "int8")
    stream = nest.buffer("stream", ends[-1], "int32")
    out = nest.buffer("out", node.output.elements, "int8")
    patches = nest.buffer("patches", pixels // 2 * padded + pixels * kept[1] // 4, "uint32")

    def step(index: nest.Argument) -> list[tirx.Stmt]:
        # If the steps do not divide the pixels, the last step overlaps the one before.
        position = index * pixels
        if positions % pixels:
            position = tirx.min(position, positions - pixels)
        if layer.geometry is None:
            source = nest.address(x, position * layer.depth)
            sizes = (layer.depth, kept[0]) if kept[0] else (layer.depth,)
            packing = nest.call(pack, nest.address(patches), source, *sizes)
        else:
            packing = nest.call(pack, nest.address(patches), nest.address(x), position)
        calls = [
            nest.call(
                name,
                nest.address(patches),
                nest.address(stream, start),
                nest.address(out, position * channels),
                nest.address(stream, end),
            )
            for name, start, end in zip(kernels, [0, *ends[:-1]], ends, strict=True)
        ]
        return [packing, *calls]

    chunks = " and ".join(str(part.chunk) for part in parts)
    kind = {"sparse": "sparse, ", "mixed": f"{kept[0]} inputs as bytes, "}.get(kernel, "")
    by_sign = ", rounding by sign" if scaling.signed else ""
    return nest.function(
        [x, stream, out],
        [patches],
        [nest.loop(-(-positions // pixels), "step", step)],
        operator=node.operator,
        schedule=f"{family}, {kind}{pixels} {staging}, chunks of {chunks}{by_sign}",
        headers=headers,
        preamble=preamble,
        overlaps=[Overlap("out", 0, patch_distance(node, layer, pixels))],
        divisible=divisible,
    )


def _gather(
    node: Node, layer: Layer, geometry: Window, pixels: int, packer: str
) -> tuple[str, str]:
    """Return name and instantiation of the function that packs patches."""
    depth = node.input(0).shape[3]
    (rows, columns), apart = geometry.kernel, geometry.dilation[1] * depth
    # Adjacent columns are packed together.
    parts, bytes_each = (1, columns * depth) if geometry.dilation[1] == 1 else (columns, depth)
    sizes = [pixels, *geometry.input, depth, *geometry.output, rows, parts, bytes_each, apart]
    sizes += [*geometry.stride, geometry.dilation[0], *geometry.pad]
    name = f"gather_{'_'.join(map(str, sizes))}_{layer.pad}".replace("-", "m")
    arguments = ", ".join(map(str, sizes))
    return name, f"TVMTINY_PAIRS_GATHER({name}, {packer}, {arguments}, ({layer.pad}))"
