/* Depthwise convolutions with any filter. They compute two rows of outputs at a time for stride 1,
 * and one row for stride 2. Planes and streams are those of tvmtiny_dsp_depthwise.h; for stride 2,
 * a stream only has the words for even rows. */
#ifndef TVMTINY_DSP_DEPTHWISE_LINES_H
#define TVMTINY_DSP_DEPTHWISE_LINES_H

#include "tvmtiny_dsp_depthwise.h"

#if TVMTINY_DSP

/* r0 words, r1 stream, r2 out, r3 r4 sums, r5 r6 words, r9-r12 weights and constants. Stack: the
 * distance between two rows, the end of the first row. */
#define TVMTINY_LINES_PAIR_1(STEP)                                                                 \
  "ldrd r5, r6, [r0], #" STEP "\n ldmia r1!, {r9, r10, r11, r12}\n"                                \
  "smlad r3, r5, r9, r3\n smlad r4, r5, r10, r4\n smlad r3, r6, r11, r3\n smlad r4, r6, r12, r4\n"
#define TVMTINY_LINES_ONE_1                                                                        \
  "ldrd r9, r10, [r1], #8\n smlad r3, r5, r9, r3\n smlad r4, r5, r10, r4\n"
#define TVMTINY_LINES_PAIR_2(STEP)                                                                 \
  "ldrd r5, r6, [r0], #" STEP "\n ldrd r9, r10, [r1], #8\n"                                        \
  "smlad r3, r5, r9, r3\n smlad r3, r6, r10, r3\n"
#define TVMTINY_LINES_ONE_2 "ldr r9, [r1], #4\n smlad r3, r5, r9, r3\n"
/* One column of WORDS words; the next column is NEXT bytes later. */
#define TVMTINY_LINES_COLUMN(PAIR, ONE, WORDS, NEXT)                                               \
  ".rept (" WORDS " - 1) / 2\n" PAIR("8") ".endr\n"                                                \
  ".if (" WORDS ") & 1\n"                                                                          \
  ".if (" NEXT ") - 8 * ((" WORDS ") / 2) < 256\n ldr r5, [r0], #(" NEXT ") - 8 * ((" WORDS ") / 2)\n" \
  ".else\n ldr r5, [r0]\n add r0, r0, #(" NEXT ") - 8 * ((" WORDS ") / 2)\n.endif\n" ONE           \
  ".else\n" PAIR("(" NEXT ") - 8 * ((" WORDS ") / 2 - 1)") ".endif\n"
#define TVMTINY_LINES_SCALE_PLAIN(SUM) "smmul " SUM ", " SUM ", r9\n"
#define TVMTINY_LINES_SCALE_SIGNED(SUM)                                                            \
  "and lr, r12, " SUM ", asr #31\n add lr, lr, r11\n smmla " SUM ", " SUM ", r9, lr\n"
#define TVMTINY_LINES_CONSTANTS_PLAIN "ldr r9, [r1, #4]\n"
#define TVMTINY_LINES_CONSTANTS_SIGNED "ldr r9, [r1, #4]\n ldrd r11, r12, [r1, #8]\n"
#define TVMTINY_LINES_COUNT_PLAIN "1"
#define TVMTINY_LINES_COUNT_SIGNED "3"
#define TVMTINY_LINES_OPEN_1 "mov r4, r3\n"
#define TVMTINY_LINES_OPEN_2
#define TVMTINY_LINES_SECOND_1(SCALE, SHIFT)                                                       \
  SCALE("r4") "ssat r4, #8, r4, asr #" SHIFT "\n ldr lr, [sp]\n strb r4, [r2, lr]\n"
#define TVMTINY_LINES_SECOND_2(SCALE, SHIFT)
#define TVMTINY_LINES_EACH_1 "2"
#define TVMTINY_LINES_EACH_2 "1"

/* NAME(words, stream, out, below) computes one row of WIDTH outputs that are PITCH bytes apart, and
 * the row that is `below` bytes later; without such a row, `below` is 0. STREAM is the size of a
 * stream in bytes. */
#define TVMTINY_LINES_(NAME, STRIDE, PAIRS, FILTER, APART, WORDS, STEP, WIDTH, SHIFT, PITCH,       \
                       ROUNDING, STREAM)                                                           \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const uint32_t *words TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                  \
      int8_t *out TVMTINY_UNUSED, int32_t below TVMTINY_UNUSED)                                    \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(                                                                              \
        ".syntax unified\n push {r4-r11, lr}\n"                                                    \
        "movw lr, #(" WIDTH " * " PITCH ") & 0xffff\n movt lr, #(" WIDTH " * " PITCH ") >> 16\n"   \
        "add lr, r2, lr\n push {r3, lr}\n"                                                         \
        "1:\n ldr r3, [r1], #4 * (1 + " TVMTINY_LINES_COUNT_##ROUNDING ")\n"                       \
        TVMTINY_LINES_OPEN_##STRIDE                                                                \
        ".rept " FILTER "\n"                                                                       \
        TVMTINY_LINES_COLUMN(TVMTINY_LINES_PAIR_##STRIDE, TVMTINY_LINES_ONE_##STRIDE, WORDS,       \
                             "4 * " PAIRS " * " APART)                                             \
        ".endr\n sub r1, r1, #" STREAM "\n"                                                        \
        ".if " STEP " > " FILTER " * " APART "\n"                                                  \
        "add r0, r0, #4 * " PAIRS " * (" STEP " - " FILTER " * " APART ")\n"                       \
        ".elseif " STEP " < " FILTER " * " APART "\n"                                              \
        "sub r0, r0, #4 * " PAIRS " * (" FILTER " * " APART " - " STEP ")\n.endif\n"               \
        TVMTINY_LINES_CONSTANTS_##ROUNDING                                                         \
        TVMTINY_LINES_SECOND_##STRIDE(TVMTINY_LINES_SCALE_##ROUNDING, SHIFT)                       \
        TVMTINY_LINES_SCALE_##ROUNDING("r3") "ssat r3, #8, r3, asr #" SHIFT "\n"                   \
        ".if " PITCH " < 256\n strb r3, [r2], #" PITCH "\n"                                        \
        ".else\n strb r3, [r2]\n add r2, r2, #" PITCH "\n.endif\n"                                 \
        "ldr lr, [sp, #4]\n cmp r2, lr\n bne 1b\n add sp, sp, #8\n pop {r4-r11, pc}\n" ::          \
            : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                                \
  }
#define TVMTINY_LINES_ROW(NAME, STRIDE, PAIRS, FILTER, APART, WORDS, STEP, WIDTH, SHIFT, PITCH,    \
                          ROUNDING)                                                                \
  TVMTINY_LINES_(NAME, STRIDE, #PAIRS, #FILTER, #APART, #WORDS, #STEP, #WIDTH, #SHIFT, #PITCH,     \
                 ROUNDING,                                                                         \
                 "4 * (1 + " TVMTINY_LINES_COUNT_##ROUNDING " + " TVMTINY_LINES_EACH_##STRIDE      \
                 " * " #FILTER " * " #WORDS ")")

#else

#define TVMTINY_LINES_ROW(NAME, STRIDE, PAIRS, FILTER, APART, WORDS, STEP, WIDTH, SHIFT, PITCH,    \
                          ROUNDING)                                                                \
  static void NAME(const uint32_t *words, const int32_t *stream, int8_t *out, int32_t below)       \
  {                                                                                                \
    const int32_t constants = TVMTINY_DEPTHWISE_CONSTANTS_##ROUNDING;                              \
    int32_t x;                                                                                     \
    for (x = 0; x < (WIDTH); ++x, words += (STEP) * (PAIRS), out += (PITCH)) {                     \
      const int32_t *weight = stream + 1 + constants;                                              \
      int32_t sums[2];                                                                             \
      int32_t column;                                                                              \
      int32_t word;                                                                                \
      int32_t row;                                                                                 \
      sums[0] = sums[1] = stream[0];                                                               \
      for (column = 0; column < (FILTER); ++column) {                                              \
        for (word = 0; word < (WORDS); ++word) {                                                   \
          for (row = 0; row < ((STRIDE) == 1 ? 2 : 1); ++row) {                                    \
            sums[row] = tvmtiny_smlad(words[column * (APART) * (PAIRS) + word],                    \
                                      (uint32_t)*weight++, sums[row]);                             \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
      if ((STRIDE) == 1) {                                                                         \
        out[below] = tvmtiny_depthwise_output(sums[1], stream + 1, constants, SHIFT);              \
      }                                                                                            \
      out[0] = tvmtiny_depthwise_output(sums[0], stream + 1, constants, SHIFT);                    \
    }                                                                                              \
  }

#endif

/* Defines NAME(planes, stream, out, channels, rows, pitch) for a filter of FILTER columns of WORDS
 * words; in a plane, the columns of the filter are APART columns apart. Planes have COLUMNS
 * columns, including those outside the input. STEP is the stride of columns and STRIDE that of
 * rows. Outputs are PITCH bytes apart, rows of outputs DOWN rows, and channels EACH bytes. */
#define TVMTINY_DEPTHWISE_LINES(NAME, STRIDE, PAIRS, FILTER, APART, WORDS, STEP, WIDTH, DOWN,      \
                                COLUMNS, SHIFT, PITCH, EACH, ROUNDING)                             \
  TVMTINY_LINES_ROW(NAME##_row, STRIDE, PAIRS, FILTER, APART, WORDS, STEP, WIDTH, SHIFT, PITCH,    \
                    ROUNDING)                                                                      \
  static void NAME(const uint32_t *planes, const int32_t *stream, int8_t *out, int32_t channels,   \
                   int32_t rows, int32_t pitch)                                                    \
  {                                                                                                \
    const int32_t below = (DOWN) * (WIDTH) * (PITCH);                                              \
    (void)pitch;                                                                                   \
    for (; channels > 0; --channels) {                                                             \
      const uint32_t *words = planes;                                                              \
      int8_t *to = out;                                                                            \
      int32_t y;                                                                                   \
      for (y = 0; y < rows; y += (STRIDE) == 1 ? 2 : 1) {                                          \
        NAME##_row(words, stream, to, y + 1 < rows ? below : 0);                                   \
        ++words;                                                                                   \
        to += (STRIDE) == 1 ? 2 * below : below;                                                   \
      }                                                                                            \
      planes += (PAIRS) * (COLUMNS);                                                               \
      stream += 1 + TVMTINY_DEPTHWISE_CONSTANTS_##ROUNDING +                                       \
                ((STRIDE) == 1 ? 2 : 1) * (FILTER) * (WORDS);                                      \
      out += (EACH);                                                                               \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_DEPTHWISE_LINES_H */
