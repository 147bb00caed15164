"""Assembly of the tiles of ``tvmtiny_rvv_sums.h``."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

from tvmtiny.schedule.assembly import Lines
from tvmtiny.schedule.families.rvv.assembly import (
    OFFSET,
    Group,
    add,
    finish,
    group_for,
    move,
)
from tvmtiny.schedule.families.rvv.strips import Patch


@dataclass(frozen=True)
class Tile:
    """The parameters of a kernel that computes all channels of some adjacent pixels.

    Attributes
    ----------
    channels
        Channels of the output.
    patch
        The inputs of a pixel.
    pixels
        Pixels per iteration.
    unroll
        Most inputs that are unrolled.
    """

    channels: int
    patch: Patch
    shift: int
    signed: bool
    pixels: int
    unroll: int

    @property
    def group(self) -> Group:
        """Registers of a pixel."""
        return group_for(self.channels)

    @property
    def most_pixels(self) -> int:
        """Most pixels that registers and offsets allow with this unrolling."""
        reach = (OFFSET - self.turn) // self.patch.pitch + 1
        return max(1, min(self.group.most_sums(1, self.signed), reach))

    @property
    def turn(self) -> int:
        """Number of inputs that are unrolled."""
        most = min(self.unroll, self.patch.row_bytes)
        whole = max(n for n in range(1, most + 1) if self.patch.row_bytes % n == 0)
        return whole if 2 * whole > most else most

    @property
    def blocks(self) -> int:
        """Number of groups of channels, on vectors of 128 bits."""
        return -(-self.channels // self.group.lanes)

    @property
    def cost(self) -> int:
        """Instructions per iteration, with vectors of 128 bits."""
        runs = self.patch.rows * (self.patch.row_bytes * (3 + 2 * self.pixels) + 4)
        loops = self.patch.rows * 2 * (self.patch.row_bytes // self.turn)
        return self.blocks * (runs + loops + 25 + 8 * self.pixels)

    @property
    def identifier(self) -> str:
        """Part of a name."""
        sizes = [self.channels, *astuple(self.patch), self.pixels, self.turn, self.shift]
        return f"{'_'.join(map(str, sizes))}_{'signed' if self.signed else 'plain'}"


def best_pixels(tile: Tile, count: int) -> Tile:
    """Return the tile with the fewest instructions for `count` adjacent pixels.

    The last iteration may repeat pixels of the previous one.
    """
    most = min(tile.most_pixels, count)
    tiles = [replace(tile, pixels=pixels) for pixels in range(1, most + 1)]
    return min(tiles, key=lambda tile: (-(-count // tile.pixels) * tile.cost, -tile.pixels))


def tile_code(tile: Tile) -> Lines:
    """Return the kernel with inputs in a0, stream in a1, outputs in a2 and iterations in a3."""
    group, pixels, turn = tile.group, tile.pixels, tile.turn
    narrow, wide = group.widened()
    loops, rest = divmod(tile.patch.row_bytes, turn)

    def taps(count: int) -> Lines:
        lines: Lines = []
        for tap in range(count):
            lines += [f"vle8.v {narrow}, (t1)", f"vsext.vf2 {wide}, {narrow}", "add t1, t1, t4"]
            for pixel in range(pixels):
                lines += [f"lb t3, {tap + pixel * tile.patch.pitch}(t2)"]
                lines += [f"vwmacc.vx {group.sum(pixel)}, t3, {wide}"]
        return lines

    vectors = 4 if tile.signed else 2
    code = ["csrwi vxrm, 2", *move("t4", tile.channels), "1:", "mv a5, a1", "mv a6, a1"]
    code += [*add("a6", 4 * vectors * tile.channels, "t1"), "mv a7, a2", "mv a4, t4"]
    code += ["2:", group.set(32, "t0", "a4")]
    code += [f"vmv.v.i {group.sum(pixel)}, 0" for pixel in range(pixels)]
    code += [group.set(16), "mv t1, a6", "mv t2, a0"]
    code += [*move("t5", tile.patch.rows), "3:"] if tile.patch.rows > 1 else []
    if loops > 1:
        code += ["mv t6, t2", *add("t6", loops * turn, "t3"), "4:", *taps(turn)]
        code += [*add("t2", turn, "t3"), "bne t2, t6, 4b"]
    else:
        code += taps(turn)
    code += taps(rest) if loops > 1 or not rest else [*add("t2", turn, "t3"), *taps(rest)]
    past = loops * turn if loops > 1 or rest else 0
    if tile.patch.rows > 1:
        code += [*add("t2", tile.patch.row_pitch - past, "t3"), "addi t5, t5, -1", "bnez t5, 3b"]
    code += finish(group, pixels, tile.shift, signed=tile.signed, gained=False)
    code += ["slli t3, t0, 2", "add a5, a5, t3", "add a6, a6, t0", "add a7, a7, t0"]
    code += ["sub a4, a4, t0", "bnez a4, 2b", *add("a0", pixels * tile.patch.pitch, "t1")]
    code += [*add("a2", pixels * tile.channels, "t1"), "addi a3, a3, -1", "bnez a3, 1b", "ret"]
    return code
