/* Helium kernels of CONV_2D and DEPTHWISE_CONV_2D with int16 activations.
 *
 * Windows are read where they are, as far as they are inside of the input: padding is 0. Vectors at
 * the end of a run of inputs are loaded in part.
 *
 * Requantization: (sum * factor + 2^31) >> 32, which is what the reference does with a factor that
 * was shifted to the left when the code was generated. */
#ifndef TVMTINY_MVE_HALF_H
#define TVMTINY_MVE_HALF_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

typedef struct {
  int32_t images, height, width, inputs, out_height, out_width, channels;
  int32_t kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x, low, high;
} tvmtiny_mve_half_layer;

/* The part of a window that is inside of the input. */
typedef struct {
  const int16_t *x;
  int32_t first_row, rows, first_column, columns;
} tvmtiny_mve_half_window;

TVMTINY_MVE_INLINE tvmtiny_mve_half_window tvmtiny_mve_half_inside(
    const tvmtiny_mve_half_layer *layer, const int16_t *x, int32_t image, int32_t row,
    int32_t column)
{
  const int32_t top = row * layer->stride_y - layer->pad_y;
  const int32_t left = column * layer->stride_x - layer->pad_x;
  const int32_t below = layer->height - top;
  const int32_t beside = layer->width - left;
  tvmtiny_mve_half_window found;
  found.first_row = top < 0 ? -top : 0;
  found.first_column = left < 0 ? -left : 0;
  found.rows = (below < layer->kernel_height ? below : layer->kernel_height) - found.first_row;
  found.columns =
      (beside < layer->kernel_width ? beside : layer->kernel_width) - found.first_column;
  found.x = x + ((image * layer->height + top + found.first_row) * layer->width + left +
                 found.first_column) *
                    layer->inputs;
  return found;
}

#if !TVMTINY_MVE
TVMTINY_MVE_INLINE int16_t tvmtiny_mve_half_scale(int32_t sum, int32_t factor, int32_t low,
                                                  int32_t high)
{
  const int32_t value = (int32_t)(((int64_t)sum * factor + (INT64_C(1) << 31)) >> 32);
  return (int16_t)(value < low ? low : value > high ? high : value);
}
#endif

/* Adds the products of `count` inputs with those of four filters, which are `apart` weights apart. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_sums(const int16_t *x, const int8_t *weights, int32_t apart,
                                              int32_t count, int32_t *sums)
{
#if TVMTINY_MVE
  const int8_t *second = weights + apart;
  const int8_t *third = second + apart;
  const int8_t *fourth = third + apart;
  int32_t sum0 = sums[0];
  int32_t sum1 = sums[1];
  int32_t sum2 = sums[2];
  int32_t sum3 = sums[3];
  __asm__ volatile("wlstp.16 lr, %[count], 2f\n"
                   "1:\n"
                   "vldrh.16 q0, [%[x]], #16\n"
                   "vldrb.s16 q1, [%[first]], #8\n"
                   "vmladava.s16 %[sum0], q0, q1\n"
                   "vldrb.s16 q2, [%[second]], #8\n"
                   "vmladava.s16 %[sum1], q0, q2\n"
                   "vldrb.s16 q1, [%[third]], #8\n"
                   "vmladava.s16 %[sum2], q0, q1\n"
                   "vldrb.s16 q2, [%[fourth]], #8\n"
                   "vmladava.s16 %[sum3], q0, q2\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : [sum0] "+Te"(sum0), [sum1] "+Te"(sum1), [sum2] "+Te"(sum2), [sum3] "+Te"(sum3),
                     [x] "+r"(x), [first] "+l"(weights), [second] "+l"(second), [third] "+l"(third),
                     [fourth] "+l"(fourth)
                   : [count] "r"(count)
                   : "q0", "q1", "q2", "lr", "cc", "memory");
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
#else
  int32_t c;
  int32_t i;
  for (c = 0; c < 4; ++c) {
    for (i = 0; i < count; ++i) {
      sums[c] += x[i] * weights[c * apart + i];
    }
  }
#endif
}

/* At least 4 channels, the last of which are computed twice where they are no multiple of 4. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_convolve(const tvmtiny_mve_half_layer *layer,
                                                  const int16_t *x, const int8_t *weights,
                                                  const int32_t *bias, const int32_t *factors,
                                                  int16_t *out)
{
  const int32_t line = layer->kernel_width * layer->inputs;
  const int32_t filter = layer->kernel_height * line;
  int32_t pixel;
  for (pixel = 0; pixel < layer->images * layer->out_height * layer->out_width; ++pixel) {
    const int32_t row = pixel / layer->out_width;
    const tvmtiny_mve_half_window inside =
        tvmtiny_mve_half_inside(layer, x, row / layer->out_height, row % layer->out_height,
                                pixel % layer->out_width);
    const int8_t *const first =
        weights + inside.first_row * line + inside.first_column * layer->inputs;
    int32_t next;
    for (next = 0; next < layer->channels; next += 4) {
      const int32_t channel = next + 4 <= layer->channels ? next : layer->channels - 4;
      const int8_t *filters = first + channel * filter;
      const int16_t *from = inside.x;
      int32_t sums[4];
      int32_t i;
      for (i = 0; i < 4; ++i) {
        sums[i] = bias[channel + i];
      }
      for (i = inside.rows; i > 0; --i) {
        tvmtiny_mve_half_sums(from, filters, filter, inside.columns * layer->inputs, sums);
        from += layer->width * layer->inputs;
        filters += line;
      }
#if TVMTINY_MVE
      {
        const int32x4_t all = vrmulhq_s32(vldrwq_s32(sums), vldrwq_s32(factors + channel));
        const int32x4_t high = vminq_s32(all, vdupq_n_s32(layer->high));
        vstrhq_s32(out + channel, vmaxq_s32(high, vdupq_n_s32(layer->low)));
      }
#else
      for (i = 0; i < 4; ++i) {
        out[channel + i] =
            tvmtiny_mve_half_scale(sums[i], factors[channel + i], layer->low, layer->high);
      }
#endif
    }
    out += layer->channels;
  }
}

/* A filter for each input channel, of which there are at least 4, the last ones computed twice where
 * they are no multiple of 4; weights of neighbouring channels are side by side. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_depthwise(const tvmtiny_mve_half_layer *layer,
                                                   const int16_t *x, const int8_t *weights,
                                                   const int32_t *bias, const int32_t *factors,
                                                   int16_t *out)
{
  const int32_t channels = layer->channels;
  const int32_t line = layer->kernel_width * channels;
  int32_t pixel;
  for (pixel = 0; pixel < layer->images * layer->out_height * layer->out_width; ++pixel) {
    const int32_t row = pixel / layer->out_width;
    const tvmtiny_mve_half_window inside =
        tvmtiny_mve_half_inside(layer, x, row / layer->out_height, row % layer->out_height,
                                pixel % layer->out_width);
    const int8_t *const first = weights + inside.first_row * line + inside.first_column * channels;
    int32_t channel;
#if TVMTINY_MVE
    int32_t next;
    for (next = 0; next < channels; next += 4) {
      const int16_t *from;
      const int8_t *filter;
      int32x4_t sum;
      int32_t i;
      channel = next + 4 <= channels ? next : channels - 4;
      from = inside.x + channel;
      filter = first + channel;
      sum = vldrwq_s32(bias + channel);
      for (i = inside.rows; i > 0; --i) {
        const int16_t *value = from;
        const int8_t *weight = filter;
        __asm__ volatile("wls lr, %[columns], 2f\n"
                         "1:\n"
                         "vldrh.s32 q0, [%[value]]\n"
                         "add %[value], %[value], %[channels], lsl #1\n"
                         "vldrb.s32 q1, [%[weight]]\n"
                         "vmul.i32 q0, q0, q1\n"
                         "add %[weight], %[weight], %[channels]\n"
                         "vadd.i32 %q[sum], %q[sum], q0\n"
                         "le lr, 1b\n"
                         "2:\n"
                         : [sum] "+w"(sum), [value] "+l"(value), [weight] "+l"(weight)
                         : [columns] "r"(inside.columns), [channels] "r"(channels)
                         : "q0", "q1", "lr", "cc", "memory");
        from += layer->width * channels;
        filter += line;
      }
      sum = vrmulhq_s32(sum, vldrwq_s32(factors + channel));
      sum = vmaxq_s32(vminq_s32(sum, vdupq_n_s32(layer->high)), vdupq_n_s32(layer->low));
      vstrhq_s32(out + channel, sum);
    }
#else
    for (channel = 0; channel < channels; ++channel) {
      int32_t sum = bias[channel];
      int32_t i;
      int32_t j;
      for (i = 0; i < inside.rows; ++i) {
        for (j = 0; j < inside.columns; ++j) {
          sum += inside.x[(i * layer->width + j) * channels + channel] *
                 first[i * line + j * channels + channel];
        }
      }
      out[channel] = tvmtiny_mve_half_scale(sum, factors[channel], layer->low, layer->high);
    }
#endif
    out += channels;
  }
}

/* Instantiates NAME(x, weights, bias, factors, out): KIND is convolve or depthwise, what follows are
 * the fields of the layer. */
#define TVMTINY_MVE_HALF(NAME, KIND, IMAGES, HEIGHT, WIDTH, INPUTS, OUT_HEIGHT, OUT_WIDTH, CHANNELS, \
                         KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y, STRIDE_X, PAD_Y, PAD_X, LOW, HIGH) \
  static void NAME(const int16_t *x, const int8_t *weights, const int32_t *bias,                   \
                   const int32_t *factors, int16_t *out)                                           \
  {                                                                                                \
    const tvmtiny_mve_half_layer layer = { IMAGES,    HEIGHT,        WIDTH,        INPUTS,         \
                                           OUT_HEIGHT, OUT_WIDTH,    CHANNELS,     KERNEL_HEIGHT,  \
                                           KERNEL_WIDTH, STRIDE_Y,   STRIDE_X,     PAD_Y,          \
                                           PAD_X,     LOW,           HIGH };                       \
    tvmtiny_mve_half_##KIND(&layer, x, weights, bias, factors, out);                               \
  }

#endif /* TVMTINY_MVE_HALF_H */
