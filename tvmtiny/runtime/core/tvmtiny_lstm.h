/* Long short-term memory: the steps of UNIDIRECTIONAL_SEQUENCE_LSTM.
 *
 * The integer functions match gemmlowp's 16-bit fixed-point arithmetic bit for bit. A number "with
 * f fractional bits" stands for integer / 2^f. Gates have 12 fractional bits, and their results 15.
 */
#ifndef TVMTINY_LSTM_H
#define TVMTINY_LSTM_H

#include "tvmtiny.h"
#include "tvmtiny_math.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of a layer, and distances between batches and between steps in elements. */
struct tvmtiny_lstm_shape {
  int32_t batches, steps, inputs, cells;
  int32_t input_batch, input_step, output_batch, output_step;
  int32_t outputs;
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

/* exp, with 15 fractional bits, of a non-positive number with 15 - bits fractional bits. */
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
  /* The factors reach down to exp(-16). */
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

/* 2 / (1 + value), with 13 fractional bits, of a number from 0 to 1 with 15 fractional bits. */
static inline int32_t TVMTINY_UNUSED tvmtiny_reciprocal_q15(int32_t value)
{
  const int32_t half = (value + 32768) >> 1;
  int32_t x = 23130 + tvmtiny_multiply_q15(half, -15420);
  for (int32_t i = 0; i < 3; ++i) {
    x += tvmtiny_saturate_q15(4 * tvmtiny_multiply_q15(x, (INT32_C(1) << 13) - tvmtiny_multiply_q15(half, x)));
  }
  return x;
}

/* 1 / (1 + exp(-value)), with 15 fractional bits, of a number with 15 - bits fractional bits. */
static inline int32_t TVMTINY_UNUSED tvmtiny_logistic_q15(int32_t value, int32_t bits)
{
  const int32_t size = value < 0 ? value : -value;
  const int32_t upper = tvmtiny_saturate_q15(2 * tvmtiny_reciprocal_q15(tvmtiny_exp_q15(size, bits)));
  return value == 0 ? INT32_C(1) << 14 : value > 0 ? upper : 32767 - upper;
}

/* tanh, with 15 fractional bits, of a number with 15 - bits fractional bits. */
static inline int32_t TVMTINY_UNUSED tvmtiny_tanh_q15(int32_t value, int32_t bits)
{
  const int32_t size = value < 0 ? value : -value;
  const int32_t reciprocal = tvmtiny_reciprocal_q15(tvmtiny_exp_q15(size, bits + 1));
  const int32_t upper = tvmtiny_saturate_q15(4 * (reciprocal - (INT32_C(1) << 13)));
  return value == 0 ? 0 : value > 0 ? upper : -upper;
}

/* Adds the scaled product of a row of weights and a vector to a gate. */
static inline int32_t TVMTINY_UNUSED tvmtiny_lstm_gate(const int8_t *x, const int8_t *weights, int32_t count, int32_t bias, const int32_t *scale, int32_t before)
{
  int32_t sum = bias;
  const int8_t *end = x + (count & ~7);
  while (x != end) {
    sum += x[0] * weights[0];
    sum += x[1] * weights[1];
    sum += x[2] * weights[2];
    sum += x[3] * weights[3];
    sum += x[4] * weights[4];
    sum += x[5] * weights[5];
    sum += x[6] * weights[6];
    sum += x[7] * weights[7];
    x += 8;
    weights += 8;
  }
  for (end = x + (count & 7); x != end; ++x) {
    sum += *x * *weights++;
  }
  return tvmtiny_saturate_q15(tvmtiny_requantize(sum, scale[0], scale[1]) + before);
}

/* Adds the scaled cell that a gate reads to the gate. */
static inline int32_t TVMTINY_UNUSED tvmtiny_lstm_peephole(int32_t gate, int32_t weight, int32_t cell, const int32_t *scale)
{
  return tvmtiny_saturate_q15(gate + tvmtiny_requantize(weight * cell, scale[0], scale[1]));
}

/* All steps of an int8 layer. `weights`, `recurrent` and the biases, which include the zero points,
 * have gates in the order input, forget, cell, output; with three `gates`, the input gate is one
 * minus the forget gate. `scales` are multipliers and shifts: of the four gates' inputs, of their
 * recurrent inputs, of the hidden values, of the cells that the input, forget and output gates read
 * through `peepholes`, and of the `projection`; both may be NULL. `state` and `cells` are memory of
 * the model that only this layer uses; they are read, and written after the last step. `zero_point`
 * belongs to the hidden values, which `hidden` has room for if they are projected. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_lstm_int8_layer(const int8_t *x, const int8_t *weights, const int8_t *recurrent, const int32_t *biases, const int32_t *recurrent_biases, const int16_t *peepholes, const int8_t *projection, const int32_t *projection_biases, const int32_t *scales, const int32_t *sizes, const int8_t *state, const int16_t *cells, int8_t *out, int8_t *hidden, int32_t cell_bits, int32_t clip, int32_t zero_point, int32_t gates, int32_t projection_clip, int32_t projection_zero_point)
{
  const struct tvmtiny_lstm_shape *const shape = (const struct tvmtiny_lstm_shape *)(const void *)sizes;
  const int32_t n = shape->cells;
  const int32_t outputs = projection != NULL ? shape->outputs : n;
  const int32_t first = 4 - gates;
  int8_t *const memory = (int8_t *)(uintptr_t)state;
  int16_t *const cell_memory = (int16_t *)(uintptr_t)cells;
  for (int32_t b = 0; b < shape->batches; ++b) {
    int16_t *const cell = cell_memory + b * n;
    const int8_t *last = memory + b * outputs;
    for (int32_t t = 0; t < shape->steps; ++t) {
      const int8_t *const input = x + b * shape->input_batch + t * shape->input_step;
      int8_t *const output = out + b * shape->output_batch + t * shape->output_step;
      int8_t *const values = projection != NULL ? hidden : output;
      for (int32_t i = 0; i < n; ++i) {
        int32_t gate[4];
        for (int32_t g = first; g < 4; ++g) {
          const int32_t row = (g - first) * n + i;
          const int32_t sum = tvmtiny_lstm_gate(input, weights + row * shape->inputs, shape->inputs, biases[row], scales + 2 * g, 0);
          gate[g] = tvmtiny_lstm_gate(last, recurrent + row * outputs, outputs, recurrent_biases[row], scales + 8 + 2 * g, sum);
        }
        if (peepholes != NULL) {
          for (int32_t g = first; g < 2; ++g) {
            gate[g] = tvmtiny_lstm_peephole(gate[g], peepholes[(g - first) * n + i], cell[i], scales + 18 + 2 * g);
          }
        }
        const int32_t forget = tvmtiny_logistic_q15(gate[1], 3);
        const int32_t fresh = first == 0 ? tvmtiny_logistic_q15(gate[0], 3) : 32767 - forget;
        const int32_t kept = tvmtiny_rounding_shift(forget * cell[i], 15u);
        const int32_t added = fresh * tvmtiny_tanh_q15(gate[2], 3);
        int32_t sum = tvmtiny_saturate_q15(tvmtiny_saturate_q15(kept) + tvmtiny_saturate_q15(tvmtiny_rounding_shift(added, (uint32_t)(30 - cell_bits))));
        if (clip > 0) {
          sum = sum > clip ? clip : sum < -clip ? -clip : sum;
        }
        cell[i] = (int16_t)sum;
        if (peepholes != NULL) {
          gate[3] = tvmtiny_lstm_peephole(gate[3], peepholes[(2 - first) * n + i], sum, scales + 22);
        }
        const int32_t product = tvmtiny_logistic_q15(gate[3], 3) * tvmtiny_tanh_q15(sum, 15 - cell_bits);
        const int32_t value = tvmtiny_requantize(product, scales[16], scales[17]) + zero_point;
        values[i] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
      }
      if (projection != NULL) {
        for (int32_t o = 0; o < outputs; ++o) {
          int32_t sum = projection_biases[o];
          for (int32_t i = 0; i < n; ++i) {
            sum += hidden[i] * projection[o * n + i];
          }
          sum = tvmtiny_requantize(sum, scales[24], scales[25]) + projection_zero_point;
          sum = sum > 127 ? 127 : sum < -128 ? -128 : sum;
          if (projection_clip > 0) {
            sum = sum > projection_clip ? projection_clip : sum < -projection_clip ? -projection_clip : sum;
          }
          output[o] = (int8_t)sum;
        }
      }
      last = output;
    }
    for (int32_t i = 0; i < outputs; ++i) {
      memory[b * outputs + i] = last[i];
    }
  }
}

/* The layer with four gates, without peepholes and projection. */
static inline void TVMTINY_UNUSED tvmtiny_lstm_int8(const int8_t *x, const int8_t *weights, const int8_t *recurrent, const int32_t *biases, const int32_t *recurrent_biases, const int32_t *scales, const int32_t *sizes, const int8_t *state, const int16_t *cells, int8_t *out, int32_t cell_bits, int32_t clip, int32_t zero_point)
{
  tvmtiny_lstm_int8_layer(x, weights, recurrent, biases, recurrent_biases, NULL, NULL, NULL, scales, sizes, state, cells, out, NULL, cell_bits, clip, zero_point, 4, 0, 0);
}

/* Any other layer; arguments for parts that it lacks are not read. */
static inline void TVMTINY_UNUSED tvmtiny_lstm_int8_other(const int8_t *x, const int8_t *weights, const int8_t *recurrent, const int32_t *biases, const int32_t *recurrent_biases, const int16_t *peepholes, const int8_t *projection, const int32_t *projection_biases, const int32_t *scales, const int32_t *sizes, const int8_t *state, const int16_t *cells, int8_t *out, int8_t *hidden, int32_t sees, int32_t projects, int32_t cell_bits, int32_t clip, int32_t zero_point, int32_t gates, int32_t projection_clip, int32_t projection_zero_point)
{
  tvmtiny_lstm_int8_layer(x, weights, recurrent, biases, recurrent_biases, sees != 0 ? peepholes : NULL, projects != 0 ? projection : NULL, projection_biases, scales, sizes, state, cells, out, hidden, cell_bits, clip, zero_point, gates, projection_clip, projection_zero_point);
}

static inline float TVMTINY_UNUSED tvmtiny_lstm_sum(const float *x, const float *weights, int32_t count, float before)
{
  float sum = 0.0f;
  for (int32_t i = 0; i < count; ++i) {
    sum += x[i] * weights[i];
  }
  return before + sum;
}

/* tvmtiny_lstm_int8_layer for floats. `clips` are the limits of cells and of projected outputs, 0
 * for no limit. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_lstm_float_layer(const float *x, const float *weights, const float *recurrent, const float *biases, const float *peepholes, const float *projection, const float *projection_biases, const int32_t *sizes, const float *clips, const float *state, const float *cells, float *out, float *hidden, int32_t gates)
{
  const struct tvmtiny_lstm_shape *const shape = (const struct tvmtiny_lstm_shape *)(const void *)sizes;
  const float clip = clips[0];
  const int32_t n = shape->cells;
  const int32_t outputs = projection != NULL ? shape->outputs : n;
  const int32_t first = 4 - gates;
  float *const memory = (float *)(uintptr_t)state;
  float *const cell_memory = (float *)(uintptr_t)cells;
  for (int32_t b = 0; b < shape->batches; ++b) {
    float *const cell = cell_memory + b * n;
    const float *last = memory + b * outputs;
    for (int32_t t = 0; t < shape->steps; ++t) {
      const float *const input = x + b * shape->input_batch + t * shape->input_step;
      float *const output = out + b * shape->output_batch + t * shape->output_step;
      float *const values = projection != NULL ? hidden : output;
      for (int32_t i = 0; i < n; ++i) {
        float gate[4];
        for (int32_t g = first; g < 4; ++g) {
          const int32_t row = (g - first) * n + i;
          const float sum = tvmtiny_lstm_sum(input, weights + row * shape->inputs, shape->inputs, biases[row]);
          gate[g] = tvmtiny_lstm_sum(last, recurrent + row * outputs, outputs, sum);
        }
        if (peepholes != NULL) {
          for (int32_t g = first; g < 2; ++g) {
            gate[g] += peepholes[(g - first) * n + i] * cell[i];
          }
        }
        const float forget = tvmtiny_logistic(gate[1]);
        const float fresh = first == 0 ? tvmtiny_logistic(gate[0]) : 1.0f - forget;
        float sum = forget * cell[i] + fresh * tvmtiny_tanh(gate[2]);
        if (clip > 0.0f) {
          sum = sum > clip ? clip : sum < -clip ? -clip : sum;
        }
        cell[i] = sum;
        if (peepholes != NULL) {
          gate[3] += peepholes[(2 - first) * n + i] * sum;
        }
        values[i] = tvmtiny_logistic(gate[3]) * tvmtiny_tanh(sum);
      }
      if (projection != NULL) {
        for (int32_t o = 0; o < outputs; ++o) {
          float sum = tvmtiny_lstm_sum(hidden, projection + o * n, n, projection_biases[o]);
          if (clips[1] > 0.0f) {
            sum = sum > clips[1] ? clips[1] : sum < -clips[1] ? -clips[1] : sum;
          }
          output[o] = sum;
        }
      }
      last = output;
    }
    for (int32_t i = 0; i < outputs; ++i) {
      memory[b * outputs + i] = last[i];
    }
  }
}

static inline void TVMTINY_UNUSED tvmtiny_lstm_float(const float *x, const float *weights, const float *recurrent, const float *biases, const int32_t *sizes, const float *clips, const float *state, const float *cells, float *out)
{
  tvmtiny_lstm_float_layer(x, weights, recurrent, biases, NULL, NULL, NULL, sizes, clips, state, cells, out, NULL, 4);
}

static inline void TVMTINY_UNUSED tvmtiny_lstm_float_other(const float *x, const float *weights, const float *recurrent, const float *biases, const float *peepholes, const float *projection, const float *projection_biases, const int32_t *sizes, const float *clips, const float *state, const float *cells, float *out, float *hidden, int32_t sees, int32_t projects, int32_t gates)
{
  tvmtiny_lstm_float_layer(x, weights, recurrent, biases, sees != 0 ? peepholes : NULL, projects != 0 ? projection : NULL, projection_biases, sizes, clips, state, cells, out, hidden, gates);
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_LSTM_H */
