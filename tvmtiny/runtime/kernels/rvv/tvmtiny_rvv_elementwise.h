/* RVV micro-kernels of ADD, SUB and MUL, and of pooling. */
#ifndef TVMTINY_RVV_ELEMENTWISE_H
#define TVMTINY_RVV_ELEMENTWISE_H

#include "tvmtiny_rvv.h"

/* Defines NAME(a, b, constants, out, count); the output may overwrite `a` or `b`.
 *
 * ADD: out = clamp((constants[0] * a + constants[1] * b + constants[2]) >> SHIFT)
 * MUL: out = clamp((((256 * a + constants[0]) * (b + constants[1]) + constants[2]) * constants[3]
 *                   >> 32) >> SHIFT). With rounding by sign, constants[5] is added between the
 *                   shifts, and constants[4] as well for negative numbers.
 * All constants were proven exact when the code was generated.
 *
 * Defines NAME(x, scale, out, rows, columns) and NAME(x, out, rows, columns) for one window of
 * `rows` x `columns` pixels of CHANNELS channels, with rows PITCH bytes apart. The result is the
 * average, clamp((scale[1] + scale[0] * sum) >> SHIFT), of at most 256 pixels, so that sums fit in
 * int16; or the largest value of each channel. */
#if TVMTINY_RVV

#define TVMTINY_RVV_ADD(NAME, SHIFT, LOW, HIGH, TEXT)                                              \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *a TVMTINY_UNUSED, const int8_t *b TVMTINY_UNUSED,            \
                        const int32_t *constants TVMTINY_UNUSED, int8_t *out TVMTINY_UNUSED,       \
                        int32_t count TVMTINY_UNUSED),                                             \
                       TEXT)
#define TVMTINY_RVV_MUL(NAME, SHIFT, LOW, HIGH, ROUNDING, TEXT)                                    \
  TVMTINY_RVV_ADD(NAME, SHIFT, LOW, HIGH, TEXT)
#define TVMTINY_RVV_AVERAGE_POOL(NAME, CHANNELS, PITCH, SHIFT, LOW, HIGH, TEXT)                    \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, const int32_t *scale TVMTINY_UNUSED,       \
                        int8_t *out TVMTINY_UNUSED, int32_t rows TVMTINY_UNUSED,                   \
                        int32_t columns TVMTINY_UNUSED),                                           \
                       TEXT)
#define TVMTINY_RVV_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH, TEXT)                               \
  TVMTINY_RVV_FUNCTION(NAME,                                                                       \
                       (const int8_t *x TVMTINY_UNUSED, int8_t *out TVMTINY_UNUSED,                \
                        int32_t rows TVMTINY_UNUSED, int32_t columns TVMTINY_UNUSED),              \
                       TEXT)

#else

#define TVMTINY_RVV_ADD(NAME, SHIFT, LOW, HIGH, TEXT)                                              \
  static void NAME(const int8_t *a, const int8_t *b, const int32_t *constants, int8_t *out,        \
                   int32_t count)                                                                  \
  {                                                                                                \
    while (count-- > 0) {                                                                          \
      const int32_t sum = constants[0] * *a++ + constants[1] * *b++ + constants[2];                \
      *out++ = tvmtiny_rvv_clamp(sum >> (SHIFT), LOW, HIGH);                                       \
    }                                                                                              \
  }
#define TVMTINY_RVV_MUL(NAME, SHIFT, LOW, HIGH, ROUNDING, TEXT)                                    \
  static void NAME(const int8_t *a, const int8_t *b, const int32_t *constants, int8_t *out,        \
                   int32_t count)                                                                  \
  {                                                                                                \
    while (count-- > 0) {                                                                          \
      const int32_t acc = (256 * *a++ + constants[0]) * (*b++ + constants[1]) + constants[2];      \
      int32_t value = (int32_t)(((int64_t)acc * constants[3]) >> 32);                              \
      if (TVMTINY_RVV_##ROUNDING != 0) {                                                           \
        value += (value < 0 ? constants[4] : 0) + constants[5];                                    \
      }                                                                                            \
      *out++ = tvmtiny_rvv_clamp(value >> (SHIFT), LOW, HIGH);                                     \
    }                                                                                              \
  }
#define TVMTINY_RVV_AVERAGE_POOL(NAME, CHANNELS, PITCH, SHIFT, LOW, HIGH, TEXT)                    \
  static void NAME(const int8_t *x, const int32_t *scale, int8_t *out, int32_t rows,               \
                   int32_t columns)                                                                \
  {                                                                                                \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS); ++channel) {                                           \
      int32_t sum = 0;                                                                             \
      int32_t y;                                                                                   \
      int32_t i;                                                                                   \
      for (y = 0; y < rows; ++y) {                                                                 \
        for (i = 0; i < columns; ++i) {                                                            \
          sum += x[y * (PITCH) + i * (CHANNELS) + channel];                                        \
        }                                                                                          \
      }                                                                                            \
      out[channel] = tvmtiny_rvv_clamp((scale[1] + scale[0] * sum) >> (SHIFT), LOW, HIGH);         \
    }                                                                                              \
  }
#define TVMTINY_RVV_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH, TEXT)                               \
  static void NAME(const int8_t *x, int8_t *out, int32_t rows, int32_t columns)                    \
  {                                                                                                \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS); ++channel) {                                           \
      int32_t most = LOW;                                                                          \
      int32_t y;                                                                                   \
      int32_t i;                                                                                   \
      for (y = 0; y < rows; ++y) {                                                                 \
        for (i = 0; i < columns; ++i) {                                                            \
          most = tvmtiny_max(most, x[y * (PITCH) + i * (CHANNELS) + channel]);                     \
        }                                                                                          \
      }                                                                                            \
      out[channel] = tvmtiny_rvv_clamp(most, LOW, HIGH);                                           \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_RVV_ELEMENTWISE_H */
