/* Outputs from the sums of tvmtiny_dsp_sums.h, where a requantization in two instructions is not
 * exact. */
#ifndef TVMTINY_DSP_FINISH_H
#define TVMTINY_DSP_FINISH_H

#include "tvmtiny_dsp_sums.h"

/* The sum of `count` bytes, modulo 2^32. */
TVMTINY_INLINE uint32_t tvmtiny_sum_of_bytes(const int8_t *x, int32_t count)
{
  uint32_t sum = 0u;
#if TVMTINY_DSP
  /* Whole words are summed as unsigned bytes, each of which is 128 too large. */
  const int8_t *const end = x + (count & ~3);
  sum -= ((uint32_t)count & ~3u) * 128u;
  count &= 3;
  while (x != end) {
    const uint32_t word = tvmtiny_load4(x) ^ 0x80808080u;
    __asm__("usada8 %0, %1, %2, %0" : "+r"(sum) : "r"(word), "r"(0));
    x += 4;
  }
#endif
  for (; count > 0; --count) {
    const int32_t value = *x++;
    sum += (uint32_t)value;
  }
  return sum;
}

/* Sets TOTAL to the sum of CHUNKS parts that are STRIDE apart. */
#define TVMTINY_FINISH_TOTAL(TOTAL, SUMS, CHUNKS, STRIDE)                                          \
  do {                                                                                             \
    int32_t tvmtiny_chunk;                                                                         \
    (TOTAL) = (uint32_t)(SUMS)[0];                                                                 \
    for (tvmtiny_chunk = 1; tvmtiny_chunk < (CHUNKS); ++tvmtiny_chunk) {                           \
      (TOTAL) += (uint32_t)(SUMS)[tvmtiny_chunk * (STRIDE)];                                       \
    }                                                                                              \
  } while (0)

/* Defines NAME(x, sums, factors, out), which computes CHANNELS outputs by SCALE from a sum and its
 * factors. EACH is the number of factors per channel, or 0 if all channels share them. If weights
 * have a zero point, WEIGHT_ZERO, it is multiplied with the sum of the COUNT inputs and subtracted
 * from each sum; otherwise WEIGHT_ZERO is 0. */
#define TVMTINY_FINISH(NAME, SCALE, FACTOR, EACH, CHANNELS, CHUNKS, STRIDE, WEIGHT_ZERO,           \
                       COUNT, ZERO_POINT, LOW, HIGH)                                               \
  static void NAME(const int8_t *x, const int32_t *sums, const FACTOR *factors, int8_t *out)       \
  {                                                                                                \
    const int8_t *const end = out + (CHANNELS);                                                    \
    uint32_t inputs = 0u;                                                                          \
    if ((WEIGHT_ZERO) != 0) {                                                                      \
      inputs = tvmtiny_sum_of_bytes(x, COUNT) * (uint32_t)(WEIGHT_ZERO);                           \
    }                                                                                              \
    while (out != end) {                                                                           \
      uint32_t total;                                                                              \
      int32_t value;                                                                               \
      TVMTINY_FINISH_TOTAL(total, sums, CHUNKS, STRIDE);                                           \
      value = SCALE((int32_t)(total - inputs), factors) + (ZERO_POINT);                            \
      *out++ = (int8_t)(value > (HIGH) ? (HIGH) : value < (LOW) ? (LOW) : value);                  \
      factors += (EACH);                                                                           \
      ++sums;                                                                                      \
    }                                                                                              \
  }

/* The factors are a multiplier and a shift, or a double. */
#define TVMTINY_FINISH_TWICE(SUM, FACTORS) tvmtiny_requantize(SUM, (FACTORS)[0], (FACTORS)[1])
#define TVMTINY_FINISH_ONCE(SUM, FACTORS) tvmtiny_requantize_once(SUM, (FACTORS)[0], (FACTORS)[1])
#define TVMTINY_FINISH_DOUBLE(SUM, FACTORS) tvmtiny_requantize_double(SUM, (FACTORS)[0])

#endif /* TVMTINY_DSP_FINISH_H */
