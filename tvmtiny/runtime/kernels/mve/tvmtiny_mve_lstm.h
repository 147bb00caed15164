/* UNIDIRECTIONAL_SEQUENCE_LSTM in int8 with int16 cells, by Helium; the same bytes as tvmtiny_lstm.h.
 *
 * Gates are computed for vectors of 8 cells, in the order input, forget, output, cell; all vectors
 * of a gate are adjacent. For each vector, the stream has the following data, first of the inputs
 * and then of the state: 8 biases, of the even cells and of the odd cells; for each group of 16
 * inputs the weights in the same order, padded with zeros for the bytes after the inputs; and
 * multiplier, left shift, left shift by a negative number, and the number that is subtracted from
 * negative values before it. */
#ifndef TVMTINY_MVE_LSTM_H
#define TVMTINY_MVE_LSTM_H

#include "tvmtiny_lstm.h"
#include "tvmtiny_mve.h"

/* Instantiates NAME(patch, stream, gates, vectors): sums of all gates, scaled to 12 fractional
 * bits. `patch` has the inputs and, from the next group of 16, the state.
 * Instantiates NAME(gates, cell, out): a step, given the gates; `gates` is overwritten. CLIP is 0
 * if cells are not clipped. */
#if TVMTINY_MVE

#define TVMTINY_MVE_LSTM_GATES(NAME, INPUTS, CELLS, TEXT)                                          \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const int8_t *patch TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,  \
                        int16_t *gates TVMTINY_UNUSED, int32_t vectors TVMTINY_UNUSED),            \
                       TEXT)
#define TVMTINY_MVE_LSTM_CELLS(NAME, CELLS, CELL_BITS, CLIP, MULTIPLIER, SHIFT, ZERO_POINT, TEXT)  \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (int16_t * gates TVMTINY_UNUSED, int16_t * cell TVMTINY_UNUSED,             \
                        int8_t * out TVMTINY_UNUSED),                                              \
                       TEXT)

#else

/* Adds the scaled sum of a cell to the value of its gate; `x` has `count` numbers. */
TVMTINY_MVE_INLINE int32_t tvmtiny_mve_lstm_gate(const int8_t *x, int32_t count,
                                                 const int32_t *stream, int32_t place,
                                                 int32_t before)
{
  const int8_t *const weights = (const int8_t *)(stream + 8);
  const int32_t *const scale = stream + 8 + (count + 15) / 16 * 32;
  int32_t sum = stream[place];
  int32_t i;
  for (i = 0; i < count; ++i) {
    sum += x[i] * weights[(i / 16 * 8 + place) * 16 + i % 16];
  }
  return tvmtiny_saturate_q15(tvmtiny_requantize(sum, scale[0], scale[1] + scale[2]) + before);
}

TVMTINY_MVE_INLINE void tvmtiny_mve_lstm_gates(const int8_t *patch, const int32_t *stream,
                                               int16_t *gates, int32_t vectors, int32_t inputs,
                                               int32_t cells)
{
  const int32_t groups = (inputs + 15) / 16;
  for (; vectors > 0; --vectors) {
    const int32_t *const state = stream + 12 + groups * 32;
    int32_t i;
    for (i = 0; i < 8; ++i) {
      const int32_t place = i / 2 + i % 2 * 4;
      const int32_t value = tvmtiny_mve_lstm_gate(patch, inputs, stream, place, 0);
      *gates++ =
          (int16_t)tvmtiny_mve_lstm_gate(patch + groups * 16, cells, state, place, value);
    }
    stream = state + 12 + (cells + 15) / 16 * 32;
  }
}

#define TVMTINY_MVE_LSTM_GATES(NAME, INPUTS, CELLS, TEXT)                                          \
  static void NAME(const int8_t *patch, const int32_t *stream, int16_t *gates, int32_t vectors)    \
  {                                                                                                \
    tvmtiny_mve_lstm_gates(patch, stream, gates, vectors, INPUTS, CELLS);                          \
  }
#define TVMTINY_MVE_LSTM_CELLS(NAME, CELLS, CELL_BITS, CLIP, MULTIPLIER, SHIFT, ZERO_POINT, TEXT)  \
  static void NAME(int16_t *gates, int16_t *cell, int8_t *out)                                     \
  {                                                                                                \
    const int32_t apart = ((CELLS) + 7) / 8 * 8;                                                   \
    int32_t i;                                                                                     \
    for (i = 0; i < (CELLS); ++i, ++gates) {                                                       \
      const int32_t kept = tvmtiny_logistic_q15(gates[apart], 3) * cell[i];                        \
      const int32_t added =                                                                        \
          tvmtiny_logistic_q15(gates[0], 3) * tvmtiny_tanh_q15(gates[3 * apart], 3);               \
      int32_t sum = tvmtiny_saturate_q15(tvmtiny_rounding_shift(kept, 15u));                       \
      int32_t value = tvmtiny_rounding_shift(added, 30u - (CELL_BITS));                            \
      sum = tvmtiny_saturate_q15(sum + tvmtiny_saturate_q15(value));                               \
      if ((CLIP) > 0) {                                                                            \
        sum = sum > (CLIP) ? (CLIP) : sum < -(CLIP) ? -(CLIP) : sum;                               \
      }                                                                                            \
      cell[i] = (int16_t)sum;                                                                      \
      value = tvmtiny_logistic_q15(gates[2 * apart], 3) * tvmtiny_tanh_q15(sum, 15 - (CELL_BITS)); \
      value = tvmtiny_requantize(value, MULTIPLIER, SHIFT) + (ZERO_POINT);                         \
      out[i] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);                          \
    }                                                                                              \
  }

#endif

/* Instantiates NAME(x, stream, state, cells, out, gates, patch): all steps. `state` and `cells` are
 * memory of the model that only this layer uses: they are read first and written last. Workspaces
 * are `gates`, with 4 numbers for each cell of whole vectors, and `patch`, with whole groups of
 * inputs and of states. */
#define TVMTINY_MVE_LSTM(NAME, GATES, CELLS_OF_STEP, BATCHES, STEPS, INPUTS, CELLS, INPUT_BATCH,   \
                         INPUT_STEP, OUTPUT_BATCH, OUTPUT_STEP)                                    \
  static void NAME(const int8_t *x, const int32_t *stream, const int8_t *state,                    \
                   const int16_t *cells, int8_t *out, int16_t *gates, int8_t *patch)               \
  {                                                                                                \
    int32_t batch;                                                                                 \
    int32_t step;                                                                                  \
    for (batch = 0; batch < (BATCHES); ++batch) {                                                  \
      int8_t *const memory = (int8_t *)(uintptr_t)state + batch * (CELLS);                         \
      int16_t *const cell = (int16_t *)(uintptr_t)cells + batch * (CELLS);                         \
      const int8_t *last = memory;                                                                 \
      for (step = 0; step < (STEPS); ++step) {                                                     \
        int8_t *const output = out + batch * (OUTPUT_BATCH) + step * (OUTPUT_STEP);                \
        tvmtiny_mve_copy(patch, x + batch * (INPUT_BATCH) + step * (INPUT_STEP), INPUTS);          \
        tvmtiny_mve_copy(patch + ((INPUTS) + 15) / 16 * 16, last, CELLS);                          \
        GATES(patch, stream, gates, ((CELLS) + 7) / 8 * 4);                                        \
        CELLS_OF_STEP(gates, cell, output);                                                        \
        last = output;                                                                             \
      }                                                                                            \
      tvmtiny_mve_copy(memory, last, CELLS);                                                       \
    }                                                                                              \
  }

#endif /* TVMTINY_MVE_LSTM_H */
