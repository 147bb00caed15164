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

/* Copies `columns` neighbouring pixels of `lanes` channels to their planes, `step` bytes apart. */
TVMTINY_MVE_INLINE void tvmtiny_mve_spread(const int8_t *x, int8_t *planes, int32_t columns,
                                           int32_t channels, int32_t lanes, int32_t plane,
                                           int32_t step)
{
  int32_t lane;
  int32_t i;
  if (channels == 1 && step == 1) {
    tvmtiny_mve_copy(planes, x, columns);
    return;
  }
#if TVMTINY_MVE
  if (lanes == 8) {
    const uint16x8_t to = vmulq_n_u16(vidupq_n_u16(0u, 1), (uint16_t)plane);
    const uint16x8_t to1 = vaddq_n_u16(to, (uint16_t)step);
    const uint16x8_t to2 = vaddq_n_u16(to, (uint16_t)(2 * step));
    const uint16x8_t to3 = vaddq_n_u16(to, (uint16_t)(3 * step));
    for (i = columns >> 2; i > 0; --i) {
      const int16x8_t a = vldrbq_s16(x);
      const int16x8_t b = vldrbq_s16(x + channels);
      const int16x8_t c = vldrbq_s16(x + 2 * channels);
      const int16x8_t d = vldrbq_s16(x + 3 * channels);
      x += 4 * channels;
      vstrbq_scatter_offset_s16(planes, to, a);
      vstrbq_scatter_offset_s16(planes, to1, b);
      vstrbq_scatter_offset_s16(planes, to2, c);
      vstrbq_scatter_offset_s16(planes, to3, d);
      planes += 4 * step;
    }
    for (i = columns & 3; i > 0; --i) {
      vstrbq_scatter_offset_s16(planes, to, vldrbq_s16(x));
      x += channels;
      planes += step;
    }
    return;
  }
#endif
  for (i = 0; i < columns; ++i) {
    for (lane = 0; lane < lanes; ++lane) {
      planes[lane * plane + i * step] = x[i * channels + lane];
    }
  }
}

/* Copies `rows` input rows of `lanes` channels, beginning with `first`, to their planes of `plane`
 * bytes. Rows outside of the input are filled with `zero_point`. The first `left` columns of a
 * plane, the columns after `columns` and further rows keep their content, or the initial filling of
 * the plane. */
TVMTINY_MVE_INLINE void tvmtiny_mve_planes(const int8_t *x, int8_t *planes, int32_t first,
                                           int32_t rows, int32_t height, int32_t row_bytes,
                                           int32_t channels, int32_t lanes, int32_t left,
                                           int32_t columns, int32_t pitch, int32_t plane,
                                           int32_t paired, int32_t zero_point)
{
  const int32_t step = 1 + paired;
  const int32_t above = first < -rows ? rows : first < 0 ? -first : 0;
  const int32_t inside = height - first < rows ? height - first : rows;
  const int32_t end = inside < above ? above : inside;
  const int32_t even = end - (end & paired);
  int32_t row;
  int32_t lane;
  for (lane = 0; lane < lanes && (above > 0 || end < rows); ++lane) {
    if (above > 0) {
      tvmtiny_mve_fill(planes + lane * plane, zero_point, (above + (above & paired)) * pitch);
    }
    if (end < rows) {
      tvmtiny_mve_fill(planes + lane * plane + even * pitch, zero_point,
                       (rows + (rows & paired) - even) * pitch);
    }
  }
  x += (first + above) * row_bytes;
  for (row = above; row < end; ++row, x += row_bytes) {
    tvmtiny_mve_spread(x, planes + (row - (row & paired)) * pitch + (row & paired) + left * step,
                       columns, channels, lanes, plane, step);
  }
}

#endif /* TVMTINY_MVE_WINDOW_H */
