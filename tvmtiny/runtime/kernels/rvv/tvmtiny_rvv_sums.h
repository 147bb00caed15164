/* RVV micro-kernels of sums of products: CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D.
 *
 * A filter has ROWS x COLUMNS taps, which are ROW and COLUMN bytes apart in the input. The stream
 * holds the constants of all lanes, one kind after the other: gains if GAINED, initial
 * accumulators, multipliers and, for rounding by sign, steps and offsets. The weights of all lanes
 * follow for each tap.
 *
 * Requantization is ((initial + gain * sum) * multiplier >> 32) >> shift, saturated to int8, with
 * constants that were proven exact when the code was generated; the usual gain is 256. */
#ifndef TVMTINY_RVV_SUMS_H
#define TVMTINY_RVV_SUMS_H

#include "tvmtiny_rvv.h"

/* Both define NAME(x, stream, out, turns), which computes neighbouring units, UNITS per iteration,
 * in blocks of BLOCK lanes with vectors of 128 bits. The inputs of units are STEP bytes apart, and
 * their outputs LANES.
 *
 * In a tile, a unit is a pixel, and its lanes are the output channels, all of which read the same
 * taps; the taps of a row are neighbours. In a window, the lanes are the channels of one or several
 * neighbouring pixels, and each lane reads a tap of its own. */
#define TVMTINY_RVV_TILE(NAME, LANES, BLOCK, ROWS, COLUMNS, ROW, STEP, UNITS, SHIFT, ROUNDING, TEXT) \
  TVMTINY_RVV_SUMS(NAME, 0, LANES, BLOCK, ROWS, COLUMNS, ROW, 1, STEP, UNITS, SHIFT, 0, ROUNDING, TEXT)
#define TVMTINY_RVV_WINDOW(NAME, LANES, BLOCK, ROWS, COLUMNS, ROW, COLUMN, STEP, UNITS, SHIFT, GAINED, \
                           ROUNDING, TEXT)                                                         \
  TVMTINY_RVV_SUMS(NAME, 1, LANES, BLOCK, ROWS, COLUMNS, ROW, COLUMN, STEP, UNITS, SHIFT, GAINED, ROUNDING, TEXT)

#if TVMTINY_RVV

#define TVMTINY_RVV_SUMS(NAME, OWN, LANES, BLOCK, ROWS, COLUMNS, ROW, COLUMN, STEP, UNITS, SHIFT, GAINED, \
                         ROUNDING, TEXT)                                                           \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED, int32_t turns TVMTINY_UNUSED),                 \
                       TEXT)

#else

/* `own` is 1 if each lane has its own input of a tap, and `gained` is 1 if it has its own gain. */
typedef struct {
  int32_t own, lanes, block, rows, columns, row, column, step, units, shift, gained, rounding;
} tvmtiny_rvv_sums;

TVMTINY_RVV_INLINE int8_t tvmtiny_rvv_sum(const int8_t *x, const int32_t *stream, int32_t c,
                                          const tvmtiny_rvv_sums *sums)
{
  const int32_t lanes = sums->lanes;
  const int32_t *const initial = stream + sums->gained * lanes;
  const int32_t vectors = sums->rounding != 0 ? 4 : 2;
  const int8_t *w = (const int8_t *)(initial + vectors * lanes) + c;
  const int32_t gain = sums->gained != 0 ? stream[c] : 256;
  int32_t sum = 0;
  int32_t i;
  int32_t j;
  for (i = 0; i < sums->rows; ++i) {
    for (j = 0; j < sums->columns; ++j) {
      sum += x[i * sums->row + j * sums->column + sums->own * c] * *w;
      w += lanes;
    }
  }
  return tvmtiny_rvv_scale(initial[c] + gain * sum, initial[lanes + c],
                           sums->rounding != 0 ? initial[2 * lanes + c] : 0,
                           sums->rounding != 0 ? initial[3 * lanes + c] : 0, sums->shift);
}

/* Follows the order of the vectors: the inputs of BLOCK lanes of all units of an iteration are read
 * before their outputs are written, which may overwrite inputs. */
TVMTINY_RVV_INLINE void tvmtiny_rvv_turn(const int8_t *x, const int32_t *stream, int8_t *out,
                                         const tvmtiny_rvv_sums *sums)
{
  int8_t outputs[TVMTINY_RVV_MOST_OUTPUTS];
  int32_t first;
  for (first = 0; first < sums->lanes; first += sums->block) {
    const int32_t left = sums->lanes - first;
    const int32_t count = left < sums->block ? left : sums->block;
    int32_t unit;
    int32_t c;
    for (unit = 0; unit < sums->units; ++unit) {
      for (c = 0; c < count; ++c) {
        outputs[unit * count + c] = tvmtiny_rvv_sum(x + unit * sums->step, stream, first + c, sums);
      }
    }
    for (unit = 0; unit < sums->units; ++unit) {
      for (c = 0; c < count; ++c) {
        out[unit * sums->lanes + first + c] = outputs[unit * count + c];
      }
    }
  }
}

#define TVMTINY_RVV_SUMS(NAME, OWN, LANES, BLOCK, ROWS, COLUMNS, ROW, COLUMN, STEP, UNITS, SHIFT, GAINED, \
                         ROUNDING, TEXT)                                                           \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t turns)             \
  {                                                                                                \
    const tvmtiny_rvv_sums sums = { OWN,  LANES, BLOCK, ROWS,   COLUMNS, ROW, COLUMN,              \
                                    STEP, UNITS, SHIFT, GAINED, TVMTINY_RVV_##ROUNDING };          \
    for (; turns > 0; --turns) {                                                                   \
      tvmtiny_rvv_turn(x, stream, out, &sums);                                                     \
      x += (UNITS) * (STEP);                                                                       \
      out += (UNITS) * (LANES);                                                                    \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_RVV_SUMS_H */
