"""The kernels of a CONV_2D or FULLY_CONNECTED: their names, instantiations and costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tvmtiny.schedule.families.mve import assembly
from tvmtiny.schedule.families.mve.sparse_tile import SparseTile, quad_code, single_sparse_code
from tvmtiny.schedule.families.mve.tile import Tile, pair_code, single_code

#: Both kinds of kernels read patches and strips.
_HEADERS = ("tvmtiny_mve.h", "tvmtiny_mve_tile.h")

#: Instructions and estimated cycles of a step of the dense kernels: of a group of inputs, and
#: around the groups. A step is 2 pixels x 4 channels, or 1 pixel x 8 channels.
_PAIR, _PAIR_AROUND = (14.0, 16.3), (17.0, 28.0)
_SINGLE, _SINGLE_AROUND = (17.0, 17.5), (25.0, 35.0)

#: The same of the kernels that skip blocks, for two channels of 4 pixels, or of 1 pixel: if groups
#: are unrolled, and with a loop.
_QUAD, _QUAD_AROUND = (16.0, 30.0), (22.0, 34.0)
_QUAD_LOOP, _QUAD_LOOP_AROUND = (17.0, 33.0), (24.0, 37.0)
_BLOCKS, _BLOCKS_AROUND = (6.0, 11.0), (4.8, 9.0)
_BLOCKS_LOOP, _BLOCKS_LOOP_AROUND = (7.0, 12.5), (8.5, 18.0)

#: Bytes of code of an unrolled group of inputs, for all tiles of a block of channels; and of the
#: kernels that skip blocks, by pixels.
_GROUP_CODE, _SPARSE_CODE = 112, {4: 330, 1: 650}


class Cost(NamedTuple):
    """Estimated cost of a layer: instructions, cycles, and bytes of weights and of their code."""

    instructions: float
    cycles: float
    flash: float


class MatrixKernel(Protocol):
    """A kernel of a layer.

    Attributes
    ----------
    tile
        Geometry and scaling.
    pixels
        Pixels of a step; a kernel of one pixel has no argument for the number of steps.
    reads_vectors
        Whether the kernel reads whole vectors of 16 inputs.
    """

    @property
    def tile(self) -> Tile: ...
    @property
    def pixels(self) -> int: ...
    @property
    def reads_vectors(self) -> bool: ...
    @property
    def headers(self) -> tuple[str, ...]: ...
    @property
    def name(self) -> str: ...
    @property
    def instantiation(self) -> str: ...
    def described(self, staging: str) -> str: ...
    def instructions(self, pixels: int) -> int: ...


def _rounding(tile: Tile) -> str:
    return "SIGNED" if tile.signed else "PLAIN"


@dataclass(frozen=True)
class DenseKernel:
    """A kernel of ``tvmtiny_mve_tile.h``, for all weights."""

    tile: Tile
    pixels: int
    reads_vectors: bool = True
    headers: tuple[str, ...] = _HEADERS

    @property
    def _is_single(self) -> bool:
        return self.pixels == 1

    @property
    def name(self) -> str:
        """The C name."""
        tile = self.tile
        kind = "single" if self._is_single else "pair"
        sizes = [tile.channels, tile.rows, tile.row_bytes]
        sizes += [] if self._is_single else [tile.row_pitch, tile.pitch]
        sizes += [tile.unroll, tile.shift]
        return f"mve_{kind}_{'_'.join(map(str, sizes))}_{_rounding(tile).lower()}"

    @property
    def instantiation(self) -> str:
        """The macro that defines the kernel."""
        tile = self.tile
        if self._is_single:
            sizes = [tile.channels, tile.row_bytes, tile.shift]
            code = single_code(tile)
        else:
            sizes = [tile.channels, tile.rows, tile.row_bytes, tile.row_pitch, tile.pitch]
            sizes.append(tile.shift)
            code = pair_code(tile)
        arguments = ", ".join(map(str, sizes))
        macro = "SINGLE" if self._is_single else "PAIR"
        return (
            f"TVMTINY_MVE_{macro}({self.name}, {arguments}, {_rounding(tile)}, "
            f"{assembly.text(code)})"
        )

    def described(self, staging: str) -> str:
        """Describe the kernel and the way to its inputs."""
        shape = "1x8" if self._is_single else "2x4"
        if self.tile.channels < 4:
            shape = f"{shape[:2]}{self.tile.channels}"
        return f"tile {shape}, {staging}, unroll {self.tile.turn}"

    def instructions(self, pixels: int) -> int:
        """Estimate the instructions of all pixels."""
        return round(self.cost(pixels).instructions)

    def cost(self, pixels: int) -> Cost:
        """Estimate the cost of all pixels."""
        channels, groups = self.tile.channels, self.tile.groups
        steps = -(-pixels // self.pixels) * -(-channels // (8 if self._is_single else 4))
        group, around = (_SINGLE, _SINGLE_AROUND) if self._is_single else (_PAIR, _PAIR_AROUND)
        instructions, cycles = (
            steps * (groups * g + a) for g, a in zip(group, around, strict=True)
        )
        flash = groups * assembly.VECTOR * channels + _GROUP_CODE * self.tile.turn
        return Cost(instructions, cycles, flash)


@dataclass(frozen=True)
class SparseKernel:
    """A kernel of ``tvmtiny_mve_sparse.h``, for blocks with weights."""

    blocks: SparseTile
    reads_vectors: bool = False
    headers: tuple[str, ...] = (*_HEADERS, "tvmtiny_mve_sparse.h")

    @property
    def tile(self) -> Tile:
        """Geometry and scaling."""
        return self.blocks.tile

    @property
    def pixels(self) -> int:
        """Pixels of a step."""
        return self.blocks.pixels

    @property
    def _sizes(self) -> list[int]:
        tile = self.tile
        pitch = [tile.pitch] if self.pixels > 1 else []
        return [tile.channels, *pitch, self.blocks.unrolled, self.blocks.index_bytes, tile.shift]

    @property
    def name(self) -> str:
        """The C name."""
        kind = "quad" if self.pixels > 1 else "single"
        # The code of four pixels contains the size of the stream.
        sizes = [*self._sizes, *([self.blocks.words] if self.pixels > 1 else [])]
        return f"mve_sparse_{kind}_{'_'.join(map(str, sizes))}_{_rounding(self.tile).lower()}"

    @property
    def instantiation(self) -> str:
        """The macro that defines the kernel."""
        kind, make = ("QUAD", quad_code) if self.pixels > 1 else ("SINGLE", single_sparse_code)
        arguments = ", ".join(map(str, self._sizes))
        return (
            f"TVMTINY_MVE_SPARSE_{kind}({self.name}, {arguments}, {_rounding(self.tile)}, "
            f"{assembly.text(make(self.blocks))})"
        )

    def described(self, staging: str) -> str:
        """Describe the kernel and the way to its inputs."""
        return f"sparse, tile {'4x2' if self.pixels > 1 else '1x8'}, {staging}"

    def instructions(self, pixels: int) -> int:
        """Estimate the instructions of all pixels."""
        return round(self.cost(pixels).instructions)

    def cost(self, pixels: int) -> Cost:
        """Estimate the cost of all pixels."""
        pairs, steps = self.tile.channels // 2, -(-pixels // self.pixels)
        if self.pixels > 1:
            group, around = _QUAD, _QUAD_AROUND
            if not self.blocks.unrolled:
                group, around = _QUAD_LOOP, _QUAD_LOOP_AROUND
        else:
            group, around = _BLOCKS, _BLOCKS_AROUND
            if not self.blocks.unrolled:
                group, around = _BLOCKS_LOOP, _BLOCKS_LOOP_AROUND
        instructions, cycles = (
            steps * (self.blocks.groups * g + pairs * a) for g, a in zip(group, around, strict=True)
        )
        constants = pairs * 2 * (4 if self.tile.signed else 2)
        flash = 4 * (self.blocks.words - constants) + _SPARSE_CODE[self.pixels]
        return Cost(instructions, cycles, flash)
