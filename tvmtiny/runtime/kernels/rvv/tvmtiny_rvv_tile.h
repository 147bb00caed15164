/* RVV micro-kernels of CONV_2D and FULLY_CONNECTED.
 *
 * A filter is ROWS runs of bytes, ROW_PITCH apart in the input: one run where a patch is contiguous. The stream
 * is initial accumulators and multipliers, and for rounding by sign steps and offsets, of all channels each,
 * then for each input of a patch the weights of all channels.
 *
 * Requantization: ((initial + 256 * sum) * multiplier >> 32) >> shift, saturated to int8, with constants that
 * were proven exact when the code was generated. */
#ifndef TVMTINY_RVV_TILE_H
#define TVMTINY_RVV_TILE_H

#include "tvmtiny_rvv.h"

/* Instantiates NAME(x, stream, out, turns): all channels of neighbouring pixels, PIXELS a turn, LANES channels
 * at a time on vectors of 128 bits. Their inputs are PITCH bytes apart, their outputs CHANNELS. */
#if TVMTINY_RVV

#define TVMTINY_RVV_TILE(NAME, CHANNELS, LANES, ROWS, ROW_BYTES, ROW_PITCH, PITCH, PIXELS, SHIFT,  \
                         ROUNDING, TEXT)                                                           \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED, int32_t turns TVMTINY_UNUSED),                 \
                       TEXT)

#else

typedef struct {
  int32_t channels, lanes, rows, row_bytes, row_pitch, pitch, pixels, shift, rounding;
} tvmtiny_rvv_layer;

TVMTINY_RVV_INLINE int8_t tvmtiny_rvv_product(const int8_t *x, const int32_t *stream, int32_t c,
                                              const tvmtiny_rvv_layer *layer)
{
  const int32_t channels = layer->channels;
  const int32_t vectors = layer->rounding != 0 ? 4 : 2;
  const int8_t *w = (const int8_t *)(stream + vectors * channels) + c;
  int32_t sum = 0;
  int32_t row;
  int32_t i;
  for (row = 0; row < layer->rows; ++row) {
    for (i = 0; i < layer->row_bytes; ++i) {
      sum += x[row * layer->row_pitch + i] * *w;
      w += channels;
    }
  }
  return tvmtiny_rvv_scale(stream[c] + 256 * sum, stream[channels + c],
                           layer->rounding != 0 ? stream[2 * channels + c] : 0,
                           layer->rounding != 0 ? stream[3 * channels + c] : 0, layer->shift);
}

/* In the order of the vectors: inputs of all pixels of a turn are read before outputs of LANES channels are
 * written, which may be over inputs. */
TVMTINY_RVV_INLINE void tvmtiny_rvv_tile(const int8_t *x, const int32_t *stream, int8_t *out,
                                         const tvmtiny_rvv_layer *layer)
{
  int8_t lanes[TVMTINY_RVV_MOST_OUTPUTS];
  int32_t first;
  for (first = 0; first < layer->channels; first += layer->lanes) {
    const int32_t left = layer->channels - first;
    const int32_t count = left < layer->lanes ? left : layer->lanes;
    int32_t pixel;
    int32_t c;
    for (pixel = 0; pixel < layer->pixels; ++pixel) {
      for (c = 0; c < count; ++c) {
        lanes[pixel * count + c] = tvmtiny_rvv_product(x + pixel * layer->pitch, stream, first + c, layer);
      }
    }
    for (pixel = 0; pixel < layer->pixels; ++pixel) {
      for (c = 0; c < count; ++c) {
        out[pixel * layer->channels + first + c] = lanes[pixel * count + c];
      }
    }
  }
}

#define TVMTINY_RVV_TILE(NAME, CHANNELS, LANES, ROWS, ROW_BYTES, ROW_PITCH, PITCH, PIXELS, SHIFT,  \
                         ROUNDING, TEXT)                                                           \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t turns)             \
  {                                                                                                \
    const tvmtiny_rvv_layer layer = { CHANNELS, LANES,  ROWS,  ROW_BYTES, ROW_PITCH,               \
                                      PITCH,    PIXELS, SHIFT, TVMTINY_RVV_##ROUNDING };           \
    for (; turns > 0; --turns) {                                                                   \
      tvmtiny_rvv_tile(x, stream, out, &layer);                                                    \
      x += (PIXELS) * (PITCH);                                                                     \
      out += (PIXELS) * (CHANNELS);                                                                \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_RVV_TILE_H */
