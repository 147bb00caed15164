/* SVDF in int8 with an int16 state, by Helium. */
#ifndef TVMTINY_MVE_SVDF_H
#define TVMTINY_MVE_SVDF_H

#include "tvmtiny_mve_lstm.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Instantiates NAME(patch, stream, features, vectors): computes features like the gates of an LSTM
 * without a state. */
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

/* Instantiates NAME(state, times, features, bias, totals, units): drops the oldest value of each
 * filter's state and appends its feature. Each total is, modulo 2^32, the bias plus the products
 * with the weights over time of the RANK filters of a unit. */
#if TVMTINY_MVE

#define TVMTINY_MVE_TIME(NAME, MEMORY, RANK, TEXT)                                                 \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (int16_t *state TVMTINY_UNUSED, const int16_t *times TVMTINY_UNUSED,        \
                        const int16_t *features TVMTINY_UNUSED, const int32_t *bias TVMTINY_UNUSED, \
                        int32_t *totals TVMTINY_UNUSED, int32_t units TVMTINY_UNUSED),             \
                       TEXT)

#else

#define TVMTINY_MVE_TIME(NAME, MEMORY, RANK, TEXT)                                                 \
  static void NAME(int16_t *state, const int16_t *times, const int16_t *features,                  \
                   const int32_t *bias, int32_t *totals, int32_t units)                            \
  {                                                                                                \
    for (; units > 0; --units) {                                                                   \
      uint32_t total = (uint32_t)*bias++;                                                          \
      int32_t filter;                                                                              \
      for (filter = 0; filter < (RANK); ++filter) {                                                \
        int32_t i;                                                                                 \
        for (i = 0; i < (MEMORY); ++i) {                                                           \
          state[i] = i + 1 < (MEMORY) ? state[i + 1] : *features;                                  \
          total += (uint32_t)(state[i] * times[i]);                                                \
        }                                                                                          \
        ++features;                                                                                \
        state += (MEMORY);                                                                         \
        times += (MEMORY);                                                                         \
      }                                                                                            \
      *totals++ = (int32_t)total;                                                                  \
    }                                                                                              \
  }

#endif

/* The number of units whose totals are on the stack. */
#define TVMTINY_MVE_SVDF_UNITS 16

TVMTINY_MVE_INLINE void tvmtiny_mve_svdf_outputs(const int32_t *totals, int8_t *out, int32_t units,
                                                 int32_t multiplier, int32_t shift,
                                                 int32_t zero_point)
{
#if TVMTINY_MVE
  for (; units > 0; units -= 4, totals += 4, out += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)units);
    int32x4_t value = vldrwq_z_s32(totals, some);
    value = vqrdmulhq_n_s32(shift > 0 ? vshlq_r_s32(value, shift) : value, multiplier);
    if (shift < 0) {
      value = vrshlq_n_s32(vaddq_s32(value, vshrq_n_s32(value, 31)), shift);
    }
    value = vaddq_n_s32(value, zero_point);
    value = vmaxq_s32(vminq_s32(value, vdupq_n_s32(127)), vdupq_n_s32(-128));
    vstrbq_p_s32(out, value, some);
  }
#else
  for (; units > 0; --units) {
    *out++ = (int8_t)tvmtiny_saturate(tvmtiny_requantize(*totals++, multiplier, shift) + zero_point);
  }
#endif
}

/* Instantiates NAME(x, stream, times, bias, state, out, features, patch): FEATURES and TIME are the
 * kernels above, MULTIPLIER and SHIFT scale outputs. `state` is memory of the model that only this
 * layer uses. Workspaces are `features`, with whole vectors, and `patch`, with whole groups of
 * inputs. */
#define TVMTINY_MVE_SVDF(NAME, FEATURES, TIME, BATCHES, INPUTS, FILTERS, MEMORY, RANK, MULTIPLIER, \
                         SHIFT, ZERO_POINT)                                                        \
  static void NAME(const int8_t *x, const int32_t *stream, const int16_t *times,                   \
                   const int32_t *bias, const int16_t *state, int8_t *out, int16_t *features,      \
                   int8_t *patch)                                                                  \
  {                                                                                                \
    const int32_t units = (FILTERS) / (RANK);                                                      \
    int16_t *memory = (int16_t *)(uintptr_t)state;                                                 \
    int32_t batch;                                                                                 \
    for (batch = 0; batch < (BATCHES); ++batch) {                                                  \
      int32_t unit;                                                                                \
      tvmtiny_mve_copy(patch, x + batch * (INPUTS), INPUTS);                                       \
      FEATURES(patch, stream, features, ((FILTERS) + 7) / 8);                                      \
      for (unit = 0; unit < units; unit += TVMTINY_MVE_SVDF_UNITS) {                               \
        const int32_t left = units - unit;                                                         \
        const int32_t some = left < TVMTINY_MVE_SVDF_UNITS ? left : TVMTINY_MVE_SVDF_UNITS;        \
        const int32_t filter = unit * (RANK);                                                      \
        int32_t totals[TVMTINY_MVE_SVDF_UNITS];                                                    \
        TIME(memory + filter * (MEMORY), times + filter * (MEMORY), features + filter,             \
             bias + unit, totals, some);                                                           \
        tvmtiny_mve_svdf_outputs(totals, out + unit, some, MULTIPLIER, SHIFT, ZERO_POINT);         \
      }                                                                                            \
      memory += (FILTERS) * (MEMORY);                                                              \
      out += units;                                                                                \
    }                                                                                              \
  }

#endif /* TVMTINY_MVE_SVDF_H */
