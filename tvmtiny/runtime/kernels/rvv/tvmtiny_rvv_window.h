/* RVV micro-kernels of DEPTHWISE_CONV_2D.
 *
 * Lanes are the channels of a pixel, or those of some pixels that lie side by side: a unit. The stream is, for
 * GAINED the gains, initial accumulators and multipliers, and for rounding by sign steps and offsets, of all
 * lanes each, then for each tap of the window the weights of all lanes.
 *
 * Requantization: ((initial + gain * sum) * multiplier >> 32) >> shift, saturated to int8, with constants that
 * were proven exact when the code was generated; the usual gain is 256. */
#ifndef TVMTINY_RVV_WINDOW_H
#define TVMTINY_RVV_WINDOW_H

#include "tvmtiny_rvv.h"

/* Instantiates NAME(x, stream, out, turns): neighbouring units of a row, UNITS a turn, BLOCK lanes at a
 * time on vectors of 128 bits. KH, KW: the window; ROW,
 * COLUMN: bytes from a row and from a column of it to the next; STEP: from the input of a unit to the next. */
#if TVMTINY_RVV

#define TVMTINY_RVV_WINDOW(NAME, LANES, BLOCK, KH, KW, ROW, COLUMN, STEP, UNITS, SHIFT, GAINED,    \
                           ROUNDING, TEXT)                                                         \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED, int32_t turns TVMTINY_UNUSED),                 \
                       TEXT)

#else

typedef struct {
  int32_t lanes, block, kh, kw, row, column, step, units, shift, gained, rounding;
} tvmtiny_rvv_window;

TVMTINY_RVV_INLINE int8_t tvmtiny_rvv_taps(const int8_t *x, const int32_t *stream, int32_t c,
                                           const tvmtiny_rvv_window *window)
{
  const int32_t lanes = window->lanes;
  const int32_t *const initial = stream + window->gained * lanes;
  const int32_t vectors = window->rounding != 0 ? 4 : 2;
  const int8_t *w = (const int8_t *)(initial + vectors * lanes) + c;
  const int32_t gain = window->gained != 0 ? stream[c] : 256;
  int32_t sum = 0;
  int32_t i;
  int32_t j;
  for (i = 0; i < window->kh; ++i) {
    for (j = 0; j < window->kw; ++j) {
      sum += x[i * window->row + j * window->column + c] * *w;
      w += lanes;
    }
  }
  return tvmtiny_rvv_scale(initial[c] + gain * sum, initial[lanes + c],
                           window->rounding != 0 ? initial[2 * lanes + c] : 0,
                           window->rounding != 0 ? initial[3 * lanes + c] : 0, window->shift);
}

/* In the order of the vectors: inputs of BLOCK lanes of all units of a turn are read before their outputs are
 * written, which may be over inputs. */
TVMTINY_RVV_INLINE void tvmtiny_rvv_units(const int8_t *x, const int32_t *stream, int8_t *out,
                                          const tvmtiny_rvv_window *window)
{
  int8_t outputs[TVMTINY_RVV_MOST_OUTPUTS];
  int32_t first;
  for (first = 0; first < window->lanes; first += window->block) {
    const int32_t left = window->lanes - first;
    const int32_t count = left < window->block ? left : window->block;
    int32_t unit;
    int32_t c;
    for (unit = 0; unit < window->units; ++unit) {
      for (c = 0; c < count; ++c) {
        outputs[unit * count + c] = tvmtiny_rvv_taps(x + unit * window->step, stream, first + c, window);
      }
    }
    for (unit = 0; unit < window->units; ++unit) {
      for (c = 0; c < count; ++c) {
        out[unit * window->lanes + first + c] = outputs[unit * count + c];
      }
    }
  }
}

#define TVMTINY_RVV_WINDOW(NAME, LANES, BLOCK, KH, KW, ROW, COLUMN, STEP, UNITS, SHIFT, GAINED,    \
                           ROUNDING, TEXT)                                                         \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t turns)             \
  {                                                                                                \
    const tvmtiny_rvv_window window = { LANES, BLOCK, KH,    KW,     ROW,                          \
                                        COLUMN, STEP, UNITS, SHIFT,  GAINED,                       \
                                        TVMTINY_RVV_##ROUNDING };                                  \
    for (; turns > 0; --turns) {                                                                   \
      tvmtiny_rvv_units(x, stream, out, &window);                                                  \
      x += (UNITS) * (STEP);                                                                       \
      out += (UNITS) * (LANES);                                                                    \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_RVV_WINDOW_H */
