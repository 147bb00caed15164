/* Helium micro-kernels of ADD, SUB, MUL, SQUARED_DIFFERENCE and PRELU, and of pools. */
#ifndef TVMTINY_MVE_ELEMENTWISE_H
#define TVMTINY_MVE_ELEMENTWISE_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Instantiates NAME(a, b, constants, out, count); `out` may be `a` or `b`. ONCE is 1 if all
 * elements use the same element of `b`.
 *
 * ADD: out = clamp((constants[0] * a + constants[1] * b + constants[2]) >> SHIFT)
 * MUL: out = clamp((((256 * a + constants[0]) * (b + constants[1]) + constants[2]) * constants[3] * 2
 *                   >> 32) >> (SHIFT + 1)), and for rounding by sign constants[4] between the shifts,
 *                   below zero also constants[5]
 * These constants were proven exact when the code was generated.
 * PRECISE: the reference's own steps. Operands of ADD, SUB, RSB, which is the second one less the first,
 *          and SQUARE of their difference become (a * 2^LEFT + constants[0]) * constants[1] * 2^(SA - 31), with two roundings,
 *          and the same with constants[2], constants[3] and SB; those of MUL only get constants added.
 *          out = clamp(result * constants[4] * 2^(SO - 31) + constants[5])
 * PRELU: steps = a + constants[0]; where it is not negative, out = clamp(steps * constants[1] *
 *        2^(SA - 31) + constants[4]), elsewhere clamp(steps * (b + constants[2]) * constants[3] *
 *        2^(SB - 31) + constants[4]), with two roundings */
#if TVMTINY_MVE

#define TVMTINY_MVE_BINARY(NAME, TYPE, SECOND, TEXT)                                               \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const TYPE *a TVMTINY_UNUSED, const SECOND *b TVMTINY_UNUSED,              \
                        const int32_t *constants TVMTINY_UNUSED, TYPE *out TVMTINY_UNUSED,         \
                        int32_t count TVMTINY_UNUSED),                                             \
                       TEXT)
#define TVMTINY_MVE_ADD(NAME, ONCE, SHIFT, LOW, HIGH, TEXT)                                        \
  TVMTINY_MVE_BINARY(NAME, int8_t, int8_t, TEXT)
#define TVMTINY_MVE_MUL(NAME, ONCE, SHIFT, LOW, HIGH, ROUNDING, TEXT)                              \
  TVMTINY_MVE_BINARY(NAME, int8_t, int8_t, TEXT)
#define TVMTINY_MVE_PRECISE(NAME, TYPE, KIND, ONCE, LEFT, SA, SB, SO, LOW, HIGH, TEXT)             \
  TVMTINY_MVE_BINARY(NAME, TYPE, TYPE, TEXT)
#define TVMTINY_MVE_PRELU(NAME, TYPE, SECOND, ONCE, SA, SB, LOW, HIGH, TEXT)                       \
  TVMTINY_MVE_BINARY(NAME, TYPE, SECOND, TEXT)

#else

TVMTINY_MVE_INLINE int32_t tvmtiny_mve_bound(int32_t value, int32_t low, int32_t high)
{
  return value < low ? low : value > high ? high : value;
}

TVMTINY_MVE_INLINE int8_t tvmtiny_mve_clamp(int32_t value, int32_t low, int32_t high)
{
  return (int8_t)tvmtiny_mve_bound(value, low, high);
}

#define TVMTINY_MVE_ADD(NAME, ONCE, SHIFT, LOW, HIGH, TEXT)                                        \
  static void NAME(const int8_t *a, const int8_t *b, const int32_t *constants, int8_t *out,        \
                   int32_t count)                                                                  \
  {                                                                                                \
    for (; count > 0; --count, b += 1 - (ONCE)) {                                                  \
      const int32_t sum = constants[0] * *a++ + constants[1] * *b + constants[2];                  \
      *out++ = tvmtiny_mve_clamp(sum >> (SHIFT), LOW, HIGH);                                       \
    }                                                                                              \
  }
#define TVMTINY_MVE_MUL(NAME, ONCE, SHIFT, LOW, HIGH, ROUNDING, TEXT)                              \
  static void NAME(const int8_t *a, const int8_t *b, const int32_t *constants, int8_t *out,        \
                   int32_t count)                                                                  \
  {                                                                                                \
    for (; count > 0; --count, b += 1 - (ONCE)) {                                                  \
      const int32_t acc = (256 * *a++ + constants[0]) * (*b + constants[1]) + constants[2];        \
      int32_t value = (int32_t)((2 * (int64_t)acc * constants[3]) >> 32);                          \
      if (TVMTINY_MVE_ROUNDING_##ROUNDING != 0) {                                                  \
        value += constants[4] + (value < 0 ? constants[5] : 0);                                    \
      }                                                                                            \
      *out++ = tvmtiny_mve_clamp(value >> ((SHIFT) + 1), LOW, HIGH);                               \
    }                                                                                              \
  }

#define TVMTINY_MVE_KIND_ADD(A, B) ((A) + (B))
#define TVMTINY_MVE_KIND_SUB(A, B) ((A) - (B))
#define TVMTINY_MVE_KIND_RSB(A, B) ((B) - (A))
#define TVMTINY_MVE_KIND_SQUARE(A, B) (((A) - (B)) * ((A) - (B)))
#define TVMTINY_MVE_KIND_MUL(A, B) ((A) * (B))

/* Scales one operand; a multiplier of 0 leaves it unscaled. */
TVMTINY_MVE_INLINE int32_t tvmtiny_mve_operand(int32_t value, int32_t left, int32_t zero,
                                               int32_t multiplier, int32_t shift)
{
  const int32_t shifted = value * (int32_t)(UINT32_C(1) << left) + zero;
  return multiplier == 0 ? shifted : tvmtiny_requantize(shifted, multiplier, shift);
}

#define TVMTINY_MVE_PRECISE(NAME, TYPE, KIND, ONCE, LEFT, SA, SB, SO, LOW, HIGH, TEXT)             \
  static void NAME(const TYPE *a, const TYPE *b, const int32_t *constants, TYPE *out,              \
                   int32_t count)                                                                  \
  {                                                                                                \
    for (; count > 0; --count, b += 1 - (ONCE)) {                                                  \
      const int32_t x = tvmtiny_mve_operand(*a++, LEFT, constants[0], constants[1], SA);           \
      const int32_t y = tvmtiny_mve_operand(*b, LEFT, constants[2], constants[3], SB);             \
      const int32_t value =                                                                        \
          tvmtiny_requantize(TVMTINY_MVE_KIND_##KIND(x, y), constants[4], SO) + constants[5];      \
      *out++ = (TYPE)tvmtiny_mve_bound(value, LOW, HIGH);                                          \
    }                                                                                              \
  }

#define TVMTINY_MVE_PRELU(NAME, TYPE, SECOND, ONCE, SA, SB, LOW, HIGH, TEXT)                       \
  static void NAME(const TYPE *a, const SECOND *b, const int32_t *constants, TYPE *out,            \
                   int32_t count)                                                                  \
  {                                                                                                \
    for (; count > 0; --count, b += 1 - (ONCE)) {                                                  \
      const int32_t steps = *a++ + constants[0];                                                   \
      const int32_t value =                                                                        \
          steps < 0 ? tvmtiny_requantize(steps * (*b + constants[2]), constants[3], SB)            \
                    : tvmtiny_requantize(steps, constants[1], SA);                                 \
      *out++ = (TYPE)tvmtiny_mve_bound(value + constants[4], LOW, HIGH);                           \
    }                                                                                              \
  }

#endif

/* ---- Pools -------------------------------------------------------------------------------- */

/* Runs BODY for every LANES channels, beginning with `channel`. CHANNELS is at least LANES; if it
 * is not a multiple of LANES, the last channels overlap. */
#define TVMTINY_MVE_CHANNELS(CHANNELS, LANES, BODY)                                                \
  for (next = 0; next < (CHANNELS); next += (LANES)) {                                             \
    const int32_t channel =                                                                        \
        (CHANNELS) % (LANES) == 0 || next + (LANES) <= (CHANNELS) ? next : (CHANNELS) - (LANES);   \
    BODY                                                                                           \
  }

/* One window, of `rows` x `columns` pixels of CHANNELS channels, rows PITCH bytes apart; at most 256
 * pixels, so that sums fit int16; at least 8 channels.
 * AVERAGE_POOL: out = clamp((scale[1] + scale[0] * sum) >> SHIFT)
 * MEAN: out = clamp((sum + scale[1]) * scale[0] * 2^(SHIFT - 31) + ZERO_POINT), with two roundings */
#if TVMTINY_MVE

/* Scales with two roundings, of which the second rounds halves away from zero. */
TVMTINY_MVE_INLINE int32x4_t tvmtiny_mve_requantize(int32x4_t acc, int32_t multiplier, int32_t shift)
{
  const int32x4_t high = vqrdmulhq_n_s32(shift > 0 ? vshlq_r_s32(acc, shift) : acc, multiplier);
  const int32x4_t below = vshrq_n_s32(high, 31);
  return shift < 0 ? vrshlq_n_s32(vaddq_s32(high, below), shift) : high;
}

#define TVMTINY_MVE_LINE(SUM, SHIFT, ZERO_POINT) vshrq_n_s32(vmlaq_n_s32(offset, SUM, factor), SHIFT)
#define TVMTINY_MVE_SCALED(SUM, SHIFT, ZERO_POINT)                                                 \
  vaddq_n_s32(tvmtiny_mve_requantize(vaddq_s32(SUM, offset), factor, SHIFT), ZERO_POINT)

#define TVMTINY_MVE_WINDOW_SUMS(NAME, CHANNELS, PITCH, FINISH, SHIFT, ZERO_POINT, LOW, HIGH)       \
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
      even = FINISH(vmovlbq_s16(sum), SHIFT, ZERO_POINT);                                          \
      odd = FINISH(vmovltq_s16(sum), SHIFT, ZERO_POINT);                                           \
      sum = vqmovntq_s32(vqmovnbq_s32(sum, even), odd);                                            \
      sum = vmaxq_s16(vminq_s16(sum, vdupq_n_s16(HIGH)), vdupq_n_s16(LOW));                        \
      vstrbq_s16(out + channel, sum);                                                              \
    })                                                                                             \
  }

#else

#define TVMTINY_MVE_LINE(SUM, SHIFT, ZERO_POINT) ((scale[1] + scale[0] * (SUM)) >> (SHIFT))
#define TVMTINY_MVE_SCALED(SUM, SHIFT, ZERO_POINT)                                                 \
  (tvmtiny_requantize((SUM) + scale[1], scale[0], SHIFT) + (ZERO_POINT))

#define TVMTINY_MVE_WINDOW_SUMS(NAME, CHANNELS, PITCH, FINISH, SHIFT, ZERO_POINT, LOW, HIGH)       \
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
      out[channel] = tvmtiny_mve_clamp(FINISH(sum, SHIFT, ZERO_POINT), LOW, HIGH);                 \
    })                                                                                             \
  }

#endif

#define TVMTINY_MVE_AVERAGE_POOL(NAME, CHANNELS, PITCH, SHIFT, LOW, HIGH)                          \
  TVMTINY_MVE_WINDOW_SUMS(NAME, CHANNELS, PITCH, TVMTINY_MVE_LINE, SHIFT, 0, LOW, HIGH)
#define TVMTINY_MVE_MEAN(NAME, CHANNELS, PITCH, SHIFT, ZERO_POINT)                                 \
  TVMTINY_MVE_WINDOW_SUMS(NAME, CHANNELS, PITCH, TVMTINY_MVE_SCALED, SHIFT, ZERO_POINT, -128, 127)

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
