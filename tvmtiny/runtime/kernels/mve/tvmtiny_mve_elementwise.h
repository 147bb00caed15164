/* Helium micro-kernels of ADD, SUB and MUL, and of pools. */
#ifndef TVMTINY_MVE_ELEMENTWISE_H
#define TVMTINY_MVE_ELEMENTWISE_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Instantiates NAME(a, b, constants, out, count), which may be computed over `a` or `b`.
 *
 * ADD: out = clamp((constants[0] * a + constants[1] * b + constants[2]) >> SHIFT)
 * MUL: out = clamp((((256 * a + constants[0]) * (b + constants[1]) + constants[2]) * constants[3] * 2
 *                   >> 32) >> (SHIFT + 1)), and for rounding by sign constants[4] between the shifts,
 *                   below zero also constants[5]
 * All constants were proven exact when the code was generated. */
#if TVMTINY_MVE

#define TVMTINY_MVE_ADD(NAME, SHIFT, LOW, HIGH, TEXT)                                              \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *a TVMTINY_UNUSED, const int8_t *b TVMTINY_UNUSED,            \
                        const int32_t *constants TVMTINY_UNUSED, int8_t *out TVMTINY_UNUSED,       \
                        int32_t count TVMTINY_UNUSED),                                             \
                       TEXT)
#define TVMTINY_MVE_MUL(NAME, SHIFT, LOW, HIGH, ROUNDING, TEXT)                                    \
  TVMTINY_MVE_ADD(NAME, SHIFT, LOW, HIGH, TEXT)

#else

TVMTINY_MVE_INLINE int8_t tvmtiny_mve_clamp(int32_t value, int32_t low, int32_t high)
{
  return (int8_t)(value < low ? low : value > high ? high : value);
}

#define TVMTINY_MVE_ADD(NAME, SHIFT, LOW, HIGH, TEXT)                                              \
  static void NAME(const int8_t *a, const int8_t *b, const int32_t *constants, int8_t *out,        \
                   int32_t count)                                                                  \
  {                                                                                                \
    while (count-- > 0) {                                                                          \
      const int32_t sum = constants[0] * *a++ + constants[1] * *b++ + constants[2];                \
      *out++ = tvmtiny_mve_clamp(sum >> (SHIFT), LOW, HIGH);                                       \
    }                                                                                              \
  }
#define TVMTINY_MVE_MUL(NAME, SHIFT, LOW, HIGH, ROUNDING, TEXT)                                    \
  static void NAME(const int8_t *a, const int8_t *b, const int32_t *constants, int8_t *out,        \
                   int32_t count)                                                                  \
  {                                                                                                \
    while (count-- > 0) {                                                                          \
      const int32_t acc = (256 * *a++ + constants[0]) * (*b++ + constants[1]) + constants[2];      \
      int32_t value = (int32_t)((2 * (int64_t)acc * constants[3]) >> 32);                          \
      if (TVMTINY_MVE_ROUNDING_##ROUNDING != 0) {                                                  \
        value += constants[4] + (value < 0 ? constants[5] : 0);                                    \
      }                                                                                            \
      *out++ = tvmtiny_mve_clamp(value >> ((SHIFT) + 1), LOW, HIGH);                               \
    }                                                                                              \
  }

#endif

/* ---- Pools -------------------------------------------------------------------------------- */

/* Runs BODY for each LANES channels from `channel`; the last ones overlap where CHANNELS, which is at
 * least as many, is not a multiple. */
#define TVMTINY_MVE_CHANNELS(CHANNELS, LANES, BODY)                                                \
  for (next = 0; next < (CHANNELS); next += (LANES)) {                                             \
    const int32_t channel =                                                                        \
        (CHANNELS) % (LANES) == 0 || next + (LANES) <= (CHANNELS) ? next : (CHANNELS) - (LANES);   \
    BODY                                                                                           \
  }

/* One window, of `rows` x `columns` pixels of CHANNELS channels, rows PITCH bytes apart; at most 256
 * pixels, so that sums fit int16. out = clamp((scale[1] + scale[0] * sum) >> SHIFT); at least 8
 * channels. */
#if TVMTINY_MVE

#define TVMTINY_MVE_AVERAGE_POOL(NAME, CHANNELS, PITCH, SHIFT, LOW, HIGH)                          \
  static void NAME(const int8_t *x, const int32_t *scale, int8_t *out, int32_t rows,               \
                   int32_t columns)                                                                \
  {                                                                                                \
    const int32_t factor = scale[0];                                                               \
    const int32x4_t offset = vdupq_n_s32(scale[1]);                                                \
    int32_t next;                                                                                  \
    TVMTINY_MVE_CHANNELS(CHANNELS, 8, {                                                            \
      const int8_t *row = x + channel;                                                             \
      int16x8_t sum = vdupq_n_s16(0);                                                              \
      int32x4_t even;                                                                              \
      int32x4_t odd;                                                                               \
      int32_t i;                                                                                   \
      for (i = rows; i > 0; --i, row += (PITCH)) {                                                 \
        const int8_t *from = row;                                                                  \
        int32_t left = columns;                                                                    \
        for (; left >= 4; left -= 4, from += 4 * (CHANNELS)) {                                     \
          sum = vaddq_s16(sum, vldrbq_s16(from));                                                  \
          sum = vaddq_s16(sum, vldrbq_s16(from + (CHANNELS)));                                     \
          sum = vaddq_s16(sum, vldrbq_s16(from + 2 * (CHANNELS)));                                 \
          sum = vaddq_s16(sum, vldrbq_s16(from + 3 * (CHANNELS)));                                 \
        }                                                                                          \
        for (; left > 0; --left, from += (CHANNELS)) {                                             \
          sum = vaddq_s16(sum, vldrbq_s16(from));                                                  \
        }                                                                                          \
      }                                                                                            \
      even = vshrq_n_s32(vmlaq_n_s32(offset, vmovlbq_s16(sum), factor), SHIFT);                    \
      odd = vshrq_n_s32(vmlaq_n_s32(offset, vmovltq_s16(sum), factor), SHIFT);                     \
      sum = vqmovntq_s32(vqmovnbq_s32(sum, even), odd);                                            \
      sum = vmaxq_s16(vminq_s16(sum, vdupq_n_s16(HIGH)), vdupq_n_s16(LOW));                        \
      vstrbq_s16(out + channel, sum);                                                              \
    })                                                                                             \
  }

#else

#define TVMTINY_MVE_AVERAGE_POOL(NAME, CHANNELS, PITCH, SHIFT, LOW, HIGH)                          \
  static void NAME(const int8_t *x, const int32_t *scale, int8_t *out, int32_t rows,               \
                   int32_t columns)                                                                \
  {                                                                                                \
    int32_t next;                                                                                  \
    TVMTINY_MVE_CHANNELS(CHANNELS, 1, {                                                            \
      int32_t sum = 0;                                                                             \
      int32_t y;                                                                                   \
      int32_t i;                                                                                   \
      for (y = 0; y < rows; ++y) {                                                                 \
        for (i = 0; i < columns; ++i) {                                                            \
          sum += x[y * (PITCH) + i * (CHANNELS) + channel];                                        \
        }                                                                                          \
      }                                                                                            \
      out[channel] = tvmtiny_mve_clamp((scale[1] + scale[0] * sum) >> (SHIFT), LOW, HIGH);         \
    })                                                                                             \
  }

#endif

/* The largest value of each channel of a window; at least 16 channels. */
#if TVMTINY_MVE

#define TVMTINY_MVE_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                                     \
  static void NAME(const int8_t *x, int8_t *out, int32_t rows, int32_t columns)                    \
  {                                                                                                \
    int32_t next;                                                                                  \
    TVMTINY_MVE_CHANNELS(CHANNELS, 16, {                                                           \
      const int8_t *row = x + channel;                                                             \
      int8x16_t most = vdupq_n_s8(LOW);                                                            \
      int32_t i;                                                                                   \
      for (i = rows; i > 0; --i, row += (PITCH)) {                                                 \
        const int8_t *from = row;                                                                  \
        int32_t left;                                                                              \
        for (left = columns; left > 0; --left, from += (CHANNELS)) {                               \
          most = vmaxq_s8(most, vldrbq_s8(from));                                                  \
        }                                                                                          \
      }                                                                                            \
      vstrbq_s8(out + channel, vminq_s8(most, vdupq_n_s8(HIGH)));                                  \
    })                                                                                             \
  }

#else

#define TVMTINY_MVE_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                                     \
  static void NAME(const int8_t *x, int8_t *out, int32_t rows, int32_t columns)                    \
  {                                                                                                \
    int32_t next;                                                                                  \
    TVMTINY_MVE_CHANNELS(CHANNELS, 1, {                                                            \
      int32_t most = LOW;                                                                          \
      int32_t y;                                                                                   \
      int32_t i;                                                                                   \
      for (y = 0; y < rows; ++y) {                                                                 \
        for (i = 0; i < columns; ++i) {                                                            \
          const int32_t value = x[y * (PITCH) + i * (CHANNELS) + channel];                         \
          most = value > most ? value : most;                                                      \
        }                                                                                          \
      }                                                                                            \
      out[channel] = tvmtiny_mve_clamp(most, LOW, HIGH);                                           \
    })                                                                                             \
  }

#endif

#endif /* TVMTINY_MVE_ELEMENTWISE_H */
