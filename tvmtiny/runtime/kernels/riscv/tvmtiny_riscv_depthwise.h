/* Depthwise convolutions channel by channel, for RISC-V.
 *
 * A plane, see tvmtiny_plane.h, holds the inputs of one channel. For each channel, the stream holds
 * the weights as words, the initial accumulator, the multiplier and, for ROUNDING = SIGNED, the
 * offset and the step. */
#ifndef TVMTINY_RISCV_DEPTHWISE_H
#define TVMTINY_RISCV_DEPTHWISE_H

#include "tvmtiny_plane.h"
#include "tvmtiny_riscv.h"

/* ---- Any filter ---------------------------------------------------------------------------- */

/* Defines NAME(plane, stream, out, rows), which computes `rows` rows of WIDTH outputs of one
 * channel, PITCH bytes apart, from a plane of COLUMNS columns. The filter has ROWS x ACROSS taps,
 * DILATION_Y and DILATION_X apart. The compiler unrolls the loops; four outputs share the loads of
 * weights. */
#define TVMTINY_RISCV_FILTER(NAME, COLUMNS, WIDTH, ROWS, ACROSS, STRIDE_Y, STRIDE_X, DILATION_Y, DILATION_X, \
                             SHIFT, PITCH, ROUNDING)                                                  \
  static void NAME(const int8_t *plane, const int32_t *stream, int8_t *out, int32_t rows)             \
  {                                                                                                   \
    /* Rows of one output each are computed as a single row. */                                       \
    const int32_t step = (WIDTH) == 1 ? (STRIDE_Y) * (COLUMNS) : (STRIDE_X);                          \
    const int32_t count = (WIDTH) == 1 ? rows : (WIDTH);                                              \
    const int32_t *const constants = stream + (ROWS) * (ACROSS);                                      \
    for (rows = (WIDTH) == 1 ? 1 : rows; rows > 0; --rows) {                                          \
      const int8_t *from = plane;                                                                     \
      int32_t left = count;                                                                           \
      while (left > 0) {                                                                              \
        const int32_t *weight = stream;                                                               \
        const int8_t *line = from;                                                                    \
        uint32_t sums[4];                                                                             \
        const int32_t some = left < 4 ? left : 4;                                                     \
        int32_t i;                                                                                    \
        sums[0] = sums[1] = sums[2] = sums[3] = (uint32_t)constants[0];                               \
        do {                                                                                          \
          const int32_t *const stop = weight + (ACROSS);                                              \
          const int8_t *tap = line;                                                                   \
          if (some == 4) {                                                                            \
            do {                                                                                      \
              const int32_t factor = *weight++;                                                         \
              sums[0] = tvmtiny_riscv_add(sums[0], factor, tap[0]);                                 \
              sums[1] = tvmtiny_riscv_add(sums[1], factor, tap[step]);                              \
              sums[2] = tvmtiny_riscv_add(sums[2], factor, tap[2 * step]);                          \
              sums[3] = tvmtiny_riscv_add(sums[3], factor, tap[3 * step]);                          \
              tap += (DILATION_X);                                                                    \
            } while (weight != stop);                                                                 \
          } else {                                                                                    \
            for (; weight != stop; ++weight, tap += (DILATION_X)) {                                   \
              for (i = 0; i < some; ++i) {                                                            \
                sums[i] = tvmtiny_riscv_add(sums[i], *weight, tap[i * step]);                         \
              }                                                                                       \
            }                                                                                         \
          }                                                                                           \
          line += (DILATION_Y) * (COLUMNS);                                                           \
        } while (weight != constants);                                                                \
        for (i = 0; i < some; ++i, out += (PITCH)) {                                                  \
          *out = tvmtiny_riscv_output((int32_t)sums[i], constants + 1, TVMTINY_RISCV_##ROUNDING, SHIFT); \
        }                                                                                             \
        from += 4 * step;                                                                             \
        left -= 4;                                                                                    \
      }                                                                                               \
      plane += (STRIDE_Y) * (COLUMNS);                                                                \
    }                                                                                                 \
  }

/* ---- 3x3 ----------------------------------------------------------------------------------- */

/* Defines NAME(plane, stream, out, rows) as above, for a filter of 3 x 3 taps without dilation,
 * ROUNDING = PLAIN and STRIDE 1 or 2. The weights stay in registers while three sums move along a
 * row, so that each input of a column is read once. A row has LOOPS * UNROLL groups in a loop, REST
 * groups, and MORE outputs; a group has three outputs for stride 1 and two for stride 2. */
#if TVMTINY_RV32

/* a0 plane, a1 stream, a2 out, a3 rows; a4 a5 a6 a column, a7 scratch, ra the end of the loop in a
 * row; s0-s8 weights, s9-s11 sums, t0 the initial accumulator, t1 the multiplier. */
#define TVMTINY_RISCV_COLUMN                                                                          \
  " lb a4, tvmtiny_column(a0)\n lb a5, tvmtiny_column + tvmtiny_columns(a0)\n"                        \
  " lb a6, tvmtiny_column + 2 * tvmtiny_columns(a0)\n.set tvmtiny_column, tvmtiny_column + 1\n"
#define TVMTINY_RISCV_NEW(ACC)                                                                        \
  " mul " ACC ", a4, s0\n mul a7, a5, s3\n add " ACC ", " ACC ", t0\n add " ACC ", " ACC              \
  ", a7\n mul a7, a6, s6\n add " ACC ", " ACC ", a7\n"
#define TVMTINY_RISCV_TAPS(ACC, TOP, MIDDLE, BOTTOM)                                                  \
  " mul a7, a4, " TOP "\n add " ACC ", " ACC ", a7\n mul a7, a5, " MIDDLE "\n add " ACC ", " ACC      \
  ", a7\n mul a7, a6, " BOTTOM "\n add " ACC ", " ACC ", a7\n"
#define TVMTINY_RISCV_MIDDLE(ACC) TVMTINY_RISCV_TAPS(ACC, "s1", "s4", "s7")
/* Adds the last column of an output and stores the output. `out` advances when the next offset
 * would be too large. */
#define TVMTINY_RISCV_LAST(ACC)                                                                       \
  TVMTINY_RISCV_TAPS(ACC, "s2", "s5", "s8")                                                           \
  TVMTINY_RISCV_OUTPUT(ACC, "tvmtiny_shift", PLAIN, "tvmtiny_out(a2)")                                \
  ".set tvmtiny_out, tvmtiny_out + tvmtiny_pitch\n.if tvmtiny_out > 2047\n" TVMTINY_RISCV_MOVE ".endif\n"
#define TVMTINY_RISCV_MOVE                                                                            \
  TVMTINY_RISCV_ADD("a2", "tvmtiny_out", "a7") ".set tvmtiny_out, 0\n"

/* Stride 1: a column is the first one of an output, the second one of the previous output, and so
 * on. */
#define TVMTINY_RISCV_STEP1(FIRST, SECOND, THIRD)                                                     \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_NEW(FIRST) TVMTINY_RISCV_MIDDLE(SECOND) TVMTINY_RISCV_LAST(THIRD)
#define TVMTINY_RISCV_ENTER1                                                                          \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_NEW("s9") TVMTINY_RISCV_COLUMN TVMTINY_RISCV_NEW("s10")          \
  TVMTINY_RISCV_MIDDLE("s9")
#define TVMTINY_RISCV_GROUP1                                                                          \
  TVMTINY_RISCV_STEP1("s11", "s10", "s9") TVMTINY_RISCV_STEP1("s9", "s11", "s10")                     \
  TVMTINY_RISCV_STEP1("s10", "s9", "s11")
#define TVMTINY_RISCV_LEAVE1(SECOND, THIRD)                                                           \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_MIDDLE(SECOND) TVMTINY_RISCV_LAST(THIRD)                         \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_LAST(SECOND)
#define TVMTINY_RISCV_MORE1_0 TVMTINY_RISCV_LEAVE1("s10", "s9")
#define TVMTINY_RISCV_MORE1_1 TVMTINY_RISCV_STEP1("s11", "s10", "s9") TVMTINY_RISCV_LEAVE1("s11", "s10")
#define TVMTINY_RISCV_MORE1_2                                                                         \
  TVMTINY_RISCV_STEP1("s11", "s10", "s9") TVMTINY_RISCV_STEP1("s9", "s11", "s10")                     \
  TVMTINY_RISCV_LEAVE1("s9", "s11")

/* Stride 2: every second column is the last one of an output and the first one of the next
 * output. */
#define TVMTINY_RISCV_STEP2(FIRST, LAST)                                                              \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_NEW(FIRST) TVMTINY_RISCV_LAST(LAST)                              \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_MIDDLE(FIRST)
#define TVMTINY_RISCV_ENTER2                                                                          \
  TVMTINY_RISCV_COLUMN TVMTINY_RISCV_NEW("s9") TVMTINY_RISCV_COLUMN TVMTINY_RISCV_MIDDLE("s9")
#define TVMTINY_RISCV_GROUP2 TVMTINY_RISCV_STEP2("s10", "s9") TVMTINY_RISCV_STEP2("s9", "s10")
#define TVMTINY_RISCV_MORE2_0 TVMTINY_RISCV_COLUMN TVMTINY_RISCV_LAST("s9")
#define TVMTINY_RISCV_MORE2_1                                                                         \
  TVMTINY_RISCV_STEP2("s10", "s9") TVMTINY_RISCV_COLUMN TVMTINY_RISCV_LAST("s10")

/* The columns of a group. */
#define TVMTINY_RISCV_COLUMNS1 "3"
#define TVMTINY_RISCV_COLUMNS2 "4"

#define TVMTINY_RISCV_3X3(NAME, COLUMNS, STRIDE, WIDTH, LOOPS, UNROLL, REST, MORE, SHIFT, PITCH)      \
  TVMTINY_RISCV_3X3_(NAME, #COLUMNS, STRIDE, #STRIDE, #LOOPS, #UNROLL, #REST, MORE, #SHIFT, #PITCH)
#define TVMTINY_RISCV_3X3_(NAME, COLUMNS, STRIDE, STEP, LOOPS, UNROLL, REST, MORE, SHIFT, PITCH)      \
  TVMTINY_RISCV_FUNCTION(                                                                             \
      NAME,                                                                                           \
      (const int8_t *plane TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                      \
       int8_t *out TVMTINY_UNUSED, int32_t rows TVMTINY_UNUSED),                                      \
      ".set tvmtiny_columns, " COLUMNS "\n.set tvmtiny_shift, " SHIFT "\n.set tvmtiny_pitch, " PITCH  \
      "\n lw s0, 0(a1)\n lw s1, 4(a1)\n lw s2, 8(a1)\n lw s3, 12(a1)\n lw s4, 16(a1)\n lw s5, 20(a1)\n" \
      " lw s6, 24(a1)\n lw s7, 28(a1)\n lw s8, 32(a1)\n lw t0, 36(a1)\n lw t1, 40(a1)\n"              \
      TVMTINY_RISCV_LIMIT "1:\n.set tvmtiny_column, 0\n.set tvmtiny_out, 0\n" TVMTINY_RISCV_ENTER##STRIDE \
      " mv a1, a0\n.if " LOOPS "\n addi ra, a0, " LOOPS " * " UNROLL " * " TVMTINY_RISCV_COLUMNS##STRIDE "\n2:\n"         \
      ".set tvmtiny_column, 2\n.rept " UNROLL "\n" TVMTINY_RISCV_GROUP##STRIDE ".endr\n"              \
      " addi a0, a0, tvmtiny_column - 2\n" TVMTINY_RISCV_MOVE " bne a0, ra, 2b\n"                     \
      ".set tvmtiny_column, 2\n.endif\n.rept " REST "\n" TVMTINY_RISCV_GROUP##STRIDE ".endr\n"        \
      TVMTINY_RISCV_MORE##STRIDE##_##MORE TVMTINY_RISCV_MOVE " mv a0, a1\n"                           \
      TVMTINY_RISCV_ADD("a0", STEP " * tvmtiny_columns", "a7") " addi a3, a3, -1\n bnez a3, 1b\n")

#else /* !TVMTINY_RV32 */

static void TVMTINY_UNUSED tvmtiny_riscv_3x3(const int8_t *plane, const int32_t *stream, int8_t *out,
                                             int32_t rows, int32_t columns, int32_t stride, int32_t width,
                                             int32_t shift, int32_t pitch)
{
  for (; rows > 0; --rows, plane += stride * columns) {
    const int8_t *from = plane;
    int32_t left;
    for (left = width; left > 0; --left, from += stride, out += pitch) {
      uint32_t sum = (uint32_t)stream[9];
      int32_t tap;
      for (tap = 0; tap < 9; ++tap) {
        sum = tvmtiny_riscv_add(sum, stream[tap], from[tap / 3 * columns + tap % 3]);
      }
      *out = tvmtiny_riscv_output((int32_t)sum, stream + 10, TVMTINY_RISCV_PLAIN, shift);
    }
  }
}

#define TVMTINY_RISCV_3X3(NAME, COLUMNS, STRIDE, WIDTH, LOOPS, UNROLL, REST, MORE, SHIFT, PITCH)      \
  static void NAME(const int8_t *plane, const int32_t *stream, int8_t *out, int32_t rows)             \
  {                                                                                                   \
    tvmtiny_riscv_3x3(plane, stream, out, rows, COLUMNS, STRIDE, WIDTH, SHIFT, PITCH);                \
  }

#endif

#endif /* TVMTINY_RISCV_DEPTHWISE_H */
