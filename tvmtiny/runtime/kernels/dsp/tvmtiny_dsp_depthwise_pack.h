/* Packing for depthwise convolutions: see tvmtiny_dsp_depthwise.h for the layout of planes. */
#ifndef TVMTINY_DSP_DEPTHWISE_PACK_H
#define TVMTINY_DSP_DEPTHWISE_PACK_H

#include "tvmtiny_dsp.h"

/* Packs four channels of a pair of rows into four planes. */
TVMTINY_INLINE void tvmtiny_depthwise_pair(uint32_t *to, int32_t plane, uint32_t upper,
                                           uint32_t lower)
{
#if TVMTINY_DSP
  uint32_t c0, c1, c2, c3, odd;
  __asm__("sxtb16 %1, %5\n\tsxtb16 %2, %6\n\tsxtb16 %4, %5, ror #8\n\tsxtb16 %3, %6, ror #8\n\t"
          "pkhbt %0, %1, %2, lsl #16\n\tpkhtb %2, %2, %1, asr #16\n\t"
          "pkhbt %1, %4, %3, lsl #16\n\tpkhtb %3, %3, %4, asr #16"
          : "=&r"(c0), "=&r"(c1), "=&r"(c2), "=&r"(c3), "=&r"(odd)
          : "r"(upper), "r"(lower));
  to[0] = c0;
  to[plane] = c1;
  to[2 * plane] = c2;
  to[3 * plane] = c3;
#else
  int32_t c;
  for (c = 0; c < 4; ++c, upper >>= 8, lower >>= 8) {
    to[c * plane] = tvmtiny_lanes((int8_t)(upper & 0xffu), (int8_t)(lower & 0xffu));
  }
#endif
}

/* NAME(from, to, quads) packs two pairs of rows, ROW bytes apart and all inside the input, COUNT times
 * for columns that are STEP bytes apart, and does so for the next four rows until it has done it
 * `quads` times. A column is TO words after the one before. With ONCE, `quads` is 1. */
#if TVMTINY_DSP
#define TVMTINY_DEPTHWISE_UNPACK(A, B, C, D, E)                                                    \
  " sxtb16 " E ", " A "\n sxtb16 " A ", " A ", ror #8\n"                                           \
  " sxtb16 " C ", " B "\n sxtb16 " B ", " B ", ror #8\n"                                           \
  " pkhbt " D ", " E ", " C ", lsl #16\n pkhtb " C ", " C ", " E ", asr #16\n"                     \
  " pkhbt " E ", " A ", " B ", lsl #16\n pkhtb " B ", " B ", " A ", asr #16\n"
#define TVMTINY_DEPTHWISE_TO_PLANES_DOUBLE(PLANE, TO)                                              \
  " strd r7, r10, [r1, #" PLANE "]\n strd r6, r2, [r1], #" TO "\n"                                 \
  " strd r3, r8, [r12, #" PLANE "]\n strd r5, r9, [r12], #" TO "\n"
/* More instructions, but fewer cycles. */
#define TVMTINY_DEPTHWISE_TO_PLANES_SINGLE(PLANE, TO)                                              \
  TVMTINY_DEPTHWISE_STORE_QUAD("r1", "r7", "r10", "r6", "r2", PLANE, TO)                           \
  TVMTINY_DEPTHWISE_STORE_QUAD("r12", "r3", "r8", "r5", "r9", PLANE, TO)
#define TVMTINY_DEPTHWISE_STORE_QUAD(TO_PLANES, A, B, C, D, PLANE, TO)                             \
  " str " A ", [" TO_PLANES ", #" PLANE "]\n str " B ", [" TO_PLANES ", #4 + " PLANE "]\n"         \
  " str " D ", [" TO_PLANES ", #4]\n"                                                              \
  ".if " TO " < 256\n str " C ", [" TO_PLANES "], #" TO "\n"                                       \
  ".else\n str " C ", [" TO_PLANES "]\n add " TO_PLANES ", " TO_PLANES ", #" TO "\n.endif\n"
#define TVMTINY_DEPTHWISE_QUADS_(NAME, COUNT, STEP, ROW, PLANE, TO, TO_PLANES, UNROLL, ONCE)       \
  static __attribute__((naked, noinline)) void NAME(const int8_t *from TVMTINY_UNUSED,             \
                                                    uint32_t *to TVMTINY_UNUSED,                   \
                                                    int32_t quads TVMTINY_UNUSED)                  \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(".syntax unified\n push {r4-r11, lr}\n"                                       \
                     " movw r11, #" COUNT " * " STEP "\n add r11, r0, r11\n"                       \
                     " add r12, r1, #2 * " PLANE "\n.if !(" ONCE ")\n mov lr, r2\n.endif\n"        \
                     "1:\n.rept " UNROLL "\n"                                                      \
                     " ldr r3, [r0, #" ROW "]\n ldr r4, [r0, #2 * " ROW "]\n"                      \
                     " ldr r8, [r0, #3 * " ROW "]\n"                                               \
                     ".if " STEP " < 256\n ldr r2, [r0], #" STEP "\n"                              \
                     ".else\n ldr r2, [r0]\n add r0, r0, #" STEP "\n.endif\n"                      \
                     TVMTINY_DEPTHWISE_UNPACK("r2", "r3", "r5", "r6", "r7")                        \
                     TVMTINY_DEPTHWISE_UNPACK("r4", "r8", "r9", "r2", "r10")                       \
                     TO_PLANES(PLANE, TO) ".endr\n cmp r0, r11\n bne 1b\n.if !(" ONCE ")\n"        \
                     " add r0, r0, #3 * " ROW "\n add r11, r11, #2 * " ROW "\n"                    \
                     " add r11, r11, #2 * " ROW "\n.if " ROW " > " COUNT " * " STEP "\n"           \
                     " add r0, r0, #" ROW " - " COUNT " * " STEP "\n.endif\n"                      \
                     " subw r1, r1, #" COUNT " * " TO " - 8\n"                                     \
                     " subw r12, r12, #" COUNT " * " TO " - 8\n subs lr, lr, #1\n bne 1b\n.endif\n"\
                     " pop {r4-r11, pc}\n" ::                                                      \
                         : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                   \
  }
#define TVMTINY_DEPTHWISE_QUADS(NAME, COUNT, STEP, ROW, PLANE, TO, ONCE)                           \
  TVMTINY_DEPTHWISE_QUADS_(NAME, "(" #COUNT ")", "(" #STEP ")", "(" #ROW ")",                      \
                           "4 * (" #PLANE ")", "4 * (" #TO ")", TVMTINY_DEPTHWISE_TO_PLANES_DOUBLE,\
                           "1", #ONCE)
/* As TVMTINY_DEPTHWISE_QUADS, with UNROLL quads in a loop iteration, a divisor of COUNT. */
#define TVMTINY_DEPTHWISE_QUADS_FAST(NAME, COUNT, STEP, ROW, PLANE, TO, UNROLL)                    \
  TVMTINY_DEPTHWISE_QUADS_(NAME, "(" #COUNT ")", "(" #STEP ")", "(" #ROW ")",                      \
                           "4 * (" #PLANE ")", "4 * (" #TO ")", TVMTINY_DEPTHWISE_TO_PLANES_SINGLE,\
                           #UNROLL, "0")
#else
#define TVMTINY_DEPTHWISE_QUADS_FAST(NAME, COUNT, STEP, ROW, PLANE, TO, UNROLL)                    \
  TVMTINY_DEPTHWISE_QUADS(NAME, COUNT, STEP, ROW, PLANE, TO, 0)
#define TVMTINY_DEPTHWISE_QUADS(NAME, COUNT, STEP, ROW, PLANE, TO, ONCE)                           \
  static void NAME(const int8_t *from, uint32_t *to, int32_t quads)                                \
  {                                                                                                \
    for (; quads > 0; --quads, from += 4 * (ROW), to += 2) {                                       \
      int32_t i;                                                                                   \
      for (i = 0; i < (COUNT); ++i) {                                                              \
        const int8_t *const source = from + i * (STEP);                                            \
        uint32_t *const target = to + i * (TO);                                                    \
        tvmtiny_depthwise_pair(target, (PLANE), tvmtiny_load4(source),                             \
                               tvmtiny_load4(source + (ROW)));                                     \
        tvmtiny_depthwise_pair(target + 1, (PLANE), tvmtiny_load4(source + 2 * (ROW)),             \
                               tvmtiny_load4(source + 3 * (ROW)));                                 \
      }                                                                                            \
    }                                                                                              \
  }
#endif

/* Packs one pair of rows; a row outside the input is NULL. */
static __attribute__((noinline)) TVMTINY_UNUSED void tvmtiny_depthwise_edge(
    uint32_t *to, int32_t pairs, int32_t columns, const int8_t *upper, const int8_t *lower,
    int32_t width, int32_t channels, int32_t pad)
{
  const int8_t outside[4] = {(int8_t)pad, (int8_t)pad, (int8_t)pad, (int8_t)pad};
  const int32_t upper_step = upper != NULL ? channels : 0;
  const int32_t lower_step = lower != NULL ? channels : 0;
  const uint32_t *const end = to + pairs * width;
  upper = upper != NULL ? upper : outside;
  lower = lower != NULL ? lower : outside;
  for (; to != end; to += pairs, upper += upper_step, lower += lower_step) {
    tvmtiny_depthwise_pair(to, pairs * columns, tvmtiny_load4(upper), tvmtiny_load4(lower));
  }
}

/* Fills one column outside the input, in four planes. */
TVMTINY_INLINE void tvmtiny_depthwise_outside(uint32_t *to, int32_t pairs, int32_t plane,
                                              int32_t pad)
{
  const uint32_t outside = tvmtiny_lanes(pad, pad);
  int32_t i;
  for (i = 0; i < pairs; ++i, ++to) {
    to[3 * plane] = outside;
    to[2 * plane] = outside;
    to[plane] = outside;
    to[0] = outside;
  }
}

/* Fills pairs outside the input, for planes that hold whole columns of it. */
static __attribute__((noinline)) TVMTINY_UNUSED void tvmtiny_depthwise_fill(uint32_t *planes,
                                                                            int32_t words,
                                                                            int32_t pad)
{
  for (; words > 0; --words) {
    *planes++ = tvmtiny_lanes(pad, pad);
  }
}

/* Packs pairs of rows of four channels into planes of `width` columns of `capacity` words; see
 * below. */
static __attribute__((noinline)) TVMTINY_UNUSED void tvmtiny_depthwise_pack(
    const int8_t *x, int32_t row, uint32_t *planes, int32_t pairs, int32_t capacity, int32_t height,
    int32_t width, int32_t channels, int32_t pad)
{
  for (; pairs > 0; --pairs, ++planes, row += 2) {
    const int8_t *const from = x + row * (width * channels);
    tvmtiny_depthwise_edge(planes, capacity, width, row >= 0 && row < height ? from : NULL,
                           row >= -1 && row + 1 < height ? from + width * channels : NULL, width,
                           channels, pad);
  }
}

/* Defines NAME(x, row, planes, pairs), which packs pairs of rows of four channels. `x` is the first
 * of these channels in an image of HEIGHT x WIDTH x CHANNELS, and `row` is the first row, which may
 * be outside the image. A plane has COLUMNS columns of PAIRS words, LEFT of which are left of the
 * input. The image consists of every DOWN-th row of a larger one. */
#define TVMTINY_DEPTHWISE_PACK(NAME, PAIRS, HEIGHT, WIDTH, CHANNELS, LEFT, COLUMNS, DOWN, PAD)     \
  TVMTINY_DEPTHWISE_QUADS(NAME##_quad, WIDTH, CHANNELS, (DOWN) * (WIDTH) * (CHANNELS),             \
                          (PAIRS) * (COLUMNS), PAIRS, 0)                                           \
  TVMTINY_DEPTHWISE_PACK_WITH(NAME, NAME##_quad, 2, PAIRS, HEIGHT, WIDTH, CHANNELS, LEFT, COLUMNS, \
                              DOWN, PAD)
/* As TVMTINY_DEPTHWISE_PACK, with more code for speed; UNROLL divides WIDTH. */
#define TVMTINY_DEPTHWISE_PACK_FAST(NAME, PAIRS, HEIGHT, WIDTH, CHANNELS, LEFT, COLUMNS, DOWN,     \
                                    PAD, UNROLL)                                                   \
  TVMTINY_DEPTHWISE_QUADS_FAST(NAME##_quad, WIDTH, CHANNELS, (DOWN) * (WIDTH) * (CHANNELS),        \
                               (PAIRS) * (COLUMNS), PAIRS, UNROLL)                                 \
  TVMTINY_DEPTHWISE_PACK_WITH(NAME, NAME##_quad, 2, PAIRS, HEIGHT, WIDTH, CHANNELS, LEFT, COLUMNS, \
                              DOWN, PAD)
/* As TVMTINY_DEPTHWISE_PACK, for an input of one column and at least four rows, packed from its
 * start. */
#define TVMTINY_DEPTHWISE_PACK_COLUMN(NAME, PAIRS, HEIGHT, CHANNELS, PAD)                          \
  TVMTINY_DEPTHWISE_QUADS(NAME##_quads, (HEIGHT) / 4, 4 * (CHANNELS), CHANNELS, PAIRS, 2, 1)       \
  static void NAME(const int8_t *x, int32_t row, uint32_t *planes, int32_t pairs)                  \
  {                                                                                                \
    int32_t pair;                                                                                  \
    NAME##_quads(x, planes, 1);                                                                    \
    for (pair = (HEIGHT) / 4 * 2; pair < pairs; ++pair) {                                          \
      row = 2 * pair;                                                                              \
      tvmtiny_depthwise_edge(planes + pair, (PAIRS), 1,                                            \
                             row < (HEIGHT) ? x + row * (CHANNELS) : NULL,                         \
                             row + 1 < (HEIGHT) ? x + (row + 1) * (CHANNELS) : NULL, 1,            \
                             (CHANNELS), (PAD));                                                   \
    }                                                                                              \
    (void)row;                                                                                     \
  }
/* As TVMTINY_DEPTHWISE_PACK, for rows or planes that are too large for immediate offsets. */
#define TVMTINY_DEPTHWISE_PACK_PAIRS(NAME, PAIRS, HEIGHT, WIDTH, CHANNELS, LEFT, COLUMNS, DOWN,    \
                                     PAD)                                                          \
  static void NAME##_pair(const int8_t *from, uint32_t *to, int32_t count)                         \
  {                                                                                                \
    for (; count > 0; --count, from += 2 * (DOWN) * (WIDTH) * (CHANNELS), ++to) {                  \
      tvmtiny_depthwise_edge(to, (PAIRS), (COLUMNS), from,                                         \
                             from + (DOWN) * (WIDTH) * (CHANNELS), (WIDTH), (CHANNELS), (PAD));    \
    }                                                                                              \
  }                                                                                                \
  TVMTINY_DEPTHWISE_PACK_WITH(NAME, NAME##_pair, 1, PAIRS, HEIGHT, WIDTH, CHANNELS, LEFT, COLUMNS, \
                              DOWN, PAD)
#define TVMTINY_DEPTHWISE_PACK_WITH(NAME, INSIDE, STEP, PAIRS, HEIGHT, WIDTH, CHANNELS,            \
                                    LEFT, COLUMNS, DOWN, PAD)                                      \
  static void NAME(const int8_t *x, int32_t row, uint32_t *planes, int32_t pairs)                  \
  {                                                                                                \
    const uint32_t *end;                                                                           \
    int32_t column;                                                                                \
    for (column = 0; column < (COLUMNS) - (WIDTH); ++column) {                                     \
      tvmtiny_depthwise_outside(                                                                   \
          planes + (column < (LEFT) ? column : column + (WIDTH)) * (PAIRS), (PAIRS),               \
          (PAIRS) * (COLUMNS), (PAD));                                                             \
    }                                                                                              \
    planes += (LEFT) * (PAIRS);                                                                    \
    end = planes + pairs;                                                                          \
    while (planes != end) {                                                                        \
      const int8_t *const from = x + row * ((DOWN) * (WIDTH) * (CHANNELS));                        \
      const int32_t left = 2 * (int32_t)(end - planes);                                            \
      const int32_t inside = (left < (HEIGHT) - row ? left : (HEIGHT) - row) / (2 * (STEP));       \
      if (row >= 0 && inside > 0) {                                                                \
        INSIDE(from, planes, inside);                                                              \
        planes += (STEP) * inside;                                                                 \
        row += 2 * (STEP) * inside;                                                                \
      } else {                                                                                     \
        tvmtiny_depthwise_edge(planes, (PAIRS), (COLUMNS),                                         \
                               row >= 0 && row < (HEIGHT) ? from : NULL,                           \
                               row >= -1 && row + 1 < (HEIGHT)                                     \
                                   ? from + (DOWN) * (WIDTH) * (CHANNELS)                          \
                                   : NULL,                                                         \
                               (WIDTH), (CHANNELS), (PAD));                                        \
        ++planes;                                                                                  \
        row += 2;                                                                                  \
      }                                                                                            \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_DEPTHWISE_PACK_H */
