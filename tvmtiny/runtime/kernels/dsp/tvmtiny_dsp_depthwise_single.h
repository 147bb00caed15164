/* Depthwise convolutions whose output is a single pixel and whose filter is a single column,
 * without planes. */
#ifndef TVMTINY_DSP_DEPTHWISE_SINGLE_H
#define TVMTINY_DSP_DEPTHWISE_SINGLE_H

#include "tvmtiny_dsp.h"
#include "tvmtiny_dsp_depthwise.h"

/* Forms pairs of two rows for four channels, in registers. */
TVMTINY_INLINE void tvmtiny_depthwise_pairs(uint32_t upper, uint32_t lower, uint32_t *pairs)
{
#if TVMTINY_DSP
  uint32_t c0, c1, c2, c3, odd;
  __asm__("sxtb16 %1, %5\n\tsxtb16 %2, %6\n\tsxtb16 %4, %5, ror #8\n\tsxtb16 %3, %6, ror #8\n\t"
          "pkhbt %0, %1, %2, lsl #16\n\tpkhtb %2, %2, %1, asr #16\n\t"
          "pkhbt %1, %4, %3, lsl #16\n\tpkhtb %3, %3, %4, asr #16"
          : "=&r"(c0), "=&r"(c1), "=&r"(c2), "=&r"(c3), "=&r"(odd)
          : "r"(upper), "r"(lower));
  pairs[0] = c0;
  pairs[1] = c1;
  pairs[2] = c2;
  pairs[3] = c3;
#else
  int32_t c;
  for (c = 0; c < 4; ++c, upper >>= 8, lower >>= 8) {
    pairs[c] = tvmtiny_lanes((int8_t)(upper & 0xffu), (int8_t)(lower & 0xffu));
  }
#endif
}

/* The output of a sum, by rounding; the shift is a literal. */
#define tvmtiny_depthwise_single_PLAIN(sum, constants, shift)                                      \
  ((int8_t)tvmtiny_saturate_shifted((int32_t)(((int64_t)(sum) * (constants)[0]) >> 32), shift))
#define tvmtiny_depthwise_single_SIGNED(sum, constants, shift)                                     \
  ((int8_t)tvmtiny_saturate_shifted((int32_t)(((int64_t)(sum) * (constants)[0]) >> 32) +           \
                                        (constants)[1] + ((constants)[2] & ((sum) >> 31)),         \
                                    shift))

/* Adds the products of a pair of rows. */
#define TVMTINY_DEPTHWISE_SINGLE_PAIR(LOWER)                                                       \
  {                                                                                                \
    uint32_t pairs[4];                                                                             \
    tvmtiny_depthwise_pairs(tvmtiny_load4(from), tvmtiny_load4(LOWER), pairs);                     \
    sum0 = tvmtiny_smlad(pairs[0], (uint32_t)weights[0], sum0);                                    \
    sum1 = tvmtiny_smlad(pairs[1], (uint32_t)weights[words], sum1);                                \
    sum2 = tvmtiny_smlad(pairs[2], (uint32_t)weights[2 * words], sum2);                            \
    sum3 = tvmtiny_smlad(pairs[3], (uint32_t)weights[3 * words], sum3);                            \
  }

/* Defines NAME(x, stream, out) for CHANNELS channels, a multiple of four, and a filter of HEIGHT
 * rows. The stream of a channel is initial, multiplier and, for rounding by sign, offset and step,
 * followed by a word for each pair of rows. */
#define TVMTINY_DEPTHWISE_SINGLE(NAME, HEIGHT, CHANNELS, SHIFT, ROUNDING)                          \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out)                            \
  {                                                                                                \
    enum {                                                                                         \
      head = 1 + TVMTINY_DEPTHWISE_CONSTANTS_##ROUNDING,                                           \
      words = head + ((HEIGHT) + 1) / 2                                                            \
    };                                                                                             \
    const int8_t *const end = x + (CHANNELS);                                                      \
    for (; x != end; x += 4, out += 4, stream += 4 * words) {                                      \
      const int8_t *from = x;                                                                      \
      const int32_t *weights = stream + head;                                                      \
      int32_t sum0 = stream[0];                                                                    \
      int32_t sum1 = stream[words];                                                                \
      int32_t sum2 = stream[2 * words];                                                            \
      int32_t sum3 = stream[3 * words];                                                            \
      int32_t left;                                                                                \
      for (left = (HEIGHT) / 2; left > 0; --left) {                                                \
        TVMTINY_DEPTHWISE_SINGLE_PAIR(from + (CHANNELS))                                           \
        from += 2 * (CHANNELS);                                                                    \
        ++weights;                                                                                 \
      }                                                                                            \
      if ((HEIGHT) % 2 != 0) {                                                                     \
        /* The unused halves of the last weights are zero. */                                      \
        TVMTINY_DEPTHWISE_SINGLE_PAIR(from)                                                        \
      }                                                                                            \
      out[0] = tvmtiny_depthwise_single_##ROUNDING(sum0, stream + 1, SHIFT);                       \
      out[1] = tvmtiny_depthwise_single_##ROUNDING(sum1, stream + words + 1, SHIFT);               \
      out[2] = tvmtiny_depthwise_single_##ROUNDING(sum2, stream + 2 * words + 1, SHIFT);           \
      out[3] = tvmtiny_depthwise_single_##ROUNDING(sum3, stream + 3 * words + 1, SHIFT);           \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_DEPTHWISE_SINGLE_H */
