/* CONV_2D and FULLY_CONNECTED with int16 activations: tile kernels that store sums, and their
 * outputs.
 *
 * A group is four inputs of each of P pixels: the words (x0, x1) of all pixels, then (x2, x3).
 * For each tile of channels, the stream has the initial accumulators and the weights of all groups:
 *   h8:  the bytes w0, w2, w1, w3 of each channel
 *   h16: the words (w0, w1) of each channel, then (w2, w3)
 * Sums are exact modulo 2^32.
 *
 * Tiles of one pixel have p8 where all halfwords fit: 256 * w + v of two channels, as the words of
 * x0 and x1 of both pairs of channels, then those of x2 and x3. As they are they add up to
 * P = 256 * sum(w * x) + sum(v * x) in 64 bits, and their lower bytes to Q = sum(v * x), which 32 bits
 * hold, so that sum(w * x) is (P - Q) / 256. The initial accumulators are Q of the first pair, P of
 * both, and Q of the second. A weight w of -128 does not fit beside a negative v. It is stored as -127, and
 * tvmtiny_half_correct subtracts the input from the sum.
 */
#ifndef TVMTINY_DSP_HALF_H
#define TVMTINY_DSP_HALF_H

#include "tvmtiny_dsp_sums.h"

#if TVMTINY_DSP

#define TVMTINY_HALF_BEGIN_3X2                                                                     \
  "str r2, [sp]\n ldrd r3, r4, [r1], #8\n mov r5, r3\n mov r6, r4\n mov r7, r3\n mov r8, r4\n"
#define TVMTINY_HALF_BEGIN_3X2_H8 TVMTINY_HALF_BEGIN_3X2
#define TVMTINY_HALF_BEGIN_3X2_H16 TVMTINY_HALF_BEGIN_3X2
#define TVMTINY_HALF_GROUP_3X2_H8                                                                  \
  "ldrd r9, r10, [r1], #8\n ldmia r0!, {r11, r12, lr}\n sxtb16 r2, r9\n"                           \
  "smlad r3, r11, r2, r3\n smlad r5, r12, r2, r5\n smlad r7, lr, r2, r7\n sxtb16 r2, r10\n"        \
  "smlad r4, r11, r2, r4\n smlad r6, r12, r2, r6\n smlad r8, lr, r2, r8\n"                         \
  "sxtb16 r9, r9, ror #8\n sxtb16 r10, r10, ror #8\n ldmia r0!, {r11, r12, lr}\n" TVMTINY_MAC_3X2
#define TVMTINY_HALF_GROUP_3X2_H16                                                                 \
  TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2
#define TVMTINY_HALF_STORE_3X2_H8 TVMTINY_HALF_STORE_3X2
#define TVMTINY_HALF_STORE_3X2_H16 TVMTINY_HALF_STORE_3X2
#define TVMTINY_HALF_STORE_3X2(PITCH)                                                              \
  "ldr r2, [sp]\n str r4, [r2, #4]\n"                                                              \
  "str r5, [r2, #4 * " PITCH "]\n str r6, [r2, #4 * " PITCH " + 4]\n"                              \
  "str r7, [r2, #8 * " PITCH "]\n str r8, [r2, #8 * " PITCH " + 4]\n str r3, [r2], #8\n"
#define TVMTINY_HALF_BEGIN_2X2                                                                     \
  "str r2, [sp]\n ldrd r3, r4, [r1], #8\n mov r5, r3\n mov r6, r4\n"
#define TVMTINY_HALF_BEGIN_2X2_H8 TVMTINY_HALF_BEGIN_2X2
#define TVMTINY_HALF_BEGIN_2X2_H16 TVMTINY_HALF_BEGIN_2X2
#define TVMTINY_HALF_GROUP_2X2_H8                                                                  \
  TVMTINY_LOAD_2X2_W8                                                                              \
  "sxtb16 lr, r7\n smlad r3, r9, lr, r3\n smlad r5, r10, lr, r5\n"                                 \
  "sxtb16 lr, r8\n smlad r4, r9, lr, r4\n smlad r6, r10, lr, r6\n"                                 \
  "sxtb16 r7, r7, ror #8\n sxtb16 r8, r8, ror #8\n" TVMTINY_MAC_2X2("r11", "r12", "r7", "r8")
#define TVMTINY_HALF_GROUP_2X2_H16                                                                 \
  TVMTINY_LOAD_2X2_W16                                                                             \
  TVMTINY_MAC_2X2("r7", "r8", "r2", "r11") TVMTINY_MAC_2X2("r9", "r10", "r12", "lr")
#define TVMTINY_HALF_STORE_2X2_H8 TVMTINY_HALF_STORE_2X2
#define TVMTINY_HALF_STORE_2X2_H16 TVMTINY_HALF_STORE_2X2
#define TVMTINY_HALF_STORE_2X2(PITCH)                                                              \
  "ldr r2, [sp]\n str r4, [r2, #4]\n"                                                              \
  "str r5, [r2, #4 * " PITCH "]\n str r6, [r2, #4 * " PITCH " + 4]\n str r3, [r2], #8\n"
/* 1 x 4 with p8: P in r3 r4 and r5 r6, Q in r2 and lr. The output pointer waits on the stack. */
#define TVMTINY_HALF_BEGIN_1X4_P8 "str r2, [sp]\n ldmia r1!, {r2, r3, r4, r5, r6, lr}\n"
#define TVMTINY_HALF_PAIR(X, FIRST, SECOND)                                                        \
  "smlald r3, r4, " X ", " FIRST "\n smlald r5, r6, " X ", " SECOND "\n"                           \
  "sxtb16 " FIRST ", " FIRST "\n sxtb16 " SECOND ", " SECOND "\n"                                  \
  "smlad r2, " X ", " FIRST ", r2\n smlad lr, " X ", " SECOND ", lr\n"
#define TVMTINY_HALF_GROUP_1X4_P8                                                                  \
  TVMTINY_LOAD_1X4 TVMTINY_HALF_PAIR("r7", "r9", "r10") TVMTINY_HALF_PAIR("r8", "r11", "r12")
#define TVMTINY_HALF_STORE_1X4_P8(PITCH)                                                           \
  "subs r3, r3, r2\n sbc r4, r4, r2, asr #31\n lsr r3, r3, #8\n orr r3, r3, r4, lsl #24\n"         \
  "subs r5, r5, lr\n sbc r6, r6, lr, asr #31\n lsr r5, r5, #8\n orr r5, r5, r6, lsl #24\n"         \
  "mov r4, lr\n ldr r7, [sp]\n stmia r7!, {r2, r3, r4, r5}\n mov r2, r7\n"
#define TVMTINY_HALF_BEGIN_1X4_H8 TVMTINY_INIT_1X4
#define TVMTINY_HALF_BEGIN_1X4_H16 TVMTINY_INIT_1X4
#define TVMTINY_HALF_CHANNEL(ACC, WEIGHTS)                                                         \
  "sxtb16 lr, " WEIGHTS "\n smlad " ACC ", r7, lr, " ACC "\n"                                      \
  "sxtb16 " WEIGHTS ", " WEIGHTS ", ror #8\n smlad " ACC ", r8, " WEIGHTS ", " ACC "\n"
#define TVMTINY_HALF_GROUP_1X4_H8                                                                  \
  TVMTINY_LOAD_1X4 TVMTINY_HALF_CHANNEL("r3", "r9") TVMTINY_HALF_CHANNEL("r4", "r10")              \
      TVMTINY_HALF_CHANNEL("r5", "r11") TVMTINY_HALF_CHANNEL("r6", "r12")
#define TVMTINY_HALF_GROUP_1X4_H16                                                                 \
  TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7") TVMTINY_AGAIN_1X4 TVMTINY_MAC_1X4("r8")
#define TVMTINY_HALF_STORE_1X4_H8 TVMTINY_HALF_STORE_1X4_H16
#define TVMTINY_HALF_STORE_1X4_H16(PITCH) "stmia r2!, {r3, r4, r5, r6}\n"

/* Defines NAME(x, stream, out, end) like a kernel of tvmtiny_dsp_sums.h; KIND is the place of
 * FORMAT among h8, h16, and p8. */
#define TVMTINY_HALF(NAME, SHAPE, FORMAT, PIXELS, CHANNELS, KIND, FIRST, UNROLL, LOOPS, PITCH,     \
                     XBYTES)                                                                       \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_HALF_BEGIN_##SHAPE##_##FORMAT TVMTINY_HALF_GROUP_##SHAPE##_##FORMAT,       \
                TVMTINY_HALF_GROUP_##SHAPE##_##FORMAT, "r9")                                       \
                TVMTINY_HALF_STORE_##SHAPE##_##FORMAT(TVMTINY_STRING(PITCH))                       \
                TVMTINY_TILE_NEXT(XBYTES, "r9"))

#else

/* One pixel with two channels in a halfword. */
TVMTINY_INLINE void tvmtiny_half_pairs(const uint32_t *x, const int32_t *stream, int32_t *out,
                                       const int32_t *end, int32_t groups)
{
  while (stream != end) {
    const uint32_t *weights = (const uint32_t *)stream + 6;
    int32_t low[2];
    int64_t both[2];
    int32_t word;
    int32_t pair;
    low[0] = stream[0];
    low[1] = stream[5];
    both[0] = (int64_t)stream[2] * ((int64_t)1 << 32) + (uint32_t)stream[1];
    both[1] = (int64_t)stream[4] * ((int64_t)1 << 32) + (uint32_t)stream[3];
    for (word = 0; word < 2 * groups; ++word) {
      const int32_t first = (int16_t)(x[word] & 0xffffu);
      const int32_t second = (int16_t)(x[word] >> 16);
      for (pair = 0; pair < 2; ++pair) {
        low[pair] = tvmtiny_smlad(x[word], tvmtiny_sxtb16(weights[pair]), low[pair]);
        both[pair] += (int64_t)first * (int16_t)(weights[pair] & 0xffffu);
        both[pair] += (int64_t)second * (int16_t)(weights[pair] >> 16);
      }
      weights += 2;
    }
    for (pair = 0; pair < 2; ++pair) {
      *out++ = low[pair];
      *out++ = (int32_t)((both[pair] - low[pair]) / 256);
    }
    stream = (const int32_t *)weights;
  }
}

TVMTINY_INLINE void tvmtiny_half(const uint32_t *x, const int32_t *stream, int32_t *out,
                                 const int32_t *end, int32_t pixels, int32_t channels, int32_t wide,
                                 int32_t groups, int32_t pitch)
{
  while (stream != end) {
    const uint32_t *weights = (const uint32_t *)stream + channels;
    const uint32_t *inputs = x;
    int32_t group;
    int32_t p;
    int32_t c;
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < channels; ++c) {
        out[p * pitch + c] = stream[c];
      }
    }
    for (group = 0; group < groups; ++group) {
      for (p = 0; p < pixels; ++p) {
        for (c = 0; c < channels; ++c) {
          int32_t *const sum = &out[p * pitch + c];
          const uint32_t word = weights[c];
          const uint32_t low = wide != 0 ? word : tvmtiny_sxtb16(word);
          const uint32_t high = wide != 0 ? weights[channels + c] : tvmtiny_sxtb16_odd(word);
          *sum = tvmtiny_smlad(inputs[p], low, *sum);
          *sum = tvmtiny_smlad(inputs[pixels + p], high, *sum);
        }
      }
      inputs += 2 * pixels;
      weights += wide != 0 ? 2 * channels : channels;
    }
    stream = (const int32_t *)weights;
    out += channels;
  }
}

#define TVMTINY_HALF(NAME, SHAPE, FORMAT, PIXELS, CHANNELS, KIND, FIRST, UNROLL, LOOPS, PITCH,     \
                     XBYTES)                                                                       \
  static void NAME(const void *x, const int32_t *stream, int32_t *out, const int32_t *end)         \
  {                                                                                                \
    if ((KIND) == 2) {                                                                             \
      tvmtiny_half_pairs((const uint32_t *)x, stream, out, end, (FIRST) + (UNROLL) * (LOOPS));     \
    } else {                                                                                       \
      tvmtiny_half((const uint32_t *)x, stream, out, end, PIXELS, CHANNELS, KIND,                  \
                   (FIRST) + (UNROLL) * (LOOPS), PITCH);                                           \
    }                                                                                              \
  }

#endif

/* Subtracts inputs of one pixel from sums. Each word of the stream has the position of an input in its
 * lower half, and that of the sum in its upper half. */
TVMTINY_INLINE void tvmtiny_half_correct(const void *x, const int32_t *stream, int32_t *sums,
                                         const int32_t *end)
{
  const uint8_t *const bytes = (const uint8_t *)x;
  do {
    const uint32_t place = (uint32_t)*stream++;
    const uint8_t *const input = bytes + 2u * (place & 0xffffu);
    sums[place >> 16] -= (int16_t)((uint32_t)input[0] | ((uint32_t)input[1] << 8));
  } while (stream != end);
}

/* ---- Patches ------------------------------------------------------------------------------ */

/* Copies `count` inputs of one pixel into every `pixels`-th word from `to` on. */
TVMTINY_INLINE uint32_t *tvmtiny_half_copy(uint32_t *to, const int16_t *from, int32_t count,
                                           int32_t pixels)
{
  const int16_t *end = from + (count & ~7);
  while (from != end) {
    to[0] = tvmtiny_load4((const int8_t *)from);
    to[pixels] = tvmtiny_load4((const int8_t *)(from + 2));
    to[2 * pixels] = tvmtiny_load4((const int8_t *)(from + 4));
    to[3 * pixels] = tvmtiny_load4((const int8_t *)(from + 6));
    from += 8;
    to += 4 * pixels;
  }
  for (end = from + (count & 6); from != end; from += 2) {
    *to = tvmtiny_load4((const int8_t *)from);
    to += pixels;
  }
  if ((count & 1) != 0) {
    /* The other half is multiplied by a zero weight. */
    *to = (uint16_t)*from;
    to += pixels;
  }
  return to;
}

/* Defines NAME(x, row, column, to), which copies the patch whose top left corner is at (row,
 * column) of an input of HEIGHT x WIDTH x CHANNELS. Inputs outside the tensor are 0. */
#define TVMTINY_HALF_GATHER(NAME, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, PIXELS)                  \
  static void NAME(const int16_t *x, int32_t row, int32_t column, uint32_t *to)                    \
  {                                                                                                \
    const int32_t inside = column >= 0 && column + (COLUMNS) <= (WIDTH);                           \
    int32_t y;                                                                                     \
    if ((CHANNELS) % 2 != 0) {                                                                     \
      int16_t patch[(ROWS) * (COLUMNS) * (CHANNELS)];                                              \
      int16_t *next = patch;                                                                       \
      for (y = row; y < row + (ROWS); ++y) {                                                       \
        const int32_t valid = y >= 0 && y < (HEIGHT);                                              \
        const int16_t *const line = x + (valid ? y : 0) * ((WIDTH) * (CHANNELS));                  \
        if (valid && inside) {                                                                     \
          tvmtiny_copy_bytes((int8_t *)next, (const int8_t *)(line + column * (CHANNELS)),         \
                             2 * (COLUMNS) * (CHANNELS));                                          \
          next += (COLUMNS) * (CHANNELS);                                                          \
        } else {                                                                                   \
          int32_t i;                                                                               \
          for (i = column * (CHANNELS); i < (column + (COLUMNS)) * (CHANNELS); ++i) {              \
            *next++ = valid && i >= 0 && i < (WIDTH) * (CHANNELS) ? line[i] : 0;                   \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
      (void)tvmtiny_half_copy(to, patch, (ROWS) * (COLUMNS) * (CHANNELS), PIXELS);                 \
      return;                                                                                      \
    }                                                                                              \
    for (y = row; y < row + (ROWS); ++y) {                                                         \
      const int32_t valid = y >= 0 && y < (HEIGHT);                                                \
      const int16_t *const line = x + (valid ? y : 0) * ((WIDTH) * (CHANNELS));                    \
      if (valid && inside) {                                                                       \
        to = tvmtiny_half_copy(to, line + column * (CHANNELS), (COLUMNS) * (CHANNELS), PIXELS);    \
      } else {                                                                                     \
        int32_t i;                                                                                 \
        for (i = column; i < column + (COLUMNS); ++i) {                                            \
          if (valid && i >= 0 && i < (WIDTH)) {                                                    \
            to = tvmtiny_half_copy(to, line + i * (CHANNELS), CHANNELS, PIXELS);                   \
          } else {                                                                                 \
            int32_t word;                                                                          \
            for (word = (CHANNELS) / 2; word > 0; --word) {                                        \
              *to = 0u;                                                                            \
              to += (PIXELS);                                                                      \
            }                                                                                      \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

/* ---- Outputs ------------------------------------------------------------------------------ */

/* sum * (factors[1] * 2^32 + factors[0]) / 2^(64 + factors[2]), with halves rounded away from
 * zero. */
TVMTINY_INLINE int32_t tvmtiny_half_precisely(int32_t sum, const uint32_t *factors)
{
  const uint32_t size = sum < 0 ? 0u - (uint32_t)sum : (uint32_t)sum;
  const uint64_t low = (uint64_t)size * factors[0];
  const uint64_t high = (uint64_t)size * factors[1] + (low >> 32);
  const uint32_t value = ((uint32_t)(high >> 32) + (UINT32_C(1) << (factors[2] - 1u))) >> factors[2];
  return sum < 0 ? -(int32_t)value : (int32_t)value;
}

/* Clamps to a range; the usual ranges take one instruction. */
#define TVMTINY_HALF_CLAMP(VALUE, LOW, HIGH)                                                       \
  ((HIGH) == 32767 && (LOW) == -32768 ? tvmtiny_saturate_int16(VALUE)                              \
   : (HIGH) == 32767 && (LOW) == 0    ? tvmtiny_saturate_relu16(VALUE)                             \
   : (VALUE) > (HIGH)                 ? (HIGH)                                                     \
   : (VALUE) < (LOW)                  ? (LOW)                                                      \
                                      : (VALUE))

/* Saturates to the nonnegative int16 numbers. */
TVMTINY_INLINE int32_t tvmtiny_saturate_relu16(int32_t value)
{
#if TVMTINY_DSP
  int32_t saturated;
  __asm__("usat %0, #15, %1" : "=r"(saturated) : "r"(value) : "cc");
  return saturated;
#else
  return value > 32767 ? 32767 : value < 0 ? 0 : value;
#endif
}

/* Defines NAME(sums, factors, out), which computes CHANNELS outputs by SCALE from a sum and its
 * factors. A sum has CHUNKS parts, which are STRIDE apart. EACH is the number of factors per
 * channel, or 0 if all channels share them. */
#define TVMTINY_HALF_FINISH(NAME, SCALE, FACTOR, EACH, CHANNELS, CHUNKS, STRIDE, LOW, HIGH)        \
  static void NAME(const int32_t *sums, const FACTOR *factors, int16_t *out)                       \
  {                                                                                                \
    const int16_t *const end = out + (CHANNELS);                                                   \
    while (out != end) {                                                                           \
      int64_t total = sums[0];                                                                     \
      int32_t chunk;                                                                               \
      int32_t value;                                                                               \
      for (chunk = 1; chunk < (CHUNKS); ++chunk) {                                                 \
        total += sums[chunk * (STRIDE)];                                                           \
      }                                                                                            \
      value = SCALE(total, factors);                                                               \
      *out++ = (int16_t)TVMTINY_HALF_CLAMP(value, LOW, HIGH);                                      \
      factors += (EACH);                                                                           \
      ++sums;                                                                                      \
    }                                                                                              \
  }

/* All sums fit in 32 bits but those of HALF_WIDE and HALF_DOUBLE. */
#define TVMTINY_HALF_HIGH(SUM, FACTORS) tvmtiny_smmulr((int32_t)(SUM), (FACTORS)[0])
#define TVMTINY_HALF_WIDE(SUM, FACTORS) tvmtiny_requantize_wide(SUM, (FACTORS)[0], (FACTORS)[1])
#define TVMTINY_HALF_TWICE(SUM, FACTORS)                                                           \
  tvmtiny_requantize((int32_t)(SUM), (FACTORS)[0], (FACTORS)[1])
#define TVMTINY_HALF_PRECISELY(SUM, FACTORS) tvmtiny_half_precisely((int32_t)(SUM), FACTORS)
#define TVMTINY_HALF_DOUBLE(SUM, FACTORS) tvmtiny_requantize_wide_double(SUM, (FACTORS)[0])

#endif /* TVMTINY_DSP_HALF_H */
