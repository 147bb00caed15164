/* Features of vibration: levels and spectral kurtosis. */
#ifndef TVMTINY_VIBRATION_H
#define TVMTINY_VIBRATION_H

#include "tvmtiny.h"
#include "tvmtiny_signal.h"
#include "tvmtiny_spectrum.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The settings of the features; see VibrationFeatures in Python. */
struct tvmtiny_vibration_shape {
  int32_t rows, axes, window, segment, segment_bits, bands;
  int32_t floor, rms_offset, band_offset, segments_log;
  int32_t multiplier, offset_low, offset_high, shift;
};

/* Adds the powers of all segments of an axis, and their squares, to `sums`: two numbers for each
 * bin. */
static inline void TVMTINY_UNUSED tvmtiny_add_segments(const struct tvmtiny_vibration_shape *shape, const int16_t *samples, const uint16_t *coefficients, const int32_t *roots, const int16_t *order, int32_t mean, int32_t shift, int32_t *work, uint64_t *sums)
{
  const int32_t half = shape->segment / 2;
  const uint64_t rounding = (UINT64_C(1) << shift) >> 1;
  for (int32_t i = 0; i < 2 * (half + 1); ++i) {
    sums[i] = 0;
  }
  for (int32_t start = 0; start + shape->segment <= shape->window; start += half) {
    const int16_t *x = samples + start * shape->axes;
    for (int32_t i = 0; i < shape->segment; ++i, x += shape->axes) {
      work[2 * order[i >> 1] + (i & 1)] = ((*x - mean) * (int32_t)coefficients[i] + 1) >> 1;
    }
    tvmtiny_transform(work, roots, half);
    (void)tvmtiny_energies(work, roots, half);
    for (int32_t bin = 0; bin <= half; ++bin) {
      uint64_t power = (tvmtiny_get64(work + 2 * bin) + rounding) >> shift;
      if (power > 0xfffffffu) {
        power = 0xfffffffu;
      }
      sums[2 * bin] += power;
      sums[2 * bin + 1] += (uint64_t)(uint32_t)power * (uint32_t)power;
    }
  }
}

/* Computes the features of one axis in a window. */
static inline void TVMTINY_UNUSED tvmtiny_vibration_axis(const struct tvmtiny_vibration_shape *shape, const int16_t *samples, const uint16_t *coefficients, const int32_t *roots, const int16_t *order, const int16_t *edges, const int32_t *logarithms, int8_t *out, int32_t *work, uint64_t *sums)
{
  const int64_t offset = (int64_t)((uint64_t)(uint32_t)shape->offset_high << 32 | (uint32_t)shape->offset_low);
  const int32_t window = shape->window;
  const int32_t half = shape->segment / 2;
  int32_t total = 0;
  uint64_t squares = 0;
  for (int32_t i = 0; i < window; ++i) {
    const int32_t x = samples[i * shape->axes];
    total += x;
    squares += (uint32_t)(x * x);
  }
  const uint64_t spread = (uint64_t)(uint32_t)window * squares - (uint64_t)((int64_t)total * total);
  int32_t value = tvmtiny_log2(spread, logarithms) + shape->rms_offset;
  *out++ = tvmtiny_quantized(value < shape->floor ? shape->floor : value, shape->multiplier, offset, shape->shift);
  const uint32_t above = (uint32_t)total + (uint32_t)window * 32768u + (uint32_t)window / 2u;
  const int32_t mean = (int32_t)(above / (uint32_t)window) - 32768;
  uint64_t before = 0;
  uint64_t loudest = 0;
  for (int32_t start = 0; start < window; start += half) {
    uint64_t sum = 0;
    for (int32_t i = start; i < start + half; ++i) {
      const int32_t x = samples[i * shape->axes] - mean;
      sum += (uint64_t)((int64_t)x * x);
    }
    if (start > 0 && sum + before > loudest) {
      loudest = sum + before;
    }
    before = sum;
  }
  int32_t shift = tvmtiny_bit_length64(loudest) - shape->segment_bits;
  shift = shift < 0 ? 0 : shift;
  tvmtiny_add_segments(shape, samples, coefficients, roots, order, mean, shift, work, sums);
  for (int32_t band = 0; band < shape->bands; ++band) {
    uint64_t sum = 0;
    int32_t ratios = 0;
    const int32_t count = edges[band + 1] - edges[band];
    for (int32_t bin = edges[band]; bin < edges[band + 1]; ++bin) {
      const uint64_t powers = sums[2 * bin];
      const int32_t ratio = shape->segments_log + tvmtiny_log2(sums[2 * bin + 1], logarithms) - 2 * tvmtiny_log2(powers, logarithms);
      sum += powers;
      ratios += powers != 0u && ratio > 0 ? ratio : 0;
    }
    value = tvmtiny_log2(sum, logarithms) + shape->band_offset + shift * 65536;
    out[band] = tvmtiny_quantized(value < shape->floor ? shape->floor : value, shape->multiplier, offset, shape->shift);
    out[shape->bands + band] = tvmtiny_quantized((ratios + count / 2) / count, shape->multiplier, offset, shape->shift);
  }
}

/* Computes all windows of a call. `work` has the words of a segment and two more, `sums` two numbers
 * for each bin. */
static inline void TVMTINY_UNUSED tvmtiny_vibration(const int16_t *samples, const uint16_t *coefficients, const int32_t *roots, const int16_t *order, const int16_t *edges, const int32_t *logarithms, const int32_t *sizes, int8_t *out, int32_t *work, int64_t *sums)
{
  const struct tvmtiny_vibration_shape *const shape = (const struct tvmtiny_vibration_shape *)(const void *)sizes;
  for (int32_t row = 0; row < shape->rows; ++row) {
    for (int32_t axis = 0; axis < shape->axes; ++axis) {
      tvmtiny_vibration_axis(shape, samples + axis, coefficients, roots, order, edges, logarithms, out, work, (uint64_t *)(void *)sums);
      out += 1 + 2 * shape->bands;
    }
    samples += shape->window * shape->axes;
  }
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_VIBRATION_H */
