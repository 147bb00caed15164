/* Helium micro-kernels of DEPTHWISE_CONV_2D.
 *
 * A few channels at a time are copied to planes, one per channel, with the padding around them. A
 * block of outputs of one channel needs a patch of its plane; one gather reads up to 16 bytes of
 * the patch to a vector. Each output of the block is one sum across the vector, with weights of
 * zero outside of its window.
 *
 * Planes hold single rows or pairs of rows. In a pair, the two elements of a column are adjacent,
 * so a word has two columns of both rows, and a patch is up to 4 words.
 *
 * For each channel, the stream has initial accumulator, multiplier, gain, for rounding by sign
 * offset and step, and the weights of each output of a block. The taps of the first output come
 * first, in their own order. Requantization: ((initial + gain * sum) * multiplier * 2 >> 32) >>
 * shift, with offsets between the shifts, saturated to int8. All constants were proven exact when
 * the code was generated. */
#ifndef TVMTINY_MVE_WINDOW_H
#define TVMTINY_MVE_WINDOW_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Instantiates NAME(planes, stream, out, channels): ROWS x COLUMNS outputs of each channel. KH KW,
 * SY SX, DY DX: window, stride, dilation; PITCH: bytes of a row of a plane; TAPS: weights from a row of
 * a window to the next; PAIRED: whether planes and weights are in pairs of rows; PLANE: from the plane of a
 * channel to the next; WORDS: of the stream for a channel; DOWN, RIGHT: bytes between outputs. */
#if TVMTINY_MVE

#define TVMTINY_MVE_WINDOW(NAME, ROWS, COLUMNS, KH, KW, SY, SX, DY, DX, PITCH, TAPS, PAIRED, PLANE, WORDS, \
                           DOWN, RIGHT, SHIFT, ROUNDING, TEXT)                                     \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *planes TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED, \
                        int8_t *out TVMTINY_UNUSED, int32_t channels TVMTINY_UNUSED),              \
                       TEXT)

#else

typedef struct {
  int32_t rows, columns, kh, kw, sy, sx, dy, dx, pitch, taps, paired, down, right, shift, rounding;
} tvmtiny_mve_window;

/* The position of a byte in a plane, or in the weights of a window. */
TVMTINY_MVE_INLINE int32_t tvmtiny_mve_place(const tvmtiny_mve_window *window, int32_t pitch,
                                             int32_t row, int32_t column)
{
  return window->paired != 0 ? row / 2 * 2 * pitch + 2 * column + row % 2 : row * pitch + column;
}

TVMTINY_MVE_INLINE void tvmtiny_mve_channel(const int8_t *plane, const int32_t *stream, int8_t *out,
                                            const tvmtiny_mve_window *window)
{
  const int32_t constants = window->rounding != 0 ? 5 : 3;
  const int8_t *const w = (const int8_t *)(stream + constants);
  int32_t y;
  int32_t x;
  for (y = 0; y < window->rows; ++y) {
    for (x = 0; x < window->columns; ++x) {
      int32_t sum = 0;
      int32_t value;
      int32_t i;
      int32_t j;
      for (i = 0; i < window->kh; ++i) {
        for (j = 0; j < window->kw; ++j) {
          const int32_t row = y * window->sy + i * window->dy;
          const int32_t column = x * window->sx + j * window->dx;
          sum += plane[tvmtiny_mve_place(window, window->pitch, row, column)] *
                 w[tvmtiny_mve_place(window, window->taps, i, j)];
        }
      }
      sum = stream[0] + stream[2] * sum;
      value = (int32_t)((2 * (int64_t)sum * stream[1]) >> 32);
      if (window->rounding != 0) {
        value += stream[3] + (value < 0 ? stream[4] : 0);
      }
      value >>= window->shift + 1;
      out[y * window->down + x * window->right] =
          (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
    }
  }
}

#define TVMTINY_MVE_WINDOW(NAME, ROWS, COLUMNS, KH, KW, SY, SX, DY, DX, PITCH, TAPS, PAIRED, PLANE, WORDS, \
                           DOWN, RIGHT, SHIFT, ROUNDING, TEXT)                                     \
  static void NAME(const int8_t *planes, const int32_t *stream, int8_t *out, int32_t channels)     \
  {                                                                                                \
    const tvmtiny_mve_window window = { ROWS, COLUMNS, KH,   KW,   SY,    SX,    DY, DX,           \
                                        PITCH, TAPS, PAIRED, DOWN, RIGHT, SHIFT,                   \
                                        TVMTINY_MVE_ROUNDING_##ROUNDING };                         \
    int32_t channel;                                                                               \
    for (channel = 0; channel < channels; ++channel) {                                             \
      tvmtiny_mve_channel(planes + channel * (PLANE), stream + channel * (WORDS), out + channel,   \
                          &window);                                                                \
    }                                                                                              \
  }

#endif

#if TVMTINY_MVE
/* Offsets from the first of 8 planes to the byte `columns` further right in each of them. */
TVMTINY_MVE_INLINE uint16x8_t tvmtiny_mve_lanes(int32_t plane, int32_t columns)
{
  return vaddq_n_u16(vmulq_n_u16(vidupq_n_u16(0u, 1), (uint16_t)plane), (uint16_t)columns);
}
#endif

/* Copies `columns` pixels of `rows` input rows to their planes, beginning with row `first` of the planes. */
TVMTINY_MVE_INLINE void tvmtiny_mve_spread(const int8_t *x, int8_t *planes, int32_t first,
                                           int32_t rows, int32_t columns, int32_t row_bytes,
                                           int32_t channels, int32_t lanes, int32_t pitch,
                                           int32_t plane, int32_t paired)
{
  const int32_t step = 1 + paired;
  const int32_t last = first + rows;
  int32_t row;
  int32_t lane;
  int32_t i;
#if TVMTINY_MVE
  if (lanes == 8) {
    const uint16x8_t to = tvmtiny_mve_lanes(plane, 0);
    const uint16x8_t to1 = tvmtiny_mve_lanes(plane, step);
    const uint16x8_t to2 = tvmtiny_mve_lanes(plane, 2 * step);
    const uint16x8_t to3 = tvmtiny_mve_lanes(plane, 3 * step);
    for (row = first; row < last; ++row, x += row_bytes) {
      int8_t *out = planes + (row - (row & paired)) * pitch + (row & paired);
      const int8_t *in = x;
      for (i = columns >> 2; i > 0; --i) {
        const int16x8_t a = vldrbq_s16(in);
        const int16x8_t b = vldrbq_s16(in + channels);
        const int16x8_t c = vldrbq_s16(in + 2 * channels);
        const int16x8_t d = vldrbq_s16(in + 3 * channels);
        in += 4 * channels;
        vstrbq_scatter_offset_s16(out, to, a);
        vstrbq_scatter_offset_s16(out, to1, b);
        vstrbq_scatter_offset_s16(out, to2, c);
        vstrbq_scatter_offset_s16(out, to3, d);
        out += 4 * step;
      }
      for (i = columns & 3; i > 0; --i) {
        vstrbq_scatter_offset_s16(out, to, vldrbq_s16(in));
        in += channels;
        out += step;
      }
    }
    return;
  }
#endif
  for (row = first; row < last; ++row, x += row_bytes) {
    int8_t *const out = planes + (row - (row & paired)) * pitch + (row & paired);
    if (channels == 1 && step == 1) {
      tvmtiny_mve_copy(out, x, columns);
      continue;
    }
    for (i = 0; i < columns; ++i) {
      for (lane = 0; lane < lanes; ++lane) {
        out[lane * plane + i * step] = x[i * channels + lane];
      }
    }
  }
}

/* Brings `rows` input rows of `lanes` channels, beginning with `first`, into their planes of
 * `plane` bytes. The first `kept` rows, whole pairs, are in the planes already, `moved` rows further on; the
 * others are copied, or filled with `zero_point` outside of the input. The first `left` columns of
 * a plane, the columns after `columns` and further rows keep their content, or the initial filling
 * of the plane. */
TVMTINY_MVE_INLINE void tvmtiny_mve_planes(const int8_t *x, int8_t *planes, int32_t first,
                                           int32_t moved, int32_t kept, int32_t rows,
                                           int32_t height, int32_t left, int32_t zero_point,
                                           int32_t columns, int32_t row_bytes, int32_t channels,
                                           int32_t lanes, int32_t pitch, int32_t plane,
                                           int32_t paired)
{
  const int32_t outside = first < 0 ? -first : 0;
  const int32_t above = outside < kept ? kept : outside > rows ? rows : outside;
  const int32_t inside = height - first < rows ? height - first : rows;
  const int32_t end = inside < above ? above : inside;
  const int32_t even = end - (end & paired);
  int32_t lane;
  for (lane = 0; lane < lanes && kept > 0; ++lane) {
    int8_t *const to = planes + lane * plane;
    tvmtiny_mve_copy(to, to + moved * pitch, kept * pitch);
  }
  for (lane = 0; lane < lanes && (above > kept || end < rows); ++lane) {
    int8_t *const to = planes + lane * plane;
    if (above > kept) {
      tvmtiny_mve_fill(to + kept * pitch, zero_point, (above + (above & paired) - kept) * pitch);
    }
    if (end < rows) {
      tvmtiny_mve_fill(to + even * pitch, zero_point, (rows + (rows & paired) - even) * pitch);
    }
  }
  tvmtiny_mve_spread(x + (first + above) * row_bytes, planes + left * (1 + paired), above,
                     end - above, columns, row_bytes, channels, lanes, pitch, plane, paired);
}

#endif /* TVMTINY_MVE_WINDOW_H */
