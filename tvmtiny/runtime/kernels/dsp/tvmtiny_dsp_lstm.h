/* UNIDIRECTIONAL_SEQUENCE_LSTM in int8 with int16 cells, with the tile kernels of
 * tvmtiny_dsp_sums.h; its results equal those of tvmtiny_lstm.h.
 *
 * A tile is a cell; its four channels are the input, forget, cell and output gates. A number "with
 * f fractional bits" stands for integer / 2^f; results of gates have 15.
 */
#ifndef TVMTINY_DSP_LSTM_H
#define TVMTINY_DSP_LSTM_H

#include "tvmtiny_dsp_sums.h"

/* The input of a gate's nonlinearity, with 12 fractional bits. */
TVMTINY_INLINE int32_t tvmtiny_dsp_lstm_gate(int32_t inputs, int32_t inputs_multiplier,
                                         int32_t inputs_shift, int32_t state,
                                         int32_t state_multiplier, int32_t state_shift)
{
  const int32_t value =
      tvmtiny_saturate_int16(tvmtiny_scale_twice(inputs, inputs_multiplier, inputs_shift));
  return tvmtiny_saturate_int16(value + tvmtiny_scale_twice(state, state_multiplier, state_shift));
}

/* TVMTINY_LSTM_RECIPROCAL(x, count, table, FINEST, INTEGER) sets x to 2 / (1 + exp(-(count + 1) /
 * 2^(15 - INTEGER))) with 14 fractional bits. Both are lvalues of int32_t, and `count` is
 * destroyed.
 *
 * `table` holds the fixed-point exponentials of -1 * 2^(FINEST - 15), -2 * 2^(FINEST - 15) and so
 * on to -1/4; FINEST is at most INTEGER, which is 1 to 5. The factors are the exponentials of -1/4,
 * -1/2, -1 and so on. In each product of Newton's iteration, one factor is shifted to the left by
 * 16 and the other one by 1. */
#if TVMTINY_DSP
/* Handles two bits at a time: after the shift, flag N is the lower bit and flag C the higher
 * one. */
#define TVMTINY_LSTM_FACTOR(BRANCH, FACTOR)                                                        \
  BRANCH " 1f\n movw %[t], #" FACTOR "\n smlabb %[x], %[x], %[t], %[half]\n"                       \
         " asr.w %[x], %[x], #15\n1:\n"
#define TVMTINY_LSTM_NEWTON                                                                        \
  "smmulr %[t], %[count], %[x]\n sub %[t], %[one], %[t], lsl #16\n"                                \
  "smmulr %[t], %[x], %[t]\n add %[x], %[x], %[t], lsl #3\n"
#define TVMTINY_LSTM_RECIPROCAL(x_, count_, table_, FINEST, INTEGER)                               \
  do {                                                                                             \
    int32_t tvmtiny_t;                                                                             \
    __asm__("ubfx %[t], %[count], #0, #13 - %c[integer]\n"                                          \
            ".if %c[skip] > 2\n lsl %[t], %[t], #%c[skip]\n ldrsh %[x], [%[table], %[t], lsl #1]\n" \
            ".else\n ldrsh %[x], [%[table], %[t], lsl #%c[skip] + 1]\n.endif\n"                     \
            "lsls %[t], %[count], #18 + %c[integer]\n"                                              \
            TVMTINY_LSTM_FACTOR("bpl", "25520") TVMTINY_LSTM_FACTOR("bcc", "19875")                \
            "lsls %[t], %[count], #16 + %c[integer]\n"                                              \
            TVMTINY_LSTM_FACTOR("bpl", "12055")                                                    \
            ".if %c[integer] > 1\n" TVMTINY_LSTM_FACTOR("bcc", "4435") ".endif\n"                   \
            ".if %c[integer] > 2\n lsls %[t], %[count], #14 + %c[integer]\n"                         \
            TVMTINY_LSTM_FACTOR("bpl", "600") ".endif\n"                                           \
            ".if %c[integer] > 3\n" TVMTINY_LSTM_FACTOR("bcc", "11") ".endif\n"                     \
            ".if %c[integer] > 4\n lsls %[t], %[count], #12 + %c[integer]\n"                         \
            TVMTINY_LSTM_FACTOR("bpl", "0") ".endif\n"                                             \
            "add %[x], %[x], #32768\n pkhbt %[count], %[one], %[x], lsl #15\n"                     \
            "smmulr %[t], %[count], %[slope]\n movw %[x], #46260\n"                                \
            "add %[x], %[x], %[t], lsl #1\n"                                                       \
            TVMTINY_LSTM_NEWTON TVMTINY_LSTM_NEWTON TVMTINY_LSTM_NEWTON                            \
            : [x] "=&r"(x_), [count] "+r"(count_), [t] "=&r"(tvmtiny_t)                            \
            : [table] "r"((table_) + (INT32_C(1) << ((INTEGER) - (FINEST))) - 1),                  \
              [half] "r"(INT32_C(16384)), [one] "r"(INT32_C(1) << 29), [slope] "r"(INT32_C(-30840)), \
              [integer] "i"(INTEGER), [skip] "i"((INTEGER) - (FINEST)), "m"(*(table_))             \
            : "cc");                                                                               \
  } while (0)
#else
#define TVMTINY_LSTM_RECIPROCAL(x_, count_, table_, FINEST, INTEGER)                               \
  ((x_) = tvmtiny_dsp_lstm_reciprocal(count_, table_, FINEST, INTEGER))

TVMTINY_INLINE int32_t tvmtiny_dsp_lstm_reciprocal(int32_t count, const int16_t *table, int32_t finest,
                                               int32_t integer)
{
  static const int32_t factors[7] = { 25520, 19875, 12055, 4435, 600, 11, 0 };
  const int32_t skip = integer - finest;
  const int32_t rest = count & ((INT32_C(1) << (13 - integer)) - 1);
  int32_t power = table[rest * (INT32_C(1) << skip) + (INT32_C(1) << skip) - 1];
  int32_t half;
  int32_t x;
  int32_t i;
  for (i = 0; i < integer + 2; ++i) {
    if (((count >> (13 - integer + i)) & 1) != 0) {
      power = (power * factors[i] + 16384) >> 15;
    }
  }
  half = (int32_t)(((uint32_t)(power + 32768) << 15) & 0xffff0000u);
  x = 46260 + 2 * tvmtiny_smmulr(half, -30840);
  for (i = 0; i < 3; ++i) {
    x += 8 * tvmtiny_smmulr(x, (INT32_C(1) << 29) - tvmtiny_smmulr(half, x) * 65536);
  }
  return x;
}
#endif

/* TVMTINY_LSTM_LOGISTIC(y, value, table, FINEST) sets y to 1 / (1 + exp(-value)); value has 12
 * fractional bits. */
#define TVMTINY_LSTM_LOGISTIC(y, value, table, FINEST)                                             \
  do {                                                                                             \
    (y) = 16384;                                                                                   \
    if ((value) != 0) {                                                                            \
      const int32_t tvmtiny_sign = (value) >> 31;                                                  \
      int32_t tvmtiny_count = (value) < 0 ? ~(value) : (value) - 1;                                \
      TVMTINY_LSTM_RECIPROCAL(y, tvmtiny_count, table, FINEST, 3);                                 \
      (y) = tvmtiny_saturate_int16(y) ^ (int32_t)((uint32_t)tvmtiny_sign >> 17);                   \
    }                                                                                              \
  } while (0)

/* TVMTINY_LSTM_TANH(y, value, table, FINEST, INTEGER) sets y to the hyperbolic tangent of a number
 * with 15 - INTEGER fractional bits. */
#define TVMTINY_LSTM_TANH(y, value, table, FINEST, INTEGER)                                        \
  do {                                                                                             \
    (y) = 0;                                                                                       \
    if ((value) != 0) {                                                                            \
      const int32_t tvmtiny_sign = (value) >> 31;                                                  \
      int32_t tvmtiny_count = (value) < 0 ? ~(value) : (value) - 1;                                \
      TVMTINY_LSTM_RECIPROCAL(y, tvmtiny_count, table, FINEST, (INTEGER) + 1);                     \
      (y) = (tvmtiny_saturate_int16(2 * (y) - 32768) ^ tvmtiny_sign) - tvmtiny_sign;               \
    }                                                                                              \
  } while (0)

/* Defines NAME(inputs, recurrent, table, cell, out, count), which computes one step of `count`
 * cells from the sums of their gates. M and S are multipliers and shifts; X marks those of the
 * inputs, H those of the state. */
#define TVMTINY_LSTM_CELLS(NAME, MX0, SX0, MX1, SX1, MX2, SX2, MX3, SX3, MH0, SH0, MH1, SH1, MH2,  \
                           SH2, MH3, SH3, CELL_BITS, CLIP, MOUT, SOUT, ZERO_POINT, FINEST)         \
  static void NAME(const int32_t *inputs, const int32_t *recurrent, const int16_t *table,          \
                   int16_t *cell, int8_t *out, int32_t count)                                      \
  {                                                                                                \
    const int16_t *const end = cell + count;                                                       \
    while (cell != end) {                                                                          \
      const int32_t into = tvmtiny_dsp_lstm_gate(inputs[0], MX0, SX0, recurrent[0], MH0, SH0);         \
      const int32_t kept = tvmtiny_dsp_lstm_gate(inputs[1], MX1, SX1, recurrent[1], MH1, SH1);         \
      const int32_t next = tvmtiny_dsp_lstm_gate(inputs[2], MX2, SX2, recurrent[2], MH2, SH2);         \
      const int32_t open = tvmtiny_dsp_lstm_gate(inputs[3], MX3, SX3, recurrent[3], MH3, SH3);         \
      int32_t sum;                                                                                 \
      int32_t gate;                                                                                \
      int32_t value;                                                                               \
      TVMTINY_LSTM_LOGISTIC(gate, kept, table, FINEST);                                            \
      sum = tvmtiny_saturate_int16(tvmtiny_shift_rounding(gate * *cell, 15));                          \
      TVMTINY_LSTM_LOGISTIC(gate, into, table, FINEST);                                            \
      TVMTINY_LSTM_TANH(value, next, table, FINEST, 3);                                            \
      value = tvmtiny_saturate_int16(tvmtiny_shift_rounding(gate * value, 30 - (CELL_BITS)));          \
      sum = tvmtiny_saturate_int16(sum + value);                                                   \
      if ((CLIP) > 0) {                                                                            \
        sum = sum > (CLIP) ? (CLIP) : sum < -(CLIP) ? -(CLIP) : sum;                               \
      }                                                                                            \
      *cell++ = (int16_t)sum;                                                                      \
      TVMTINY_LSTM_LOGISTIC(gate, open, table, FINEST);                                            \
      TVMTINY_LSTM_TANH(value, sum, table, FINEST, 15 - (CELL_BITS));                              \
      value = gate * value;                                                                        \
      *out++ = (int8_t)tvmtiny_saturate(tvmtiny_scale_twice(value, MOUT, SOUT) + (ZERO_POINT));     \
      inputs += 4;                                                                                 \
      recurrent += 4;                                                                              \
    }                                                                                              \
  }

/* Defines NAME(x, stream, table, state, cells, out, sums, patch), which runs all steps. The stream
 * is that of the kernel INPUTS_TILE, followed after SPLIT words by that of STATE_TILE, and ends at
 * TOTAL. `state` and `cells` are states of the model that no other layer uses; they are read first
 * and written last. The workspaces are `sums`, with 8 words per cell, and `patch`, for the inputs
 * and the state. */
#define TVMTINY_LSTM(NAME, INPUTS_TILE, STATE_TILE, CELLS_OF_STEP, FORMAT, SPLIT, TOTAL, BATCHES,  \
                     STEPS, INPUTS, CELLS, INPUT_BATCH, INPUT_STEP, OUTPUT_BATCH, OUTPUT_STEP)     \
  static void NAME(const int8_t *x, const int32_t *stream, const int16_t *table,                   \
                   const int8_t *state, const int16_t *cells, int8_t *out, int32_t *sums,          \
                   uint32_t *patch)                                                                \
  {                                                                                                \
    int32_t batch;                                                                                 \
    int32_t step;                                                                                  \
    int32_t i;                                                                                     \
    for (batch = 0; batch < (BATCHES); ++batch) {                                                  \
      int8_t *const memory = (int8_t *)(uintptr_t)state + batch * (CELLS);                         \
      int16_t *const cell = (int16_t *)(uintptr_t)cells + batch * (CELLS);                         \
      const int8_t *last = memory;                                                                 \
      for (step = 0; step < (STEPS); ++step) {                                                     \
        int8_t *const output = out + batch * (OUTPUT_BATCH) + step * (OUTPUT_STEP);                \
        (void)tvmtiny_expand_##FORMAT(patch, x + batch * (INPUT_BATCH) + step * (INPUT_STEP),      \
                                      (INPUTS), 1);                                                \
        INPUTS_TILE(patch, stream, sums, stream + (SPLIT));                                        \
        (void)tvmtiny_expand_##FORMAT(patch, last, (CELLS), 1);                                    \
        STATE_TILE(patch, stream + (SPLIT), sums + 4 * (CELLS), stream + (TOTAL));                 \
        CELLS_OF_STEP(sums, sums + 4 * (CELLS), table, cell, output, (CELLS));                     \
        last = output;                                                                             \
      }                                                                                            \
      for (i = 0; i < (CELLS); ++i) {                                                              \
        memory[i] = last[i];                                                                       \
      }                                                                                            \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_LSTM_H */
