/* The power spectrum of tvmtiny_microfrontend.h, two lanes at a time. */
#ifndef TVMTINY_DSP_MICROFRONTEND_H
#define TVMTINY_DSP_MICROFRONTEND_H

#include "tvmtiny_dsp.h"
#include "tvmtiny_microfrontend.h"

/* Defines NAME(a, b), one instruction with two operands that computes both lanes. */
#define TVMTINY_DSP_LANES(NAME, INSTRUCTION, LOW, HIGH)                                                \
  TVMTINY_INLINE uint32_t NAME(uint32_t a, uint32_t b)                                               \
  {                                                                                                  \
    TVMTINY_DSP_LANES_BODY(INSTRUCTION, LOW, HIGH)                                                     \
  }
#if TVMTINY_DSP
#define TVMTINY_DSP_LANES_BODY(INSTRUCTION, LOW, HIGH)                                                 \
  uint32_t lanes;                                                                                    \
  __asm__(INSTRUCTION " %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));                                 \
  return lanes;
#else
#define TVMTINY_DSP_LANES_BODY(INSTRUCTION, LOW, HIGH)                                                 \
  const int32_t al = tvmtiny_low_lane(a);                                                            \
  const int32_t ah = tvmtiny_high_lane(a);                                                           \
  const int32_t bl = tvmtiny_low_lane(b);                                                            \
  const int32_t bh = tvmtiny_high_lane(b);                                                           \
  (void)al;                                                                                          \
  (void)ah;                                                                                          \
  (void)bl;                                                                                          \
  (void)bh;                                                                                          \
  return tvmtiny_join_lanes(LOW, HIGH);
#endif

TVMTINY_DSP_LANES(tvmtiny_dsp_add, "sadd16", al + bl, ah + bh)
TVMTINY_DSP_LANES(tvmtiny_dsp_half_sum, "shadd16", (al + bl) >> 1, (ah + bh) >> 1)
TVMTINY_DSP_LANES(tvmtiny_dsp_half_difference, "shsub16", (al - bl) >> 1, (ah - bh) >> 1)
/* Computes a + i * b and a - i * b. */
TVMTINY_DSP_LANES(tvmtiny_dsp_add_turned, "sasx", al - bh, ah + bl)
TVMTINY_DSP_LANES(tvmtiny_dsp_subtract_turned, "ssax", al + bh, ah - bl)

/* Defines sums of a product of two lanes and a third number; the letters name the halves. */
#define TVMTINY_DSP_MAC(NAME, INSTRUCTION, VALUE)                                                    \
  TVMTINY_INLINE int32_t NAME(uint32_t a, uint32_t b, int32_t acc)                                   \
  {                                                                                                  \
    TVMTINY_DSP_MAC_BODY(INSTRUCTION, VALUE)                                                         \
  }
#if TVMTINY_DSP
#define TVMTINY_DSP_MAC_BODY(INSTRUCTION, VALUE)                                                     \
  int32_t sum;                                                                                       \
  __asm__(INSTRUCTION " %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));                     \
  return sum;
#else
#define TVMTINY_DSP_MAC_BODY(INSTRUCTION, VALUE)                                                     \
  const int32_t al = tvmtiny_low_lane(a);                                                            \
  const int32_t ah = tvmtiny_high_lane(a);                                                           \
  const int32_t bl = tvmtiny_low_lane(b);                                                            \
  const int32_t bh = tvmtiny_high_lane(b);                                                           \
  (void)al;                                                                                          \
  (void)ah;                                                                                          \
  (void)bl;                                                                                          \
  (void)bh;                                                                                          \
  return (VALUE) + acc;
#endif

TVMTINY_DSP_MAC(tvmtiny_dsp_low_low, "smlabb", al * bl)
TVMTINY_DSP_MAC(tvmtiny_dsp_high_low, "smlatb", ah * bl)
TVMTINY_DSP_MAC(tvmtiny_dsp_high_high, "smlatt", ah * bh)
TVMTINY_DSP_MAC(tvmtiny_dsp_real, "smlsd", al * bl - ah * bh)
TVMTINY_DSP_MAC(tvmtiny_dsp_imaginary, "smladx", al * bh + ah * bl)

/* Joins the upper halves of `high` and `low`; the other two functions join 16 bits of each from bit
 * 15 or bit 12 on. */
TVMTINY_INLINE uint32_t tvmtiny_dsp_upper(int32_t high, int32_t low)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(lanes) : "r"(high), "r"(low));
  return lanes;
#else
  return ((uint32_t)high & 0xffff0000u) | ((uint32_t)low >> 16);
#endif
}

TVMTINY_INLINE uint32_t tvmtiny_dsp_upper15(int32_t high, int32_t low)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("pkhtb %0, %1, %2, asr #15" : "=r"(lanes) : "r"((uint32_t)high << 1), "r"(low));
  return lanes;
#else
  return (((uint32_t)high << 1) & 0xffff0000u) | (((uint32_t)low >> 15) & 0xffffu);
#endif
}

TVMTINY_INLINE uint32_t tvmtiny_dsp_upper12(int32_t high, int32_t low)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("pkhtb %0, %1, %2, asr #12" : "=r"(lanes) : "r"((uint32_t)high << 4), "r"(low));
  return lanes;
#else
  return (((uint32_t)high << 4) & 0xffff0000u) | (((uint32_t)low >> 12) & 0xffffu);
#endif
}

/* The absolute values of both lanes; the most negative number stays as it is. */
TVMTINY_INLINE uint32_t tvmtiny_dsp_sizes(uint32_t a)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("ssub16 %0, %2, %1\n"
          "sel %0, %0, %1"
          : "=&r"(lanes)
          : "r"(a), "r"(0)
          : "cc");
  return lanes;
#else
  const int32_t low = tvmtiny_low_lane(a);
  const int32_t high = tvmtiny_high_lane(a);
  return tvmtiny_join_lanes(low < 0 ? -low : low, high < 0 ? -high : high);
#endif
}

/* As tvmtiny_scaled_lane for both lanes, with twice the factor; divides by 4 or by 2. */
TVMTINY_INLINE uint32_t tvmtiny_dsp_scaled(uint32_t word, uint32_t factor)
{
  return tvmtiny_dsp_upper(tvmtiny_dsp_high_low(word, factor, 32768), tvmtiny_dsp_low_low(word, factor, 32768));
}

/* The product of two complex numbers in Q15. */
TVMTINY_INLINE uint32_t tvmtiny_dsp_product(uint32_t a, uint32_t b)
{
  return tvmtiny_dsp_upper15(tvmtiny_dsp_imaginary(a, b, 16384), tvmtiny_dsp_real(a, b, 16384));
}

TVMTINY_INLINE uint32_t tvmtiny_dsp_window(const int16_t *samples, const int16_t *coefficients, uint32_t *to, int32_t pairs, uint32_t seen)
{
  uint32_t *const end = to + pairs;
  while (to != end) {
    const uint32_t x = tvmtiny_load4((const int8_t *)(const void *)samples);
    const uint32_t w = tvmtiny_load4((const int8_t *)(const void *)coefficients);
    const uint32_t word = tvmtiny_dsp_upper12(tvmtiny_dsp_high_high(x, w, 0), tvmtiny_dsp_low_low(x, w, 0));
    seen |= tvmtiny_dsp_sizes(word);
    *to++ = word;
    samples += 2;
    coefficients += 2;
  }
  return seen;
}

/* Sums and differences of four numbers that were scaled and turned before. */
#define TVMTINY_DSP_BUTTERFLY(a, b, c, d, to, size)                                                  \
  do {                                                                                               \
    const uint32_t even = tvmtiny_dsp_add(a, c);                                                     \
    const uint32_t odd = tvmtiny_ssub16(a, c);                                                       \
    const uint32_t sum = tvmtiny_dsp_add(b, d);                                                      \
    const uint32_t apart = tvmtiny_ssub16(b, d);                                                     \
    (to)[0] = tvmtiny_dsp_add(even, sum);                                                            \
    (to)[size] = tvmtiny_dsp_subtract_turned(odd, apart);                                            \
    (to)[2 * (size)] = tvmtiny_ssub16(even, sum);                                                    \
    (to)[3 * (size)] = tvmtiny_dsp_add_turned(odd, apart);                                           \
  } while (0)

TVMTINY_INLINE void tvmtiny_dsp_fft_first(const uint32_t *from, uint32_t *to, const int16_t *order, int32_t points, int32_t shift)
{
  const uint32_t mask = (0xffffu << shift) & 0xffffu;
  const uint32_t keep = mask | (mask << 16);
  const int32_t apart = points / 4;
  const int16_t *const end = order + apart;
  while (order != end) {
    const uint32_t *const source = from + *order++;
    const uint32_t a = tvmtiny_dsp_scaled((source[0] << shift) & keep, 16382u);
    const uint32_t b = tvmtiny_dsp_scaled((source[apart] << shift) & keep, 16382u);
    const uint32_t c = tvmtiny_dsp_scaled((source[2 * apart] << shift) & keep, 16382u);
    const uint32_t d = tvmtiny_dsp_scaled((source[3 * apart] << shift) & keep, 16382u);
    TVMTINY_DSP_BUTTERFLY(a, b, c, d, to, 1);
    to += 4;
  }
}

TVMTINY_INLINE void tvmtiny_dsp_fft_stage(uint32_t *words, const int32_t *factors, int32_t points, int32_t size)
{
  uint32_t *const end = words + points;
  for (uint32_t *group = words; group != end; group += 3 * size) {
    const int32_t *factor = factors;
    uint32_t *const last = group + size;
    for (; group != last; ++group, factor += 3) {
      const uint32_t a = tvmtiny_dsp_scaled(group[0], 16382u);
      const uint32_t b = tvmtiny_dsp_product(tvmtiny_dsp_scaled(group[size], 16382u), (uint32_t)factor[0]);
      const uint32_t c = tvmtiny_dsp_product(tvmtiny_dsp_scaled(group[2 * size], 16382u), (uint32_t)factor[1]);
      const uint32_t d = tvmtiny_dsp_product(tvmtiny_dsp_scaled(group[3 * size], 16382u), (uint32_t)factor[2]);
      TVMTINY_DSP_BUTTERFLY(a, b, c, d, group, size);
    }
  }
}

TVMTINY_INLINE void tvmtiny_dsp_fft_energy(uint32_t *words, const int32_t *factors, int32_t points, int32_t first)
{
  const int32_t *factor = factors + (first - 1);
  uint32_t *right = words + (points - first);
  for (uint32_t *left = words + first; left <= right; ++left, --right) {
    const uint32_t a = tvmtiny_dsp_scaled(*left, 32766u);
    /* For the conjugate of the other number, turning it swaps its lanes. */
    const uint32_t turned = tvmtiny_dsp_add_turned(0u, *right);
    const uint32_t b = tvmtiny_dsp_upper(tvmtiny_dsp_low_low(turned, 32766u, 32768), tvmtiny_dsp_high_low(turned, 32766u, 32768));
    const uint32_t sum = tvmtiny_dsp_add(a, b);
    const uint32_t product = tvmtiny_dsp_product(tvmtiny_ssub16(a, b), (uint32_t)*factor++);
    const uint32_t half = tvmtiny_dsp_half_sum(sum, product);
    const uint32_t real = tvmtiny_dsp_half_difference(sum, product);
    const uint32_t imaginary = tvmtiny_dsp_half_difference(product, sum);
    *left = (uint32_t)tvmtiny_smlad(half, half, 0);
    *right = (uint32_t)tvmtiny_dsp_high_high(imaginary, imaginary, tvmtiny_dsp_low_low(real, real, 0));
  }
}

TVMTINY_INLINE int32_t tvmtiny_dsp_spectrum(const struct tvmtiny_microfrontend_shape *shape, const struct tvmtiny_microfrontend_tables *tables, const int16_t *remembered, int32_t early, const int16_t *samples, uint32_t *work)
{
  uint32_t *const words = work + shape->points;
  const int32_t *factors = tables->factors;
  const int32_t pairs = shape->window / 2;
  const int32_t first = early / 2;
  uint32_t seen = tvmtiny_dsp_window(remembered, tables->coefficients, work, first, 0u);
  seen = tvmtiny_dsp_window(samples, tables->coefficients + early, work + first, pairs - first, seen);
  for (int32_t i = pairs; i < shape->points; ++i) {
    work[i] = 0u;
  }
  const int32_t shift = tvmtiny_headroom(seen);
  if (shape->radix == 4) {
    tvmtiny_dsp_fft_first(work, words, tables->order, shape->points, shift);
  } else {
    tvmtiny_fft_first(work, words, tables->order, shape->points, shape->radix, shift, 0);
  }
  for (int32_t size = shape->radix; size < shape->points; size *= 4) {
    tvmtiny_dsp_fft_stage(words, factors, shape->points, size);
    factors += 3 * size;
  }
  tvmtiny_dsp_fft_energy(words, factors, shape->points, shape->first_bin);
  return shift;
}

TVMTINY_MICROFRONTEND(tvmtiny_dsp_microfrontend, tvmtiny_dsp_spectrum)

#endif /* TVMTINY_DSP_MICROFRONTEND_H */
