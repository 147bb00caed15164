/* Exact 3x3 convolutions by Winograd's F(2x2, 3x3) in integers, for cores with the DSP extension.
 *
 * Two by two outputs need 16 products per channel instead of 36. A tile of 4 x 4 inputs d becomes
 * B' d B with B' = (1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1), at most 512 in magnitude. Filters are
 * transformed when the code is generated, by twice the usual matrix, so that all are integers. The
 * outputs A' M A with A' = (1 1 1 0; 0 1 -1 -1) are then exactly four times the sums, and wrap
 * around as any sum does: intermediate values may exceed 32 bits.
 *
 * - inputs: for each of the 16 transformed values, column by column, all channels of three tiles:
 *   the words (x0, x2) of the tiles, then (x1, x3), and so on.
 * - stream: for each two filters the weights of each value, (w0, w2) of both filters, then (w1, w3)
 *   and so on; then for each filter the initial accumulator, the multiplier and, for rounding by
 *   sign, the offset and the step, as in tvmtiny_dsp_tile.h. Sums are shifted by LEFT to 256 times
 *   those of the convolution.
 */
#ifndef TVMTINY_DSP_WINOGRAD_H
#define TVMTINY_DSP_WINOGRAD_H

#include "tvmtiny_dsp_tile.h"

/* The start of three tiles in the output, and the end of the stream. */
typedef struct {
  int8_t *out[3];
  const int32_t *end;
} tvmtiny_winograd_outputs;

/* TVMTINY_WINOGRAD_INPUT defines NAME(x, row, to), which transforms the inputs of a tile, whose
 * rows are `row` bytes apart, into every third word. TVMTINY_WINOGRAD_TILES defines NAME(inputs,
 * stream, sums, outputs), which computes all filters of TILES (1 or 3) tiles. Rows of the output
 * are ROW bytes apart; UNROLL, a divisor of 16, is the number of transformed values that are
 * unrolled; `sums` has 96 words. */
#if TVMTINY_DSP

/* Loads a column at r0 and transforms it; MOVE advances r0 early enough for the next load. The rows
 * become A0, T, A2 and A3; A1 is free afterwards. */
#define TVMTINY_WINOGRAD_COLUMN(A0, A1, A2, A3, T, ROTATE, MOVE)                                   \
  " ldr " A0 ", [r0]\n ldr " A1 ", [r0, r1]\n ldr " A2 ", [r0, r1, lsl #1]\n"                      \
  " ldr " A3 ", [r0, r3]\n" MOVE " sxtb16 " A0 ", " A0 ROTATE "\n"                                 \
  " sxtb16 " A1 ", " A1 ROTATE "\n"                                                                \
  " sxtb16 " A2 ", " A2 ROTATE "\n sxtb16 " A3 ", " A3 ROTATE "\n"                                 \
  " ssub16 " A0 ", " A0 ", " A2 "\n sadd16 " T ", " A1 ", " A2 "\n"                                \
  " ssub16 " A2 ", " A2 ", " A1 "\n ssub16 " A3 ", " A1 ", " A3 "\n"
/* Advances to the next transformed column, by an offset if it is in reach. */
#define TVMTINY_WINOGRAD_NEXT(CHANNELS)                                                            \
  ".if (" CHANNELS ") > 45\n addw r2, r2, #24 * (" CHANNELS ")\n.else\n"                           \
  ".set tvmtiny_column, tvmtiny_column + 1\n.endif\n"
/* Stores a transformed row: TO = A OPERATION B, the ROW-th of its column. */
#define TVMTINY_WINOGRAD_STORE(OPERATION, TO, A, B, ROW, CHANNELS)                                 \
  " " OPERATION " " TO ", " A ", " B "\n str " TO ", [r2, #6 * (" CHANNELS ") * (" ROW             \
  " + 4 * tvmtiny_column)]\n"
/* Transforms two channels. Columns: r4 r12 r6 r7 (0, then 1), r8 r11 r9 r10 (2, then 3). */
#define TVMTINY_WINOGRAD_CHANNELS(ROTATE, BACK, CHANNELS)                                          \
  ".set tvmtiny_column, 0\n"                                                                       \
  TVMTINY_WINOGRAD_COLUMN("r4", "r5", "r6", "r7", "r12", ROTATE,                                   \
                          " addw r0, r0, #2 * (" CHANNELS ")\n")                                   \
  TVMTINY_WINOGRAD_COLUMN("r8", "r5", "r9", "r10", "r11", ROTATE, " subw r0, r0, #" CHANNELS "\n") \
  TVMTINY_WINOGRAD_STORE("ssub16", "r4", "r4", "r8", "0", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("ssub16", "r12", "r12", "r11", "1", CHANNELS)                             \
  TVMTINY_WINOGRAD_STORE("ssub16", "r6", "r6", "r9", "2", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("ssub16", "r7", "r7", "r10", "3", CHANNELS)                               \
  TVMTINY_WINOGRAD_NEXT(CHANNELS)                                                                  \
  TVMTINY_WINOGRAD_COLUMN("r4", "r5", "r6", "r7", "r12", ROTATE,                                   \
                          " addw r0, r0, #2 * (" CHANNELS ")\n")                                   \
  TVMTINY_WINOGRAD_STORE("sadd16", "r5", "r4", "r8", "0", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("sadd16", "r5", "r12", "r11", "1", CHANNELS)                              \
  TVMTINY_WINOGRAD_STORE("sadd16", "r5", "r6", "r9", "2", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("sadd16", "r5", "r7", "r10", "3", CHANNELS)                               \
  TVMTINY_WINOGRAD_NEXT(CHANNELS)                                                                  \
  TVMTINY_WINOGRAD_STORE("ssub16", "r8", "r8", "r4", "0", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("ssub16", "r11", "r11", "r12", "1", CHANNELS)                             \
  TVMTINY_WINOGRAD_STORE("ssub16", "r9", "r9", "r6", "2", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("ssub16", "r10", "r10", "r7", "3", CHANNELS)                              \
  TVMTINY_WINOGRAD_NEXT(CHANNELS)                                                                  \
  TVMTINY_WINOGRAD_COLUMN("r8", "r5", "r9", "r10", "r11", ROTATE,                                  \
                          " subw r0, r0, #3 * (" CHANNELS ") - " BACK "\n")                        \
  TVMTINY_WINOGRAD_STORE("ssub16", "r4", "r4", "r8", "0", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("ssub16", "r12", "r12", "r11", "1", CHANNELS)                             \
  TVMTINY_WINOGRAD_STORE("ssub16", "r6", "r6", "r9", "2", CHANNELS)                                \
  TVMTINY_WINOGRAD_STORE("ssub16", "r7", "r7", "r10", "3", CHANNELS)                               \
  ".if (" CHANNELS ") > 45\n"                                                                      \
  " movw r5, #72 * (" CHANNELS ") - 12\n sub r2, r2, r5\n.else\n add r2, r2, #12\n.endif\n"
#define TVMTINY_WINOGRAD_INPUT_TEXT(CHANNELS)                                                      \
  ".syntax unified\n push {r3-r11, lr}\n add r3, r1, r1, lsl #1\n addw r12, r0, #" CHANNELS "\n"   \
  " str r12, [sp]\n1:\n" TVMTINY_WINOGRAD_CHANNELS("", "0", CHANNELS)                              \
  TVMTINY_WINOGRAD_CHANNELS(", ror #8", "4", CHANNELS)                                             \
  " ldr r12, [sp]\n cmp r0, r12\n bne 1b\n pop {r3-r11, pc}\n"
#define TVMTINY_WINOGRAD_INPUT(NAME, CHANNELS)                                                     \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const int8_t *x TVMTINY_UNUSED, int32_t row TVMTINY_UNUSED, uint32_t *to TVMTINY_UNUSED)     \
  {                                                                                                \
    __asm__ volatile(TVMTINY_WINOGRAD_INPUT_TEXT(TVMTINY_STRING(CHANNELS))::                       \
                         : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                   \
  }

/* The products of three tiles and two filters (r3 r4, r5 r6, r7 r8), and those of one tile. */
#define TVMTINY_WINOGRAD_LOAD " ldrd r9, r10, [r1], #8\n ldmia r0!, {r11, r12, lr}\n"
#define TVMTINY_WINOGRAD_PRODUCTS_3(CHANNELS)                                                      \
  TVMTINY_WINOGRAD_LOAD " smuad r3, r11, r9\n smuad r4, r11, r10\n smuad r5, r12, r9\n"            \
  " smuad r6, r12, r10\n smuad r7, lr, r9\n smuad r8, lr, r10\n"                                   \
  ".rept (" CHANNELS ") / 2 - 1\n" TVMTINY_WINOGRAD_LOAD TVMTINY_MAC_3X2 ".endr\n"                 \
  " stmia r2!, {r3-r8}\n"
#define TVMTINY_WINOGRAD_LOAD_1 " ldrd r9, r10, [r1], #8\n ldr r11, [r0], #12\n"
#define TVMTINY_WINOGRAD_PRODUCTS_1(CHANNELS)                                                      \
  TVMTINY_WINOGRAD_LOAD_1 " smuad r3, r11, r9\n smuad r4, r11, r10\n"                              \
  ".rept (" CHANNELS ") / 2 - 1\n" TVMTINY_WINOGRAD_LOAD_1                                         \
  " smlad r3, r11, r9, r3\n smlad r4, r11, r10, r4\n.endr\n strd r3, r4, [r2], #24\n"
#define TVMTINY_WINOGRAD_LIST_3 "0, 1, 2"
#define TVMTINY_WINOGRAD_LIST_1 "0"
/* Computes both output rows of a column of the transformed sums of a tile, with r4 to r7. */
#define TVMTINY_WINOGRAD_SUMS(COLUMN, TOP, BOTTOM)                                                 \
  " ldr r4, [r2, #96 * " COLUMN " + 8 * \\p + 4 * \\j]\n"                                          \
  " ldr r5, [r2, #96 * " COLUMN " + 24 + 8 * \\p + 4 * \\j]\n"                                     \
  " ldr r6, [r2, #96 * " COLUMN " + 48 + 8 * \\p + 4 * \\j]\n"                                     \
  " ldr r7, [r2, #96 * " COLUMN " + 72 + 8 * \\p + 4 * \\j]\n"                                     \
  " add " TOP ", r4, r5\n add " TOP ", " TOP ", r6\n sub " BOTTOM ", r5, r6\n"                     \
  " sub " BOTTOM ", " BOTTOM ", r7\n"
#define TVMTINY_WINOGRAD_BEGIN_PLAIN " ldrd r3, r9, [r1], #8\n"
#define TVMTINY_WINOGRAD_BEGIN_SIGNED " ldrd r3, r9, [r1], #8\n ldrd r0, r8, [r1], #8\n"
#define TVMTINY_WINOGRAD_SCALE_PLAIN                                                               \
  " smmul r10, r10, r9\n smmul r11, r11, r9\n smmul r12, r12, r9\n smmul lr, lr, r9\n"
#define TVMTINY_WINOGRAD_SIGNED(ACC)                                                               \
  " and r6, r8, " ACC ", asr #31\n add r6, r6, r0\n smmla " ACC ", " ACC ", r9, r6\n"
#define TVMTINY_WINOGRAD_SCALE_SIGNED                                                              \
  TVMTINY_WINOGRAD_SIGNED("r10") TVMTINY_WINOGRAD_SIGNED("r11")                                    \
  TVMTINY_WINOGRAD_SIGNED("r12") TVMTINY_WINOGRAD_SIGNED("lr")
/* Stack: the outputs of the tiles, the end of the stream, the end of the sums, the inputs. */
#define TVMTINY_WINOGRAD_TEXT(PRODUCTS, LIST, UNROLL, CHANNELS, FILTERS, ROW, LEFT, SHIFT, BEGIN,  \
                              SCALE)                                                               \
  ".syntax unified\n push {r4-r11, lr}\n sub sp, sp, #28\n ldmia r3, {r4-r7}\n"                    \
  " stmia sp, {r4-r7}\n"                                                                           \
  " add r4, r2, #384\n str r4, [sp, #16]\n str r0, [sp, #20]\n1:\n2:\n.rept " UNROLL "\n"          \
  PRODUCTS(CHANNELS) ".endr\n ldr r9, [sp, #16]\n cmp r2, r9\n bne 2b\n"                           \
  " sub r2, r2, #384\n.irp j, 0, 1\n" BEGIN                                                        \
  ".irp p, " LIST "\n" TVMTINY_WINOGRAD_SUMS("0", "r10", "r12")                                    \
  TVMTINY_WINOGRAD_SUMS("1", "r11", "lr") " add r10, r10, r11\n add r12, r12, lr\n"                \
  TVMTINY_WINOGRAD_SUMS("2", "r4", "r5") " add r10, r10, r4\n sub r11, r11, r4\n"                  \
  " add r12, r12, r5\n sub lr, lr, r5\n" TVMTINY_WINOGRAD_SUMS("3", "r4", "r5")                    \
  " sub r11, r11, r4\n"                                                                            \
  " sub lr, lr, r5\n add r10, r3, r10, lsl #" LEFT "\n add r11, r3, r11, lsl #" LEFT "\n"          \
  " add r12, r3, r12, lsl #" LEFT "\n add lr, r3, lr, lsl #" LEFT "\n" SCALE                       \
  " ldr r4, [sp, #4 * \\p]\n ssat r10, #8, r10, asr #" SHIFT "\n ssat r11, #8, r11, asr #" SHIFT   \
  "\n ssat r12, #8, r12, asr #" SHIFT "\n ssat lr, #8, lr, asr #" SHIFT "\n"                       \
  " strb r11, [r4, #" FILTERS "]\n strb r12, [r4, #" ROW "]\n strb lr, [r4, #" ROW " + " FILTERS   \
  "]\n strb r10, [r4], #1\n str r4, [sp, #4 * \\p]\n.endr\n.endr\n"                                \
  " ldr r4, [sp, #12]\n ldr r0, [sp, #20]\n cmp r1, r4\n bne 1b\n"                                 \
  " add sp, sp, #28\n pop {r4-r11, pc}\n"
#define TVMTINY_WINOGRAD_TILES(NAME, TILES, UNROLL, CHANNELS, FILTERS, ROW, LEFT, SHIFT, ROUNDING) \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const uint32_t *inputs TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                 \
      int32_t *sums TVMTINY_UNUSED, const tvmtiny_winograd_outputs *outputs TVMTINY_UNUSED)        \
  {                                                                                                \
    __asm__ volatile(TVMTINY_WINOGRAD_TEXT(                                                        \
        TVMTINY_WINOGRAD_PRODUCTS_##TILES, TVMTINY_WINOGRAD_LIST_##TILES, TVMTINY_STRING(UNROLL),  \
        TVMTINY_STRING(CHANNELS), TVMTINY_STRING(FILTERS), TVMTINY_STRING(ROW),                    \
        TVMTINY_STRING(LEFT), TVMTINY_STRING(SHIFT), TVMTINY_WINOGRAD_BEGIN_##ROUNDING,            \
        TVMTINY_WINOGRAD_SCALE_##ROUNDING)::                                                       \
                         : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                   \
  }

#else /* !TVMTINY_DSP */

TVMTINY_INLINE uint32_t tvmtiny_sadd16(uint32_t a, uint32_t b)
{
  return ((a + b) & 0xffffu) | ((a & 0xffff0000u) + (b & 0xffff0000u));
}

/* Transforms four words, which are `step` words apart in both arrays. */
TVMTINY_INLINE void tvmtiny_winograd_four(uint32_t *to, const uint32_t *from, int32_t step)
{
  to[0] = tvmtiny_ssub16(from[0], from[2 * step]);
  to[step] = tvmtiny_sadd16(from[step], from[2 * step]);
  to[2 * step] = tvmtiny_ssub16(from[2 * step], from[step]);
  to[3 * step] = tvmtiny_ssub16(from[step], from[3 * step]);
}

TVMTINY_INLINE void tvmtiny_winograd_input(const int8_t *x, int32_t row, uint32_t *to,
                                           int32_t channels)
{
  int32_t c;
  for (c = 0; c < channels; c += 2) {
    uint32_t half[16];
    uint32_t whole[16];
    int32_t i;
    for (i = 0; i < 16; ++i) {
      const uint32_t word = tvmtiny_load4(x + i % 4 * row + i / 4 * channels + (c & ~3));
      half[i] = (c & 2) == 0 ? tvmtiny_sxtb16(word) : tvmtiny_sxtb16_odd(word);
    }
    for (i = 0; i < 4; ++i) {
      tvmtiny_winograd_four(whole + 4 * i, half + 4 * i, 1);
    }
    for (i = 0; i < 4; ++i) {
      tvmtiny_winograd_four(half + i, whole + i, 4);
    }
    for (i = 0; i < 16; ++i) {
      to[(i * (channels / 2) + c / 2) * 3] = half[i];
    }
  }
}
#define TVMTINY_WINOGRAD_INPUT(NAME, CHANNELS)                                                     \
  static void NAME(const int8_t *x, int32_t row, uint32_t *to)                                     \
  {                                                                                                \
    tvmtiny_winograd_input(x, row, to, CHANNELS);                                                  \
  }

/* The contribution of the 16 sums of a tile and filter, 6 words apart, to its output (y, x). */
TVMTINY_INLINE int32_t tvmtiny_winograd_output(const int32_t *sums, int32_t y, int32_t x)
{
  static const int8_t signs[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
  uint32_t total = 0;
  int32_t i;
  for (i = 0; i < 16; ++i) {
    total += (uint32_t)(signs[x][i / 4] * signs[y][i % 4]) * (uint32_t)sums[6 * i];
  }
  return (int32_t)total;
}

TVMTINY_INLINE void tvmtiny_winograd_tiles(const uint32_t *inputs, const int32_t *stream,
                                           int32_t *sums, const tvmtiny_winograd_outputs *outputs,
                                           int32_t tiles, int32_t channels, int32_t filters,
                                           int32_t row, int32_t left, int32_t shift,
                                           int32_t rounding)
{
  int32_t filter;
  for (filter = 0; stream != outputs->end; filter += 2) {
    int32_t i;
    for (i = 0; i < 96; ++i) {
      const uint32_t *x = inputs + i / 6 * (channels / 2) * 3 + i % 6 / 2;
      const int32_t *w = stream + i / 6 * channels + i % 2;
      int32_t c;
      sums[i] = 0;
      for (c = 0; c < channels / 2 && i % 6 < 2 * tiles; ++c) {
        sums[i] = tvmtiny_smlad(x[3 * c], (uint32_t)w[2 * c], sums[i]);
      }
    }
    stream += 16 * channels;
    for (i = 0; i < 8 * tiles; ++i) {
      const int32_t *constants = stream + i % 2 * (1 + rounding);
      const int32_t y = i / 2 % 2;
      const int32_t x = i / 4 % 2;
      const int32_t sum = tvmtiny_winograd_output(sums + i / 8 * 2 + i % 2, y, x);
      const uint32_t acc = (uint32_t)constants[0] + ((uint32_t)sum << left);
      outputs->out[i / 8][filter + i % 2 + y * row + x * filters] =
          tvmtiny_scale_int8((int32_t)acc, constants + 1, rounding, shift);
    }
    stream += 2 * (1 + rounding);
  }
}
#define TVMTINY_WINOGRAD_TILES(NAME, TILES, UNROLL, CHANNELS, FILTERS, ROW, LEFT, SHIFT, ROUNDING) \
  static void NAME(const uint32_t *inputs, const int32_t *stream, int32_t *sums,                   \
                   const tvmtiny_winograd_outputs *outputs)                                        \
  {                                                                                                \
    tvmtiny_winograd_tiles(inputs, stream, sums, outputs, TILES, CHANNELS, FILTERS, ROW, LEFT,     \
                           SHIFT, TVMTINY_ROUNDING_##ROUNDING);                                    \
  }

#endif

TVMTINY_INLINE int32_t *tvmtiny_winograd_fill(int32_t *to, int32_t word, int32_t bytes)
{
  for (; bytes >= 16; bytes -= 16) {
    to[0] = word;
    to[1] = word;
    to[2] = word;
    to[3] = word;
    to += 4;
  }
  for (; bytes > 0; bytes -= 4) {
    *to++ = word;
  }
  return to;
}

TVMTINY_INLINE int32_t *tvmtiny_winograd_copy(int32_t *to, const int8_t *from, int32_t bytes)
{
  for (; bytes >= 16; bytes -= 16) {
    to[0] = (int32_t)tvmtiny_load4(from);
    to[1] = (int32_t)tvmtiny_load4(from + 4);
    to[2] = (int32_t)tvmtiny_load4(from + 8);
    to[3] = (int32_t)tvmtiny_load4(from + 12);
    to += 4;
    from += 16;
  }
  for (; bytes > 0; bytes -= 4) {
    *to++ = (int32_t)tvmtiny_load4(from);
    from += 4;
  }
  return to;
}

/* Copies the 4 x 4 inputs of a tile at (row, column); inputs outside the image are `pad`. */
TVMTINY_INLINE void tvmtiny_winograd_edge(const int8_t *x, int32_t row, int32_t column, int32_t *to,
                                          int32_t height, int32_t width, int32_t channels,
                                          int32_t pad)
{
  const int32_t word = (int32_t)(((uint32_t)pad & 0xffu) * 0x01010101u);
  const int32_t first = column > 0 ? 0 : column < -4 ? 4 : -column;
  const int32_t rest = width - column;
  const int32_t last = rest > 4 ? 4 : rest < 0 ? 0 : rest;
  int32_t y;
  for (y = row; y < row + 4; ++y) {
    if (y < 0 || y >= height || first >= last) {
      to = tvmtiny_winograd_fill(to, word, 4 * channels);
    } else {
      to = tvmtiny_winograd_fill(to, word, first * channels);
      to = tvmtiny_winograd_copy(to, x + (y * width + column + first) * channels,
                                 (last - first) * channels);
      to = tvmtiny_winograd_fill(to, word, (4 - last) * channels);
    }
  }
}

/* Defines NAME(x, stream, out, inputs, sums, first, count), which computes one tile or three from
 * the `first` one on, for an output of ROWS x COLUMNS x FILTERS. Tiles at the bottom and at the
 * right may overlap others. INPUT, ONE and THREE are defined by the macros above; `sums` has 96
 * words, or 4 per input channel if that is more. */
#define TVMTINY_WINOGRAD(NAME, INPUT, ONE, THREE, HEIGHT, WIDTH, CHANNELS, TOP, LEFT, ROWS,        \
                         COLUMNS, FILTERS, WORDS, PAD)                                             \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, uint32_t *inputs,          \
                   int32_t *sums, int32_t first, int32_t count)                                    \
  {                                                                                                \
    tvmtiny_winograd_outputs outputs;                                                              \
    int32_t tile;                                                                                  \
    outputs.end = stream + (WORDS);                                                                \
    for (tile = 0; tile < count; ++tile) {                                                         \
      const int32_t down = (first + tile) / (((COLUMNS) + 1) / 2) * 2;                             \
      const int32_t across = (first + tile) % (((COLUMNS) + 1) / 2) * 2;                           \
      const int32_t top = down > (ROWS)-2 ? (ROWS)-2 : down;                                       \
      const int32_t left = across > (COLUMNS)-2 ? (COLUMNS)-2 : across;                            \
      const int32_t row = top - (TOP);                                                             \
      const int32_t column = left - (LEFT);                                                        \
      outputs.out[tile] = out + (top * (COLUMNS) + left) * (FILTERS);                              \
      if (row >= 0 && row + 4 <= (HEIGHT) && column >= 0 && column + 4 <= (WIDTH)) {               \
        INPUT(x + (row * (WIDTH) + column) * (CHANNELS), (WIDTH) * (CHANNELS), inputs + tile);     \
      } else {                                                                                     \
        tvmtiny_winograd_edge(x, row, column, sums, HEIGHT, WIDTH, CHANNELS, PAD);                 \
        INPUT((const int8_t *)sums, 4 * (CHANNELS), inputs + tile);                                \
      }                                                                                            \
    }                                                                                              \
    if (count == 1) {                                                                              \
      ONE(inputs, stream, sums, &outputs);                                                         \
    } else {                                                                                       \
      THREE(inputs, stream, sums, &outputs);                                                       \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_WINOGRAD_H */
