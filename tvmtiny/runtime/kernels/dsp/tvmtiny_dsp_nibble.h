/* Tile kernels like those of tvmtiny_dsp_tile.h for 4-bit weights, two per byte of the stream.
 *
 * A group is eight inputs x0 to x7 of each pixel and a word of weights of each channel. The two
 * lanes of the word are 4096 * w5 + 256 * v4 + 16 * v1 + v0 and 4096 * w7 + 256 * v6 + 16 * v3 +
 * v2; v = w + 8 is unsigned. A word gives four operands, by at most one instruction each: the word
 * itself, the lower byte of each lane, 256 * v4 and 256 * v6, and 256 * v0 and 256 * v2. What the
 * first two contain besides the intended weights is compensated in the inputs, which are expanded
 * once for all channels:
 *   (x5, x7), (256 * x1 - x5 + 127, ...), (16 * x4 - x5, ...), (16 * x0 - x1, ...)
 * The products add up to 4096 * sum((w or v) * x) + 127 * sum(lower bytes). Each patch begins with
 * a correction that subtracts 8 * x for the inputs with unsigned weights.
 */
#ifndef TVMTINY_DSP_NIBBLE_H
#define TVMTINY_DSP_NIBBLE_H

#include "tvmtiny_dsp_tile.h"

/* `from` has four more bytes, or zeros. Returns the sum of the inputs with unsigned weights. */
TVMTINY_INLINE int32_t tvmtiny_expand_words_w4(uint32_t *to, uint32_t u, uint32_t v, int32_t pixels,
                                               int32_t sum)
{
  const uint32_t a = tvmtiny_sxtb16(u);
  const uint32_t b = tvmtiny_sxtb16_odd(u);
  const uint32_t c = tvmtiny_sxtb16(v);
  const uint32_t d = tvmtiny_sxtb16_odd(v);
  to[0] = d;
  to[pixels] = tvmtiny_ssub16((u & 0xff00ff00u) | 0x007f007fu, d);
  to[2 * pixels] = tvmtiny_ssub16((c << 4) & 0xfff0ffffu, d);
  to[3 * pixels] = tvmtiny_ssub16((a << 4) & 0xfff0ffffu, b);
  sum = tvmtiny_smlad(a, 0x00010001u, sum);
  sum = tvmtiny_smlad(b, 0x00010001u, sum);
  return tvmtiny_smlad(c, 0x00010001u, sum);
}

/* Expands `bytes` inputs into every `pixels`-th word from `to` on. They are whole groups except at
 * the end of a patch. */
TVMTINY_INLINE uint32_t *tvmtiny_expand_part_w4(uint32_t *to, const int8_t *from, int32_t bytes,
                                                int32_t pixels, int32_t *total)
{
  const int8_t *const end = from + (bytes & ~15);
  const int32_t rest = bytes & 7;
  int32_t sum = *total;
  while (from != end) {
    sum = tvmtiny_expand_words_w4(to, tvmtiny_load4(from), tvmtiny_load4(from + 4), pixels, sum);
    to += 4 * pixels;
    sum = tvmtiny_expand_words_w4(to, tvmtiny_load4(from + 8), tvmtiny_load4(from + 12), pixels, sum);
    from += 16;
    to += 4 * pixels;
  }
  if ((bytes & 8) != 0) {
    sum = tvmtiny_expand_words_w4(to, tvmtiny_load4(from), tvmtiny_load4(from + 4), pixels, sum);
    from += 8;
    to += 4 * pixels;
  }
  if (rest != 0) {
    const uint32_t u = rest >= 4 ? tvmtiny_load4(from) : tvmtiny_load_tail(from, rest);
    const uint32_t v = rest > 4 ? tvmtiny_load_tail(from + 4, rest - 4) : 0u;
    sum = tvmtiny_expand_words_w4(to, u, v, pixels, sum);
    to += 4 * pixels;
  }
  *total = sum;
  return to;
}

/* Expands the `bytes` inputs of a patch. */
TVMTINY_INLINE uint32_t *tvmtiny_expand_w4(uint32_t *to, const int8_t *from, int32_t bytes,
                                           int32_t pixels)
{
  int32_t sum = 0;
  uint32_t *const end = tvmtiny_expand_part_w4(to + pixels, from, bytes, pixels, &sum);
  *to = 0u - (uint32_t)sum * 32768u;
  return end;
}

/* Defines NAME(x, row, column, to) like TVMTINY_GATHER, for a multiple of 8 channels. */
#define TVMTINY_GATHER_W4(NAME, FORMAT, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, PAD, PIXELS)       \
  static void NAME(const int8_t *x, int32_t row, int32_t column, uint32_t *to)                     \
  {                                                                                                \
    const int32_t inside = column >= 0 && column + (COLUMNS) <= (WIDTH);                           \
    const uint32_t pad = ((uint32_t)(PAD) & 0xffu) * 0x01010101u;                                  \
    uint32_t *const first = to;                                                                    \
    int32_t sum = 0;                                                                               \
    int32_t y;                                                                                     \
    to += (PIXELS);                                                                                \
    for (y = row; y < row + (ROWS); ++y) {                                                         \
      const int32_t valid = y >= 0 && y < (HEIGHT);                                                \
      const int8_t *const line = x + (valid ? y : 0) * ((WIDTH) * (CHANNELS));                     \
      int32_t i;                                                                                   \
      if (valid && inside) {                                                                       \
        to = tvmtiny_expand_part_w4(to, line + column * (CHANNELS), (COLUMNS) * (CHANNELS),        \
                                    PIXELS, &sum);                                                 \
        continue;                                                                                  \
      }                                                                                            \
      for (i = column; i < column + (COLUMNS); ++i) {                                              \
        if (valid && i >= 0 && i < (WIDTH)) {                                                      \
          to = tvmtiny_expand_part_w4(to, line + i * (CHANNELS), CHANNELS, PIXELS, &sum);          \
        } else {                                                                                   \
          int32_t group;                                                                           \
          for (group = (CHANNELS) / 8; group > 0; --group) {                                       \
            sum = tvmtiny_expand_words_w4(to, pad, pad, PIXELS, sum);                              \
            to += 4 * (PIXELS);                                                                    \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
    *first = 0u - (uint32_t)sum * 32768u;                                                          \
  }

#if TVMTINY_DSP

/* 3 x 2: as in tvmtiny_dsp_tile.h; the output pointer is kept on the stack. */
#define TVMTINY_NIBBLE_BEGIN_3X2                                                                   \
  "ldrd r3, r4, [r1], #8\n ldmia r0!, {r11, r12, lr}\n"                                            \
  "add r5, r3, r12\n add r6, r4, r12\n add r7, r3, lr\n add r8, r4, lr\n"                          \
  "add r3, r3, r11\n add r4, r4, r11\n"
#define TVMTINY_NIBBLE_AND_3X2(MASK)                                                               \
  "ldmia r0!, {r11, r12, lr}\n and r2, r9, #" MASK "\n"                                            \
  "smlad r3, r11, r2, r3\n smlad r5, r12, r2, r5\n smlad r7, lr, r2, r7\n and r2, r10, #" MASK "\n" \
  "smlad r4, r11, r2, r4\n smlad r6, r12, r2, r6\n smlad r8, lr, r2, r8\n"
#define TVMTINY_NIBBLE_GROUP_3X2                                                                   \
  TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_NIBBLE_AND_3X2("0x00ff00ff")                            \
      TVMTINY_NIBBLE_AND_3X2("0x0f000f00") "mov r2, #0x0f000f00\n ldmia r0!, {r11, r12, lr}\n"     \
                                           "and r9, r2, r9, lsl #8\n"                              \
                                           "and r10, r2, r10, lsl #8\n" TVMTINY_MAC_3X2
#define TVMTINY_TILE_3X2_W4(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS, TVMTINY_NIBBLE_BEGIN_3X2 TVMTINY_NIBBLE_GROUP_3X2,           \
                TVMTINY_NIBBLE_GROUP_3X2, "r9") "ldr r2, [sp]\n" TVMTINY_SCALE_3X2_##ROUNDING      \
                TVMTINY_STORE_3X2(                                                                 \
                    TVMTINY_STRING(SHIFT),                                                         \
                    TVMTINY_STRING(PITCH)) "str r2, [sp]\n" TVMTINY_TILE_NEXT(XBYTES, "r9"))

/* 2 x 2. */
#define TVMTINY_NIBBLE_BEGIN_2X2                                                                   \
  "ldrd r3, r4, [r1], #8\n ldrd r9, r10, [r0], #8\n"                                               \
  "add r5, r3, r10\n add r6, r4, r10\n add r3, r3, r9\n add r4, r4, r9\n"
#define TVMTINY_NIBBLE_AND_2X2(MASK, X0, X1)                                                       \
  "and lr, r7, #" MASK "\n smlad r3, " X0 ", lr, r3\n smlad r5, " X1 ", lr, r5\n"                  \
  "and lr, r8, #" MASK "\n smlad r4, " X0 ", lr, r4\n smlad r6, " X1 ", lr, r6\n"
#define TVMTINY_NIBBLE_GROUP_2X2                                                                   \
  TVMTINY_LOAD_2X2_W8 TVMTINY_MAC_2X2("r9", "r10", "r7", "r8")                                     \
      TVMTINY_NIBBLE_AND_2X2("0x00ff00ff", "r11", "r12") "ldmia r0!, {r9, r10, r11, r12}\n"        \
      TVMTINY_NIBBLE_AND_2X2("0x0f000f00", "r9", "r10") "mov lr, #0x0f000f00\n"                    \
                                                        "and r7, lr, r7, lsl #8\n"                 \
                                                        "and r8, lr, r8, lsl #8\n"                 \
      TVMTINY_MAC_2X2("r11", "r12", "r7", "r8")
#define TVMTINY_TILE_2X2_W4(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS, TVMTINY_NIBBLE_BEGIN_2X2 TVMTINY_NIBBLE_GROUP_2X2,           \
                TVMTINY_NIBBLE_GROUP_2X2, "r9") TVMTINY_SCALE_2X2_##ROUNDING                       \
                TVMTINY_STORE_2X2(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH))                    \
                TVMTINY_TILE_NEXT(XBYTES, "r9"))

/* 1 x 4. */
#define TVMTINY_NIBBLE_BEGIN_1X4                                                                   \
  TVMTINY_INIT_1X4                                                                                 \
  "ldr r7, [r0], #4\n add r3, r3, r7\n add r4, r4, r7\n add r5, r5, r7\n add r6, r6, r7\n"
#define TVMTINY_NIBBLE_AND_1X4(MASK, X)                                                            \
  "and lr, r9, #" MASK "\n smlad r3, " X ", lr, r3\n and lr, r10, #" MASK "\n"                     \
  "smlad r4, " X ", lr, r4\n and lr, r11, #" MASK "\n smlad r5, " X ", lr, r5\n"                   \
  "and lr, r12, #" MASK "\n smlad r6, " X ", lr, r6\n"
#define TVMTINY_NIBBLE_GROUP_1X4                                                                   \
  TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7") TVMTINY_NIBBLE_AND_1X4("0x00ff00ff", "r8")                \
  "ldrd r7, r8, [r0], #8\n" TVMTINY_NIBBLE_AND_1X4("0x0f000f00", "r7") "mov lr, #0x0f000f00\n"     \
  "and r9, lr, r9, lsl #8\n and r10, lr, r10, lsl #8\n and r11, lr, r11, lsl #8\n"                 \
  "and r12, lr, r12, lsl #8\n" TVMTINY_MAC_1X4("r8")
#define TVMTINY_TILE_1X4_W4(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS, TVMTINY_NIBBLE_BEGIN_1X4 TVMTINY_NIBBLE_GROUP_1X4,           \
                TVMTINY_NIBBLE_GROUP_1X4, "r9") TVMTINY_SCALE_1X4_##ROUNDING                       \
                TVMTINY_STORE_1X4(TVMTINY_STRING(SHIFT)) TVMTINY_TILE_NEXT(XBYTES, "r9"))

#else

TVMTINY_INLINE void tvmtiny_tile_nibble(const uint32_t *x, const int32_t *stream, int8_t *out,
                                        const int32_t *end, int32_t pixels, int32_t channels,
                                        int32_t groups, int32_t shift, int32_t pitch,
                                        int32_t rounding)
{
  while (stream != end) {
    const int32_t *weights = stream;
    int32_t p;
    int32_t c;
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < channels; ++c) {
        const uint32_t *inputs = x + pixels + p;
        int32_t acc = (int32_t)((uint32_t)stream[c] + x[p]);
        int32_t group;
        weights = stream + channels;
        for (group = 0; group < groups; ++group) {
          const uint32_t word = (uint32_t)weights[c];
          acc = tvmtiny_smlad(inputs[0], word, acc);
          acc = tvmtiny_smlad(inputs[pixels], word & 0x00ff00ffu, acc);
          acc = tvmtiny_smlad(inputs[2 * pixels], word & 0x0f000f00u, acc);
          acc = tvmtiny_smlad(inputs[3 * pixels], (word << 8) & 0x0f000f00u, acc);
          inputs += 4 * pixels;
          weights += channels;
        }
        out[p * pitch + c] = tvmtiny_scale_int8(acc, weights + c * rounding, rounding, shift);
      }
    }
    stream = weights + channels * rounding;
    out += channels;
  }
}

#define TVMTINY_NIBBLE_TWIN(NAME, PIXELS, CHANNELS, GROUPS, SHIFT, PITCH, ROUNDING)                \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    tvmtiny_tile_nibble((const uint32_t *)x, stream, out, end, PIXELS, CHANNELS, GROUPS, SHIFT,    \
                        PITCH, ROUNDING);                                                          \
  }
#define TVMTINY_TILE_3X2_W4(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_NIBBLE_TWIN(NAME, 3, 2, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                      \
                      TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_2X2_W4(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_NIBBLE_TWIN(NAME, 2, 2, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                      \
                      TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_1X4_W4(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_NIBBLE_TWIN(NAME, 1, 4, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                      \
                      TVMTINY_ROUNDING_##ROUNDING)

#endif

#endif /* TVMTINY_DSP_NIBBLE_H */
