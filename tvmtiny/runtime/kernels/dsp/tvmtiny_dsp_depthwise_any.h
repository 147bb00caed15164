/* Depthwise convolutions of int8 with any filter and stride, and with filters of one column, for cores
 * with the DSP extension. Planes and streams are those of tvmtiny_dsp_depthwise.h. */
#ifndef TVMTINY_DSP_DEPTHWISE_ANY_H
#define TVMTINY_DSP_DEPTHWISE_ANY_H

#include "tvmtiny_dsp_depthwise.h"

/* Adds one word of a column to the sums of an even row and of the odd row below it. */
#define TVMTINY_DEPTHWISE_WORD                                                                     \
  even = tvmtiny_smlad(word[0], (uint32_t)weight[0], even);                                        \
  odd = tvmtiny_smlad(word[0], (uint32_t)weight[1], odd);                                          \
  ++word;                                                                                          \
  weight += 2;
#define TVMTINY_DEPTHWISE_WORDS_1 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_2 TVMTINY_DEPTHWISE_WORDS_1 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_3 TVMTINY_DEPTHWISE_WORDS_2 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_4 TVMTINY_DEPTHWISE_WORDS_3 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_5 TVMTINY_DEPTHWISE_WORDS_4 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_6 TVMTINY_DEPTHWISE_WORDS_5 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_7 TVMTINY_DEPTHWISE_WORDS_6 TVMTINY_DEPTHWISE_WORD
#define TVMTINY_DEPTHWISE_WORDS_8 TVMTINY_DEPTHWISE_WORDS_7 TVMTINY_DEPTHWISE_WORD

/* Defines NAME(planes, stream, out, channels, rows, pitch) for a filter of FILTER columns with
 * LOOPS * UNROLL words each; UNROLL is 1 to 8. Planes have COLUMNS columns, including those outside
 * the input. If STRIDE_Y is 1, two rows are computed at a time. */
#define TVMTINY_DEPTHWISE_ANY(NAME, PAIRS, FILTER, LOOPS, UNROLL, STRIDE_Y, STRIDE_X, WIDTH,       \
                              COLUMNS, SHIFT, ROUNDING)                                            \
  static void NAME(const uint32_t *planes, const int32_t *stream, int8_t *out, int32_t channels,   \
                   int32_t rows, int32_t pitch)                                                    \
  {                                                                                                \
    const int32_t constants = TVMTINY_DEPTHWISE_CONSTANTS_##ROUNDING;                              \
    for (; channels > 0; --channels, planes += (PAIRS) * (COLUMNS), ++out) {                       \
      int8_t *to = out;                                                                            \
      int32_t y;                                                                                   \
      for (y = 0; y < rows; y += (STRIDE_Y) == 1 ? 2 : 1) {                                        \
        const uint32_t *row = planes + y * (STRIDE_Y) / 2;                                         \
        int32_t x;                                                                                 \
        for (x = 0; x < (WIDTH); ++x, row += (STRIDE_X) * (PAIRS), to += pitch) {                  \
          const int32_t *weight = stream + 1 + constants;                                          \
          const uint32_t *word = row;                                                              \
          int32_t even = stream[0];                                                                \
          int32_t odd = even;                                                                      \
          int32_t column;                                                                          \
          int32_t loop;                                                                            \
          for (column = 0; column < (FILTER); ++column, word += (PAIRS) - (LOOPS) * (UNROLL)) {    \
            for (loop = 0; loop < (LOOPS); ++loop) {                                               \
              TVMTINY_DEPTHWISE_WORDS_##UNROLL                                                     \
            }                                                                                      \
          }                                                                                        \
          if ((STRIDE_Y) == 1) {                                                                   \
            if (y + 1 < rows) {                                                                    \
              to[(WIDTH) * pitch] = tvmtiny_depthwise_output(odd, stream + 1, constants, (SHIFT)); \
            }                                                                                      \
          } else if ((y * (STRIDE_Y) & 1) != 0) {                                                  \
            even = odd;                                                                            \
          }                                                                                        \
          to[0] = tvmtiny_depthwise_output(even, stream + 1, constants, (SHIFT));                  \
        }                                                                                          \
        to += (STRIDE_Y) == 1 ? (WIDTH) * pitch : 0;                                               \
      }                                                                                            \
      stream += 1 + constants + 2 * (FILTER) * (LOOPS) * (UNROLL);                                 \
    }                                                                                              \
  }

#if TVMTINY_DSP

/* Filters of one column on an input of one column: ROWS outputs from WORDS words each, at least 2.
 *
 * Four rows at a time: r0 planes, r1 out, r10 stream; sums of an even row and the odd row below it in
 * r2 r3, and of the next two in r4 r5; words in r6 to r8, of which the last one is the first of the next
 * step; weights in r9, r11, r12 and lr. One or two rows that are left: words in r4 r5, weights in r6
 * to r9, r11 initial, r12 multiplier. Stack: out, planes, channels, turns. */
#define TVMTINY_DEPTHWISE_SCALE_PLAIN(WORDS)                                                        \
  " smmul r2, r2, r12\n" TVMTINY_DEPTHWISE_ODD_ROW(" smmul r3, r3, r12\n")
#define TVMTINY_DEPTHWISE_SCALE_SIGNED(WORDS)                                                      \
  " ldrd r4, r5, [r10, #-8 * " WORDS " - 8]\n"                                                     \
  " and r6, r5, r2, asr #31\n add r6, r6, r4\n smmla r2, r2, r12, r6\n"                            \
  TVMTINY_DEPTHWISE_ODD_ROW(" and r6, r5, r3, asr #31\n add r6, r6, r4\n smmla r3, r3, r12, r6\n")
#define TVMTINY_DEPTHWISE_ODD_ROW(TEXT) ".if tvmtiny_left == 2\n" TEXT ".endif\n"
#define TVMTINY_DEPTHWISE_TWO_WORDS(EVEN, ODD)                                                     \
  " ldrd r4, r5, [r0], #8\n ldmia r10!, {r6-r9}\n"                                                 \
  " smlad r2, r4, r6, " EVEN "\n" TVMTINY_DEPTHWISE_ODD_ROW(" smlad r3, r4, r7, " ODD "\n")        \
  " smlad r2, r5, r8, r2\n" TVMTINY_DEPTHWISE_ODD_ROW(" smlad r3, r5, r9, r3\n")
#define TVMTINY_DEPTHWISE_FOUR_PLAIN                                                               \
  " ldr r12, [r10, #-4]\n smmul r2, r2, r12\n smmul r3, r3, r12\n smmul r4, r4, r12\n smmul r5, r5, r12\n"
#define TVMTINY_DEPTHWISE_FOUR_SIGNED                                                              \
  " ldr r12, [r10, #-12]\n ldr r11, [r10, #-8]\n ldr r9, [r10, #-4]\n"                             \
  TVMTINY_DEPTHWISE_BY_SIGN("r2") TVMTINY_DEPTHWISE_BY_SIGN("r3")                                  \
  TVMTINY_DEPTHWISE_BY_SIGN("r4") TVMTINY_DEPTHWISE_BY_SIGN("r5")
#define TVMTINY_DEPTHWISE_BY_SIGN(SUM)                                                             \
  " and lr, r9, " SUM ", asr #31\n add lr, lr, r11\n smmla " SUM ", " SUM ", r12, lr\n"
#define TVMTINY_DEPTHWISE_FOUR(W, X, EVEN, ODD, FROM, FROM2, FROM3)                                \
  " smlad r2, " W ", " EVEN ", " FROM "\n smlad r3, " W ", " ODD ", " FROM2 "\n"                    \
  " smlad r4, " X ", " EVEN ", " FROM3 "\n smlad r5, " X ", " ODD ", r5\n"
#define TVMTINY_DEPTHWISE_FOUR_WORDS(W, X, Y, FROM, FROM2, FROM3)                                  \
  " ldrd " X ", " Y ", [r0], #8\n ldmia r10!, {r9, r11, r12, lr}\n"                                \
  TVMTINY_DEPTHWISE_FOUR(W, X, "r9", "r11", FROM, FROM2, FROM3)                                    \
  TVMTINY_DEPTHWISE_FOUR(X, Y, "r12", "lr", "r2", "r3", "r4")
#define TVMTINY_DEPTHWISE_LAST_WORD(W, X)                                                          \
  " ldr " X ", [r0], #4\n ldrd r9, r11, [r10], #8\n"                                               \
  TVMTINY_DEPTHWISE_FOUR(W, X, "r9", "r11", "r2", "r3", "r4")
/* The last word of a step is in r8 or, every other time, in r6. */
#define TVMTINY_DEPTHWISE_FOUR_ROWS(WORDS, SHIFT, PITCH, FOUR, CONSTANTS)                          \
  " ldr r6, [r0], #4\n ldr r5, [r10, #-4 - 4 * " CONSTANTS "]\n"                                   \
  TVMTINY_DEPTHWISE_FOUR_WORDS("r6", "r7", "r8", "r5", "r5", "r5")                                 \
  ".set tvmtiny_turn, 1\n.rept " WORDS " / 2 - 1\n.if tvmtiny_turn\n"                              \
  TVMTINY_DEPTHWISE_FOUR_WORDS("r8", "r7", "r6", "r2", "r3", "r4") ".else\n"                       \
  TVMTINY_DEPTHWISE_FOUR_WORDS("r6", "r7", "r8", "r2", "r3", "r4")                                 \
  ".endif\n.set tvmtiny_turn, 1 - tvmtiny_turn\n.endr\n"                                          \
  ".if " WORDS " & 1\n.if tvmtiny_turn\n" TVMTINY_DEPTHWISE_LAST_WORD("r8", "r7") ".else\n"        \
  TVMTINY_DEPTHWISE_LAST_WORD("r6", "r7") ".endif\n.endif\n"                                       \
  " sub r10, r10, #8 * " WORDS "\n sub r0, r0, #4 * " WORDS " - 4\n" FOUR                          \
  " ssat r2, #8, r2, asr #" SHIFT "\n ssat r3, #8, r3, asr #" SHIFT "\n"                           \
  " ssat r4, #8, r4, asr #" SHIFT "\n ssat r5, #8, r5, asr #" SHIFT "\n"                           \
  " ldr lr, [sp, #12]\n strb r2, [r1]\n strb r3, [r1, #" PITCH "]\n strb r4, [r1, #2 * " PITCH "]\n"
/* Three rows are four of which the last one is not stored. */
#define TVMTINY_DEPTHWISE_COLUMN_(NAME, PAIRS, WORDS, ROWS, SHIFT, PITCH, SCALE, FOUR, CONSTANTS)  \
  TVMTINY_DEPTHWISE_FUNCTION(                                                                      \
      NAME,                                                                                        \
      ".syntax unified\n.set tvmtiny_left, ((" ROWS " + 1) & 3) - 1\n"                             \
      " push {r4-r11, lr}\n sub sp, sp, #20\n str r3, [sp, #8]\n mov r10, r1\n"                    \
      "1:\n strd r2, r0, [sp]\n mov r1, r2\n"                                                     \
      ".if " ROWS " > 2\n movw lr, #(" ROWS " + 1) / 4\n add r10, r10, #4 + 4 * " CONSTANTS "\n"   \
      "2:\n str lr, [sp, #12]\n"                                                                  \
      TVMTINY_DEPTHWISE_FOUR_ROWS(WORDS, SHIFT, PITCH, FOUR, CONSTANTS)                            \
      ".if tvmtiny_left < 0\n cmp lr, #1\n it ne\n strbne r5, [r1, #3 * " PITCH "]\n"              \
      ".else\n strb r5, [r1, #3 * " PITCH "]\n.endif\n"                                           \
      " add r1, r1, #4 * " PITCH "\n subs lr, lr, #1\n bne 2b\n"                                   \
      ".if tvmtiny_left > 0\n ldrd r11, r12, [r10, #-4 - 4 * " CONSTANTS "]\n"                     \
      ".else\n add r10, r10, #8 * " WORDS "\n.endif\n"                                            \
      ".else\n ldrd r11, r12, [r10], #4 + 4 * " CONSTANTS "\n.endif\n"                            \
      ".if tvmtiny_left > 0\n" TVMTINY_DEPTHWISE_TWO_WORDS("r11", "r11")                           \
      ".rept " WORDS " / 2 - 1\n" TVMTINY_DEPTHWISE_TWO_WORDS("r2", "r3") ".endr\n"                \
      ".if " WORDS " & 1\n ldr r4, [r0], #4\n ldrd r6, r7, [r10], #8\n smlad r2, r4, r6, r2\n"      \
      TVMTINY_DEPTHWISE_ODD_ROW(" smlad r3, r4, r7, r3\n") ".endif\n" SCALE                       \
      " ssat r2, #8, r2, asr #" SHIFT "\n strb r2, [r1]\n"                                         \
      TVMTINY_DEPTHWISE_ODD_ROW(" ssat r3, #8, r3, asr #" SHIFT "\n strb r3, [r1, #" PITCH "]\n")   \
      ".endif\n"                                                                                  \
      " ldrd r2, r0, [sp]\n ldr r3, [sp, #8]\n add r2, r2, #1\n add r0, r0, #4 * " PAIRS "\n"      \
      " subs r3, r3, #1\n str r3, [sp, #8]\n bne 1b\n add sp, sp, #20\n pop {r4-r11, pc}\n")
#define TVMTINY_DEPTHWISE_COLUMN(NAME, PAIRS, WORDS, ROWS, SHIFT, PITCH, ROUNDING)                 \
  TVMTINY_DEPTHWISE_COLUMN_(NAME, #PAIRS, #WORDS, #ROWS, #SHIFT, #PITCH,                           \
                            TVMTINY_DEPTHWISE_SCALE_##ROUNDING(#WORDS),                            \
                            TVMTINY_DEPTHWISE_FOUR_##ROUNDING, TVMTINY_DEPTHWISE_WORDS_OF_##ROUNDING)
#define TVMTINY_DEPTHWISE_WORDS_OF_PLAIN "1"
#define TVMTINY_DEPTHWISE_WORDS_OF_SIGNED "3"

#else /* !TVMTINY_DSP */

#define TVMTINY_DEPTHWISE_COLUMN(NAME, PAIRS, WORDS, ROWS, SHIFT, PITCH, ROUNDING)                 \
  TVMTINY_DEPTHWISE_ANY(NAME, PAIRS, 1, WORDS, 1, 1, 1, 1, 1, SHIFT, ROUNDING)

#endif

#endif /* TVMTINY_DSP_DEPTHWISE_ANY_H */
