/* Long short-term memory as computed by TensorFlow Lite for Microcontrollers: with a table of the
 * logistic function. */
#ifndef TVMTINY_LSTM_TABLES_H
#define TVMTINY_LSTM_TABLES_H

#include "tvmtiny_lstm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The logistic, with 15 fractional bits, of a gate with 12. */
static inline int32_t TVMTINY_UNUSED tvmtiny_lstm_logistic(const uint16_t *table, int32_t gate)
{
  const int32_t scaled = 3 * gate;
  const int32_t entry = (scaled < 0 ? -scaled : scaled) >> 9;
  const int32_t index = entry > 254 ? 254 : entry;
  return tvmtiny_logistic_int16(scaled, (int32_t)table[index], (int32_t)table[index + 1]);
}

/* The tanh of a number that is scaled to the steps of the table. */
static inline int32_t TVMTINY_UNUSED tvmtiny_lstm_tanh(const uint16_t *table, int32_t scaled)
{
  const int32_t entry = (scaled < 0 ? -scaled : scaled) >> 8;
  const int32_t index = entry > 254 ? 254 : entry;
  return tvmtiny_tanh_int16(scaled, (int32_t)table[index], (int32_t)table[index + 1]);
}

/* The scaled product of two 16-bit numbers. */
static inline int32_t TVMTINY_UNUSED tvmtiny_lstm_product(int32_t a, int32_t b, const int32_t *scale)
{
  return tvmtiny_requantize(a * b, scale[0], scale[1]);
}

/* The parameters are those of tvmtiny_lstm_int8. `scales` are multipliers and shifts of the gates'
 * inputs and recurrent inputs, of the parts that cells keep and add, and of the hidden values.
 * Cells are multiplied by `factor` and shifted right by `shift` for the table of the hyperbolic
 * tangent. */
#define TVMTINY_LSTM_TABLES(name, type, wide, scaled, least, most)                                                                       \
  static inline void TVMTINY_UNUSED name(const type *x, const int8_t *weights, const int8_t *recurrent, const wide *biases,              \
                                         const wide *recurrent_biases, const int32_t *scales, const uint16_t *table,                     \
                                         const int32_t *sizes, const type *state, const int16_t *cells, type *out, int32_t factor,       \
                                         int32_t shift, int32_t clip, int32_t zero_point)                                                \
  {                                                                                                                                      \
    const struct tvmtiny_lstm_shape *const shape = (const struct tvmtiny_lstm_shape *)(const void *)sizes;                               \
    const int32_t n = shape->cells;                                                                                                      \
    const int32_t half = shift > 0 ? INT32_C(1) << (shift - 1) : 0;                                                                      \
    type *const memory = (type *)(uintptr_t)state;                                                                                       \
    int16_t *const cell_memory = (int16_t *)(uintptr_t)cells;                                                                            \
    for (int32_t b = 0; b < shape->batches; ++b) {                                                                                       \
      int16_t *const cell = cell_memory + b * n;                                                                                         \
      const type *last = memory + b * n;                                                                                                 \
      for (int32_t t = 0; t < shape->steps; ++t) {                                                                                       \
        const type *const input = x + b * shape->input_batch + t * shape->input_step;                                                    \
        type *const output = out + b * shape->output_batch + t * shape->output_step;                                                     \
        for (int32_t i = 0; i < n; ++i) {                                                                                                \
          int32_t gate[4];                                                                                                               \
          for (int32_t g = 0; g < 4; ++g) {                                                                                              \
            const int32_t row = g * n + i;                                                                                               \
            wide sum = biases[row];                                                                                                      \
            wide more = recurrent_biases[row];                                                                                           \
            for (int32_t k = 0; k < shape->inputs; ++k) {                                                                                \
              sum += input[k] * weights[row * shape->inputs + k];                                                                        \
            }                                                                                                                            \
            for (int32_t k = 0; k < n; ++k) {                                                                                            \
              more += last[k] * recurrent[row * n + k];                                                                                  \
            }                                                                                                                            \
            gate[g] = tvmtiny_saturate_q15(scaled(sum, scales[2 * g], scales[2 * g + 1]));                                               \
            gate[g] += tvmtiny_saturate_q15(scaled(more, scales[8 + 2 * g], scales[9 + 2 * g]));                                         \
            gate[g] = tvmtiny_saturate_q15(gate[g]);                                                                                     \
          }                                                                                                                              \
          const int32_t fresh = tvmtiny_lstm_tanh(table, 3 * gate[2]);                                                                   \
          const int32_t kept = tvmtiny_lstm_product(tvmtiny_lstm_logistic(table, gate[1]), cell[i], scales + 16);                        \
          const int32_t added = tvmtiny_lstm_product(tvmtiny_lstm_logistic(table, gate[0]), fresh, scales + 18);                         \
          int32_t sum = tvmtiny_saturate_q15(tvmtiny_saturate_q15(kept) + tvmtiny_saturate_q15(added));                                  \
          if (clip > 0) {                                                                                                                \
            sum = sum > clip ? clip : sum < -clip ? -clip : sum;                                                                         \
          }                                                                                                                              \
          cell[i] = (int16_t)sum;                                                                                                        \
          const int32_t seen = tvmtiny_lstm_tanh(table, (sum * factor + half) >> shift);                                                 \
          const int32_t value = tvmtiny_lstm_product(seen, tvmtiny_lstm_logistic(table, gate[3]), scales + 20) + zero_point;             \
          output[i] = (type)(value > (most) ? (most) : value < (least) ? (least) : value);                                               \
        }                                                                                                                                \
        last = output;                                                                                                                   \
      }                                                                                                                                  \
      for (int32_t i = 0; i < n; ++i) {                                                                                                  \
        memory[b * n + i] = last[i];                                                                                                     \
      }                                                                                                                                  \
    }                                                                                                                                    \
  }

TVMTINY_LSTM_TABLES(tvmtiny_lstm_tables_int8, int8_t, int32_t, tvmtiny_requantize, -128, 127)
TVMTINY_LSTM_TABLES(tvmtiny_lstm_tables_int16, int16_t, int64_t, tvmtiny_requantize_wide, -32768, 32767)

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_LSTM_TABLES_H */
