/* Depthwise convolutions channel by channel, for Arm cores without the DSP extension.
 *
 * A plane, see tvmtiny_plane.h, holds the inputs of one channel. For each channel, the stream holds
 * the weights as words, the initial accumulator, the multiplier and, for ROUNDING = SIGNED, the
 * offset and the step. */
#ifndef TVMTINY_THUMB_DEPTHWISE_H
#define TVMTINY_THUMB_DEPTHWISE_H

#include "tvmtiny_plane.h"
#include "tvmtiny_thumb.h"

/* ---- Any filter ---------------------------------------------------------------------------- */

/* Applies a filter of `rows` x `columns` taps, `apart_y` and `apart_x` bytes apart, at `outputs`
 * positions that are `step` bytes apart. */
TVMTINY_THUMB_INLINE void tvmtiny_thumb_depthwise(const int8_t *plane, const int32_t *stream, int8_t *out,
                                                  int32_t outputs, int32_t step, int32_t rows,
                                                  int32_t columns, int32_t apart_y, int32_t apart_x,
                                                  int32_t pitch, int32_t shift, int32_t rounding)
{
  const int32_t *const constants = stream + rows * columns;
  for (; outputs >= 4; outputs -= 4) {
    /* Four outputs share the loads of weights. */
    const int32_t *weight = stream;
    const int8_t *from = plane;
    uint32_t sum0 = (uint32_t)constants[0];
    uint32_t sum1 = sum0;
    uint32_t sum2 = sum0;
    uint32_t sum3 = sum0;
    do {
      const int8_t *tap = from;
      const int32_t *const stop = weight + columns;
      do {
        const int32_t factor = *weight++;
        sum0 = tvmtiny_thumb_add(sum0, factor, tap[0]);
        sum1 = tvmtiny_thumb_add(sum1, factor, tap[step]);
        sum2 = tvmtiny_thumb_add(sum2, factor, tap[2 * step]);
        sum3 = tvmtiny_thumb_add(sum3, factor, tap[3 * step]);
        tap += apart_x;
      } while (weight != stop);
      from += apart_y;
    } while (weight != constants);
    out[0] = tvmtiny_thumb_output((int32_t)sum0, constants + 1, rounding, shift);
    out[pitch] = tvmtiny_thumb_output((int32_t)sum1, constants + 1, rounding, shift);
    out[2 * pitch] = tvmtiny_thumb_output((int32_t)sum2, constants + 1, rounding, shift);
    out[3 * pitch] = tvmtiny_thumb_output((int32_t)sum3, constants + 1, rounding, shift);
    plane += 4 * step;
    out += 4 * pitch;
  }
  for (; outputs > 0; --outputs) {
    const int32_t *weight = stream;
    const int8_t *from = plane;
    uint32_t sum = (uint32_t)constants[0];
    do {
      const int8_t *tap = from;
      const int32_t *const stop = weight + columns;
      do {
        const int32_t factor = *weight++;
        sum = tvmtiny_thumb_add(sum, factor, *tap);
        tap += apart_x;
      } while (weight != stop);
      from += apart_y;
    } while (weight != constants);
    *out = tvmtiny_thumb_output((int32_t)sum, constants + 1, rounding, shift);
    plane += step;
    out += pitch;
  }
}

/* Defines NAME(plane, stream, out, rows), which computes `rows` rows of WIDTH outputs of one
 * channel from a plane of COLUMNS columns. The filter has FILTER_Y x FILTER_X taps, DILATION_Y and
 * DILATION_X apart. PITCH is the distance between pixels of `out`. */
#define TVMTINY_THUMB_DEPTHWISE(NAME, COLUMNS, WIDTH, FILTER_Y, FILTER_X, STRIDE_Y, STRIDE_X, DILATION_Y, \
                                DILATION_X, SHIFT, PITCH, ROUNDING)                                  \
  static void NAME(const int8_t *plane, const int32_t *stream, int8_t *out, int32_t rows)            \
  {                                                                                                  \
    if ((WIDTH) == 1) {                                                                              \
      tvmtiny_thumb_depthwise(plane, stream, out, rows, (STRIDE_Y) * (COLUMNS), FILTER_Y, FILTER_X,  \
                              (DILATION_Y) * (COLUMNS), DILATION_X, PITCH, SHIFT,                    \
                              TVMTINY_THUMB_##ROUNDING);                                             \
      return;                                                                                        \
    }                                                                                                \
    for (; rows > 0; --rows, plane += (STRIDE_Y) * (COLUMNS), out += (WIDTH) * (PITCH)) {            \
      tvmtiny_thumb_depthwise(plane, stream, out, WIDTH, STRIDE_X, FILTER_Y, FILTER_X,               \
                              (DILATION_Y) * (COLUMNS), DILATION_X, PITCH, SHIFT,                    \
                              TVMTINY_THUMB_##ROUNDING);                                             \
    }                                                                                                \
  }

/* ---- Filters with taps close to each other, for Armv6-M
 * ---------------------------------------- */

/* Defines functions that sum the products of FILTER_Y x FILTER_X taps, APART_Y and APART_X bytes
 * apart: NAME_four(plane, weights, end, sums) at four positions that are STEP bytes apart, and
 * NAME_one(plane, weights, end) at one. All taps of a row at the four positions must be within 32
 * bytes. Sums start from the word after the weights. */
#if TVMTINY_THUMB1

/* r0 a row of the plane, r1 weights, r2 an input, r3 a weight, r4-r7 sums; r8 the end of the
 * weights, r9 APART_Y. */
#define TVMTINY_THUMB_NEAR_ADD(OFFSET, SUM)                                                          \
  " ldrb r2, [r0, #tvmtiny_tap + " OFFSET "]\n sxtb r2, r2\n muls r2, r3, r2\n adds " SUM ", " SUM ", r2\n"
#define TVMTINY_THUMB_NEAR_TAP " ldmia r1!, {r3}\n" TVMTINY_THUMB_NEAR_ADD("0", "r4")
#define TVMTINY_THUMB_NEAR_TAP4(STEP)                                                                \
  TVMTINY_THUMB_NEAR_TAP TVMTINY_THUMB_NEAR_ADD(STEP, "r5") TVMTINY_THUMB_NEAR_ADD("2 * " STEP, "r6") \
  TVMTINY_THUMB_NEAR_ADD("3 * " STEP, "r7")
/* Adds the taps of all rows. */
#define TVMTINY_THUMB_NEAR_ROWS(FILTER_X, APART_X, TAP, NEXT, COMPARE)                               \
  "1:\n.set tvmtiny_tap, 0\n.rept " FILTER_X "\n" TAP ".set tvmtiny_tap, tvmtiny_tap + " APART_X      \
  "\n.endr\n" NEXT COMPARE ".if " FILTER_X " < 7\n bne 1b\n.else\n beq 2f\n b 1b\n2:\n.endif\n"
#define TVMTINY_THUMB_NEAR_APART(REGISTER, APART_Y)                                                  \
  " movs " REGISTER ", #(" APART_Y ") >> 8\n lsls " REGISTER ", " REGISTER ", #8\n adds " REGISTER  \
  ", #(" APART_Y ") & 255\n"
#define TVMTINY_THUMB_NEAR_SUMS(NAME, FILTER_X, STEP, APART_Y, APART_X)                              \
  TVMTINY_THUMB_NEAR_SUMS_(NAME, #FILTER_X, #STEP, #APART_Y, #APART_X)
#define TVMTINY_THUMB_NEAR_SUMS_(NAME, FILTER_X, STEP, APART_Y, APART_X)                             \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME##_four,                                                                                   \
      (const int8_t *plane TVMTINY_UNUSED, const int32_t *weights TVMTINY_UNUSED,                    \
       const int32_t *end TVMTINY_UNUSED, uint32_t *sums TVMTINY_UNUSED),                            \
      " push {r3-r7, lr}\n mov r4, r8\n mov r5, r9\n push {r4, r5}\n mov r8, r2\n"                  \
      TVMTINY_THUMB_NEAR_APART("r4", APART_Y) " mov r9, r4\n ldr r4, [r2]\n movs r5, r4\n movs r6, r4\n" \
      " movs r7, r4\n" TVMTINY_THUMB_NEAR_ROWS(FILTER_X, APART_X, TVMTINY_THUMB_NEAR_TAP4(STEP),     \
                                               " add r0, r9\n", " cmp r1, r8\n")                    \
      " pop {r0, r1}\n mov r8, r0\n mov r9, r1\n pop {r3}\n stmia r3!, {r4-r7}\n pop {r4-r7, pc}\n") \
  TVMTINY_THUMB_FUNCTION_OF(                                                                         \
      uint32_t, NAME##_one,                                                                          \
      (const int8_t *plane TVMTINY_UNUSED, const int32_t *weights TVMTINY_UNUSED,                    \
       const int32_t *end TVMTINY_UNUSED),                                                           \
      " push {r4-r6, lr}\n movs r6, r2\n" TVMTINY_THUMB_NEAR_APART("r5", APART_Y) " ldr r4, [r2]\n"   \
      TVMTINY_THUMB_NEAR_ROWS(FILTER_X, APART_X, TVMTINY_THUMB_NEAR_TAP, " adds r0, r0, r5\n",       \
                              " cmp r1, r6\n") " movs r0, r4\n pop {r4-r6, pc}\n")

/* As TVMTINY_THUMB_DEPTHWISE, with the functions of TVMTINY_THUMB_NEAR_SUMS named SUMS. */
#define TVMTINY_THUMB_DEPTHWISE_NEAR(NAME, SUMS, COLUMNS, WIDTH, FILTER_Y, FILTER_X, STRIDE_Y, STRIDE_X, DILATION_Y, \
                                     DILATION_X, SHIFT, PITCH, ROUNDING)                             \
  static void NAME(const int8_t *plane, const int32_t *stream, int8_t *out, int32_t rows)            \
  {                                                                                                  \
    const int32_t *const constants = stream + (FILTER_Y) * (FILTER_X);                               \
    const int32_t count = (WIDTH) == 1 ? rows : (WIDTH);                                             \
    const int32_t step = (WIDTH) == 1 ? (STRIDE_Y) * (COLUMNS) : (STRIDE_X);                         \
    int32_t lines = (WIDTH) == 1 ? 1 : rows;                                                         \
    do {                                                                                             \
      const int8_t *from = plane;                                                                    \
      int32_t left = count;                                                                          \
      uint32_t sums[4];                                                                              \
      while (left >= 4) {                                                                            \
        SUMS##_four(from, stream, constants, sums);                                                  \
        out = tvmtiny_thumb_finish_##ROUNDING(constants, sums, out, 4, PITCH, SHIFT); \
        from += 4 * step;                                                                            \
        left -= 4;                                                                                   \
      }                                                                                              \
      if (left > 0) {                                                                                \
        int32_t i;                                                                                   \
        for (i = 0; i < left; ++i) {                                                                 \
          sums[i] = SUMS##_one(from, stream, constants);                                             \
          from += step;                                                                              \
        }                                                                                            \
        out = tvmtiny_thumb_finish_##ROUNDING(constants, sums, out, left, PITCH, SHIFT); \
      }                                                                                              \
      plane += (STRIDE_Y) * (COLUMNS);                                                               \
    } while (--lines != 0);                                                                          \
  }

#else /* !TVMTINY_THUMB1 */

#define TVMTINY_THUMB_NEAR_SUMS(NAME, FILTER_X, STEP, APART_Y, APART_X)
#define TVMTINY_THUMB_DEPTHWISE_NEAR(NAME, SUMS, COLUMNS, WIDTH, FILTER_Y, FILTER_X, STRIDE_Y, STRIDE_X, DILATION_Y, \
                                     DILATION_X, SHIFT, PITCH, ROUNDING)                             \
  TVMTINY_THUMB_DEPTHWISE(NAME, COLUMNS, WIDTH, FILTER_Y, FILTER_X, STRIDE_Y, STRIDE_X, DILATION_Y, DILATION_X, \
                          SHIFT, PITCH, ROUNDING)

#endif

/* ---- 3x3 ----------------------------------------------------------------------------------- */

/* Defines NAME(plane, stream, out, rows) as above, for a filter of 3 x 3 taps without dilation and
 * STRIDE 1 or 2. A row has LOOPS * UNROLL pairs of outputs in a loop, REST pairs and, if SINGLE is
 * 1, one more output. */
#if TVMTINY_THUMB2

/* r0 plane, r1 out, r2 an input or a constant, r3-r11 weights, r12 lr the sums of two outputs.
 * Stack: initial accumulator, multiplier, offset, step, the end of the loop in a row of the plane,
 * rows. */
#define TVMTINY_THUMB_TAP(ROW, COLUMN)                                                               \
  " ldrsb r2, [r0, #" ROW " * tvmtiny_columns + tvmtiny_column + " COLUMN "]\n"
#define TVMTINY_THUMB_ADD1(ACC, WEIGHT) " mla " ACC ", r2, " WEIGHT ", " ACC "\n"
/* Three inputs of a column, for one or two outputs. */
#define TVMTINY_THUMB_COLUMN(COLUMN, ACC, W0, W1, W2)                                                \
  TVMTINY_THUMB_TAP("0", COLUMN) TVMTINY_THUMB_ADD1(ACC, W0)                                         \
  TVMTINY_THUMB_TAP("1", COLUMN) TVMTINY_THUMB_ADD1(ACC, W1)                                         \
  TVMTINY_THUMB_TAP("2", COLUMN) TVMTINY_THUMB_ADD1(ACC, W2)
#define TVMTINY_THUMB_COLUMN2(COLUMN, W0, W1, W2, V0, V1, V2)                                        \
  TVMTINY_THUMB_TAP("0", COLUMN) TVMTINY_THUMB_ADD1("r12", W0) TVMTINY_THUMB_ADD1("lr", V0)          \
  TVMTINY_THUMB_TAP("1", COLUMN) TVMTINY_THUMB_ADD1("r12", W1) TVMTINY_THUMB_ADD1("lr", V1)          \
  TVMTINY_THUMB_TAP("2", COLUMN) TVMTINY_THUMB_ADD1("r12", W2) TVMTINY_THUMB_ADD1("lr", V2)
/* The first products of both outputs start from the initial accumulator. */
#define TVMTINY_THUMB_OPEN2(COLUMN, W0, W1, W2, V0, V1, V2)                                          \
  " ldr r12, [sp]\n" TVMTINY_THUMB_TAP("0", COLUMN) " mla lr, r2, " V0 ", r12\n"                     \
  TVMTINY_THUMB_ADD1("r12", W0)                                                                      \
  TVMTINY_THUMB_TAP("1", COLUMN) TVMTINY_THUMB_ADD1("r12", W1) TVMTINY_THUMB_ADD1("lr", V1)          \
  TVMTINY_THUMB_TAP("2", COLUMN) TVMTINY_THUMB_ADD1("r12", W2) TVMTINY_THUMB_ADD1("lr", V2)
#define TVMTINY_THUMB_PAIR_1                                                                         \
  TVMTINY_THUMB_OPEN2("1", "r4", "r7", "r10", "r3", "r6", "r9")                                      \
  TVMTINY_THUMB_COLUMN2("2", "r5", "r8", "r11", "r4", "r7", "r10")                                   \
  TVMTINY_THUMB_COLUMN("0", "r12", "r3", "r6", "r9")                                                 \
  TVMTINY_THUMB_COLUMN("3", "lr", "r5", "r8", "r11")
#define TVMTINY_THUMB_PAIR_2                                                                         \
  TVMTINY_THUMB_OPEN2("2", "r5", "r8", "r11", "r3", "r6", "r9")                                      \
  TVMTINY_THUMB_COLUMN("0", "r12", "r3", "r6", "r9")                                                 \
  TVMTINY_THUMB_COLUMN("1", "r12", "r4", "r7", "r10")                                                \
  TVMTINY_THUMB_COLUMN("3", "lr", "r4", "r7", "r10")                                                 \
  TVMTINY_THUMB_COLUMN("4", "lr", "r5", "r8", "r11")
/* As multipliers are positive, the upper word of a product has the sign of the sum. */
#define TVMTINY_THUMB_ROUND_PLAIN(ACC)
#define TVMTINY_THUMB_ROUND_SIGNED(ACC)                                                              \
  " ldr r2, [sp, #12]\n and r2, r2, " ACC ", asr #31\n add " ACC ", " ACC ", r2\n ldr r2, [sp, #8]\n"  \
  " add " ACC ", " ACC ", r2\n"
#define TVMTINY_THUMB_OUTPUT(ACC, SHIFT, ROUNDING)                                                   \
  " ldr r2, [sp, #4]\n smull r2, " ACC ", " ACC ", r2\n" TVMTINY_THUMB_ROUND_##ROUNDING(ACC)        \
  " ssat " ACC ", #8, " ACC ", asr #" SHIFT "\n strb " ACC ", [r1, #tvmtiny_output]\n"
#define TVMTINY_THUMB_TWO(STRIDE, SHIFT, PITCH, ROUNDING)                                            \
  TVMTINY_THUMB_PAIR_##STRIDE TVMTINY_THUMB_OUTPUT("r12", SHIFT, ROUNDING)                           \
  ".set tvmtiny_output, tvmtiny_output + " PITCH "\n" TVMTINY_THUMB_OUTPUT("lr", SHIFT, ROUNDING)    \
  ".set tvmtiny_output, tvmtiny_output + " PITCH "\n.set tvmtiny_column, tvmtiny_column + 2 * " #STRIDE "\n"
#define TVMTINY_THUMB_ONE(SHIFT, ROUNDING)                                                           \
  " ldr r12, [sp]\n" TVMTINY_THUMB_COLUMN("0", "r12", "r3", "r6", "r9")                              \
  TVMTINY_THUMB_COLUMN("1", "r12", "r4", "r7", "r10")                                                \
  TVMTINY_THUMB_COLUMN("2", "r12", "r5", "r8", "r11") TVMTINY_THUMB_OUTPUT("r12", SHIFT, ROUNDING)
#define TVMTINY_THUMB_BEGIN_ROW ".set tvmtiny_column, 0\n.set tvmtiny_output, 0\n"
/* Copies the constants after the weights to the stack. */
#define TVMTINY_THUMB_CONSTANTS_PLAIN " ldrd r2, r12, [r1]\n strd r2, r12, [sp]\n"
#define TVMTINY_THUMB_CONSTANTS_SIGNED                                                               \
  TVMTINY_THUMB_CONSTANTS_PLAIN " ldrd r2, r12, [r1, #8]\n strd r2, r12, [sp, #8]\n"

#define TVMTINY_THUMB_3X3(NAME, COLUMNS, STRIDE, LOOPS, UNROLL, REST, SINGLE, SHIFT, PITCH, ROUNDING) \
  TVMTINY_THUMB_3X3_(NAME, #COLUMNS, STRIDE, #STRIDE, #LOOPS, #UNROLL, #REST, #SINGLE, #SHIFT, #PITCH, ROUNDING)
#define TVMTINY_THUMB_3X3_(NAME, COLUMNS, STRIDE, STEP, LOOPS, UNROLL, REST, SINGLE, SHIFT, PITCH, ROUNDING) \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const int8_t *plane TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                     \
       int8_t *out TVMTINY_UNUSED, int32_t rows TVMTINY_UNUSED),                                     \
      ".set tvmtiny_columns, " COLUMNS "\n push {r4-r11, lr}\n sub sp, sp, #24\n str r3, [sp, #20]\n" \
      " mov lr, r2\n ldmia r1!, {r3-r11}\n" TVMTINY_THUMB_CONSTANTS_##ROUNDING " mov r1, lr\n"      \
      "1:\n.if " LOOPS "\n add r2, r0, #2 * " STEP " * " UNROLL " * " LOOPS "\n str r2, [sp, #16]\n" \
      "2:\n" TVMTINY_THUMB_BEGIN_ROW ".rept " UNROLL "\n" TVMTINY_THUMB_TWO(STRIDE, SHIFT, PITCH, ROUNDING) \
      ".endr\n add r0, r0, #2 * " STEP " * " UNROLL "\n"                                             \
      TVMTINY_THUMB_ADD("r1", "2 * " UNROLL " * " PITCH, "r12")                                      \
      " ldr r2, [sp, #16]\n cmp r0, r2\n bne 2b\n.endif\n"                                           \
      TVMTINY_THUMB_BEGIN_ROW ".rept " REST "\n" TVMTINY_THUMB_TWO(STRIDE, SHIFT, PITCH, ROUNDING) ".endr\n" \
      ".if " SINGLE "\n" TVMTINY_THUMB_ONE(SHIFT, ROUNDING) ".endif\n"                               \
      TVMTINY_THUMB_ADD("r1", "(2 * " REST " + " SINGLE ") * " PITCH, "r12")                         \
      " addw r0, r0, #" STEP " * (" COLUMNS " - 2 * " UNROLL " * " LOOPS ")\n"                       \
      " ldr r2, [sp, #20]\n subs r2, r2, #1\n str r2, [sp, #20]\n bne 1b\n"                          \
      " add sp, sp, #24\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_THUMB2 */

#define TVMTINY_THUMB_3X3(NAME, COLUMNS, STRIDE, LOOPS, UNROLL, REST, SINGLE, SHIFT, PITCH, ROUNDING) \
  TVMTINY_THUMB_DEPTHWISE(NAME, COLUMNS, 2 * ((LOOPS) * (UNROLL) + (REST)) + (SINGLE), 3, 3, STRIDE, STRIDE, \
                          1, 1, SHIFT, PITCH, ROUNDING)

#endif

/* ---- Columns of outputs -------------------------------------------------------------------- */

/* Defines NAME(plane, stream, out, rows) as TVMTINY_THUMB_DEPTHWISE, for rows of one output and 1 to 6
 * TAPS, which is FILTER_Y * FILTER_X. Outputs are STEP bytes of the plane apart.
 *
 * r0 plane, r1 an input, r2 out, r3 step of rounding, r4-r9 weights, the last one in r9, r10 the
 * initial accumulator, r11 multiplier, r12 offset; lr rows and r4 a sum, or with 6 taps the stack and
 * lr. */
#if TVMTINY_THUMB2

#define TVMTINY_THUMB_ONE_COLUMN_LOAD_PLAIN " ldrd r10, r11, [r1]\n"
#define TVMTINY_THUMB_ONE_COLUMN_LOAD_SIGNED " ldr r3, [r1, #12]\n ldmia r1, {r10-r12}\n"
#define TVMTINY_THUMB_ONE_COLUMN_ROUND_PLAIN(SUM)
#define TVMTINY_THUMB_ONE_COLUMN_ROUND_SIGNED(SUM)                                                       \
  " and r1, r3, " SUM ", asr #31\n add " SUM ", " SUM ", r1\n add " SUM ", " SUM ", r12\n"
#define TVMTINY_THUMB_ONE_COLUMN_TAP(NUMBER, SUM, WEIGHT)                                                \
  ".if tvmtiny_taps > " NUMBER "\n.set tvmtiny_tap, tvmtiny_taps - 1 - " NUMBER "\n"                 \
  ".if tvmtiny_tap\n ldrsb r1, [r0, #tvmtiny_tap / tvmtiny_columns * tvmtiny_apart_y"                \
  " + (tvmtiny_tap - tvmtiny_tap / tvmtiny_columns * tvmtiny_columns) * tvmtiny_apart_x - tvmtiny_moved]\n" \
  " mla " SUM ", r1, " WEIGHT ", " SUM "\n"                                                          \
  ".elseif tvmtiny_moved\n ldrsb r1, [r0], #tvmtiny_moved\n mla " SUM ", r1, " WEIGHT ", r10\n"      \
  ".else\n ldrsb r1, [r0]\n mla " SUM ", r1, " WEIGHT ", r10\n.endif\n.endif\n"
#define TVMTINY_THUMB_ONE_COLUMN(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, ROUNDING)   \
  TVMTINY_THUMB_ONE_COLUMN_##TAPS(NAME, #TAPS, #FILTER_X, #STEP, #APART_Y, #APART_X, #SHIFT, #PITCH,     \
                              TVMTINY_THUMB_ONE_COLUMN_LOAD_##ROUNDING, TVMTINY_THUMB_ONE_COLUMN_ROUND_##ROUNDING)
#define TVMTINY_THUMB_ONE_COLUMN_(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, LOAD, ROUND, FIRST, SUM, ROWS, NEXT) \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const int8_t *plane TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                     \
       int8_t *out TVMTINY_UNUSED, int32_t rows TVMTINY_UNUSED),                                     \
      ".set tvmtiny_taps, " TAPS "\n.set tvmtiny_columns, " FILTER_X "\n"                            \
      ".set tvmtiny_apart_y, " APART_Y "\n.set tvmtiny_apart_x, " APART_X "\n"                       \
      ".set tvmtiny_moved, 0\n.if " STEP " < 256\n.set tvmtiny_moved, " STEP "\n.endif\n"           \
      " push {r3-r11, lr}\n" ROWS " ldmia r1!, {" FIRST "}\n" LOAD "1:\n"                            \
      TVMTINY_THUMB_ONE_COLUMN_TAP("5", SUM, "r4") TVMTINY_THUMB_ONE_COLUMN_TAP("4", SUM, "r5")              \
      TVMTINY_THUMB_ONE_COLUMN_TAP("3", SUM, "r6") TVMTINY_THUMB_ONE_COLUMN_TAP("2", SUM, "r7")              \
      TVMTINY_THUMB_ONE_COLUMN_TAP("1", SUM, "r8") TVMTINY_THUMB_ONE_COLUMN_TAP("0", SUM, "r9")              \
      " smull r1, " SUM ", " SUM ", r11\n" ROUND(SUM) " ssat " SUM ", #8, " SUM ", asr #" SHIFT "\n" \
      ".if " PITCH " < 256\n strb " SUM ", [r2], #" PITCH "\n.else\n strb " SUM ", [r2]\n"           \
      TVMTINY_THUMB_ADD("r2", PITCH, "r1") ".endif\n"                                               \
      ".if tvmtiny_moved == 0\n" TVMTINY_THUMB_ADD("r0", STEP, "r1") ".endif\n"                     \
      NEXT " pop {r3-r11, pc}\n")
#define TVMTINY_THUMB_ONE_COLUMN_FEW(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, LOAD, ROUND, FIRST) \
  TVMTINY_THUMB_ONE_COLUMN_(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, LOAD, ROUND, FIRST, "r4", \
                        " mov lr, r3\n", " subs lr, lr, #1\n bne 1b\n")
#define TVMTINY_THUMB_ONE_COLUMN_1(...) TVMTINY_THUMB_ONE_COLUMN_FEW(__VA_ARGS__, "r9")
#define TVMTINY_THUMB_ONE_COLUMN_2(...) TVMTINY_THUMB_ONE_COLUMN_FEW(__VA_ARGS__, "r8-r9")
#define TVMTINY_THUMB_ONE_COLUMN_3(...) TVMTINY_THUMB_ONE_COLUMN_FEW(__VA_ARGS__, "r7-r9")
#define TVMTINY_THUMB_ONE_COLUMN_4(...) TVMTINY_THUMB_ONE_COLUMN_FEW(__VA_ARGS__, "r6-r9")
#define TVMTINY_THUMB_ONE_COLUMN_5(...) TVMTINY_THUMB_ONE_COLUMN_FEW(__VA_ARGS__, "r5-r9")
#define TVMTINY_THUMB_ONE_COLUMN_6(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, LOAD, ROUND) \
  TVMTINY_THUMB_ONE_COLUMN_(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, LOAD, ROUND, "r4-r9", "lr", \
                        "", " ldr r1, [sp]\n subs r1, r1, #1\n str r1, [sp]\n bne 1b\n")

#else /* !TVMTINY_THUMB2 */

#define TVMTINY_THUMB_ONE_COLUMN(NAME, TAPS, FILTER_X, STEP, APART_Y, APART_X, SHIFT, PITCH, ROUNDING)   \
  static void NAME(const int8_t *plane, const int32_t *stream, int8_t *out, int32_t rows)            \
  {                                                                                                  \
    tvmtiny_thumb_depthwise(plane, stream, out, rows, STEP, (TAPS) / (FILTER_X), FILTER_X, APART_Y,  \
                            APART_X, PITCH, SHIFT, TVMTINY_THUMB_##ROUNDING);                        \
  }

#endif

/* ---- Whole patches -------------------------------------------------------------------------- */

/* Defines NAME(x, stream, out), which computes CHANNELS outputs from the 1 to 4 TAPS of each channel,
 * which are CHANNELS bytes apart.
 *
 * r0 x, r1 stream, r2 out, r3-r6 weights, the last one in r6, r7 the initial accumulator, then the
 * sum, r8 multiplier, r9 offset, r10 step, r12 an input, lr channels. */
#if TVMTINY_THUMB2

#define TVMTINY_THUMB_WHOLE_LAST_PLAIN "r8"
#define TVMTINY_THUMB_WHOLE_LAST_SIGNED "r10"
#define TVMTINY_THUMB_WHOLE_ROUND_PLAIN
#define TVMTINY_THUMB_WHOLE_ROUND_SIGNED                                                             \
  " and r10, r10, r7, asr #31\n add r7, r7, r10\n add r7, r7, r9\n"
/* The tap NUMBER positions before the last. */
#define TVMTINY_THUMB_WHOLE_TAP(NUMBER, WEIGHT)                                                      \
  ".if tvmtiny_taps > " NUMBER " + 1\n ldrsb r12, [r0, #(tvmtiny_taps - 1 - " NUMBER ") * tvmtiny_channels - 1]\n" \
  " mla r7, r12, " WEIGHT ", r7\n.elseif tvmtiny_taps == " NUMBER " + 1\n ldrsb r12, [r0], #1\n"     \
  " mla r7, r12, " WEIGHT ", r7\n.endif\n"
#define TVMTINY_THUMB_WHOLE(NAME, TAPS, CHANNELS, SHIFT, ROUNDING)                                   \
  TVMTINY_THUMB_WHOLE_(NAME, #TAPS, #CHANNELS, #SHIFT, TVMTINY_THUMB_WHOLE_LAST_##ROUNDING,          \
                       TVMTINY_THUMB_WHOLE_ROUND_##ROUNDING)
#define TVMTINY_THUMB_WHOLE_(NAME, TAPS, CHANNELS, SHIFT, LAST, ROUND)                               \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME, (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED, int8_t *out TVMTINY_UNUSED), \
      ".set tvmtiny_taps, " TAPS "\n.set tvmtiny_channels, " CHANNELS "\n push {r4-r10, lr}\n"      \
      " movw lr, #" CHANNELS "\n"                                                                    \
      "1:\n.if tvmtiny_taps == 1\n ldmia r1!, {r6-" LAST "}\n.elseif tvmtiny_taps == 2\n"           \
      " ldmia r1!, {r5-" LAST "}\n.elseif tvmtiny_taps == 3\n ldmia r1!, {r4-" LAST "}\n.else\n"    \
      " ldmia r1!, {r3-" LAST "}\n.endif\n"                                                         \
      TVMTINY_THUMB_WHOLE_TAP("3", "r3") TVMTINY_THUMB_WHOLE_TAP("2", "r4")                          \
      TVMTINY_THUMB_WHOLE_TAP("1", "r5") TVMTINY_THUMB_WHOLE_TAP("0", "r6")                          \
      " smull r12, r7, r7, r8\n" ROUND " ssat r7, #8, r7, asr #" SHIFT "\n strb r7, [r2], #1\n"      \
      " subs lr, lr, #1\n bne 1b\n pop {r4-r10, pc}\n")

#else /* !TVMTINY_THUMB2 */

#define TVMTINY_THUMB_WHOLE(NAME, TAPS, CHANNELS, SHIFT, ROUNDING)                                   \
  static void TVMTINY_UNUSED NAME(const int8_t *x, const int32_t *stream, int8_t *out)               \
  {                                                                                                  \
    int32_t channel;                                                                                 \
    for (channel = 0; channel < (CHANNELS); ++channel) {                                             \
      uint32_t sum = (uint32_t)stream[TAPS];                                                         \
      int32_t tap;                                                                                   \
      for (tap = 0; tap < (TAPS); ++tap) {                                                           \
        sum = tvmtiny_thumb_add(sum, *stream++, x[tap * (CHANNELS) + channel]);                      \
      }                                                                                              \
      out[channel] = tvmtiny_thumb_output((int32_t)sum, stream + 1, TVMTINY_THUMB_##ROUNDING, SHIFT); \
      stream += 1 + TVMTINY_THUMB_##ROUNDING;                                                        \
    }                                                                                                \
  }

#endif

/* ---- Planes -------------------------------------------------------------------------------- */

/* TVMTINY_THUMB_PLANE defines the same function as TVMTINY_PLANE, for an input of one channel, whose
 * rows are copied by words. Rows of 32 bytes and more are copied 16 bytes at a time.
 *
 * r0 from, r1 row, then rows inside the input, r2 plane, r3 rows, r4 turns, r12 bytes. */
#if TVMTINY_THUMB2

#define TVMTINY_THUMB_PIECES(COUNT, PIECE)                                                           \
  ".set tvmtiny_rest, " COUNT "\n.if tvmtiny_rest >= 32\n movw r4, #(" COUNT ") >> 4\n"              \
  "7:\n.rept 4\n" PIECE("", "4") ".endr\n subs r4, r4, #1\n bne 7b\n"                                \
  ".set tvmtiny_rest, (" COUNT ") & 15\n.endif\n"                                                    \
  ".rept tvmtiny_rest >> 2\n" PIECE("", "4") ".endr\n"                                               \
  ".if tvmtiny_rest & 2\n" PIECE("h", "2") ".endif\n.if tvmtiny_rest & 1\n" PIECE("b", "1") ".endif\n"
#define TVMTINY_THUMB_COPY_PIECE(SIZE, BYTES)                                                        \
  " ldr" SIZE " r12, [r0], #" BYTES "\n str" SIZE " r12, [r2], #" BYTES "\n"
#define TVMTINY_THUMB_FILL_PIECE(SIZE, BYTES) " str" SIZE " r12, [r2], #" BYTES "\n"
#define TVMTINY_THUMB_PAD(PAD)                                                                       \
  " movw r12, #(" PAD " & 255) * 257\n movt r12, #(" PAD " & 255) * 257\n"

#define TVMTINY_THUMB_PLANE(NAME, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, LEFT, PAD)                 \
  TVMTINY_THUMB_PLANE_(NAME, #HEIGHT, #WIDTH, #ROWS, #COLUMNS, #LEFT, #PAD)
#define TVMTINY_THUMB_PLANE_(NAME, HEIGHT, WIDTH, ROWS, COLUMNS, LEFT, PAD)                          \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME, (const int8_t *x TVMTINY_UNUSED, int32_t row TVMTINY_UNUSED, int8_t *plane TVMTINY_UNUSED), \
      ".set tvmtiny_used, " WIDTH "\n.if " COLUMNS " - " LEFT " < " WIDTH "\n"                       \
      ".set tvmtiny_used, " COLUMNS " - " LEFT "\n.endif\n"                                          \
      ".if " COLUMNS " >= 32\n push {r4}\n.endif\n"                                                  \
      " movw r3, #" ROWS "\n cmp r1, #0\n bge 2f\n" TVMTINY_THUMB_PAD(PAD)                           \
      "1:\n" TVMTINY_THUMB_PIECES(COLUMNS, TVMTINY_THUMB_FILL_PIECE)                                 \
      " subs r3, r3, #1\n beq 5f\n adds r1, r1, #1\n bmi 1b\n"                                       \
      "2:\n movw r12, #" WIDTH "\n mla r0, r1, r12, r0\n movw r12, #" HEIGHT "\n subs r1, r12, r1\n" \
      " ble 4f\n subs r3, r3, r1\n it lt\n addlt r1, r1, r3\n" TVMTINY_THUMB_ADD("r2", LEFT, "r12")  \
      "3:\n" TVMTINY_THUMB_PIECES("tvmtiny_used", TVMTINY_THUMB_COPY_PIECE)                          \
      TVMTINY_THUMB_ADD("r0", WIDTH " - tvmtiny_used", "r12")                                        \
      TVMTINY_THUMB_ADD("r2", COLUMNS " - tvmtiny_used", "r12")                                      \
      " subs r1, r1, #1\n bne 3b\n cmp r3, #0\n ble 5f\n" TVMTINY_THUMB_SUBTRACT("r2", LEFT, "r12")  \
      "4:\n" TVMTINY_THUMB_PAD(PAD)                                                                  \
      "6:\n" TVMTINY_THUMB_PIECES(COLUMNS, TVMTINY_THUMB_FILL_PIECE) " subs r3, r3, #1\n bne 6b\n"    \
      "5:\n.if " COLUMNS " >= 32\n pop {r4}\n.endif\n bx lr\n")

#else /* !TVMTINY_THUMB2 */

#define TVMTINY_THUMB_PLANE TVMTINY_PLANE

#endif

#endif /* TVMTINY_THUMB_DEPTHWISE_H */
