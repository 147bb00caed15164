/* RVV micro-kernels of CONV_2D and FULLY_CONNECTED that skip blocks of zeros. A block consists of
 * two channels and four adjacent inputs; the last of an odd number of channels has a second one of
 * zeros beside it, which has no output. Its offset is the distance from the first input of a pixel
 * in bytes, as 16 bits; its weights are bytes.
 *
 * The lanes of PIXELS are pixels, PITCH bytes apart, or if PITCH is 0 at offsets from the first
 * input that TABLE words hold, 16 bits each. The constants of all pairs of channels follow: those of
 * each channel, and the number of bytes of the pair's blocks. Then come the blocks of all pairs, with
 * their weights input by input. At most LANES pixels are computed at a time, or if that is 0 as many
 * as vectors hold.
 *
 * The lanes of PAIRS are pairs of channels, all of which have ROWS blocks. PRODUCTS (4 or 2) products
 * of a channel are added up in 16 bits first, for which they were proven to fit. The stream holds the
 * constants of the even and then of the odd channels, one kind after the other. In a row of blocks,
 * the offsets of all pairs precede the weights of all pairs, which are in the order of channels.
 * Pixels are PITCH bytes apart.
 *
 * The constants of a channel are its initial accumulator, multiplier and, for rounding by sign, step
 * and offset. Requantization as in tvmtiny_rvv_sums.h, with a gain of 256. */
#ifndef TVMTINY_RVV_SPARSE_H
#define TVMTINY_RVV_SPARSE_H

#include "tvmtiny_rvv.h"

/* Both define NAME(x, stream, out, pixels), which computes all channels of neighbouring pixels. */
#if TVMTINY_RVV

#define TVMTINY_RVV_SPARSE_PIXELS(NAME, CHANNELS, PITCH, TABLE, LANES, SHIFT, ROUNDING, TEXT)      \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,      \
                        int8_t *out TVMTINY_UNUSED, int32_t pixels TVMTINY_UNUSED),                \
                       TEXT)
#define TVMTINY_RVV_SPARSE_PAIRS(NAME, CHANNELS, PITCH, ROWS, PRODUCTS, SHIFT, ROUNDING, TEXT)     \
  TVMTINY_RVV_SPARSE_PIXELS(NAME, CHANNELS, PITCH, 0, 0, SHIFT, ROUNDING, TEXT)

#else

/* Lanes of 128 bits: pixels, and pairs of channels. */
#define TVMTINY_RVV_SPARSE_LANES 32
#define TVMTINY_RVV_SPARSE_GROUP 16

typedef struct {
  int32_t channels, pitch, shift, rounding;
} tvmtiny_rvv_sparse;

TVMTINY_RVV_INLINE int32_t tvmtiny_rvv_sparse_offset(const int8_t *at)
{
  return (int32_t)(uint8_t)at[0] + 256 * (int32_t)(uint8_t)at[1];
}

/* The constants of a channel are `apart` words apart. */
TVMTINY_RVV_INLINE int8_t tvmtiny_rvv_sparse_scale(int32_t sum, const int32_t *own, int32_t apart,
                                                   const tvmtiny_rvv_sparse *layer)
{
  const int32_t by_sign = layer->rounding != 0;
  return tvmtiny_rvv_scale(own[0] + 256 * sum, own[apart], by_sign ? own[2 * apart] : 0,
                           by_sign ? own[3 * apart] : 0, layer->shift);
}

/* Follows the order of the vectors: the inputs of all lanes are read before the outputs of a pair
 * are written, which may overwrite inputs. */
TVMTINY_RVV_INLINE void tvmtiny_rvv_sparse_pixels(const int8_t *x, const int32_t *stream, int8_t *out,
                                                  int32_t pixels, int32_t table, int32_t lanes,
                                                  const tvmtiny_rvv_sparse *layer)
{
  const int8_t *const places = (const int8_t *)stream;
  const int32_t each = layer->rounding != 0 ? 4 : 2;
  const int32_t most = lanes != 0 ? lanes : TVMTINY_RVV_SPARSE_LANES;
  int32_t done;
  for (done = 0; done < pixels; done += most) {
    const int32_t count = pixels - done < most ? pixels - done : most;
    const int32_t *own = stream + table;
    const int8_t *block = (const int8_t *)(own + (layer->channels + 1) / 2 * (2 * each + 1));
    int32_t first;
    for (first = 0; first < layer->channels; first += 2) {
      const int8_t *const end = block + own[2 * each];
      int8_t outputs[2 * TVMTINY_RVV_SPARSE_LANES];
      int32_t i;
      for (i = 0; i < 2 * count; ++i) {
        const int32_t pixel = done + i / 2;
        const int8_t *const from =
            x + (layer->pitch != 0 ? pixel * layer->pitch : tvmtiny_rvv_sparse_offset(places + 2 * pixel));
        const int8_t *weights;
        int32_t sum = 0;
        for (weights = block; weights != end; weights += 10) {
          const int32_t at = tvmtiny_rvv_sparse_offset(weights);
          int32_t input;
          for (input = 0; input < 4; ++input) {
            sum += from[at + input] * weights[2 + 2 * input + i % 2];
          }
        }
        outputs[i] = tvmtiny_rvv_sparse_scale(sum, own + i % 2 * each, 1, layer);
      }
      for (i = 0; i < 2 * count; ++i) {
        if (first + i % 2 < layer->channels) {
          out[(done + i / 2) * layer->channels + first + i % 2] = outputs[i];
        }
      }
      block = end;
      own += 2 * each + 1;
    }
  }
}

TVMTINY_RVV_INLINE void tvmtiny_rvv_sparse_pairs(const int8_t *x, const int32_t *stream, int8_t *out,
                                                 int32_t pixels, int32_t rows, int32_t products,
                                                 const tvmtiny_rvv_sparse *layer)
{
  const int32_t pairs = (layer->channels + 1) / 2;
  const int32_t each = layer->rounding != 0 ? 4 : 2;
  const int8_t *const blocks = (const int8_t *)(stream + 2 * each * pairs);
  for (; pixels > 0; --pixels) {
    int32_t first;
    for (first = 0; first < pairs; first += TVMTINY_RVV_SPARSE_GROUP) {
      const int32_t left = pairs - first;
      const int32_t count = left < TVMTINY_RVV_SPARSE_GROUP ? left : TVMTINY_RVV_SPARSE_GROUP;
      int8_t outputs[2 * TVMTINY_RVV_SPARSE_GROUP];
      int32_t i;
      for (i = 0; i < 2 * count; ++i) {
        const int32_t pair = first + i / 2;
        const int8_t *row = blocks;
        int32_t sum = 0;
        int32_t part = 0;
        int32_t left_rows;
        for (left_rows = rows; left_rows > 0; --left_rows) {
          const int32_t at = tvmtiny_rvv_sparse_offset(row + 2 * pair);
          const int8_t *const weights = row + 2 * pairs + 8 * pair + i % 2 * 4;
          int32_t input;
          for (input = 0; input < 4; ++input) {
            part += x[at + input] * weights[input];
            if ((input + 1) % products == 0) {
              sum += (int16_t)part;
              part = 0;
            }
          }
          row += 10 * pairs;
        }
        outputs[i] = tvmtiny_rvv_sparse_scale(sum, stream + i % 2 * each * pairs + pair, pairs, layer);
      }
      for (i = 0; i < 2 * count && 2 * first + i < layer->channels; ++i) {
        out[2 * first + i] = outputs[i];
      }
    }
    x += layer->pitch;
    out += layer->channels;
  }
}

#define TVMTINY_RVV_SPARSE_PIXELS(NAME, CHANNELS, PITCH, TABLE, LANES, SHIFT, ROUNDING, TEXT)      \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t pixels)            \
  {                                                                                                \
    const tvmtiny_rvv_sparse layer = { CHANNELS, PITCH, SHIFT, TVMTINY_RVV_##ROUNDING };           \
    tvmtiny_rvv_sparse_pixels(x, stream, out, pixels, TABLE, LANES, &layer);                       \
  }
#define TVMTINY_RVV_SPARSE_PAIRS(NAME, CHANNELS, PITCH, ROWS, PRODUCTS, SHIFT, ROUNDING, TEXT)     \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, int32_t pixels)            \
  {                                                                                                \
    const tvmtiny_rvv_sparse layer = { CHANNELS, PITCH, SHIFT, TVMTINY_RVV_##ROUNDING };           \
    tvmtiny_rvv_sparse_pairs(x, stream, out, pixels, ROWS, PRODUCTS, &layer);                      \
  }

#endif

#endif /* TVMTINY_RVV_SPARSE_H */
