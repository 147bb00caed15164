/* Log-mel spectra and MFCC. */
#ifndef TVMTINY_MEL_H
#define TVMTINY_MEL_H

#include "tvmtiny.h"
#include "tvmtiny_copy.h"
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
  /* Samples before a window that pre-emphasis needs: 1 or 0. */
  int32_t emphasis;
  int32_t channels, coefficients;
  int32_t power, epsilon, floor;
  /* An int8 feature is (feature * multiplier + (offset_high << 32 | offset_low)) >> shift. */
  int32_t multiplier, offset_low, offset_high, shift;
};

/* The functions that kernel families have versions of: as those below and in tvmtiny_spectrum.h. */
struct tvmtiny_mel_kernels {
  void (*scatter)(const int16_t *samples, const uint16_t *coefficients, const int16_t *order, int32_t first, int32_t count, int32_t *z);
  void (*transform)(int32_t *z, const int32_t *roots, int32_t points);
  uint64_t (*energies)(int32_t *z, const int32_t *roots, int32_t points);
  void (*shift)(int32_t *z, int32_t points, int32_t shift);
  uint64_t (*sum)(const int32_t *z, const uint16_t *weight, int32_t count);
};

/* The tables of the features; see MelFeatures in Python. */
struct tvmtiny_mel_tables {
  const uint16_t *window;
  const int32_t *roots;
  const int16_t *order, *bands;
  const uint16_t *weights;
  const int32_t *offsets;
  const int16_t *dct;
  const int32_t *logarithms;
};

/* Writes the windowed samples from `first` on, by pairs in the order of reversed bits. */
static inline void TVMTINY_UNUSED tvmtiny_scatter_samples(const int16_t *samples, const uint16_t *coefficients, const int16_t *order, int32_t first, int32_t count, int32_t *z)
{
  const int16_t *const end = samples + count;
  coefficients += first;
  order += first >> 1;
  if ((first & 1) != 0 && count > 0) {
    z[2 * *order++ + 1] = (int32_t)*samples++ * (int32_t)*coefficients++;
  }
  while (end - samples > 1) {
    int32_t *const to = z + 2 * *order++;
    to[0] = (int32_t)samples[0] * (int32_t)coefficients[0];
    to[1] = (int32_t)samples[1] * (int32_t)coefficients[1];
    samples += 2;
    coefficients += 2;
  }
  if (samples != end) {
    z[2 * *order] = (int32_t)*samples * (int32_t)*coefficients;
  }
}

/* As above, half of the samples after pre-emphasis: x[n] - 31/32 * x[n-1]. */
static inline void TVMTINY_UNUSED tvmtiny_scatter_emphasized(const int16_t *samples, int32_t previous, const uint16_t *coefficients, const int16_t *order, int32_t first, int32_t count, int32_t *z)
{
  for (int32_t i = first; i < first + count; ++i) {
    const int32_t x = *samples++;
    const int32_t value = 32 * x - 31 * previous;
    z[2 * order[i >> 1] + (i & 1)] = (int32_t)(((int64_t)value * coefficients[i]) >> 6);
    previous = x;
  }
}

/* Shifts the energies of all bins to the right by 0 to 31 bits. */
static inline void TVMTINY_UNUSED tvmtiny_shift_energies(int32_t *z, int32_t points, int32_t shift)
{
  for (int32_t i = 0; shift != 0 && i <= points; ++i, z += 2) {
    const uint32_t high = (uint32_t)z[1];
    z[0] = (int32_t)((uint32_t)z[0] >> shift | high << (32 - shift));
    z[1] = (int32_t)(high >> shift);
  }
}

/* The sum of weighted numbers of 64 bits; the sum has 64 bits as well. */
static inline uint64_t TVMTINY_UNUSED tvmtiny_mel_sum(const int32_t *z, const uint16_t *weight, int32_t count)
{
  uint64_t sum = 0;
  uint32_t high = 0;
  for (const uint16_t *const end = weight + count; weight != end; ++weight, z += 2) {
    sum += (uint64_t)(uint32_t)z[0] * *weight;
    high += (uint32_t)z[1] * *weight;
  }
  return sum + ((uint64_t)high << 32);
}

/* The features of a spectrum of squared magnitudes. `logs` has a word for each channel. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_mel_features(const struct tvmtiny_mel_kernels *kernels, const struct tvmtiny_mel_shape *shape, const struct tvmtiny_mel_tables *tables, uint64_t seen, int32_t *work, int32_t *logs, int8_t *out)
{
  const int64_t offset = (int64_t)((uint64_t)(uint32_t)shape->offset_high << 32 | (uint32_t)shape->offset_low);
  const uint16_t *weight = tables->weights;
  int32_t shift = 0;
  if (shape->power == 0) {
    for (int32_t i = 0; i <= shape->points; ++i) {
      tvmtiny_put64(work + 2 * i, tvmtiny_rounded_root(tvmtiny_get64(work + 2 * i)));
    }
  } else {
    shift = tvmtiny_bit_length64(seen) - 40;
    shift = shift < 0 ? 0 : shift;
    kernels->shift(work, shape->points, shift);
  }
  for (int32_t channel = 0; channel < shape->channels; ++channel) {
    const int32_t count = tables->bands[2 * channel + 1];
    const uint64_t sum = (uint64_t)(uint32_t)shape->epsilon + kernels->sum(work + 2 * tables->bands[2 * channel], weight, count);
    const int32_t value = tvmtiny_log2(sum, tables->logarithms) + tables->offsets[channel] + shift * 65536;
    const int32_t log = value < shape->floor ? shape->floor : value;
    weight += count;
    if (shape->coefficients == 0) {
      *out++ = tvmtiny_quantized(log, shape->multiplier, offset, shape->shift);
    } else {
      logs[channel] = log;
    }
  }
  for (int32_t row = 0; row < shape->coefficients; ++row) {
    const int16_t *const factors = tables->dct + row * shape->channels;
    int64_t sum = 16384;
    for (int32_t channel = 0; channel < shape->channels; ++channel) {
      sum += (int64_t)logs[channel] * factors[channel];
    }
    *out++ = tvmtiny_quantized((int32_t)(sum >> 15), shape->multiplier, offset, shape->shift);
  }
}

/* Computes all frames of a call. `kept` holds the samples of the first window that precede `samples`;
 * no other layer uses it. `work` has 2 * points + 2 words for a spectrum. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_mel_frames(const struct tvmtiny_mel_kernels *kernels, const struct tvmtiny_mel_shape *shape, const struct tvmtiny_mel_tables *tables, const int16_t *samples, int16_t *kept, int8_t *out, int32_t *work, int32_t *logs)
{
  const int32_t memory = shape->window - shape->step;
  const int32_t whole = memory + shape->emphasis;
  const int32_t count = shape->frames * shape->step;
  const int32_t older = whole < count ? 0 : whole - count;
  const int32_t features = shape->coefficients == 0 ? shape->channels : shape->coefficients;
  for (int32_t frame = 0; frame < shape->frames; ++frame) {
    const int32_t begin = frame * shape->step;
    const int32_t early = begin < memory ? memory - begin : 0;
    for (int32_t i = shape->window & ~(int32_t)1; i < 2 * shape->points; ++i) {
      work[2 * tables->order[i >> 1] + (i & 1)] = 0;
    }
    const int16_t *const late = samples + (begin < memory ? 0 : begin - memory);
    if (shape->emphasis != 0) {
      tvmtiny_scatter_emphasized(kept + begin + 1, early == 0 ? 0 : kept[begin], tables->window, tables->order, 0, early, work);
      tvmtiny_scatter_emphasized(late, late == samples ? kept[memory] : late[-1], tables->window, tables->order, early, shape->window - early, work);
    } else {
      kernels->scatter(kept + begin, tables->window, tables->order, 0, early, work);
      kernels->scatter(late, tables->window, tables->order, early, shape->window - early, work);
    }
    kernels->transform(work, tables->roots, shape->points);
    tvmtiny_mel_features(kernels, shape, tables, kernels->energies(work, tables->roots, shape->points), work, logs, out + frame * features);
  }
  tvmtiny_copy(kept, kept + whole - older, 2 * older);
  tvmtiny_copy(kept + older, samples + count - (whole - older), 2 * (whole - older));
}

/* Defines the function NAME around the functions of a kernel family. */
#define TVMTINY_MEL(NAME, SCATTER, TRANSFORM, ENERGIES, SHIFT, SUM)                                  \
  static inline void TVMTINY_UNUSED NAME(const int16_t *samples, const uint16_t *coefficients, const int32_t *roots, const int16_t *order, const int16_t *bands, const uint16_t *weights, const int32_t *offsets, const int16_t *dct, const int32_t *logarithms, const int32_t *sizes, const int16_t *remembered, int8_t *out, int32_t *work, int32_t *logs) \
  {                                                                                                  \
    static const struct tvmtiny_mel_kernels kernels = { SCATTER, TRANSFORM, ENERGIES, SHIFT, SUM };  \
    const struct tvmtiny_mel_tables tables = { coefficients, roots, order, bands, weights, offsets, dct, logarithms }; \
    tvmtiny_mel_frames(&kernels, (const struct tvmtiny_mel_shape *)(const void *)sizes, &tables, samples, (int16_t *)(uintptr_t)remembered, out, work, logs); \
  }

TVMTINY_MEL(tvmtiny_mel, tvmtiny_scatter_samples, tvmtiny_transform, tvmtiny_energies, tvmtiny_shift_energies, tvmtiny_mel_sum)

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_MEL_H */
