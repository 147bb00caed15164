/* Fixed-point signal processing that matches TensorFlow's microfrontend and signal library bit for
 * bit.
 *
 * A word of a spectrum has the real part in its lower half and the imaginary part in its upper
 * half.
 */
#ifndef TVMTINY_SIGNAL_H
#define TVMTINY_SIGNAL_H

#include <limits.h>

#include "tvmtiny.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The number of significant bits of a number. */
static inline int32_t TVMTINY_UNUSED tvmtiny_bit_length(uint32_t value)
{
#if (defined(__GNUC__) || defined(__clang__)) && UINT_MAX == 0xffffffff && (!defined(__arm__) || defined(__ARM_FEATURE_CLZ))
  return value == 0u ? 0 : 32 - (int32_t)__builtin_clz(value);
#else
  int32_t bits = 0;
  for (; value != 0u; value >>= 1) {
    ++bits;
  }
  return bits;
#endif
}

static inline int32_t TVMTINY_UNUSED tvmtiny_low_lane(uint32_t word)
{
  return (int32_t)(int16_t)(word & 0xffffu);
}

static inline int32_t TVMTINY_UNUSED tvmtiny_high_lane(uint32_t word)
{
  return (int32_t)word >> 16;
}

static inline uint32_t TVMTINY_UNUSED tvmtiny_join_lanes(int32_t low, int32_t high)
{
  return ((uint32_t)low & 0xffffu) | ((uint32_t)high << 16);
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* Applies the window to pairs of samples. Returns `seen` with the bits of all absolute values added
 * to both halves. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_window(const int16_t *samples, const int16_t *coefficients, uint32_t *to, int32_t pairs, int32_t shift, uint32_t seen)
{
  for (int32_t i = 0; i < pairs; ++i) {
    const int32_t low = ((int32_t)samples[2 * i] * coefficients[2 * i]) >> shift;
    const int32_t high = ((int32_t)samples[2 * i + 1] * coefficients[2 * i + 1]) >> shift;
    seen |= (uint32_t)(low < 0 ? -low : low) | (uint32_t)(high < 0 ? -high : high);
    to[i] = tvmtiny_join_lanes(low, high);
  }
  return seen;
}

/* The number of bits by which all samples can be shifted to the left; the most negative number is
 * ignored. */
static inline int32_t TVMTINY_UNUSED tvmtiny_headroom(uint32_t seen)
{
  return 15 - tvmtiny_bit_length((seen | (seen >> 16)) & 0x7fffu);
}

/* ---- Transforms ------------------------------------------------------------------------------ */

/* value * factor / 2^15 with 16 bits, rounded; a factor of 32767 / n divides by n. */
static inline int32_t TVMTINY_UNUSED tvmtiny_scaled_lane(int32_t value, int32_t factor)
{
  return (value * factor + 16384) >> 15;
}

/* The product of two complex numbers in Q15. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_product_lanes(int32_t real, int32_t imaginary, uint32_t factor)
{
  const int32_t c = tvmtiny_low_lane(factor);
  const int32_t s = tvmtiny_high_lane(factor);
  return tvmtiny_join_lanes((real * c - imaginary * s + 16384) >> 15, (real * s + imaginary * c + 16384) >> 15);
}

/* The first stage of a transform of `points` words, which reads the words in the order of
 * `order`. */
static inline void TVMTINY_UNUSED tvmtiny_fft_first(const uint32_t *from, uint32_t *to, const int16_t *order, int32_t points, int32_t radix, int32_t shift, int32_t inverse)
{
  const uint32_t mask = (0xffffu << shift) & 0xffffu;
  const uint32_t keep = mask | (mask << 16);
  const int32_t apart = points / radix;
  for (int32_t block = 0; block < apart; ++block) {
    const uint32_t *source = from + order[block];
    int32_t re[4];
    int32_t im[4];
    const int32_t factor = radix == 4 ? 8191 : 16383;
    for (int32_t q = 0; q < radix; ++q) {
      const uint32_t word = (source[q * apart] << shift) & keep;
      re[q] = tvmtiny_scaled_lane(tvmtiny_low_lane(word), factor);
      im[q] = tvmtiny_scaled_lane(tvmtiny_high_lane(word), factor);
    }
    if (radix == 2) {
      *to++ = tvmtiny_join_lanes(re[0] + re[1], im[0] + im[1]);
      *to++ = tvmtiny_join_lanes(re[0] - re[1], im[0] - im[1]);
    } else {
      const int32_t even_re = re[0] + re[2];
      const int32_t even_im = im[0] + im[2];
      const int32_t odd_re = re[0] - re[2];
      const int32_t odd_im = im[0] - im[2];
      const int32_t sum_re = re[1] + re[3];
      const int32_t sum_im = im[1] + im[3];
      const int32_t apart_re = re[1] - re[3];
      const int32_t apart_im = im[1] - im[3];
      to[0] = tvmtiny_join_lanes(even_re + sum_re, even_im + sum_im);
      to[inverse != 0 ? 3 : 1] = tvmtiny_join_lanes(odd_re + apart_im, odd_im - apart_re);
      to[2] = tvmtiny_join_lanes(even_re - sum_re, even_im - sum_im);
      to[inverse != 0 ? 1 : 3] = tvmtiny_join_lanes(odd_re - apart_im, odd_im + apart_re);
      to += 4;
    }
  }
}

/* A further stage, of radix 4, which joins transforms of `size` words each. Each word has three
 * factors, which are `apart` from each other; `next` is the distance to the factors of the next
 * word. */
static inline void TVMTINY_UNUSED tvmtiny_fft_stage(uint32_t *words, const int32_t *factors, int32_t points, int32_t size, int32_t next, int32_t apart, int32_t inverse)
{
  const int32_t second = inverse != 0 ? 3 * size : size;
  for (uint32_t *group = words; group < words + points; group += 4 * size) {
    for (int32_t k = 0; k < size; ++k) {
      uint32_t *const place = group + k;
      const int32_t re0 = tvmtiny_scaled_lane(tvmtiny_low_lane(place[0]), 8191);
      const int32_t im0 = tvmtiny_scaled_lane(tvmtiny_high_lane(place[0]), 8191);
      uint32_t turned[3];
      for (int32_t q = 0; q < 3; ++q) {
        const uint32_t word = place[(q + 1) * size];
        const int32_t re = tvmtiny_scaled_lane(tvmtiny_low_lane(word), 8191);
        const int32_t im = tvmtiny_scaled_lane(tvmtiny_high_lane(word), 8191);
        turned[q] = tvmtiny_product_lanes(re, im, (uint32_t)factors[next * k + apart * q]);
      }
      const int32_t re1 = tvmtiny_low_lane(turned[0]);
      const int32_t im1 = tvmtiny_high_lane(turned[0]);
      const int32_t re2 = tvmtiny_low_lane(turned[1]);
      const int32_t im2 = tvmtiny_high_lane(turned[1]);
      const int32_t re3 = tvmtiny_low_lane(turned[2]);
      const int32_t im3 = tvmtiny_high_lane(turned[2]);
      place[0] = tvmtiny_join_lanes(re0 + re2 + re1 + re3, im0 + im2 + im1 + im3);
      place[second] = tvmtiny_join_lanes(re0 - re2 + im1 - im3, im0 - im2 - re1 + re3);
      place[2 * size] = tvmtiny_join_lanes(re0 + re2 - re1 - re3, im0 + im2 - im1 - im3);
      place[4 * size - second] = tvmtiny_join_lanes(re0 - re2 - im1 + im3, im0 - im2 + re1 - re3);
    }
  }
}

/* Turns the transform of pairs into the power spectrum of the single numbers, in place, for bins 1
 * to `points` - 1 from `first` on. */
static inline void TVMTINY_UNUSED tvmtiny_fft_energy(uint32_t *words, const int32_t *factors, int32_t points, int32_t first)
{
  for (int32_t k = first; 2 * k <= points; ++k) {
    const uint32_t left = words[k];
    const uint32_t right = words[points - k];
    const int32_t left_re = tvmtiny_scaled_lane(tvmtiny_low_lane(left), 16383);
    const int32_t left_im = tvmtiny_scaled_lane(tvmtiny_high_lane(left), 16383);
    const int32_t right_re = tvmtiny_scaled_lane(tvmtiny_low_lane(right), 16383);
    const int32_t right_im = tvmtiny_scaled_lane((int32_t)(int16_t)-tvmtiny_high_lane(right), 16383);
    const int32_t sum_re = left_re + right_re;
    const int32_t sum_im = left_im + right_im;
    const uint32_t turned = tvmtiny_product_lanes(left_re - right_re, left_im - right_im, (uint32_t)factors[k - 1]);
    const int32_t re = tvmtiny_low_lane(turned);
    const int32_t im = tvmtiny_high_lane(turned);
    const int32_t left_half[2] = { (sum_re + re) >> 1, (sum_im + im) >> 1 };
    const int32_t right_half[2] = { (sum_re - re) >> 1, (im - sum_im) >> 1 };
    words[k] = (uint32_t)(left_half[0] * left_half[0]) + (uint32_t)(left_half[1] * left_half[1]);
    words[points - k] = (uint32_t)(right_half[0] * right_half[0]) + (uint32_t)(right_half[1] * right_half[1]);
  }
}

/* ---- Filters --------------------------------------------------------------------------------- */

/* Sums a power spectrum over filters that overlap by half. A share of each bin, in 4096ths, goes to
 * the channel that ends there, and the rest to the next channel. `starts` holds the first bin of
 * each band, and the end of the last one. */
static inline void TVMTINY_UNUSED tvmtiny_filterbank(const uint32_t *energy, const int16_t *starts, const int16_t *weights, uint64_t *sums, int32_t channels)
{
  uint64_t before = 0u;
  for (int32_t band = 0; band <= channels; ++band) {
    const uint32_t *const end = energy + starts[band + 1];
    uint64_t ending = before;
    uint64_t next = 0u;
    for (const uint32_t *bin = energy + starts[band]; bin != end; ++bin) {
      const uint32_t weight = (uint32_t)*weights++;
      ending += (uint64_t)weight * *bin;
      next += (uint64_t)(4096u - weight) * *bin;
    }
    if (band != 0) {
      sums[band - 1] = ending;
    }
    before = next;
  }
}

/* The square root of a number of at least 2^30, rounded down. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_root_of_large(uint32_t value)
{
  /* A line with an error of up to 5 %, and two of Newton's steps. */
  uint32_t root = (value >> 17) + (value >> 19) + 23593u;
  root = (root + value / root) >> 1;
  root = (root + value / root) >> 1;
  if (root > 65535u) {
    root = 65535u;
  }
  while (root * root > value) {
    --root;
  }
  return root;
}

/* A square root, rounded to the nearest integer; at most 65535 for numbers below 2^32. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_rounded_root(uint64_t value)
{
  const uint32_t high = (uint32_t)(value >> 32);
  if (high == 0u) {
    const uint32_t low = (uint32_t)value;
    if (low == 0u) {
      return 0u;
    }
    const int32_t up = (32 - tvmtiny_bit_length(low)) & ~(int32_t)1;
    const uint32_t root = tvmtiny_root_of_large(low << up) >> (up >> 1);
    return root + (low - root * root > root && root != 65535u ? 1u : 0u);
  }
  /* Zimmermann's square root: the upper half of the root, and the lower half by a division. */
  const int32_t up = (32 - tvmtiny_bit_length(high)) & ~(int32_t)1;
  const uint64_t large = value << up;
  const uint32_t top = (uint32_t)(large >> 32);
  const uint32_t upper = tvmtiny_root_of_large(top);
  uint32_t lower = (((top - upper * upper) << 15) + ((uint32_t)large >> 17)) / upper;
  if (lower > 65535u) {
    lower = 65535u;
  }
  uint32_t root = (upper << 16) + lower;
  while ((uint64_t)root * root > large) {
    --root;
  }
  root >>= up >> 1;
  return root + (value - (uint64_t)root * root > root && root != 0xffffffffu ? 1u : 0u);
}

/* ---- Noise, gain, logarithm ------------------------------------------------------------------ */

/* Updates an estimate of noise, which has `bits` more bits than the signal, by shares of
 * 2^share_bits. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_follow_noise(uint32_t signal, uint32_t estimate, uint32_t fast, uint32_t slow, int32_t bits, int32_t share_bits)
{
  return (uint32_t)(((uint64_t)(signal << bits) * fast + (uint64_t)estimate * slow) >> share_bits);
}

/* Subtracts the noise from a signal, but leaves at least a share of the signal. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_without_noise(uint32_t signal, uint32_t estimate, uint32_t least, int32_t bits, int32_t share_bits)
{
  const uint32_t scaled = signal << bits;
  const uint32_t noise = estimate > scaled ? scaled : estimate;
  const uint32_t floor = (uint32_t)(((uint64_t)signal * least) >> share_bits);
  const uint32_t left = (scaled - noise) >> bits;
  return left > floor ? left : floor;
}

/* The gain of a channel with the given noise, interpolated by parabolas between powers of two. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_gain(uint32_t noise, const int16_t *table)
{
  if (noise <= 2u) {
    return (uint32_t)(int32_t)table[noise];
  }
  const int32_t interval = tvmtiny_bit_length(noise);
  const int16_t *const at = table + (4 * interval - 6);
  const int32_t fraction = (int32_t)((interval < 11 ? noise << (11 - interval) : noise >> (interval - 11)) & 0x3ffu);
  const int32_t slope = (((int32_t)at[2] * fraction) >> 5) + (int32_t)((uint32_t)(int32_t)at[1] << 5);
  return (uint32_t)(int32_t)(int16_t)(((slope * fraction + 16384) >> 15) + at[0]);
}

/* A signal with its gain applied, compressed. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_control_gain(uint32_t signal, uint32_t gain, int32_t snr_shift)
{
  const uint32_t snr = (uint32_t)(((uint64_t)signal * gain) >> snr_shift);
  return snr < 8192u ? (snr * snr) >> 20 : (snr >> 6) - 64u;
}

/* The natural logarithm times a scale; 0 for 0 and 1. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_logarithm(uint32_t value, const int16_t *table, uint32_t scale)
{
  if (value <= 1u) {
    return 0u;
  }
  const int32_t integer = tvmtiny_bit_length(value) - 1;
  const uint32_t rest = value - (UINT32_C(1) << integer);
  const uint32_t fraction = integer < 16 ? rest << (16 - integer) : rest >> (integer - 16);
  const uint32_t segment = fraction >> 9;
  const int32_t low = table[segment];
  const int32_t high = table[segment + 1u];
  const int32_t bent = low + (((high - low) * (int32_t)(fraction - (segment << 9))) >> 16);
  const uint32_t log2 = ((uint32_t)integer << 16) + fraction + (uint32_t)bent;
  const uint32_t natural = (uint32_t)(((uint64_t)45426u * log2 + 32768u) >> 16);
  return (natural * scale + 32768u) >> 16;
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_SIGNAL_H */
