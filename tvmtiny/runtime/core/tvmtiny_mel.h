/* Log-mel spectra and MFCC. */
#ifndef TVMTINY_MEL_H
#define TVMTINY_MEL_H

#include "tvmtiny.h"
#include "tvmtiny_signal.h"
#include "tvmtiny_spectrum.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The settings of the features; see MelFeatures in Python. */
struct tvmtiny_mel_shape {
  /* Samples of a window, samples between the starts of two windows, and frames per call. */
  int32_t window, step, frames;
  /* Pairs of samples of the transform. */
  int32_t points;
  int32_t channels, coefficients;
  int32_t power, epsilon, floor;
  /* An int8 feature is (feature * multiplier + (offset_high << 32 | offset_low)) >> shift. */
  int32_t multiplier, offset_low, offset_high, shift;
};

/* Writes the windowed samples from `first` on in the order of reversed bits. */
static inline void TVMTINY_UNUSED tvmtiny_scatter_samples(const int16_t *samples, const uint16_t *coefficients, const int16_t *order, int32_t first, int32_t count, int32_t *z)
{
  for (int32_t i = 0; i < count; ++i) {
    z[2 * order[(first + i) >> 1] + ((first + i) & 1)] = (int32_t)samples[i] * (int32_t)coefficients[first + i];
  }
}

/* Computes all frames of a call. `remembered` holds the samples of the first window that precede
 * `samples`; no other layer uses it. `work` has 2 * points + 2 words for a spectrum. */
static inline void TVMTINY_UNUSED tvmtiny_mel(const int16_t *samples, const uint16_t *coefficients, const int32_t *roots, const int16_t *order, const int16_t *bands, const uint16_t *weights, const int32_t *offsets, const int16_t *dct, const int32_t *logarithms, const int32_t *sizes, const int16_t *remembered, int8_t *out, int32_t *work, int32_t *logs)
{
  const struct tvmtiny_mel_shape *const shape = (const struct tvmtiny_mel_shape *)(const void *)sizes;
  const int32_t memory = shape->window - shape->step;
  const int32_t count = shape->frames * shape->step;
  const int64_t offset = (int64_t)((uint64_t)(uint32_t)shape->offset_high << 32 | (uint32_t)shape->offset_low);
  int16_t *const kept = (int16_t *)(uintptr_t)remembered;
  for (int32_t frame = 0; frame < shape->frames; ++frame) {
    const int32_t begin = frame * shape->step;
    const int32_t early = begin < memory ? memory - begin : 0;
    const uint16_t *weight = weights;
    for (int32_t i = shape->window & ~(int32_t)1; i < 2 * shape->points; ++i) {
      work[2 * order[i >> 1] + (i & 1)] = 0;
    }
    tvmtiny_scatter_samples(kept + begin, coefficients, order, 0, early, work);
    tvmtiny_scatter_samples(samples + (begin < memory ? 0 : begin - memory), coefficients, order, early, shape->window - early, work);
    tvmtiny_transform(work, roots, shape->points);
    const uint64_t seen = tvmtiny_energies(work, roots, shape->points);
    int32_t shift = tvmtiny_bit_length64(seen) - 40;
    if (shift < 0 || shape->power == 0) {
      shift = 0;
    }
    for (int32_t i = 0; i <= shape->points; ++i) {
      const uint64_t energy = tvmtiny_get64(work + 2 * i);
      tvmtiny_put64(work + 2 * i, shape->power == 0 ? tvmtiny_rounded_root(energy) : energy >> shift);
    }
    for (int32_t channel = 0; channel < shape->channels; ++channel) {
      const int32_t *at = work + 2 * bands[2 * channel];
      uint64_t sum = (uint64_t)(uint32_t)shape->epsilon;
      for (int32_t i = bands[2 * channel + 1]; i > 0; --i, at += 2) {
        sum += tvmtiny_get64(at) * *weight++;
      }
      const int32_t value = tvmtiny_log2(sum, logarithms) + offsets[channel] + shift * 65536;
      const int32_t log = value < shape->floor ? shape->floor : value;
      if (shape->coefficients == 0) {
        *out++ = tvmtiny_quantized(log, shape->multiplier, offset, shape->shift);
      } else {
        logs[channel] = log;
      }
    }
    for (int32_t row = 0; row < shape->coefficients; ++row) {
      const int16_t *const factors = dct + row * shape->channels;
      int64_t sum = 16384;
      for (int32_t channel = 0; channel < shape->channels; ++channel) {
        sum += (int64_t)logs[channel] * factors[channel];
      }
      *out++ = tvmtiny_quantized((int32_t)(sum >> 15), shape->multiplier, offset, shape->shift);
    }
  }
  for (int32_t i = 0; i < memory; ++i) {
    kept[i] = i + count < memory ? kept[i + count] : samples[i + count - memory];
  }
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_MEL_H */
