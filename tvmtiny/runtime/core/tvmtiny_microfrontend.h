/* The features of TensorFlow's microfrontend, bit for bit. */
#ifndef TVMTINY_MICROFRONTEND_H
#define TVMTINY_MICROFRONTEND_H

#include "tvmtiny.h"
#include "tvmtiny_signal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The settings of the features; see MicrofrontendSettings in Python. */
struct tvmtiny_microfrontend_shape {
  /* Samples of a window, samples between the starts of two windows, and frames per call. */
  int32_t window, step, frames;
  /* Words of the transform and the radix of its first stage. */
  int32_t points, radix;
  int32_t channels, first_bin;
  int32_t smoothing_bits, even_smoothing, odd_smoothing, least_signal;
  int32_t gain_control, snr_shift;
  int32_t logarithm, log_scale, correction_bits;
  /* An int8 feature is (feature * multiplier + offset) >> shift. */
  int32_t multiplier, offset, shift;
};

/* The tables that belong to the settings. */
struct tvmtiny_microfrontend_tables {
  const int16_t *coefficients, *order, *starts, *weights, *gains, *logarithms;
  const int32_t *factors;
};

/* Computes the power spectrum of a frame in the second half of `work`. The first `early` samples of
 * the window come from `remembered`. Returns the number of bits that the samples were shifted to
 * the left. */
typedef int32_t (*tvmtiny_spectrum)(const struct tvmtiny_microfrontend_shape *shape, const struct tvmtiny_microfrontend_tables *tables, const int16_t *remembered, int32_t early, const int16_t *samples, uint32_t *work);

static inline int32_t TVMTINY_UNUSED tvmtiny_microfrontend_spectrum(const struct tvmtiny_microfrontend_shape *shape, const struct tvmtiny_microfrontend_tables *tables, const int16_t *remembered, int32_t early, const int16_t *samples, uint32_t *work)
{
  uint32_t *const words = work + shape->points;
  const int32_t *factors = tables->factors;
  const int32_t pairs = shape->window / 2;
  const int32_t first = early / 2;
  uint32_t seen = tvmtiny_window(remembered, tables->coefficients, work, first, 12, 0u);
  seen = tvmtiny_window(samples, tables->coefficients + early, work + first, pairs - first, 12, seen);
  for (int32_t i = pairs; i < shape->points; ++i) {
    work[i] = 0u;
  }
  const int32_t shift = tvmtiny_headroom(seen);
  tvmtiny_fft_first(work, words, tables->order, shape->points, shape->radix, shift, 0);
  for (int32_t size = shape->radix; size < shape->points; size *= 4) {
    tvmtiny_fft_stage(words, factors, shape->points, size, 3, 1, 0);
    factors += 3 * size;
  }
  tvmtiny_fft_energy(words, factors, shape->points, shape->first_bin);
  return shift;
}

/* Computes one feature of each channel. */
static inline void TVMTINY_UNUSED tvmtiny_microfrontend_channels(const struct tvmtiny_microfrontend_shape *shape, const struct tvmtiny_microfrontend_tables *tables, const uint64_t *sums, int32_t scale, uint32_t *estimate, int8_t *out)
{
  for (int32_t channel = 0; channel < shape->channels; ++channel) {
    const uint32_t signal = tvmtiny_rounded_root(sums[channel]) >> scale;
    const int32_t smoothing = (channel & 1) == 0 ? shape->even_smoothing : shape->odd_smoothing;
    const uint32_t noise = tvmtiny_follow_noise(signal, estimate[channel], (uint32_t)smoothing, (uint32_t)(16384 - smoothing), shape->smoothing_bits, 14);
    uint32_t value = tvmtiny_without_noise(signal, noise, (uint32_t)shape->least_signal, shape->smoothing_bits, 14);
    estimate[channel] = noise;
    if (shape->gain_control != 0) {
      value = tvmtiny_control_gain(value, tvmtiny_gain(noise, tables->gains), shape->snr_shift);
    }
    if (shape->logarithm != 0) {
      value = shape->correction_bits < 0 ? value >> -shape->correction_bits : value << shape->correction_bits;
      value = tvmtiny_logarithm(value, tables->logarithms, (uint32_t)shape->log_scale);
    }
    value = value < 65535u ? value : 65535u;
    const int32_t scaled = (int32_t)((value * (uint32_t)shape->multiplier + (uint32_t)shape->offset) >> shape->shift) - 128;
    out[channel] = (int8_t)(scaled < 127 ? scaled : 127);
  }
}

/* Computes all frames of a call. `remembered` holds the samples of the first window that precede
 * `samples`, and `estimate` the noise; both are states of the model that no other layer uses.
 * `work` has two words for each word of the transform. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_microfrontend_frames(tvmtiny_spectrum spectrum, const struct tvmtiny_microfrontend_shape *shape, const struct tvmtiny_microfrontend_tables *tables, const int16_t *samples, int16_t *remembered, uint32_t *estimate, int8_t *out, uint32_t *work)
{
  const int32_t memory = shape->window - shape->step;
  const int32_t count = shape->frames * shape->step;
  for (int32_t frame = 0; frame < shape->frames; ++frame) {
    const int32_t begin = frame * shape->step;
    const int32_t early = begin < memory ? memory - begin : 0;
    const int32_t scale = spectrum(shape, tables, remembered + begin, early, samples + (begin < memory ? 0 : begin - memory), work);
    uint64_t *const sums = (uint64_t *)(void *)work;
    tvmtiny_filterbank(work + shape->points, tables->starts, tables->weights, sums, shape->channels);
    tvmtiny_microfrontend_channels(shape, tables, sums, scale, estimate, out + frame * shape->channels);
  }
  for (int32_t i = 0; i < memory; ++i) {
    remembered[i] = i + count < memory ? remembered[i + count] : samples[i + count - memory];
  }
}

/* Defines the function NAME, which uses SPECTRUM for the power spectrum. */
#define TVMTINY_MICROFRONTEND(NAME, SPECTRUM)                                                        \
  static inline void TVMTINY_UNUSED NAME(const int16_t *samples, const int16_t *coefficients, const int32_t *factors, const int16_t *order, const int16_t *starts, const int16_t *weights, const int16_t *gains, const int16_t *logarithms, const int32_t *sizes, const int16_t *remembered, const int32_t *estimate, int8_t *out, int32_t *work) \
  {                                                                                                  \
    const struct tvmtiny_microfrontend_tables tables = { coefficients, order, starts, weights, gains, logarithms, factors }; \
    tvmtiny_microfrontend_frames(SPECTRUM, (const struct tvmtiny_microfrontend_shape *)(const void *)sizes, &tables, samples, (int16_t *)(uintptr_t)remembered, (uint32_t *)(uintptr_t)estimate, out, (uint32_t *)(void *)work); \
  }

TVMTINY_MICROFRONTEND(tvmtiny_microfrontend, tvmtiny_microfrontend_spectrum)

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_MICROFRONTEND_H */
