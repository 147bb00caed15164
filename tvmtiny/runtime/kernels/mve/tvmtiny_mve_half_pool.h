/* Helium kernels of pools of int16: one window, of `rows` x `columns` pixels of CHANNELS channels, rows
 * PITCH numbers apart; at most 256 pixels.
 *
 * AVERAGE: out = clamp((|sum| + scale[1]) * scale[0] >> 32) with the sign of the sum; scale[0] is 2^32
 *          divided by the pixels and rounded up, which gives the quotient of all such sums. */
#ifndef TVMTINY_MVE_HALF_POOL_H
#define TVMTINY_MVE_HALF_POOL_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>

#define TVMTINY_MVE_HALF_AVERAGE_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                            \
  static void NAME(const int16_t *x, const int32_t *scale, int16_t *out, int32_t rows,             \
                   int32_t columns)                                                                \
  {                                                                                                \
    const uint32x4_t factor = vdupq_n_u32((uint32_t)scale[0]);                                     \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS); channel += 4) {                                        \
      const mve_pred16_t some = vctp32q((uint32_t)((CHANNELS)-channel));                           \
      const int16_t *row = x + channel;                                                            \
      int32x4_t sum = vdupq_n_s32(0);                                                              \
      uint32x4_t size;                                                                             \
      int32_t i;                                                                                   \
      for (i = rows; i > 0; --i, row += (PITCH)) {                                                 \
        const int16_t *from = row;                                                                 \
        int32_t left;                                                                              \
        for (left = columns; left > 0; --left, from += (CHANNELS)) {                               \
          sum = vaddq_s32(sum, vldrhq_z_s32(from, some));                                          \
        }                                                                                          \
      }                                                                                            \
      size = vaddq_n_u32(vreinterpretq_u32_s32(vabsq_s32(sum)), (uint32_t)scale[1]);               \
      size = vmulhq_u32(size, factor);                                                             \
      sum = vnegq_m_s32(vreinterpretq_s32_u32(size), vreinterpretq_s32_u32(size),                  \
                        vcmpltq_n_s32(sum, 0));                                                    \
      sum = vmaxq_s32(vminq_s32(sum, vdupq_n_s32(HIGH)), vdupq_n_s32(LOW));                        \
      vstrhq_p_s32(out + channel, sum, some);                                                      \
    }                                                                                              \
  }

#define TVMTINY_MVE_HALF_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                                \
  static void NAME(const int16_t *x, int16_t *out, int32_t rows, int32_t columns)                  \
  {                                                                                                \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS); channel += 8) {                                        \
      const mve_pred16_t some = vctp16q((uint32_t)((CHANNELS)-channel));                           \
      const int16_t *row = x + channel;                                                            \
      int16x8_t most = vdupq_n_s16(LOW);                                                           \
      int32_t i;                                                                                   \
      for (i = rows; i > 0; --i, row += (PITCH)) {                                                 \
        const int16_t *from = row;                                                                 \
        int32_t left;                                                                              \
        for (left = columns; left > 0; --left, from += (CHANNELS)) {                               \
          most = vmaxq_s16(most, vldrhq_z_s16(from, some));                                        \
        }                                                                                          \
      }                                                                                            \
      vstrhq_p_s16(out + channel, vminq_s16(most, vdupq_n_s16(HIGH)), some);                       \
    }                                                                                              \
  }

#else

TVMTINY_MVE_INLINE int16_t tvmtiny_mve_half_bound(int32_t value, int32_t low, int32_t high)
{
  return (int16_t)(value < low ? low : value > high ? high : value);
}

#define TVMTINY_MVE_HALF_AVERAGE_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                            \
  static void NAME(const int16_t *x, const int32_t *scale, int16_t *out, int32_t rows,             \
                   int32_t columns)                                                                \
  {                                                                                                \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS); ++channel) {                                           \
      int32_t sum = 0;                                                                             \
      int32_t value;                                                                               \
      int32_t y;                                                                                   \
      int32_t i;                                                                                   \
      for (y = 0; y < rows; ++y) {                                                                 \
        for (i = 0; i < columns; ++i) {                                                            \
          sum += x[y * (PITCH) + i * (CHANNELS) + channel];                                        \
        }                                                                                          \
      }                                                                                            \
      value = (int32_t)(((uint64_t)(uint32_t)((sum < 0 ? -sum : sum) + scale[1]) *                 \
                         (uint32_t)scale[0]) >>                                                    \
                        32);                                                                       \
      out[channel] = tvmtiny_mve_half_bound(sum < 0 ? -value : value, LOW, HIGH);                  \
    }                                                                                              \
  }

#define TVMTINY_MVE_HALF_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                                \
  static void NAME(const int16_t *x, int16_t *out, int32_t rows, int32_t columns)                  \
  {                                                                                                \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS); ++channel) {                                           \
      int32_t most = LOW;                                                                          \
      int32_t y;                                                                                   \
      int32_t i;                                                                                   \
      for (y = 0; y < rows; ++y) {                                                                 \
        for (i = 0; i < columns; ++i) {                                                            \
          const int32_t value = x[y * (PITCH) + i * (CHANNELS) + channel];                         \
          most = value > most ? value : most;                                                      \
        }                                                                                          \
      }                                                                                            \
      out[channel] = tvmtiny_mve_half_bound(most, LOW, HIGH);                                      \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_MVE_HALF_POOL_H */
