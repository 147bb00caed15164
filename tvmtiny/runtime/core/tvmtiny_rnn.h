/* Recurrent layers without gates: UNIDIRECTIONAL_SEQUENCE_RNN. */
#ifndef TVMTINY_RNN_H
#define TVMTINY_RNN_H

#include "tvmtiny_lstm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs all steps. `sizes` is a tvmtiny_lstm_shape. `state` is read at the start and written after
 * the last step; it is a state of the model that no other layer uses. Sums go through tanh, or are
 * clamped to `limits`. */
static inline void TVMTINY_UNUSED tvmtiny_rnn_float(const float *x, const float *weights, const float *recurrent, const float *biases, const int32_t *sizes, const float *limits, const float *state, float *out, int32_t tanh)
{
  const struct tvmtiny_lstm_shape *const shape = (const struct tvmtiny_lstm_shape *)(const void *)sizes;
  const int32_t n = shape->cells;
  float *const memory = (float *)(uintptr_t)state;
  for (int32_t b = 0; b < shape->batches; ++b) {
    const float *last = memory + b * n;
    for (int32_t t = 0; t < shape->steps; ++t) {
      const float *const input = x + b * shape->input_batch + t * shape->input_step;
      float *const output = out + b * shape->output_batch + t * shape->output_step;
      for (int32_t i = 0; i < n; ++i) {
        float sum = tvmtiny_lstm_sum(input, weights + i * shape->inputs, shape->inputs, biases[i]);
        sum = tvmtiny_lstm_sum(last, recurrent + i * n, n, sum);
        output[i] = tanh != 0 ? tvmtiny_tanh(sum) : tvmtiny_clampf(sum, limits[0], limits[1]);
      }
      last = output;
    }
    for (int32_t i = 0; i < n; ++i) {
      memory[b * n + i] = last[i];
    }
  }
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_RNN_H */
