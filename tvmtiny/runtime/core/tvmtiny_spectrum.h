/* Spectra in 32 bits: FFT of real numbers, energies, logarithms. */
#ifndef TVMTINY_SPECTRUM_H
#define TVMTINY_SPECTRUM_H

#include "tvmtiny.h"
#include "tvmtiny_signal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* a * b / 2^32, rounded down. */
static inline int32_t TVMTINY_UNUSED tvmtiny_high_product(int32_t a, int32_t b)
{
  return (int32_t)(((int64_t)a * b) >> 32);
}

/* Half of the product of a complex number and a root of unity in Q31. */
static inline void TVMTINY_UNUSED tvmtiny_half_turn(int32_t re, int32_t im, int32_t cosine, int32_t sine, int32_t *to_re, int32_t *to_im)
{
  *to_re = tvmtiny_high_product(re, cosine) - tvmtiny_high_product(im, sine);
  *to_im = tvmtiny_high_product(re, sine) + tvmtiny_high_product(im, cosine);
}

/* Two stages of butterflies, of `size` numbers and of twice as many; the first place of each group has
 * trivial roots. */
static inline void TVMTINY_UNUSED tvmtiny_trivial_stages(int32_t *z, int32_t points, int32_t size)
{
  for (int32_t *const end = z + 2 * points; z < end; z += 8 * size) {
    int32_t *const z1 = z + 2 * size;
    int32_t *const z2 = z1 + 2 * size;
    int32_t *const z3 = z2 + 2 * size;
    const int32_t y0_re = (z[0] >> 1) + (z1[0] >> 1);
    const int32_t y1_re = (z[0] >> 1) - (z1[0] >> 1);
    const int32_t y2_re = ((z2[0] >> 1) + (z3[0] >> 1)) >> 1;
    const int32_t y3_re = (z2[0] >> 1) - (z3[0] >> 1);
    const int32_t y0_im = (z[1] >> 1) + (z1[1] >> 1);
    const int32_t y1_im = (z[1] >> 1) - (z1[1] >> 1);
    const int32_t y2_im = ((z2[1] >> 1) + (z3[1] >> 1)) >> 1;
    const int32_t y3_im = (z2[1] >> 1) - (z3[1] >> 1);
    const int32_t turned_re = (y3_im + 1) >> 1;
    const int32_t turned_im = (y3_re + 1) >> 1;
    z[0] = (y0_re >> 1) + y2_re;
    z[1] = (y0_im >> 1) + y2_im;
    z1[0] = (y1_re >> 1) + turned_re;
    z1[1] = (y1_im >> 1) - turned_im;
    z2[0] = (y0_re >> 1) - y2_re;
    z2[1] = (y0_im >> 1) - y2_im;
    z3[0] = (y1_re >> 1) - turned_re;
    z3[1] = (y1_im >> 1) + turned_im;
  }
}

/* Transforms `points` complex numbers in place, divided by their number. They lie in the order of
 * reversed bits; `roots` has the first `points` powers of the root of unity of 2 * points. */
static inline void TVMTINY_UNUSED tvmtiny_transform(int32_t *z, const int32_t *roots, int32_t points)
{
  tvmtiny_trivial_stages(z, points, 1);
  for (int32_t size = 4; size < points; size *= 2) {
    const int32_t step = 2 * (points / size);
    for (int32_t start = 0; start < 2 * points; start += 4 * size) {
      int32_t *const a = z + start;
      int32_t *const b = a + 2 * size;
      const int32_t re = b[0] >> 1;
      const int32_t im = b[1] >> 1;
      b[0] = (a[0] >> 1) - re;
      b[1] = (a[1] >> 1) - im;
      a[0] = (a[0] >> 1) + re;
      a[1] = (a[1] >> 1) + im;
    }
    for (int32_t place = 1; place < size; ++place) {
      const int32_t cosine = roots[step * place];
      const int32_t sine = roots[step * place + 1];
      for (int32_t start = 2 * place; start < 2 * points; start += 4 * size) {
        int32_t *const a = z + start;
        int32_t *const b = a + 2 * size;
        int32_t re, im;
        tvmtiny_half_turn(b[0], b[1], cosine, sine, &re, &im);
        b[0] = (a[0] >> 1) - re;
        b[1] = (a[1] >> 1) - im;
        a[0] = (a[0] >> 1) + re;
        a[1] = (a[1] >> 1) + im;
      }
    }
  }
}

/* Numbers of 64 bits as pairs of words: the words of a transform are used again. */
static inline void TVMTINY_UNUSED tvmtiny_put64(int32_t *at, uint64_t value)
{
  at[0] = (int32_t)(uint32_t)value;
  at[1] = (int32_t)(uint32_t)(value >> 32);
}

static inline uint64_t TVMTINY_UNUSED tvmtiny_get64(const int32_t *at)
{
  return (uint64_t)(uint32_t)at[1] << 32 | (uint32_t)at[0];
}

/* Turns a transform of `points` pairs into the points + 1 energies of a spectrum of real numbers,
 * in place: `z` has 2 * points + 2 words. Returns all bits that any of them has. */
static inline uint64_t TVMTINY_UNUSED tvmtiny_energies(int32_t *z, const int32_t *roots, int32_t points)
{
  const int64_t first = (z[0] >> 1) + (z[1] >> 1);
  const int64_t last = (z[0] >> 1) - (z[1] >> 1);
  uint64_t seen = 0;
  for (int32_t k = 1; k <= points / 2; ++k) {
    const int32_t *const near = z + 2 * k;
    const int32_t *const far = z + 2 * (points - k);
    const int32_t total_re = (near[0] >> 2) + (far[0] >> 2);
    const int32_t total_im = (near[1] >> 2) - (far[1] >> 2);
    int32_t re, im;
    tvmtiny_half_turn((near[0] >> 1) - (far[0] >> 1), (near[1] >> 1) + (far[1] >> 1), roots[2 * k], roots[2 * k + 1], &re, &im);
    const int64_t low_re = total_re + im;
    const int64_t low_im = total_im - re;
    const int64_t high_re = total_re - im;
    const int64_t high_im = total_im + re;
    const uint64_t low = (uint64_t)(low_re * low_re) + (uint64_t)(low_im * low_im);
    const uint64_t high = (uint64_t)(high_re * high_re) + (uint64_t)(high_im * high_im);
    tvmtiny_put64(z + 2 * (points - k), high);
    tvmtiny_put64(z + 2 * k, low);
    seen |= low | high;
  }
  const uint64_t none = (uint64_t)(first * first);
  const uint64_t most = (uint64_t)(last * last);
  tvmtiny_put64(z, none);
  tvmtiny_put64(z + 2 * points, most);
  return seen | none | most;
}

static inline int32_t TVMTINY_UNUSED tvmtiny_bit_length64(uint64_t value)
{
  const uint32_t high = (uint32_t)(value >> 32);
  return high != 0u ? 32 + tvmtiny_bit_length(high) : tvmtiny_bit_length((uint32_t)value);
}

/* The binary logarithm with 16 fractional bits; that of 0 is -1. */
static inline int32_t TVMTINY_UNUSED tvmtiny_log2(uint64_t value, const int32_t *table)
{
  if (value == 0u) {
    return -65536;
  }
  const int32_t bits = tvmtiny_bit_length64(value);
  const uint32_t top = (uint32_t)((value << (64 - bits)) >> 32);
  const int32_t *const at = table + ((top >> 24) & 0x7fu);
  const int32_t fraction = (int32_t)((top >> 8) & 0xffffu);
  return (bits - 1) * 65536 + at[0] + (((at[1] - at[0]) * fraction + 32768) >> 16);
}

/* (value * multiplier + offset) / 2^shift as an int8; the shift is at least 32. */
static inline int8_t TVMTINY_UNUSED tvmtiny_quantized(int32_t value, int32_t multiplier, int64_t offset, int32_t shift)
{
  const int32_t scaled = (int32_t)(((int64_t)value * multiplier + offset) >> 32) >> (shift - 32);
  return (int8_t)(scaled < -128 ? -128 : scaled > 127 ? 127 : scaled);
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_SPECTRUM_H */
