/* Depthwise convolutions of int8 for cores with the DSP extension, one channel at a time.
 *
 * A strip of rows of some channels is packed first. The plane of a channel holds words of two
 * vertical neighbours, rows 2i and 2i + 1 counted from the strip's first row, column by column, at
 * PAIRS * column + i. A filter of three rows that starts at an even row takes one SMLAD and one
 * SMLABx per column with the words P = i and Q = i + 1, which LDRD loads together; at an odd row it
 * takes one SMLATx of P and one SMLAD of Q. Rows outside the input are packed as its zero point.
 *
 * The 3x3 kernels slide along a row with two sums in registers and omit the columns outside the
 * input, whose constant contribution is part of the initial sums of the first and the last output.
 * Weights are 256 * w. An output is (sum * multiplier >> 32) >> SHIFT, saturated to int8, with
 * constants that were proven exact when the code was generated.
 *
 * Stream of a channel for the 3x3 kernels, w[row][column]:
 *   (w00 w10) (w01 w11) (w02 w12) (w20 w21) (w22 0) initial multiplier first last
 *   and for stride 1, for odd rows: (w10 w20) (w11 w21) (w12 w22) (w00 w01) (w02 0)
 * With BYTES, all weights are 256 times a byte, and the first four words are stored as upper bytes,
 *   w00 w01 w10 w11 and w02 w20 w12 w21, followed by (w22 0) and the constants; the kernel derives
 *   the other words. If BYTES is 2, all weights are 4096 times 4 bits: the stream is a word whose
 *   bytes have w02 and w00 below those of w20 and w01, see TVMTINY_DEPTHWISE_NIBBLES, initial, whose
 *   lower 4 bits are w22, and multiplier; first and last are derived from ZERO, the zero point
 * Stream of a channel for the other kernels: initial, multiplier and, for rounding by sign, offset
 * and step; then the words of each column of the filter, alternately for even and odd rows.
 */
#ifndef TVMTINY_DSP_DEPTHWISE_H
#define TVMTINY_DSP_DEPTHWISE_H

#include "tvmtiny_dsp.h"
#include "tvmtiny_dsp_depthwise_pack.h"

/* ---- Sums and outputs --------------------------------------------------------------------- */

/* Words of constants after the initial sum, by rounding. */
#define TVMTINY_DEPTHWISE_CONSTANTS_PLAIN 1
#define TVMTINY_DEPTHWISE_CONSTANTS_SIGNED 3

TVMTINY_INLINE int8_t tvmtiny_depthwise_output(int32_t sum, const int32_t *constants, int32_t count,
                                               int32_t shift)
{
  int32_t value = (int32_t)(((int64_t)sum * constants[0]) >> 32);
  if (count == TVMTINY_DEPTHWISE_CONSTANTS_SIGNED) {
    value += constants[1] + (constants[2] & (sum >> 31));
  }
  value >>= shift;
  return (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

/* ---- 3x3 ---------------------------------------------------------------------------------- */

/* Defines NAME(planes, stream, out, channels, rows, pitch), which computes `rows` output rows of
 * `channels` planes; `pitch` is the distance between neighbouring outputs.
 *
 * WIDTH is the width of the output; LEFT and RIGHT are 1 if the filter reaches one column beyond
 * that side of the input. Of the outputs between the first and the last one of a row, LOOPS *
 * UNROLL are computed in a loop, and then REST. PITCH is `pitch` as a constant, or 0 so that layers
 * with different channel counts can share the code, which requires LOOPS to be 0. */
#if TVMTINY_DSP

/* r0 planes, r1 out, r2 r3 sums, r4 P, r5 Q, r6-r10 weights (r10: rows - 1 in its upper half), r11
 * initial, r12 multiplier, lr counter or pitch or, without either, first. Stack: first, last,
 * stream, out, planes, channels; saved registers; the arguments `rows` and `pitch`. F is the word of which both halves are
 * multiplied, H the word of which one half is, and L names that half. */
#define TVMTINY_DEPTHWISE_LOAD(PAIRS) " ldrd r4, r5, [r0], #4 * " PAIRS "\n"
/* Loads the last of tvmtiny_columns columns and advances to the next row, if that is in reach;
 * otherwise, that takes an instruction at the end of the row. */
#define TVMTINY_DEPTHWISE_LOAD_LAST(PAIRS)                                                         \
  ".if 4 * " PAIRS " * (tvmtiny_columns - 1) <= 1024\n"                                            \
  " ldrd r4, r5, [r0], #4 - 4 * " PAIRS " * (tvmtiny_columns - 1)\n"                               \
  ".else\n" TVMTINY_DEPTHWISE_LOAD(PAIRS) ".endif\n"
#define TVMTINY_DEPTHWISE_NEXT_ROW(PAIRS)                                                          \
  ".if 4 * " PAIRS " * (tvmtiny_columns - 1) > 1024\n"                                             \
  " sub r0, r0, #4 * (" PAIRS " * tvmtiny_columns - 1)\n.endif\n"
#define TVMTINY_DEPTHWISE_TAP0(F, H, L, SUM, FROM)                                                 \
  " smlad " SUM ", " F ", r6, " FROM "\n smla" L "b " SUM ", " H ", r9, " SUM "\n"
#define TVMTINY_DEPTHWISE_TAP1(F, H, L, SUM, FROM)                                                 \
  " smlad " SUM ", " F ", r7, " FROM "\n smla" L "t " SUM ", " H ", r9, " SUM "\n"
#define TVMTINY_DEPTHWISE_TAP2(F, H, L, SUM)                                                       \
  " smlad " SUM ", " F ", r8, " SUM "\n smla" L "b " SUM ", " H ", r10, " SUM "\n"
#define TVMTINY_DEPTHWISE_STORE(SUM, SHIFT, PITCH)                                                 \
  " smmul " SUM ", " SUM ", r12\n ssat " SUM ", #8, " SUM ", asr #" SHIFT "\n"                     \
  ".if " PITCH " == 0\n strb " SUM ", [r1]\n add r1, r1, lr\n"                                     \
  ".elseif " PITCH " < 256\n strb " SUM ", [r1], #" PITCH "\n"                                     \
  ".else\n strb " SUM ", [r1]\n add r1, r1, #" PITCH "\n.endif\n"

/* Finishes the sum S, continues A and starts a new sum in S. */
#define TVMTINY_DEPTHWISE_SLIDE(F, H, L, S, A, PAIRS, SHIFT, PITCH)                                \
  TVMTINY_DEPTHWISE_LOAD(PAIRS)                                                                    \
  TVMTINY_DEPTHWISE_TAP2(F, H, L, S)                                                               \
  TVMTINY_DEPTHWISE_STORE(S, SHIFT, PITCH) TVMTINY_DEPTHWISE_TAP1(F, H, L, A, A)                   \
      TVMTINY_DEPTHWISE_TAP0(F, H, L, S, "r11")
/* Finishes the last two outputs of a row. */
#define TVMTINY_DEPTHWISE_CLOSE(F, H, L, S, A, RIGHT, PAIRS, SHIFT, PITCH)                         \
  TVMTINY_DEPTHWISE_LOAD(PAIRS)                                                                    \
  TVMTINY_DEPTHWISE_TAP2(F, H, L, S)                                                               \
  TVMTINY_DEPTHWISE_STORE(S, SHIFT, PITCH) TVMTINY_DEPTHWISE_TAP1(                                 \
      F, H, L, A,                                                                                  \
      A) ".if " RIGHT "\n ldr " S                                                                  \
         ", [sp, #4]\n" TVMTINY_DEPTHWISE_TAP0(F, H, L, S, S) ".endif\n" TVMTINY_DEPTHWISE_LOAD_LAST( \
             PAIRS) TVMTINY_DEPTHWISE_TAP2(F, H, L, A)                                             \
             TVMTINY_DEPTHWISE_STORE(A, SHIFT, PITCH) ".if " RIGHT "\n" TVMTINY_DEPTHWISE_TAP1(    \
                 F, H, L, S, S) TVMTINY_DEPTHWISE_STORE(S, SHIFT, PITCH) ".endif\n"
#define TVMTINY_DEPTHWISE_ROW_S1(F, H, L, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT,   \
                                 PITCH)                                                            \
  ".set tvmtiny_columns, " WIDTH " + 2 - " LEFT " - " RIGHT "\n"                                   \
  ".set tvmtiny_kept, " LEFT " && !(" LOOPS ") && " PITCH "\n"                                     \
  ".if tvmtiny_kept\n ldr lr, [sp]\n.endif\n2:\n"                                                  \
  ".if tvmtiny_kept\n.elseif " LEFT "\n ldr r2, [sp]\n.else\n"                                     \
  TVMTINY_DEPTHWISE_LOAD(PAIRS) TVMTINY_DEPTHWISE_TAP0(F, H, L, "r2", "r11") ".endif\n"            \
  TVMTINY_DEPTHWISE_LOAD(PAIRS)                                                                    \
  ".if tvmtiny_kept\n" TVMTINY_DEPTHWISE_TAP1(F, H, L, "r2", "lr")                                 \
  ".else\n" TVMTINY_DEPTHWISE_TAP1(F, H, L, "r2", "r2") ".endif\n"                                 \
  TVMTINY_DEPTHWISE_TAP0(F, H, L, "r3", "r11")                                                     \
  ".if " LOOPS "\n mov lr, #" LOOPS "\n3:\n.rept " UNROLL " / 2\n"                                 \
  TVMTINY_DEPTHWISE_SLIDE(F, H, L, "r2", "r3", PAIRS, SHIFT, PITCH)                                \
  TVMTINY_DEPTHWISE_SLIDE(F, H, L, "r3", "r2", PAIRS, SHIFT, PITCH)                                \
  ".endr\n subs lr, lr, #1\n bne 3b\n.endif\n.rept " REST " / 2\n"                                 \
  TVMTINY_DEPTHWISE_SLIDE(F, H, L, "r2", "r3", PAIRS, SHIFT, PITCH)                                \
  TVMTINY_DEPTHWISE_SLIDE(F, H, L, "r3", "r2", PAIRS, SHIFT, PITCH)                                \
  ".endr\n.if " REST " & 1\n"                                                                      \
  TVMTINY_DEPTHWISE_SLIDE(F, H, L, "r2", "r3", PAIRS, SHIFT, PITCH)                                \
  TVMTINY_DEPTHWISE_CLOSE(F, H, L, "r3", "r2", RIGHT, PAIRS, SHIFT, PITCH)                         \
  ".else\n" TVMTINY_DEPTHWISE_CLOSE(F, H, L, "r2", "r3", RIGHT, PAIRS, SHIFT, PITCH) ".endif\n"    \
  TVMTINY_DEPTHWISE_NEXT_ROW(PAIRS)                                                                \
  ".if " PITCH "\n add r1, r1, #" WIDTH " * " PITCH "\n"                                           \
  ".else\n movs r2, #" WIDTH "\n mla r1, r2, lr, r1\n.endif\n"                                     \
  " subs r10, r10, #65536\n bpl 2b\n"

/* The word has the nibbles of (w00 w10), (w01 w11), (w02 w12) and (w20 w21) at the top of each half,
 * one below the other. */
#define TVMTINY_DEPTHWISE_NIBBLES(ZERO)                                                            \
  " ldmia r1!, {r10, r11, r12}\n mov lr, #0xf000f000\n and r6, lr, r10\n"                          \
  " and r7, lr, r10, lsl #4\n and r8, lr, r10, lsl #8\n and r9, lr, r10, lsl #12\n"                \
  " ubfx r10, r11, #0, #4\n lsl r10, r10, #12\n"                                                   \
  " movw lr, #" ZERO " & 0xffff\n movt lr, #" ZERO " & 0xffff\n"                                   \
  " smlad r4, r6, lr, r11\n smlabb r4, r9, lr, r4\n"                                               \
  " smlad r5, r8, lr, r11\n smlabb r5, r10, lr, r5\n"
#define TVMTINY_DEPTHWISE_ENTER(ZERO, BYTES)                                                       \
  ".syntax unified\n push {r4-r11, lr}\n sub sp, sp, #24\n str r3, [sp, #20]\n"                    \
  "1:\n str r2, [sp, #12]\n str r0, [sp, #16]\n"                                                   \
  ".if " BYTES " == 2\n" TVMTINY_DEPTHWISE_NIBBLES(ZERO) ".else\n"                                 \
  ".if " BYTES "\n ldmia r1!, {r4, r5, r10, r11, r12}\n mov lr, #0xff00ff00\n"                     \
  " and r6, lr, r4, lsl #8\n and r7, r4, lr\n and r8, lr, r5, lsl #8\n and r9, r5, lr\n"           \
  ".else\n ldmia r1!, {r6-r12}\n.endif\n"                                                          \
  " ldrd r4, r5, [r1], #8\n.endif\n ldr lr, [sp, #60]\n strd r4, r5, [sp]\n"                       \
  " str r1, [sp, #8]\n mov r1, r2\n"
#define TVMTINY_DEPTHWISE_LEAVE(PLANE)                                                             \
  " ldrd r1, r2, [sp, #8]\n ldrd r0, r3, [sp, #16]\n add r2, r2, #1\n add r0, r0, #" PLANE "\n"    \
  " subs r3, r3, #1\n str r3, [sp, #20]\n bne 1b\n add sp, sp, #24\n pop {r4-r11, pc}\n"
#define TVMTINY_DEPTHWISE_FUNCTION(NAME, BODY)                                                     \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const uint32_t *planes TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                 \
      int8_t *out TVMTINY_UNUSED, int32_t channels TVMTINY_UNUSED, int32_t rows TVMTINY_UNUSED,    \
      int32_t pitch TVMTINY_UNUSED)                                                                \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(BODY ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                \
  }

/* Derives the weights for odd rows from those for even rows, and the other way around. */
#define TVMTINY_DEPTHWISE_ODD_OF_EVEN                                                              \
  " lsr r4, r6, #16\n pkhbt r5, r6, r7, lsl #16\n pkhtb r7, r9, r7, asr #16\n"                   \
  " pkhbt r6, r4, r9, lsl #16\n lsr r4, r8, #16\n uxth r3, r8\n pkhbt r8, r4, r10, lsl #16\n"     \
  " mov r9, r5\n mov r10, r3\n"
#define TVMTINY_DEPTHWISE_EVEN_OF_ODD                                                              \
  " lsr r4, r9, #16\n pkhbt r3, r9, r6, lsl #16\n pkhtb r9, r7, r6, asr #16\n"                    \
  " pkhbt r7, r4, r7, lsl #16\n lsr r4, r8, #16\n pkhbt r8, r10, r8, lsl #16\n"                   \
  " mov r6, r3\n mov r10, r4\n"

/* Computes every other row from the first one on, and then the rows between, SKIP words later. */
#define TVMTINY_DEPTHWISE_S1_(NAME, FIRST, SECOND, SKIP, PLANE, WIDTH, PITCH, ZERO, BYTES)         \
  TVMTINY_DEPTHWISE_FUNCTION(                                                                      \
      NAME, TVMTINY_DEPTHWISE_ENTER(ZERO, BYTES)                                                   \
      " subs lr, lr, #1\n lsrs lr, lr, #1\n add r10, r10, lr, lsl #16\n"                           \
      ".if " PITCH " == 0\n ldr lr, [sp, #64]\n.endif\n" FIRST                                     \
      " ldrd r1, r2, [sp, #8]\n ldr r0, [sp, #16]\n"                                               \
      ".if !(" BYTES ")\n ldmia r1!, {r6-r10}\n str r1, [sp, #8]\n.endif\n ldr lr, [sp, #60]\n"    \
      ".if " SKIP "\n add r0, r0, #4\n.endif\n subs lr, lr, #2\n bmi 4f\n"                         \
      ".if " BYTES "\n.if " SKIP "\n" TVMTINY_DEPTHWISE_EVEN_OF_ODD                                \
      ".else\n" TVMTINY_DEPTHWISE_ODD_OF_EVEN ".endif\n.endif\n"                                  \
      " lsrs lr, lr, #1\n add r10, r10, lr, lsl #16\n"                                            \
      ".if " PITCH "\n add r1, r2, #" WIDTH " * " PITCH "\n"                                       \
      ".else\n ldr lr, [sp, #64]\n movs r1, #" WIDTH "\n mla r1, r1, lr, r2\n.endif\n" SECOND      \
      "4:\n" TVMTINY_DEPTHWISE_LEAVE(PLANE))
#define TVMTINY_DEPTHWISE_EVEN(...) TVMTINY_DEPTHWISE_ROW_S1("r4", "r5", "b", __VA_ARGS__)
#define TVMTINY_DEPTHWISE_ODD(...) TVMTINY_DEPTHWISE_ROW_S1("r5", "r4", "t", __VA_ARGS__)
#define TVMTINY_DEPTHWISE_3X3_S1(NAME, START, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST,      \
                                 SHIFT, PITCH, ZERO, BYTES)                                        \
  TVMTINY_DEPTHWISE_S1_##START(NAME, #PAIRS, #WIDTH, #LEFT, #RIGHT, #LOOPS, #UNROLL, #REST,        \
                               #SHIFT, #PITCH, #ZERO, #BYTES)
#define TVMTINY_DEPTHWISE_S1_0(NAME, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH, \
                               ZERO, BYTES)                                                        \
  TVMTINY_DEPTHWISE_S1_(                                                                           \
      NAME, TVMTINY_DEPTHWISE_EVEN(PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH),  \
      TVMTINY_DEPTHWISE_ODD(PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH), "0",    \
      TVMTINY_DEPTHWISE_PLANE(PAIRS, WIDTH, LEFT, RIGHT), WIDTH, PITCH, ZERO, BYTES)
#define TVMTINY_DEPTHWISE_S1_1(NAME, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH, \
                               ZERO, BYTES)                                                        \
  TVMTINY_DEPTHWISE_S1_(                                                                           \
      NAME, TVMTINY_DEPTHWISE_ODD(PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH),   \
      TVMTINY_DEPTHWISE_EVEN(PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH), "1",   \
      TVMTINY_DEPTHWISE_PLANE(PAIRS, WIDTH, LEFT, RIGHT), WIDTH, PITCH, ZERO, BYTES)
#define TVMTINY_DEPTHWISE_PLANE(PAIRS, WIDTH, LEFT, RIGHT)                                         \
  "4 * " PAIRS " * (" WIDTH " + 2 - " LEFT " - " RIGHT ")"

/* Finishes the sum in r2 and starts the next one with the initial sum FROM. */
#define TVMTINY_DEPTHWISE_STEP(FROM, PAIRS, SHIFT, PITCH)                                          \
  TVMTINY_DEPTHWISE_LOAD(PAIRS)                                                                    \
  TVMTINY_DEPTHWISE_TAP1("r4", "r5", "b", "r2", "r2") TVMTINY_DEPTHWISE_LOAD(PAIRS)                \
      TVMTINY_DEPTHWISE_TAP2("r4", "r5", "b", "r2") TVMTINY_DEPTHWISE_STORE("r2", SHIFT, PITCH)    \
          TVMTINY_DEPTHWISE_TAP0("r4", "r5", "b", "r2", FROM)
#define TVMTINY_DEPTHWISE_S2_(NAME, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT, PITCH,  \
                              COLUMNS, ZERO, BYTES)                                                \
  TVMTINY_DEPTHWISE_FUNCTION(                                                                      \
      NAME, TVMTINY_DEPTHWISE_ENTER(ZERO, BYTES)                                                   \
      " sub lr, lr, #1\n add r10, r10, lr, lsl #16\n"                                              \
      ".if " PITCH " == 0\n ldr lr, [sp, #64]\n.endif\n"                                           \
      ".set tvmtiny_columns, 2 * " WIDTH " + 1 - " LEFT " - " RIGHT "\n2:\n"                       \
      ".if " LEFT "\n ldr r2, [sp]\n.else\n"                                                       \
      TVMTINY_DEPTHWISE_LOAD(PAIRS) TVMTINY_DEPTHWISE_TAP0("r4", "r5", "b", "r2", "r11") ".endif\n"\
      ".if " LOOPS "\n mov lr, #" LOOPS "\n3:\n.rept " UNROLL "\n"                                 \
      TVMTINY_DEPTHWISE_STEP("r11", PAIRS, SHIFT, PITCH)                                           \
      ".endr\n subs lr, lr, #1\n bne 3b\n.endif\n.rept " REST "\n"                                 \
      TVMTINY_DEPTHWISE_STEP("r11", PAIRS, SHIFT, PITCH) ".endr\n"                                 \
      ".if " RIGHT "\n ldr r3, [sp, #4]\n"                                                         \
      TVMTINY_DEPTHWISE_STEP("r3", PAIRS, SHIFT, PITCH) ".endif\n"                                 \
      ".if " RIGHT "\n" TVMTINY_DEPTHWISE_LOAD_LAST(PAIRS)                                         \
      ".else\n" TVMTINY_DEPTHWISE_LOAD(PAIRS) ".endif\n"                                           \
      TVMTINY_DEPTHWISE_TAP1("r4", "r5", "b", "r2", "r2")                                          \
      ".if !(" RIGHT ")\n" TVMTINY_DEPTHWISE_LOAD_LAST(PAIRS)                                      \
      TVMTINY_DEPTHWISE_TAP2("r4", "r5", "b", "r2") ".endif\n"                                     \
      TVMTINY_DEPTHWISE_STORE("r2", SHIFT, PITCH) TVMTINY_DEPTHWISE_NEXT_ROW(PAIRS)                \
      " subs r10, r10, #65536\n bpl 2b\n"                                                          \
      TVMTINY_DEPTHWISE_LEAVE("4 * " PAIRS " * " COLUMNS))
#define TVMTINY_DEPTHWISE_3X3_S2(NAME, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT,      \
                                 PITCH, COLUMNS, ZERO, BYTES)                                      \
  TVMTINY_DEPTHWISE_S2_(NAME, #PAIRS, #WIDTH, #LEFT, #RIGHT, #LOOPS, #UNROLL, #REST, #SHIFT,       \
                        #PITCH, #COLUMNS, #ZERO, #BYTES)

#else /* !TVMTINY_DSP */

/* Expands the weights of a channel, bytes or nibbles, into words. */
TVMTINY_INLINE void tvmtiny_depthwise_words(const int32_t *packed, int32_t *words, int32_t start,
                                            int32_t zero, int32_t bytes)
{
  uint32_t set[10];
  int32_t i;
  if (bytes == 1) {
    for (i = 0; i < 4; ++i) {
      const uint32_t word = (uint32_t)packed[i / 2];
      set[i] = (i % 2 != 0 ? word : word << 8) & 0xff00ff00u;
    }
    set[4] = (uint32_t)packed[2];
    for (i = 0; i < 4; ++i) {
      words[5 + i] = packed[3 + i];
    }
  } else {
    const uint32_t zeros = tvmtiny_lanes(zero, zero);
    for (i = 0; i < 4; ++i) {
      set[i] = ((uint32_t)packed[0] << (4 * i)) & 0xf000f000u;
    }
    set[4] = ((uint32_t)packed[1] & 0xfu) << 12;
    words[5] = packed[1];
    words[6] = packed[2];
    words[7] = tvmtiny_smlad(set[0], zeros, packed[1]);
    words[7] = tvmtiny_smlad(set[3] & 0xffffu, zeros, words[7]);
    words[8] = tvmtiny_smlad(set[2], zeros, packed[1]);
    words[8] = tvmtiny_smlad(set[4], zeros, words[8]);
  }
  if (start == 0) {
    set[5] = (set[0] >> 16) | (set[3] << 16);
    set[6] = (set[1] >> 16) | (set[3] & 0xffff0000u);
    set[7] = (set[2] >> 16) | (set[4] << 16);
    set[8] = (set[0] & 0xffffu) | (set[1] << 16);
    set[9] = set[2] & 0xffffu;
  } else {
    set[5] = (set[3] & 0xffffu) | (set[0] << 16);
    set[6] = (set[3] >> 16) | (set[1] << 16);
    set[7] = (set[4] & 0xffffu) | (set[2] << 16);
    set[8] = (set[0] >> 16) | (set[1] & 0xffff0000u);
    set[9] = set[2] >> 16;
  }
  for (i = 0; i < 5; ++i) {
    words[i] = (int32_t)set[i];
    words[9 + i] = (int32_t)set[5 + i];
  }
}

/* Shared by both 3x3 kernels. */
TVMTINY_INLINE void tvmtiny_depthwise_3x3(const uint32_t *planes, const int32_t *stream,
                                          int8_t *out, int32_t channels, int32_t rows,
                                          int32_t pairs, int32_t width, int32_t columns,
                                          int32_t left, int32_t right, int32_t stride,
                                          int32_t start, int32_t shift, int32_t pitch,
                                          int32_t zero, int32_t bytes)
{
  const int32_t *next = stream;
  for (; channels > 0; --channels, planes += pairs * columns, ++out) {
    int32_t words[14];
    int32_t y;
    int32_t x;
    int32_t tap;
    if (bytes != 0) {
      tvmtiny_depthwise_words(next, words, start, zero, bytes);
      next += bytes == 1 ? 7 : 3;
      stream = words;
    } else {
      stream = next;
      next += stride == 1 ? 14 : 9;
    }
    for (y = 0; y < rows; ++y) {
      const int32_t odd = stride == 1 ? (y + start) & 1 : 0;
      const uint32_t *const row = planes + (stride == 1 ? (y + start) / 2 : y);
      const int32_t *const weights = stream + (stride == 1 && (y & 1) != 0 ? 9 : 0);
      for (x = 0; x < width; ++x) {
        const int32_t first = x == 0 && left != 0;
        const int32_t last = x == width - 1 && right != 0;
        int32_t sum = stream[first != 0 ? 7 : last != 0 ? 8 : 5];
        for (tap = first != 0 ? 1 : 0; tap < (last != 0 ? 2 : 3); ++tap) {
          const uint32_t *const column = row + (x * stride - left + tap) * pairs;
          const uint32_t half = odd != 0 ? column[0] >> 16 : column[1] & 0xffffu;
          const uint32_t single = (uint32_t)weights[3 + tap / 2] >> (16 * (tap & 1));
          sum = tvmtiny_smlad(column[odd], (uint32_t)weights[tap], sum);
          sum = tvmtiny_smlad(half, single & 0xffffu, sum);
        }
        out[(y * width + x) * pitch] = tvmtiny_depthwise_output(sum, stream + 6, 1, shift);
      }
    }
  }
}

#define TVMTINY_DEPTHWISE_3X3_S1(NAME, START, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST,      \
                                 SHIFT, PITCH, ZERO, BYTES)                                        \
  static void NAME(const uint32_t *planes, const int32_t *stream, int8_t *out, int32_t channels,   \
                   int32_t rows, int32_t pitch)                                                    \
  {                                                                                                \
    tvmtiny_depthwise_3x3(planes, stream, out, channels, rows, PAIRS, WIDTH,                       \
                          (WIDTH) + 2 - (LEFT) - (RIGHT), LEFT, RIGHT, 1, START, SHIFT, pitch,     \
                          ZERO, BYTES);                                                            \
  }
#define TVMTINY_DEPTHWISE_3X3_S2(NAME, PAIRS, WIDTH, LEFT, RIGHT, LOOPS, UNROLL, REST, SHIFT,      \
                                 PITCH, COLUMNS, ZERO, BYTES)                                      \
  static void NAME(const uint32_t *planes, const int32_t *stream, int8_t *out, int32_t channels,   \
                   int32_t rows, int32_t pitch)                                                    \
  {                                                                                                \
    tvmtiny_depthwise_3x3(planes, stream, out, channels, rows, PAIRS, WIDTH, COLUMNS, LEFT, RIGHT, \
                          2, 0, SHIFT, pitch, ZERO, BYTES);                                        \
  }
#endif

#endif /* TVMTINY_DSP_DEPTHWISE_H */
