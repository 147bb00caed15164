/* Helium micro-kernels of float32 CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, for cores with
 * MVE-F.
 *
 * Lanes are output channels; if 4 does not divide them, the last block of 4 overlaps. Each sum
 * starts with the bias and adds products in the order of the taps; products are not rounded
 * (VFMA). */
#ifndef TVMTINY_MVE_FLOAT_H
#define TVMTINY_MVE_FLOAT_H

#include "tvmtiny_mve_tile.h"

#if TVMTINY_MVE
#if (__ARM_FEATURE_MVE & 2) != 0
#define TVMTINY_MVE_FLOAT 1
#endif
#endif
#ifndef TVMTINY_MVE_FLOAT
#define TVMTINY_MVE_FLOAT 0
#endif

#if TVMTINY_MVE_FLOAT
#include <arm_mve.h>
#endif

/* A bound that no float exceeds. */
#if defined(__GNUC__) || defined(__clang__)
#define TVMTINY_MVE_INFINITY __builtin_inff()
#else
#define TVMTINY_MVE_INFINITY ((float)(1e300 * 1e300))
#endif

/* Instantiates NAME(x, stream, out, quads): all channels of neighbouring pixels, four at a time;
 * filters are ROWS runs of RUN inputs, ROW_PITCH inputs apart, pixels PITCH inputs. For each block
 * of 4 channels, the stream has their biases, and their weights for each input.
 * Instantiates NAME(x, stream, out): all channels of one pixel, whose inputs are one run. Blocks
 * have 16 channels; the last block has the remaining multiples of 4. */
#if TVMTINY_MVE_FLOAT

#define TVMTINY_MVE_F32_QUAD(NAME, CHANNELS, ROWS, RUN, ROW_PITCH, PITCH, LOW, HIGH, TEXT)         \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const float *x TVMTINY_UNUSED, const float *stream TVMTINY_UNUSED,         \
                        float *out TVMTINY_UNUSED, int32_t quads TVMTINY_UNUSED),                  \
                       TEXT)
#define TVMTINY_MVE_F32_SINGLE(NAME, CHANNELS, RUN, LOW, HIGH, TEXT)                               \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const float *x TVMTINY_UNUSED, const float *stream TVMTINY_UNUSED,         \
                        float *out TVMTINY_UNUSED),                                                \
                       TEXT)

#else

TVMTINY_MVE_INLINE float tvmtiny_mve_f32_clamp(float value, float low, float high)
{
  return value < low ? low : value > high ? high : value;
}

/* One pixel: weights of channel `c` are `width` floats apart. */
TVMTINY_MVE_INLINE void tvmtiny_mve_f32_pixel(const float *x, const float *stream, float *out,
                                              int32_t channels, int32_t most, int32_t rows,
                                              int32_t run, int32_t row_pitch, float low, float high)
{
  int32_t done = 0;
  while (done < channels) {
    const int32_t whole = channels / 4 * 4;
    const int32_t limit = whole < most ? whole : most;
    const int32_t left = (channels - done + 3) / 4 * 4;
    const int32_t width = left < limit ? left : limit;
    const int32_t first = channels - done < width ? channels - width : done;
    int32_t c;
    int32_t row;
    int32_t i;
    for (c = 0; c < width; ++c) {
      float sum = stream[c];
      for (row = 0; row < rows; ++row) {
        for (i = 0; i < run; ++i) {
          sum += x[row * row_pitch + i] * stream[(1 + row * run + i) * width + c];
        }
      }
      out[first + c] = tvmtiny_mve_f32_clamp(sum, low, high);
    }
    stream += (1 + rows * run) * width;
    done = first + width;
  }
}

#define TVMTINY_MVE_F32_QUAD(NAME, CHANNELS, ROWS, RUN, ROW_PITCH, PITCH, LOW, HIGH, TEXT)         \
  static void NAME(const float *x, const float *stream, float *out, int32_t quads)                 \
  {                                                                                                \
    int32_t pixel;                                                                                 \
    for (pixel = 0; pixel < 4 * quads; ++pixel) {                                                  \
      tvmtiny_mve_f32_pixel(x + pixel * (PITCH), stream, out + pixel * (CHANNELS), CHANNELS, 4,    \
                            ROWS, RUN, ROW_PITCH, LOW, HIGH);                                      \
    }                                                                                              \
  }
#define TVMTINY_MVE_F32_SINGLE(NAME, CHANNELS, RUN, LOW, HIGH, TEXT)                               \
  static void NAME(const float *x, const float *stream, float *out)                                \
  {                                                                                                \
    tvmtiny_mve_f32_pixel(x, stream, out, CHANNELS, 16, 1, RUN, RUN, LOW, HIGH);                   \
  }

#endif

/* `tvmtiny_mve_rows` for floats; all sizes are in floats. */
TVMTINY_MVE_INLINE void tvmtiny_mve_f32_rows(const float *x, float *strip, int32_t first,
                                             int32_t rows, int32_t height, int32_t pitch,
                                             int32_t left, int32_t count, int32_t right)
{
  tvmtiny_mve_rows((const int8_t *)x, (int8_t *)strip, first, rows, height, 4 * pitch, 4 * left,
                   4 * count, 4 * right, 0);
}

/* Instantiates NAME(x, stream, out): a row of COLUMNS outputs of each of CHANNELS channels;
 * CHANNELS is at least 4. Taps are DOWN and RIGHT inputs apart, outputs STEP. For each block of 4
 * channels, the stream has their biases, and their weights for each tap. */
#if TVMTINY_MVE_FLOAT

#define TVMTINY_MVE_F32_WINDOW(NAME, COLUMNS, CHANNELS, KH, KW, DOWN, RIGHT, STEP, LOW, HIGH)      \
  static void NAME(const float *x, const float *stream, float *out)                                \
  {                                                                                                \
    const float32x4_t low = vdupq_n_f32(LOW);                                                      \
    const float32x4_t high = vdupq_n_f32(HIGH);                                                    \
    int32_t next;                                                                                  \
    TVMTINY_MVE_F32_CHANNELS(CHANNELS, {                                                           \
      const float *from = x + channel;                                                             \
      float *to = out + channel;                                                                   \
      int32_t left;                                                                                \
      for (left = (COLUMNS); left > 0; --left) {                                                   \
        const float *row = from;                                                                   \
        const float *weights = stream + 4;                                                         \
        float32x4_t sum = vld1q_f32(stream);                                                       \
        int32_t i;                                                                                 \
        int32_t j;                                                                                 \
        for (i = (KH); i > 0; --i, row += (DOWN)) {                                                \
          const float *tap = row;                                                                  \
          for (j = (KW); j > 0; --j, tap += (RIGHT), weights += 4) {                               \
            sum = vfmaq_f32(sum, vld1q_f32(tap), vld1q_f32(weights));                              \
          }                                                                                        \
        }                                                                                          \
        sum = vpselq_f32(low, sum, vcmpltq_f32(sum, low));                                         \
        vst1q_f32(to, vpselq_f32(high, sum, vcmpgtq_f32(sum, high)));                              \
        from += (STEP);                                                                            \
        to += (CHANNELS);                                                                          \
      }                                                                                            \
      stream += 4 * (1 + (KH) * (KW));                                                             \
    })                                                                                             \
  }

#else

#define TVMTINY_MVE_F32_WINDOW(NAME, COLUMNS, CHANNELS, KH, KW, DOWN, RIGHT, STEP, LOW, HIGH)      \
  static void NAME(const float *x, const float *stream, float *out)                                \
  {                                                                                                \
    int32_t next;                                                                                  \
    TVMTINY_MVE_F32_CHANNELS(CHANNELS, {                                                           \
      int32_t column;                                                                              \
      int32_t c;                                                                                   \
      int32_t i;                                                                                   \
      int32_t j;                                                                                   \
      for (column = 0; column < (COLUMNS); ++column) {                                             \
        for (c = 0; c < 4; ++c) {                                                                  \
          const float *const from = x + column * (STEP) + channel + c;                             \
          float sum = stream[c];                                                                   \
          for (i = 0; i < (KH); ++i) {                                                             \
            for (j = 0; j < (KW); ++j) {                                                           \
              sum += from[i * (DOWN) + j * (RIGHT)] * stream[4 * (1 + i * (KW) + j) + c];          \
            }                                                                                      \
          }                                                                                        \
          out[column * (CHANNELS) + channel + c] = tvmtiny_mve_f32_clamp(sum, LOW, HIGH);          \
        }                                                                                          \
      }                                                                                            \
      stream += 4 * (1 + (KH) * (KW));                                                             \
    })                                                                                             \
  }

#endif

#define TVMTINY_MVE_F32_CHANNELS(CHANNELS, BODY)                                                   \
  for (next = 0; next < (CHANNELS); next += 4) {                                                   \
    const int32_t channel = next + 4 <= (CHANNELS) ? next : (CHANNELS) - 4;                        \
    BODY                                                                                           \
  }

#endif /* TVMTINY_MVE_FLOAT_H */
