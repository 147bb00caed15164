/* Helium kernels of CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D with int16 activations.
 *
 * The part of a window that is inside of the input is read in place; padding is 0. Vectors at the
 * end of a run of inputs are loaded partially.
 *
 * Requantization, by the kind of the layer:
 * HIGH: (sum * scale[0] + 2^31) >> 32, which is what the reference does with a factor that was shifted
 *       to the left when the code was generated.
 * TWICE: sum * scale[0] * 2^(scale[1] + scale[2] - 31), with two roundings; the shift to the left is
 *        not negative, that to the right not positive, and scale[3] is -1 where there is one.
 * PRECISE: |sum| * (scale[0] + 2^32 * scale[1]) * 2^(scale[2] - 64), halves away from zero, with the
 *          sign of the sum.
 * These numbers are `pitch` apart, one of each for every channel, or four of each for all where `each`
 * is 0. */
#ifndef TVMTINY_MVE_HALF_H
#define TVMTINY_MVE_HALF_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

typedef struct {
  int32_t images, height, width, inputs, out_height, out_width, channels;
  int32_t kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x, low, high, scaling, pitch, each;
} tvmtiny_mve_half_layer;

#define TVMTINY_MVE_HALF_HIGH 0
#define TVMTINY_MVE_HALF_TWICE 1
#define TVMTINY_MVE_HALF_PRECISE 2

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

#if TVMTINY_MVE
/* Loads four numbers of neighbouring channels, or of every second channel. */
TVMTINY_MVE_INLINE int32x4_t tvmtiny_mve_half_numbers(const int32_t *from, int32_t apart)
{
  return apart == 1 ? vldrwq_s32(from)
                    : vldrwq_gather_shifted_offset_s32(from, vidupq_n_u32(0u, 2));
}

/* Scales and clamps four sums; `apart` is that of their channels, or 1 if channels share numbers. */
TVMTINY_MVE_INLINE int32x4_t tvmtiny_mve_half_values(const tvmtiny_mve_half_layer *layer,
                                                     int32x4_t sums, const int32_t *scale,
                                                     int32_t apart)
{
  const int32_t pitch = layer->pitch;
  const int32x4_t factor = tvmtiny_mve_half_numbers(scale, apart);
  int32x4_t value;
  if (layer->scaling == TVMTINY_MVE_HALF_HIGH) {
    value = vrmulhq_s32(sums, factor);
  } else if (layer->scaling == TVMTINY_MVE_HALF_TWICE) {
    const int32x4_t left = tvmtiny_mve_half_numbers(scale + pitch, apart);
    const int32x4_t right = tvmtiny_mve_half_numbers(scale + 2 * pitch, apart);
    value = vqrdmulhq_s32(vshlq_s32(sums, left), factor);
    value = vaddq_s32(value, vandq_s32(vshrq_n_s32(value, 31),
                                       tvmtiny_mve_half_numbers(scale + 3 * pitch, apart)));
    value = vrshlq_s32(value, right);
  } else {
    const uint32x4_t size = vreinterpretq_u32_s32(vabsq_s32(sums));
    const uint32x4_t high =
        vreinterpretq_u32_s32(tvmtiny_mve_half_numbers(scale + pitch, apart));
    const int32x4_t right = tvmtiny_mve_half_numbers(scale + 2 * pitch, apart);
    const uint32x4_t below = vmulhq_u32(size, vreinterpretq_u32_s32(factor));
    const uint32x4_t middle = vaddq_u32(vmulq_u32(size, high), below);
    uint32x4_t top = vmulhq_u32(size, high);
    top = vaddq_m_n_u32(top, top, 1u, vcmphiq_u32(below, middle));
    value = vreinterpretq_s32_u32(vrshlq_u32(top, right));
    value = vnegq_m_s32(value, value, vcmpltq_n_s32(sums, 0));
  }
  return vmaxq_s32(vminq_s32(value, vdupq_n_s32(layer->high)), vdupq_n_s32(layer->low));
}

/* Stores the outputs of four sums; the first one belongs to `channel`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_store(const tvmtiny_mve_half_layer *layer, int32x4_t sums,
                                               const int32_t *scales, int32_t channel, int16_t *out)
{
  const int32_t *const scale = scales + layer->each * channel;
  vstrhq_s32(out + channel, tvmtiny_mve_half_values(layer, sums, scale, 1));
}

/* Stores the outputs of eight sums: those of even channels, and those of odd ones. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_store8(const tvmtiny_mve_half_layer *layer,
                                                int32x4_t even, int32x4_t odd,
                                                const int32_t *scales, int32_t channel,
                                                int16_t *out)
{
  const int32_t *const scale = scales + layer->each * channel;
  const int32_t apart = 1 + layer->each;
  const int32x4_t low = tvmtiny_mve_half_values(layer, even, scale, apart);
  const int32x4_t high = tvmtiny_mve_half_values(layer, odd, scale + layer->each, apart);
  vstrhq_s16(out + channel, vmovntq_s32(vreinterpretq_s16_s32(low), high));
}
#else
TVMTINY_MVE_INLINE int16_t tvmtiny_mve_half_scale(const tvmtiny_mve_half_layer *layer, int32_t sum,
                                                  const int32_t *scales, int32_t channel)
{
  const int32_t *const scale = scales + layer->each * channel;
  int32_t value;
  if (layer->scaling == TVMTINY_MVE_HALF_HIGH) {
    value = (int32_t)(((int64_t)sum * scale[0] + (INT64_C(1) << 31)) >> 32);
  } else if (layer->scaling == TVMTINY_MVE_HALF_TWICE) {
    value = tvmtiny_requantize(sum, scale[0], scale[layer->pitch] + scale[2 * layer->pitch]);
  } else {
    const uint64_t size = (uint32_t)(sum < 0 ? -sum : sum);
    const uint64_t below = (size * (uint32_t)scale[0]) >> 32;
    const uint64_t top = (size * (uint32_t)scale[layer->pitch] + below) >> 32;
    const uint32_t right = (uint32_t)-scale[2 * layer->pitch];
    value = (int32_t)((top + (UINT64_C(1) << (right - 1u))) >> right);
    value = sum < 0 ? -value : value;
  }
  return (int16_t)(value < layer->low ? layer->low : value > layer->high ? layer->high : value);
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

/* For windows inside of the image, adds the products of `kernel_height` rows of inputs with four
 * filters to four sums: those of the pixel that begins at `x`, and those of the next pixel. */
typedef void (*tvmtiny_mve_half_pair)(const int16_t *x, const int8_t *weights, int32_t *sums);

/* Instantiates NAME for ROWS rows of RUN inputs, PITCH apart; pixels are STEP apart. */
#if TVMTINY_MVE

#define TVMTINY_MVE_HALF_PAIR(NAME, ROWS, RUN, PITCH, STEP, TEXT)                                  \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int16_t *x TVMTINY_UNUSED, const int8_t *weights TVMTINY_UNUSED,     \
                        int32_t *sums TVMTINY_UNUSED),                                             \
                       TEXT)

#else

#define TVMTINY_MVE_HALF_PAIR(NAME, ROWS, RUN, PITCH, STEP, TEXT)                                  \
  static void NAME(const int16_t *x, const int8_t *weights, int32_t *sums)                         \
  {                                                                                                \
    int32_t row;                                                                                   \
    int32_t i;                                                                                     \
    for (i = 0; i < 4; ++i) {                                                                      \
      sums[4 + i] = sums[i];                                                                       \
    }                                                                                              \
    for (row = 0; row < (ROWS); ++row) {                                                           \
      const int16_t *const from = x + row * (PITCH);                                               \
      tvmtiny_mve_half_sums(from, weights + row * (RUN), (ROWS) * (RUN), RUN, sums);               \
      tvmtiny_mve_half_sums(from + (STEP), weights + row * (RUN), (ROWS) * (RUN), RUN, sums + 4);  \
    }                                                                                              \
  }

#endif

/* Stores the outputs of four sums. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_finish(const tvmtiny_mve_half_layer *layer,
                                                const int32_t *sums, const int32_t *scales,
                                                int32_t channel, int16_t *out)
{
#if TVMTINY_MVE
  tvmtiny_mve_half_store(layer, vldrwq_s32(sums), scales, channel, out);
#else
  int32_t i;
  for (i = 0; i < 4; ++i) {
    out[channel + i] = tvmtiny_mve_half_scale(layer, sums[i], scales, channel + i);
  }
#endif
}

/* Computes at least 4 channels; if their number is not a multiple of 4, some of the last channels
 * are computed twice. If `pair` is not 0, neighbouring pixels whose windows are inside of the image
 * are computed together. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_convolve(const tvmtiny_mve_half_layer *layer,
                                                  const int16_t *x, const int8_t *weights,
                                                  const int32_t *bias, const int32_t *scales,
                                                  int16_t *out, tvmtiny_mve_half_pair pair)
{
  const int32_t line = layer->kernel_width * layer->inputs;
  const int32_t filter = layer->kernel_height * line;
  const int32_t last = layer->width - layer->kernel_width - layer->stride_x;
  int32_t row;
  for (row = 0; row < layer->images * layer->out_height; ++row) {
    int32_t column;
    int32_t pixels;
    for (column = 0; column < layer->out_width; column += pixels, out += pixels * layer->channels) {
      const int32_t left = column * layer->stride_x - layer->pad_x;
      const tvmtiny_mve_half_window inside = tvmtiny_mve_half_inside(
          layer, x, row / layer->out_height, row % layer->out_height, column);
      const int8_t *const first =
          weights + inside.first_row * line + inside.first_column * layer->inputs;
      int32_t next;
      pixels = 1;
      if (pair != 0 && inside.rows == layer->kernel_height && left >= 0 && left <= last &&
          column + 1 < layer->out_width) {
        pixels = 2;
      }
      for (next = 0; next < layer->channels; next += 4) {
        const int32_t channel = next + 4 <= layer->channels ? next : layer->channels - 4;
        const int8_t *filters = first + channel * filter;
        const int16_t *from = inside.x;
        int32_t sums[8];
        int32_t i;
        for (i = 0; i < 4; ++i) {
          sums[i] = bias[channel + i];
        }
        if (pixels == 2) {
          pair(from, filters, sums);
          tvmtiny_mve_half_finish(layer, sums + 4, scales, channel, out + layer->channels);
        } else {
          for (i = inside.rows; i > 0; --i) {
            tvmtiny_mve_half_sums(from, filters, filter, inside.columns * layer->inputs, sums);
            from += layer->width * layer->inputs;
            filters += line;
          }
        }
        tvmtiny_mve_half_finish(layer, sums, scales, channel, out);
      }
    }
  }
}

#if TVMTINY_MVE
/* Computes 8 channels of a pixel, or of `pixels` == 2 neighbouring ones with whole windows. The products
 * of even and odd channels are added apart. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_depthwise8(const tvmtiny_mve_half_layer *layer,
                                                    const tvmtiny_mve_half_window *inside,
                                                    const int8_t *filter, const int32_t *bias,
                                                    const int32_t *scales, int16_t *out,
                                                    int32_t channel, int32_t pixels)
{
  const int32_t channels = layer->channels;
  const int16_t *from = inside->x + channel;
  int32x4_t even = tvmtiny_mve_half_numbers(bias + channel, 2);
  int32x4_t odd = tvmtiny_mve_half_numbers(bias + channel + 1, 2);
  int32_t i;
  if (pixels == 1) {
    for (i = inside->rows; i > 0; --i) {
      const int16_t *value = from;
      const int8_t *weight = filter;
      __asm__ volatile("wls lr, %[columns], 2f\n"
                       "1:\n"
                       "vldrb.s16 q0, [%[weight]]\n"
                       "vldrh.16 q1, [%[value]]\n"
                       "add %[weight], %[weight], %[channels]\n"
                       "vmullb.s16 q2, q1, q0\n"
                       "vmullt.s16 q1, q1, q0\n"
                       "add %[value], %[value], %[channels], lsl #1\n"
                       "vadd.i32 %q[even], %q[even], q2\n"
                       "vadd.i32 %q[odd], %q[odd], q1\n"
                       "le lr, 1b\n"
                       "2:\n"
                       : [even] "+w"(even), [odd] "+w"(odd), [value] "+r"(value),
                         [weight] "+l"(weight)
                       : [columns] "r"(inside->columns), [channels] "r"(channels)
                       : "q0", "q1", "q2", "lr", "cc", "memory");
      from += layer->width * channels;
      filter += layer->kernel_width * channels;
    }
  } else {
    int32x4_t even1 = even;
    int32x4_t odd1 = odd;
    for (i = inside->rows; i > 0; --i) {
      const int16_t *value = from;
      const int16_t *next = from + layer->stride_x * channels;
      const int8_t *weight = filter;
      __asm__ volatile("wls lr, %[columns], 2f\n"
                       "1:\n"
                       "vldrb.s16 q0, [%[weight]]\n"
                       "vldrh.16 q1, [%[value]]\n"
                       "add %[weight], %[weight], %[channels]\n"
                       "vmullb.s16 q2, q1, q0\n"
                       "vmullt.s16 q1, q1, q0\n"
                       "add %[value], %[value], %[channels], lsl #1\n"
                       "vadd.i32 %q[even], %q[even], q2\n"
                       "vldrh.16 q2, [%[next]]\n"
                       "vadd.i32 %q[odd], %q[odd], q1\n"
                       "vmullb.s16 q1, q2, q0\n"
                       "vmullt.s16 q2, q2, q0\n"
                       "add %[next], %[next], %[channels], lsl #1\n"
                       "vadd.i32 %q[even1], %q[even1], q1\n"
                       "vadd.i32 %q[odd1], %q[odd1], q2\n"
                       "le lr, 1b\n"
                       "2:\n"
                       : [even] "+w"(even), [odd] "+w"(odd), [even1] "+w"(even1),
                         [odd1] "+w"(odd1), [value] "+r"(value), [next] "+r"(next),
                         [weight] "+l"(weight)
                       : [columns] "r"(inside->columns), [channels] "r"(channels)
                       : "q0", "q1", "q2", "lr", "cc", "memory");
      from += layer->width * channels;
      filter += layer->kernel_width * channels;
    }
    tvmtiny_mve_half_store8(layer, even1, odd1, scales, channel, out + channels);
  }
  tvmtiny_mve_half_store8(layer, even, odd, scales, channel, out);
}

/* Computes 4 channels of a pixel. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_depthwise4(const tvmtiny_mve_half_layer *layer,
                                                    const tvmtiny_mve_half_window *inside,
                                                    const int8_t *filter, const int32_t *bias,
                                                    const int32_t *scales, int16_t *out,
                                                    int32_t channel)
{
  const int32_t channels = layer->channels;
  const int16_t *from = inside->x + channel;
  int32x4_t sum = vldrwq_s32(bias + channel);
  int32_t i;
  for (i = inside->rows; i > 0; --i) {
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
                     : [columns] "r"(inside->columns), [channels] "r"(channels)
                     : "q0", "q1", "lr", "cc", "memory");
    from += layer->width * channels;
    filter += layer->kernel_width * channels;
  }
  tvmtiny_mve_half_store(layer, sum, scales, channel, out);
}
#endif

/* Computes one filter for each input channel. There are at least 4 channels, computed 8 or 4 at a
 * time; some of the last channels may be computed twice. Weights of neighbouring channels are
 * adjacent. With 8 channels or more, neighbouring pixels with whole rows of windows are computed
 * together. */
TVMTINY_MVE_INLINE void tvmtiny_mve_half_depthwise(const tvmtiny_mve_half_layer *layer,
                                                   const int16_t *x, const int8_t *weights,
                                                   const int32_t *bias, const int32_t *scales,
                                                   int16_t *out, tvmtiny_mve_half_pair pair)
{
  const int32_t channels = layer->channels;
  const int32_t line = layer->kernel_width * channels;
  int32_t row;
  (void)pair;
  for (row = 0; row < layer->images * layer->out_height; ++row) {
    int32_t column;
    int32_t pixels;
    for (column = 0; column < layer->out_width; column += pixels, out += pixels * channels) {
      const tvmtiny_mve_half_window inside = tvmtiny_mve_half_inside(
          layer, x, row / layer->out_height, row % layer->out_height, column);
      const int8_t *const first =
          weights + inside.first_row * line + inside.first_column * channels;
#if TVMTINY_MVE
      const int32_t left = column * layer->stride_x - layer->pad_x;
      const int32_t last = layer->width - layer->kernel_width - layer->stride_x;
      int32_t next;
      pixels = 1;
      if (channels >= 8) {
        if (left >= 0 && left <= last && column + 1 < layer->out_width) {
          pixels = 2;
        }
        for (next = 0; next < channels; next += 8) {
          const int32_t channel = next + 8 <= channels ? next : channels - 8;
          tvmtiny_mve_half_depthwise8(layer, &inside, first + channel, bias, scales, out, channel,
                                      pixels);
        }
      } else {
        for (next = 0; next < channels; next += 4) {
          const int32_t channel = next + 4 <= channels ? next : channels - 4;
          tvmtiny_mve_half_depthwise4(layer, &inside, first + channel, bias, scales, out, channel);
        }
      }
#else
      int32_t channel;
      pixels = 1;
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
        out[channel] = tvmtiny_mve_half_scale(layer, sum, scales, channel);
      }
#endif
    }
  }
}

/* Instantiates NAME(x, weights, bias, scales, out): KIND is convolve or depthwise, TOGETHER is a
 * function of two pixels or 0, and the other arguments are the fields of the layer. */
#define TVMTINY_MVE_HALF(NAME, KIND, TOGETHER, IMAGES, HEIGHT, WIDTH, INPUTS, OUT_HEIGHT, OUT_WIDTH, CHANNELS, \
                         KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y, STRIDE_X, PAD_Y, PAD_X, LOW, HIGH, \
                         SCALING, PITCH, EACH)                                                     \
  static void NAME(const int16_t *x, const int8_t *weights, const int32_t *bias,                   \
                   const int32_t *scales, int16_t *out)                                            \
  {                                                                                                \
    const tvmtiny_mve_half_layer layer = { IMAGES,    HEIGHT,        WIDTH,        INPUTS,         \
                                           OUT_HEIGHT, OUT_WIDTH,    CHANNELS,     KERNEL_HEIGHT,  \
                                           KERNEL_WIDTH, STRIDE_Y,   STRIDE_X,     PAD_Y,          \
                                           PAD_X,     LOW,           HIGH,                         \
                                           TVMTINY_MVE_HALF_##SCALING, PITCH, EACH };              \
    tvmtiny_mve_half_##KIND(&layer, x, weights, bias, scales, out, TOGETHER);                                \
  }

#endif /* TVMTINY_MVE_HALF_H */
