/* Long short-term memory: the steps of UNIDIRECTIONAL_SEQUENCE_LSTM.
 *
 * The integer functions match gemmlowp's 16-bit fixed-point arithmetic bit by bit; a number "with f
 * fractional bits" stands for integer / 2^f. Gates have 12, what comes out of them has 15.
 */
#ifndef TVMTINY_LSTM_H
#define TVMTINY_LSTM_H

#include "tvmtiny.h"
#include "tvmtiny_math.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of a layer, and how many elements batches and steps are apart. */
struct tvmtiny_lstm_shape {
  int32_t batches, steps, inputs, cells;
  int32_t input_batch, input_step, output_batch, output_step;
};

static inline int32_t TVMTINY_UNUSED tvmtiny_saturate_q15(int32_t value)
{
  return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
}

/* a * b / 2^15, halves upward. */
static inline int32_t TVMTINY_UNUSED tvmtiny_multiply_q15(int32_t a, int32_t b)
{
  const int32_t product = (a * b + (INT32_C(1) << 14)) >> 15;
  return product > 32767 ? 32767 : product;
}

/* Exp of a number that is not positive and has 15 - bits fractional bits; 15 in the result. */
static inline int32_t TVMTINY_UNUSED tvmtiny_exp_q15(int32_t value, int32_t bits)
{
  static const int16_t factors[7] = { 25520, 19875, 12055, 4435, 600, 11, 0 };
  const int32_t quarter = INT32_C(1) << (13 - bits);
  const int32_t rest = (value & (quarter - 1)) - quarter;
  const int32_t quarters = rest - value;
  const int32_t x = tvmtiny_saturate_q15(rest * (INT32_C(1) << bits)) + (INT32_C(1) << 12);
  const int32_t x2 = tvmtiny_multiply_q15(x, x);
  const int32_t x3 = tvmtiny_multiply_q15(x2, x);
  const int32_t x4 = tvmtiny_multiply_q15(x2, x2);
  const int32_t cubic = tvmtiny_multiply_q15(tvmtiny_rounding_shift(x4, 2u) + x3, 10923);
  const int32_t series = x + tvmtiny_rounding_shift(cubic + x2, 1u);
  int32_t result = tvmtiny_saturate_q15(28918 + tvmtiny_multiply_q15(series, 28918));
  if (value == 0) {
    return 32767;
  }
  /* The factors reach to exp(-16). */
  if (value < -(INT32_C(1) << (20 - bits))) {
    return 0;
  }
  for (int32_t i = 0; i < bits + 2 && i < 7; ++i) {
    if (((quarters >> (13 - bits + i)) & 1) != 0) {
      result = tvmtiny_multiply_q15(result, factors[i]);
    }
  }
  return result;
}

/* 2 / (1 + value) of a number from 0 to 1 with 15 fractional bits; 13 in the result. */
static inline int32_t TVMTINY_UNUSED tvmtiny_reciprocal_q15(int32_t value)
{
  const int32_t half = (value + 32768) >> 1;
  int32_t x = 23130 + tvmtiny_multiply_q15(half, -15420);
  for (int32_t i = 0; i < 3; ++i) {
    x += tvmtiny_saturate_q15(4 * tvmtiny_multiply_q15(x, (INT32_C(1) << 13) - tvmtiny_multiply_q15(half, x)));
  }
  return x;
}

/* 1 / (1 + exp(-value)) of a number with 15 - bits fractional bits; 15 in the result. */
static inline int32_t TVMTINY_UNUSED tvmtiny_logistic_q15(int32_t value, int32_t bits)
{
  const int32_t size = value < 0 ? value : -value;
  const int32_t upper = tvmtiny_saturate_q15(2 * tvmtiny_reciprocal_q15(tvmtiny_exp_q15(size, bits)));
  return value == 0 ? INT32_C(1) << 14 : value > 0 ? upper : 32767 - upper;
}

/* The hyperbolic tangent of a number with 15 - bits fractional bits; 15 in the result. */
static inline int32_t TVMTINY_UNUSED tvmtiny_tanh_q15(int32_t value, int32_t bits)
{
  const int32_t size = value < 0 ? value : -value;
  const int32_t reciprocal = tvmtiny_reciprocal_q15(tvmtiny_exp_q15(size, bits + 1));
  const int32_t upper = tvmtiny_saturate_q15(4 * (reciprocal - (INT32_C(1) << 13)));
  return value == 0 ? 0 : value > 0 ? upper : -upper;
}

/* A row of weights by a vector, scaled, onto what a gate has already. */
static inline int32_t TVMTINY_UNUSED tvmtiny_lstm_gate(const int8_t *x, const int8_t *weights, int32_t count, int32_t bias, const int32_t *scale, int32_t before)
{
  int32_t sum = bias;
  for (int32_t i = 0; i < count; ++i) {
    sum += x[i] * weights[i];
  }
  return tvmtiny_saturate_q15(tvmtiny_requantize(sum, scale[0], scale[1]) + before);
}

/* All steps of an int8 layer. Gates come in the order input, forget, cell, output, in `weights`,
 * `recurrent` and the biases, which hold the zero points. `scales` are multipliers and shifts: of
 * the gates' inputs, of their recurrent inputs, and of the output. `state` and `cells` are read, and
 * written after the last step: they are memory of the model, which just this layer uses. */
static inline void TVMTINY_UNUSED tvmtiny_lstm_int8(const int8_t *x, const int8_t *weights, const int8_t *recurrent, const int32_t *biases, const int32_t *recurrent_biases, const int32_t *scales, const int32_t *sizes, const int8_t *state, const int16_t *cells, int8_t *out, int32_t cell_bits, int32_t clip, int32_t zero_point)
{
  const struct tvmtiny_lstm_shape *const shape = (const struct tvmtiny_lstm_shape *)(const void *)sizes;
  const int32_t n = shape->cells;
  int8_t *const memory = (int8_t *)(uintptr_t)state;
  int16_t *const cell_memory = (int16_t *)(uintptr_t)cells;
  for (int32_t b = 0; b < shape->batches; ++b) {
    int16_t *const cell = cell_memory + b * n;
    const int8_t *last = memory + b * n;
    for (int32_t t = 0; t < shape->steps; ++t) {
      const int8_t *const input = x + b * shape->input_batch + t * shape->input_step;
      int8_t *const output = out + b * shape->output_batch + t * shape->output_step;
      for (int32_t i = 0; i < n; ++i) {
        int32_t gates[4];
        for (int32_t g = 0; g < 4; ++g) {
          const int32_t row = g * n + i;
          const int32_t gate = tvmtiny_lstm_gate(input, weights + row * shape->inputs, shape->inputs, biases[row], scales + 2 * g, 0);
          gates[g] = tvmtiny_lstm_gate(last, recurrent + row * n, n, recurrent_biases[row], scales + 8 + 2 * g, gate);
        }
        const int32_t kept = tvmtiny_rounding_shift(tvmtiny_logistic_q15(gates[1], 3) * cell[i], 15u);
        const int32_t added = tvmtiny_logistic_q15(gates[0], 3) * tvmtiny_tanh_q15(gates[2], 3);
        int32_t sum = tvmtiny_saturate_q15(tvmtiny_saturate_q15(kept) + tvmtiny_saturate_q15(tvmtiny_rounding_shift(added, (uint32_t)(30 - cell_bits))));
        if (clip > 0) {
          sum = sum > clip ? clip : sum < -clip ? -clip : sum;
        }
        cell[i] = (int16_t)sum;
        const int32_t product = tvmtiny_logistic_q15(gates[3], 3) * tvmtiny_tanh_q15(sum, 15 - cell_bits);
        const int32_t value = tvmtiny_requantize(product, scales[16], scales[17]) + zero_point;
        output[i] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
      }
      last = output;
    }
    for (int32_t i = 0; i < n; ++i) {
      memory[b * n + i] = last[i];
    }
  }
}

static inline float TVMTINY_UNUSED tvmtiny_lstm_sum(const float *x, const float *weights, int32_t count, float before)
{
  float sum = 0.0f;
  for (int32_t i = 0; i < count; ++i) {
    sum += x[i] * weights[i];
  }
  return before + sum;
}

/* The same of a float layer; the only one of `clips` is 0 where cells are not clipped. */
static inline void TVMTINY_UNUSED tvmtiny_lstm_float(const float *x, const float *weights, const float *recurrent, const float *biases, const int32_t *sizes, const float *clips, const float *state, const float *cells, float *out)
{
  const struct tvmtiny_lstm_shape *const shape = (const struct tvmtiny_lstm_shape *)(const void *)sizes;
  const float clip = clips[0];
  const int32_t n = shape->cells;
  float *const memory = (float *)(uintptr_t)state;
  float *const cell_memory = (float *)(uintptr_t)cells;
  for (int32_t b = 0; b < shape->batches; ++b) {
    float *const cell = cell_memory + b * n;
    const float *last = memory + b * n;
    for (int32_t t = 0; t < shape->steps; ++t) {
      const float *const input = x + b * shape->input_batch + t * shape->input_step;
      float *const output = out + b * shape->output_batch + t * shape->output_step;
      for (int32_t i = 0; i < n; ++i) {
        float gates[4];
        for (int32_t g = 0; g < 4; ++g) {
          const int32_t row = g * n + i;
          const float gate = tvmtiny_lstm_sum(input, weights + row * shape->inputs, shape->inputs, biases[row]);
          gates[g] = tvmtiny_lstm_sum(last, recurrent + row * n, n, gate);
        }
        float sum = tvmtiny_logistic(gates[1]) * cell[i] + tvmtiny_logistic(gates[0]) * tvmtiny_tanh(gates[2]);
        if (clip > 0.0f) {
          sum = sum > clip ? clip : sum < -clip ? -clip : sum;
        }
        cell[i] = sum;
        output[i] = tvmtiny_logistic(gates[3]) * tvmtiny_tanh(sum);
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

#endif /* TVMTINY_LSTM_H */
