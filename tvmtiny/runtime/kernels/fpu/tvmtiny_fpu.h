/* Micro-kernels of float32 CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED for cores with a
 * single-precision FPU (FPv4-SP, FPv5). On other cores, or with TVMTINY_PORTABLE, portable twins
 * sum in the same order.
 *
 * Each sum starts with the bias and follows the order of the taps. With a GAIN of 2, the stream
 * holds half of each weight and bias, so that ReLU is the sum plus its magnitude. Results are
 * clamped to the bounds; infinite bounds become the largest finite number, and NaN stays NaN. */
#ifndef TVMTINY_FPU_H
#define TVMTINY_FPU_H

#include <limits.h>

#include "tvmtiny.h"

#if INT_MAX < 2147483647
#error "The kernels for floating-point units need an int of 32 bits: compile the model for another target, such as cortex-m0."
#endif

#if defined(__ARM_FEATURE_FMA) && defined(__thumb2__) && (defined(__GNUC__) || defined(__clang__)) && \
    !defined(TVMTINY_PORTABLE)
#define TVMTINY_FPU 1
#else
#define TVMTINY_FPU 0
#if defined(__arm__) && !defined(TVMTINY_PORTABLE)
#pragma message(                                                                                       \
    "tvmtiny: this compiler may not use the floating-point unit, so slow portable code runs: give -mcpu, -mfpu and -mfloat-abi=hard or softfp of the processor that the model was compiled for, or define TVMTINY_PORTABLE")
#endif
#endif

#if TVMTINY_FPU && defined(__clang__)
/* The assembly is longer than 4095 characters, the limit of string literals in C99. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_FPU_INLINE static inline TVMTINY_UNUSED

#define TVMTINY_FPU_LARGEST 3.402823466e+38f

#if TVMTINY_FPU

/* Defines a function NAME that consists of assembly. The clobbers are for GCC's -fipa-ra, which
 * relies on what it sees of a local function. */
#define TVMTINY_FPU_FUNCTION(NAME, PARAMETERS, TEXT)                                               \
  static __attribute__((naked, noinline)) void NAME PARAMETERS                                     \
  {                                                                                                \
    __asm__ volatile(".syntax unified\n" TEXT ::: "r0", "r1", "r2", "r3", "r12", "lr", "s0", "s1", \
                     "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13",   \
                     "s14", "s15", "cc", "memory");                                                \
  }

#else

TVMTINY_FPU_INLINE float tvmtiny_fpu_clamp(float value, float low, float high)
{
  return value < low ? low : value > high ? high : value;
}

#endif

/* ---- Copies ------------------------------------------------------------------------------- */

TVMTINY_FPU_INLINE void tvmtiny_fpu_copy(float *to, const float *from, int32_t count)
{
#if TVMTINY_FPU
  for (; count >= 16; count -= 16) {
    __asm__ volatile("vldmia %1!, {s0-s15}\n\tvstmia %0!, {s0-s15}"
                     : "+r"(to), "+r"(from)
                     :
                     : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11",
                       "s12", "s13", "s14", "s15", "memory");
  }
#endif
  while (count-- > 0) {
    *to++ = *from++;
  }
}

TVMTINY_FPU_INLINE void tvmtiny_fpu_zero(float *to, int32_t count)
{
  while (count-- > 0) {
    *to++ = 0.0f;
  }
}

/* Copies `rows` rows of an input of `height` rows, from `first` on. Each row gets `count` floats
 * between `left` and `right` zeros; rows outside the input are zeros. */
TVMTINY_FPU_INLINE void tvmtiny_fpu_rows(const float *x, float *strip, int32_t first, int32_t rows,
                                         int32_t height, int32_t pitch, int32_t left, int32_t count,
                                         int32_t right)
{
  int32_t row;
  for (row = first; row < first + rows; ++row) {
    if (row < 0 || row >= height) {
      tvmtiny_fpu_zero(strip, left + count + right);
    } else {
      tvmtiny_fpu_zero(strip, left);
      tvmtiny_fpu_copy(strip + left, x + row * pitch, count);
      tvmtiny_fpu_zero(strip + left + count, right);
    }
    strip += left + count + right;
  }
}

/* Copies two channels of `count` pixels that are `step` floats apart. */
TVMTINY_FPU_INLINE void tvmtiny_fpu_pairs(float *to, const float *from, int32_t count, int32_t step)
{
#if TVMTINY_FPU
  for (; count >= 4; count -= 4) {
    __asm__ volatile("vldr.64 d0, [%1]\n\tadd %1, %1, %2\n\t"
                     "vldr.64 d1, [%1]\n\tadd %1, %1, %2\n\t"
                     "vldr.64 d2, [%1]\n\tadd %1, %1, %2\n\t"
                     "vldr.64 d3, [%1]\n\tadd %1, %1, %2\n\t"
                     "vstmia %0!, {d0-d3}"
                     : "+r"(to), "+r"(from)
                     : "r"(4 * step)
                     : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "memory");
  }
#endif
  for (; count > 0; --count) {
    to[0] = from[0];
    to[1] = from[1];
    to += 2;
    from += step;
  }
}

/* Copies two channels of `rows` rows of an input of `height` rows, from `first` on, into a plane of
 * `columns` pairs per row. `used` pixels of each row follow `left` others. Rows outside the input
 * are zeros. */
TVMTINY_FPU_INLINE void tvmtiny_fpu_plane(const float *x, float *plane, int32_t first, int32_t rows,
                                          int32_t height, int32_t width, int32_t channels,
                                          int32_t columns, int32_t left, int32_t used)
{
  int32_t row;
  for (row = first; row < first + rows; ++row, plane += 2 * columns) {
    if (row < 0 || row >= height) {
      tvmtiny_fpu_zero(plane, 2 * columns);
    } else {
      tvmtiny_fpu_pairs(plane + 2 * left, x + row * width * channels, used, channels);
    }
  }
}

/* ---- Tiles -------------------------------------------------------------------------------- */

/* Defines NAME(x, stream, out), which computes CHANNELS channels of PIXELS pixels. The inputs of
 * neighbouring pixels are PITCH floats apart, and their outputs OUT_PITCH. The inputs of a filter
 * are OUTER times INNER runs of RUN floats; runs are INNER_PITCH apart, and groups of INNER runs
 * OUTER_PITCH. For each block of WIDTH channels, the stream holds the biases, and then the weights
 * for each input; the last block may be smaller. The kernel reads all inputs of TOGETHER pixels
 * before it writes a block of their outputs, which may overwrite the inputs. */
#if TVMTINY_FPU

#define TVMTINY_FPU_TILE(NAME, PIXELS, TOGETHER, CHANNELS, WIDTH, PITCH, OUT_PITCH, OUTER,         \
                         OUTER_PITCH, INNER, INNER_PITCH, RUN, GAIN, LOW, HIGH, TEXT)              \
  TVMTINY_FPU_FUNCTION(NAME,                                                                       \
                       (const float *x TVMTINY_UNUSED, const float *stream TVMTINY_UNUSED,         \
                        float *out TVMTINY_UNUSED),                                                \
                       TEXT)

#else

/* More sums than there are single-precision registers. */
#define TVMTINY_FPU_SUMS 32

typedef struct {
  int32_t channels, width, pitch, out_pitch, outer, outer_pitch, inner, inner_pitch, run;
  float gain, low, high;
} tvmtiny_fpu_layer;

TVMTINY_FPU_INLINE float tvmtiny_fpu_sum(const float *x, const float *weights, int32_t width, float sum,
                                         const tvmtiny_fpu_layer *layer)
{
  int32_t i;
  int32_t j;
  int32_t k;
  for (i = 0; i < layer->outer; ++i) {
    for (j = 0; j < layer->inner; ++j) {
      for (k = 0; k < layer->run; ++k, weights += width) {
        sum += x[i * layer->outer_pitch + j * layer->inner_pitch + k] * *weights;
      }
    }
  }
  return tvmtiny_fpu_clamp(layer->gain * sum, layer->low, layer->high);
}

TVMTINY_FPU_INLINE void tvmtiny_fpu_pixels(const float *x, const float *stream, float *out,
                                           int32_t pixels, const tvmtiny_fpu_layer *layer)
{
  int32_t first;
  for (first = 0; first < layer->channels; first += layer->width) {
    const int32_t left = layer->channels - first;
    const int32_t width = left < layer->width ? left : layer->width;
    float sums[TVMTINY_FPU_SUMS];
    int32_t p;
    int32_t c;
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < width; ++c) {
        sums[p * width + c] =
            tvmtiny_fpu_sum(x + p * layer->pitch, stream + width + c, width, stream[c], layer);
      }
    }
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < width; ++c) {
        out[p * layer->out_pitch + first + c] = sums[p * width + c];
      }
    }
    stream += (1 + layer->outer * layer->inner * layer->run) * width;
  }
}

#define TVMTINY_FPU_TILE(NAME, PIXELS, TOGETHER, CHANNELS, WIDTH, PITCH, OUT_PITCH, OUTER,         \
                         OUTER_PITCH, INNER, INNER_PITCH, RUN, GAIN, LOW, HIGH, TEXT)              \
  TVMTINY_STATIC_ASSERT((TOGETHER) * (WIDTH) <= TVMTINY_FPU_SUMS, "too many sums");                \
  static void NAME(const float *x, const float *stream, float *out)                                \
  {                                                                                                \
    const tvmtiny_fpu_layer layer = { CHANNELS, WIDTH,       PITCH, OUT_PITCH, OUTER, OUTER_PITCH, \
                                      INNER,    INNER_PITCH, RUN,   GAIN,      LOW,   HIGH };      \
    int32_t pixel;                                                                                 \
    for (pixel = 0; pixel < (PIXELS); pixel += (TOGETHER)) {                                       \
      const int32_t left = (PIXELS)-pixel;                                                         \
      tvmtiny_fpu_pixels(x + pixel * (PITCH), stream, out + pixel * (OUT_PITCH),                   \
                         left < (TOGETHER) ? left : (TOGETHER), &layer);                           \
    }                                                                                              \
  }

#endif

/* ---- Windows ------------------------------------------------------------------------------ */

/* Defines NAME(plane, stream, out, rows), which computes rows of COLUMNS outputs of two channels;
 * outputs are CHANNELS floats apart. In the plane, taps are DOWN and RIGHT floats apart, the
 * windows of neighbouring outputs STEP, and those of neighbouring rows STEP_DOWN. The stream holds
 * the two biases, repeated COPIES times, and then two weights for each tap. */
#if TVMTINY_FPU

#define TVMTINY_FPU_WINDOW(NAME, COLUMNS, CHANNELS, KH, KW, DOWN, RIGHT, STEP_DOWN, STEP, COPIES,  \
                           GAIN, LOW, HIGH, TEXT)                                                  \
  TVMTINY_FPU_FUNCTION(NAME,                                                                       \
                       (const float *plane TVMTINY_UNUSED, const float *stream TVMTINY_UNUSED,     \
                        float *out TVMTINY_UNUSED, int32_t rows TVMTINY_UNUSED),                   \
                       TEXT)

#else

#define TVMTINY_FPU_WINDOW(NAME, COLUMNS, CHANNELS, KH, KW, DOWN, RIGHT, STEP_DOWN, STEP, COPIES,  \
                           GAIN, LOW, HIGH, TEXT)                                                  \
  static void NAME(const float *plane, const float *stream, float *out, int32_t rows)              \
  {                                                                                                \
    const float *weights = stream + 2 * (COPIES);                                                  \
    int32_t row;                                                                                   \
    int32_t column;                                                                                \
    int32_t c;                                                                                     \
    int32_t i;                                                                                     \
    int32_t j;                                                                                     \
    for (row = 0; row < rows; ++row, plane += (STEP_DOWN)) {                                       \
      for (column = 0; column < (COLUMNS); ++column, out += (CHANNELS)) {                          \
        for (c = 0; c < 2; ++c) {                                                                  \
          const float *const from = plane + column * (STEP) + c;                                   \
          float sum = stream[c];                                                                   \
          for (i = 0; i < (KH); ++i) {                                                             \
            for (j = 0; j < (KW); ++j) {                                                           \
              sum += from[i * (DOWN) + j * (RIGHT)] * weights[2 * (i * (KW) + j) + c];             \
            }                                                                                      \
          }                                                                                        \
          out[c] = tvmtiny_fpu_clamp((GAIN) * sum, LOW, HIGH);                                     \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_FPU_H */
