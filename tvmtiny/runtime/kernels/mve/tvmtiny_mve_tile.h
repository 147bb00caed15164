/* Helium micro-kernels of CONV_2D and FULLY_CONNECTED.
 *
 * A filter is `rows` runs of bytes, `row_pitch` apart in the input; a contiguous patch is one run.
 * Each run is padded to groups of 16 with weights of zero for the bytes that follow it.
 *
 * Channels are computed in blocks of 8. The last channels are computed in blocks of 8 or 4, which
 * overlap the previous blocks if necessary; fewer than 4 channels are one block. A block of 8 is
 * two tiles, the even channels and the odd channels. For each block of a `single` kernel or tile of
 * a `pair` kernel, the stream has the 16 weights of each channel for each group. After its weights
 * (of both tiles), each tile has vectors of 4 int32: initial accumulators and multipliers, and for
 * rounding by sign offset and step.
 *
 * Requantization: ((initial + 256 * sum) * multiplier >> 32) >> shift, saturated to int8, with
 * constants that were proven exact when the code was generated. */
#ifndef TVMTINY_MVE_TILE_H
#define TVMTINY_MVE_TILE_H

#include "tvmtiny_mve.h"

/* Instantiates NAME(x, stream, out, pairs): all channels of neighbouring pixels, two at a time. Their
 * inputs are `pitch` bytes apart, their outputs CHANNELS.
 * Instantiates NAME(x, stream, out): all channels of one pixel, whose inputs are one run. */
#if TVMTINY_MVE

#define TVMTINY_MVE_PAIR(NAME, CHANNELS, ROWS, ROW_BYTES, ROW_PITCH, PITCH, SHIFT, ROUNDING, TEXT) \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED, int32_t pairs TVMTINY_UNUSED),                 \
                       TEXT)
#define TVMTINY_MVE_SINGLE(NAME, CHANNELS, DEPTH, SHIFT, ROUNDING, TEXT)                           \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED),                                               \
                       TEXT)

#else

typedef struct {
  int32_t channels, rows, row_bytes, row_pitch, shift, rounding;
} tvmtiny_mve_layer;

/* Computes 4 channels of one pixel, or all channels if there are fewer. The weights of a group are
 * `width` channels apart from those of the next group. */
TVMTINY_MVE_INLINE void tvmtiny_mve_tile(const int8_t *x, const int32_t *weights, int32_t width,
                                         const int32_t *constants, int8_t *out, int32_t step,
                                         const tvmtiny_mve_layer *layer)
{
  const int8_t *w = (const int8_t *)weights;
  const int32_t groups = (layer->row_bytes + 15) / 16;
  int32_t c;
  for (c = 0; c < 4 && c < layer->channels; ++c) {
    int32_t sum = 0;
    int32_t row;
    int32_t i;
    for (row = 0; row < layer->rows; ++row) {
      for (i = 0; i < layer->row_bytes; ++i) {
        const int32_t group = row * groups + i / 16;
        sum += x[row * layer->row_pitch + i] * w[(group * width + c) * 16 + i % 16];
      }
    }
    out[c * step] = tvmtiny_mve_scale(constants[c] + 256 * sum, constants[4 + c],
                                      layer->rounding != 0 ? constants[8 + c] : 0,
                                      layer->rounding != 0 ? constants[12 + c] : 0, layer->shift);
  }
}

/* Computes all channels of one pixel; `together` states whether a block's weights are
 * interleaved. */
TVMTINY_MVE_INLINE void tvmtiny_mve_pixel(const int8_t *x, const int32_t *stream, int8_t *out,
                                          int32_t together, const tvmtiny_mve_layer *layer)
{
  const int32_t words = layer->rows * ((layer->row_bytes + 15) / 16) * 4;
  const int32_t constants = layer->rounding != 0 ? 16 : 8;
  const int32_t each = layer->channels < 4 ? layer->channels : 4;
  int32_t done = 0;
  while (done < layer->channels) {
    const int32_t left = layer->channels - done;
    const int32_t width = left > 4 && layer->channels >= 8 ? 8 : each;
    const int32_t first = left < width ? layer->channels - width : done;
    const int32_t tiles = width / each;
    int32_t t;
    for (t = 0; t < tiles; ++t) {
      const int32_t *own = together != 0 ? stream + t * 4 * 4 : stream + t * (each * words + constants);
      const int32_t *after = together != 0 ? stream + width * words + t * constants : own + each * words;
      tvmtiny_mve_tile(x, own, together != 0 ? width : each, after, out + first + t, tiles, layer);
    }
    stream += width * words + tiles * constants;
    done = first + width;
  }
}

#define TVMTINY_MVE_PAIR(NAME, CHANNELS, ROWS, ROW_BYTES, ROW_PITCH, PITCH, SHIFT, ROUNDING, TEXT) \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t pairs)             \
  {                                                                                                \
    const tvmtiny_mve_layer layer = { CHANNELS,  ROWS,  ROW_BYTES,                                 \
                                      ROW_PITCH, SHIFT, TVMTINY_MVE_ROUNDING_##ROUNDING };         \
    int32_t pixel;                                                                                 \
    for (pixel = 0; pixel < 2 * pairs; ++pixel) {                                                  \
      tvmtiny_mve_pixel(x + pixel * (PITCH), stream, out + pixel * (CHANNELS), 0, &layer);         \
    }                                                                                              \
  }
#define TVMTINY_MVE_SINGLE(NAME, CHANNELS, DEPTH, SHIFT, ROUNDING, TEXT)                           \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out)                            \
  {                                                                                                \
    const tvmtiny_mve_layer layer = { CHANNELS, 1,     DEPTH,                                      \
                                      DEPTH,    SHIFT, TVMTINY_MVE_ROUNDING_##ROUNDING };          \
    tvmtiny_mve_pixel(x, stream, out, 1, &layer);                                                  \
  }

#endif

/* ---- Inputs that are not contiguous, or surrounded by padding ------------------------------ */

/* Copies `rows` input rows, beginning with `first`, with the padding around them consecutively to
 * `strip`. Each has `left` bytes of padding, `bytes` of input and `right` of padding. The input has
 * `height` rows of `pitch` bytes. */
TVMTINY_MVE_INLINE void tvmtiny_mve_rows(const int8_t *x, int8_t *strip, int32_t first, int32_t rows,
                                         int32_t height, int32_t pitch, int32_t left, int32_t bytes,
                                         int32_t right, int32_t zero_point)
{
  int32_t row;
  for (row = first; row < first + rows; ++row) {
    if (row < 0 || row >= height) {
      tvmtiny_mve_fill(strip, zero_point, left + bytes + right);
    } else {
      if (left > 0) {
        tvmtiny_mve_fill(strip, zero_point, left);
      }
      tvmtiny_mve_copy(strip + left, x + row * pitch, bytes);
      if (right > 0) {
        tvmtiny_mve_fill(strip + left + bytes, zero_point, right);
      }
    }
    strip += left + bytes + right;
  }
}

/* Gathers the patches of `pixels` neighbouring positions, which are `step` bytes apart in the
 * strip: `groups` times 16 bytes each, from the offsets in `offsets`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_patches(const int8_t *strip, const uint8_t *offsets,
                                            int8_t *patches, int32_t pixels, int32_t step,
                                            int32_t groups)
{
  int32_t pixel;
  int32_t group;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const uint8_t *from = offsets;
    for (group = 0; group < groups; ++group) {
#if TVMTINY_MVE
      __asm__ volatile("vldrb.8 q0, [%1], #16\n"
                       "vldrb.u8 q1, [%2, q0]\n"
                       "vstrb.8 q1, [%0], #16\n"
                       : "+r"(patches), "+r"(from)
                       : "r"(strip)
                       : "q0", "q1", "memory");
#else
      int32_t i;
      for (i = 0; i < 16; ++i) {
        *patches++ = strip[*from++];
      }
#endif
    }
    strip += step;
  }
}

#endif /* TVMTINY_MVE_TILE_H */
