/* SVDF in int8 with an int16 state, by Helium. */
#ifndef TVMTINY_MVE_SVDF_H
#define TVMTINY_MVE_SVDF_H

#include "tvmtiny_mve_lstm.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Instantiates NAME(patch, stream, features, vectors): as the gates of an LSTM, without a state. */
#if TVMTINY_MVE
#define TVMTINY_MVE_FEATURES(NAME, INPUTS, TEXT) TVMTINY_MVE_LSTM_GATES(NAME, INPUTS, 0, TEXT)
#else
#define TVMTINY_MVE_FEATURES(NAME, INPUTS, TEXT)                                                   \
  static void NAME(const int8_t *patch, const int32_t *stream, int16_t *features, int32_t vectors) \
  {                                                                                                \
    for (; vectors > 0; --vectors, stream += 12 + ((INPUTS) + 15) / 16 * 32) {                     \
      int32_t i;                                                                                   \
      for (i = 0; i < 8; ++i) {                                                                    \
        *features++ =                                                                              \
            (int16_t)tvmtiny_mve_lstm_gate(patch, INPUTS, stream, i / 2 + i % 2 * 4, 0);           \
      }                                                                                            \
    }                                                                                              \
  }
#endif

/* Drops the oldest value of a filter's state and appends `newest`; the product with the weights over
 * time, modulo 2^32. */
TVMTINY_MVE_INLINE uint32_t tvmtiny_mve_svdf_time(int16_t *state, const int16_t *times,
                                                  int32_t memory, int16_t newest)
{
  uint32_t sum = (uint32_t)(newest * times[memory - 1]);
  int32_t i;
#if TVMTINY_MVE
  for (i = 0; i < memory - 1; i += 8) {
    const mve_pred16_t some = vctp16q((uint32_t)(memory - 1 - i));
    const int16x8_t values = vldrhq_z_s16(state + i + 1, some);
    vstrhq_p_s16(state + i, values, some);
    sum = (uint32_t)vmladavaq_p_s16((int32_t)sum, values, vldrhq_z_s16(times + i, some), some);
  }
#else
  for (i = 0; i < memory - 1; ++i) {
    state[i] = state[i + 1];
    sum += (uint32_t)(state[i] * times[i]);
  }
#endif
  state[memory - 1] = newest;
  return sum;
}

/* Instantiates NAME(x, stream, times, bias, state, out, features, patch): FEATURES is the kernel
 * above, MULTIPLIER and SHIFT scale outputs. `state` is memory of the model that just this layer
 * uses. Workspaces are `features`, of whole vectors, and `patch`, of whole groups of inputs. */
#define TVMTINY_MVE_SVDF(NAME, FEATURES, BATCHES, INPUTS, FILTERS, MEMORY, RANK, MULTIPLIER,       \
                         SHIFT, ZERO_POINT)                                                        \
  static void NAME(const int8_t *x, const int32_t *stream, const int16_t *times,                   \
                   const int32_t *bias, const int16_t *state, int8_t *out, int16_t *features,      \
                   int8_t *patch)                                                                  \
  {                                                                                                \
    int16_t *memory = (int16_t *)(uintptr_t)state;                                                 \
    int32_t batch;                                                                                 \
    for (batch = 0; batch < (BATCHES); ++batch) {                                                  \
      const int16_t *weights = times;                                                              \
      const int16_t *newest = features;                                                            \
      int32_t unit;                                                                                \
      tvmtiny_mve_copy(patch, x + batch * (INPUTS), INPUTS);                                       \
      FEATURES(patch, stream, features, ((FILTERS) + 7) / 8);                                      \
      for (unit = 0; unit < (FILTERS) / (RANK); ++unit) {                                          \
        uint32_t total = (uint32_t)bias[unit];                                                     \
        int32_t value;                                                                             \
        int32_t i;                                                                                 \
        for (i = 0; i < (RANK); ++i) {                                                             \
          total += tvmtiny_mve_svdf_time(memory, weights, MEMORY, *newest++);                      \
          memory += (MEMORY);                                                                      \
          weights += (MEMORY);                                                                     \
        }                                                                                          \
        value = tvmtiny_requantize((int32_t)total, MULTIPLIER, SHIFT) + (ZERO_POINT);              \
        *out++ = (int8_t)tvmtiny_saturate(value);                                                  \
      }                                                                                            \
    }                                                                                              \
  }

#endif /* TVMTINY_MVE_SVDF_H */
