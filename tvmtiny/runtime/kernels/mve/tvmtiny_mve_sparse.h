/* Helium micro-kernels of CONV_2D and FULLY_CONNECTED that skip blocks of zeros. A block consists of
 * two channels and four adjacent inputs; the inputs of a block are a word of the patch.
 *
 * The stream holds for each two channels a word with the number of groups of four blocks, unless all
 * have GROUPS, which is then not 0. For each group follow the indices of four words, from the first
 * word of the patch, as INDEX (1 or 2) bytes each, and 16 weights of each channel. Blocks that fill
 * up the last group have weights of zero.
 * For the kernel of four pixels, two int32 for each channel follow, the initial accumulator and the
 * multiplier; for rounding by sign, then the doubled offset and step of each channel. For the kernel
 * of one pixel, constants follow each eight channels instead (the last ones may be fewer), those of
 * the even ones first: vectors of 4 int32 as in tvmtiny_mve_tile.h.
 *
 * Requantization as in tvmtiny_mve_tile.h. */
#ifndef TVMTINY_MVE_SPARSE_H
#define TVMTINY_MVE_SPARSE_H

#include "tvmtiny_mve.h"

/* Instantiates NAME(x, stream, out, steps): all channels of neighbouring pixels, four at a time.
 * Their inputs are PITCH bytes apart, their outputs CHANNELS.
 * Instantiates NAME(x, stream, out): all channels of one pixel. Inputs are aligned to words. */
#if TVMTINY_MVE

#define TVMTINY_MVE_SPARSE_QUAD(NAME, CHANNELS, PITCH, GROUPS, INDEX, SHIFT, ROUNDING, TEXT)               \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED, int32_t steps TVMTINY_UNUSED),                 \
                       TEXT)
#define TVMTINY_MVE_SPARSE_SINGLE(NAME, CHANNELS, GROUPS, INDEX, SHIFT, ROUNDING, TEXT)                    \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED),                                               \
                       TEXT)

#else

/* Adds the products of two channels for pixels that are `pitch` bytes apart to sums[channel][pixel],
 * and returns the end of their groups. */
TVMTINY_MVE_INLINE const int32_t *tvmtiny_mve_blocks(const int8_t *x, const int32_t *stream,
                                                     int32_t sums[2][4], int32_t pixels,
                                                     int32_t pitch, int32_t groups, int32_t index)
{
  int32_t left = groups != 0 ? groups : *stream++;
  for (; left > 0; --left) {
    const uint8_t *const words = (const uint8_t *)stream;
    const int8_t *const weights = (const int8_t *)(stream + index);
    int32_t i;
    for (i = 0; i < 16; ++i) {
      const int32_t at = index * (i / 4);
      const int32_t word = words[at] + (index > 1 ? 256 * words[at + 1] : 0);
      int32_t pixel;
      for (pixel = 0; pixel < pixels; ++pixel) {
        const int32_t input = x[pixel * pitch + 4 * word + i % 4];
        sums[0][pixel] += input * weights[i];
        sums[1][pixel] += input * weights[16 + i];
      }
    }
    stream += index + 8;
  }
  return stream;
}

TVMTINY_MVE_INLINE void tvmtiny_mve_sparse_quads(const int8_t *x, const int32_t *stream, int8_t *out,
                                                 int32_t steps, int32_t channels, int32_t pitch,
                                                 int32_t groups, int32_t index, int32_t shift, int32_t rounding)
{
  for (; steps > 0; --steps) {
    const int32_t *from = stream;
    int32_t first;
    for (first = 0; first < channels; first += 2) {
      int32_t sums[2][4] = { { 0, 0, 0, 0 }, { 0, 0, 0, 0 } };
      int32_t i;
      from = tvmtiny_mve_blocks(x, from, sums, 4, pitch, groups, index);
      for (i = 0; i < 8; ++i) {
        const int32_t channel = i % 2;
        const int32_t *const own = from + 2 * channel;
        out[i / 2 * channels + first + channel] =
            tvmtiny_mve_scale(own[0] + 256 * sums[channel][i / 2], own[1], rounding != 0 ? own[4] / 2 : 0,
                              rounding != 0 ? own[5] / 2 : 0, shift);
      }
      from += rounding != 0 ? 8 : 4;
    }
    x += 4 * pitch;
    out += 4 * channels;
  }
}

TVMTINY_MVE_INLINE void tvmtiny_mve_sparse_pixel(const int8_t *x, const int32_t *stream, int8_t *out,
                                                 int32_t channels, int32_t groups, int32_t index, int32_t shift,
                                                 int32_t rounding)
{
  int32_t first;
  for (first = 0; first < channels; first += 8) {
    const int32_t count = channels - first < 8 ? channels - first : 8;
    int32_t all[8];
    int32_t i;
    for (i = 0; i < count; i += 2) {
      int32_t sums[2][4] = { { 0, 0, 0, 0 }, { 0, 0, 0, 0 } };
      stream = tvmtiny_mve_blocks(x, stream, sums, 1, 0, groups, index);
      all[i] = sums[0][0];
      all[i + 1] = sums[1][0];
    }
    for (i = 0; i < count; ++i) {
      const int32_t *const own = stream + i % 2 * (rounding != 0 ? 16 : 8) + i / 2;
      out[first + i] = tvmtiny_mve_scale(own[0] + 256 * all[i], own[4], rounding != 0 ? own[8] : 0,
                                         rounding != 0 ? own[12] : 0, shift);
    }
    stream += rounding != 0 ? 32 : 16;
  }
}

#define TVMTINY_MVE_SPARSE_QUAD(NAME, CHANNELS, PITCH, GROUPS, INDEX, SHIFT, ROUNDING, TEXT)               \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t steps)             \
  {                                                                                                \
    tvmtiny_mve_sparse_quads(x, stream, out, steps, CHANNELS, PITCH, GROUPS, INDEX, SHIFT,                 \
                             TVMTINY_MVE_ROUNDING_##ROUNDING);                                     \
  }
#define TVMTINY_MVE_SPARSE_SINGLE(NAME, CHANNELS, GROUPS, INDEX, SHIFT, ROUNDING, TEXT)                    \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out)                            \
  {                                                                                                \
    tvmtiny_mve_sparse_pixel(x, stream, out, CHANNELS, GROUPS, INDEX, SHIFT, TVMTINY_MVE_ROUNDING_##ROUNDING); \
  }

#endif

#endif /* TVMTINY_MVE_SPARSE_H */
