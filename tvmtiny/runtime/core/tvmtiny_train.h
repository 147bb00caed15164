/* Training of a model's last layer or two layers, FULLY_CONNECTED, on the device. C99, freestanding, no heap.
 *
 * The layer still computes in int8, from weights in RAM. A float32 copy of the weights is changed
 * by steps of gradient descent; after each step the weights are quantized again, with the scales of
 * the model. Each float32 operation is rounded once and the order is fixed, so
 * tvmtiny.learning.Trainer gives the same bits. Compilers must not contract products and sums
 * (-ffp-contract=off, or -std=c99 with GCC). */
#ifndef TVMTINY_TRAIN_H
#define TVMTINY_TRAIN_H

#include "tvmtiny.h"
#include "tvmtiny_math.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* Results of tvmtiny_train_keep. */
#define TVMTINY_TRAIN_KEPT 0
#define TVMTINY_TRAIN_REVERTED 1

/* The layer, and its most recent input and output. */
struct tvmtiny_train_layer {
  int32_t depth;
  int32_t channels;
  const int8_t *input;
  const int8_t *output;
  int8_t *weights;
  int32_t *bias;
  const float *scales; /* of the weights, one per channel */
  float input_scale;
  int32_t input_zero_point;
  float output_scale;
  int32_t output_zero_point;
  /* An output between these bounds, which are excluded, passes its gradient on. */
  int32_t lower;
  int32_t upper;
};

/* Settings of the training. A step changes a weight by at most `clip` steps of its int8 value. */
struct tvmtiny_train_rule {
  float rate;
  float momentum;
  float clip;
};

/* Float copies of the weights and biases, their changes (only with momentum), and a copy of the
 * int8 weights to restore. */
struct tvmtiny_train {
  struct tvmtiny_train_rule rule;
  float best_loss;
  float *weights;
  float *bias;
  float *velocity;
  int8_t *kept_weights;
  int32_t *kept_bias;
};

static inline float TVMTINY_UNUSED tvmtiny_train_clamp(float value, float limit)
{
  return value > limit ? limit : value < -limit ? -limit : value;
}

/* The nearest integer, with halves rounded away from zero. */
static inline int32_t TVMTINY_UNUSED tvmtiny_train_nearest(float value)
{
  return value >= 0.0f ? (int32_t)(value + 0.5f) : -(int32_t)(0.5f - value);
}

/* Quantizes the float weights and bias of one channel. */
static inline void TVMTINY_UNUSED tvmtiny_train_quantize(const struct tvmtiny_train_layer *layer,
                                                         const struct tvmtiny_train *train, int32_t channel)
{
  const float scale = layer->scales[channel];
  const float *const from = train->weights + channel * layer->depth;
  int8_t *const to = layer->weights + channel * layer->depth;
  const float bias = train->bias[channel] / (layer->input_scale * scale);
  for (int32_t i = 0; i < layer->depth; ++i) {
    const int32_t value = tvmtiny_train_nearest(from[i] / scale);
    to[i] = (int8_t)(value > 127 ? 127 : value < -127 ? -127 : value);
  }
  layer->bias[channel] = tvmtiny_train_nearest(tvmtiny_train_clamp(bias, 8388608.0f));
}

/* Sets the float weights and biases from the int8 layer. */
static inline void TVMTINY_UNUSED tvmtiny_train_restore(const struct tvmtiny_train_layer *layer,
                                                        struct tvmtiny_train *train)
{
  for (int32_t o = 0; o < layer->channels; ++o) {
    const float scale = layer->scales[o];
    for (int32_t i = 0; i < layer->depth; ++i) {
      const int32_t at = o * layer->depth + i;
      train->weights[at] = (float)layer->weights[at] * scale;
    }
    train->bias[o] = (float)layer->bias[o] * (layer->input_scale * scale);
  }
  if (train->velocity != NULL) {
    for (int32_t i = 0; i < layer->channels * (layer->depth + 1); ++i) {
      train->velocity[i] = 0.0f;
    }
  }
}

static inline void TVMTINY_UNUSED tvmtiny_train_copy(const struct tvmtiny_train_layer *layer,
                                                     struct tvmtiny_train *train, bool back)
{
  const int32_t count = layer->channels * layer->depth;
  for (int32_t i = 0; i < count; ++i) {
    if (back) {
      layer->weights[i] = train->kept_weights[i];
    } else {
      train->kept_weights[i] = layer->weights[i];
    }
  }
  for (int32_t o = 0; o < layer->channels; ++o) {
    if (back) {
      layer->bias[o] = train->kept_bias[o];
    } else {
      train->kept_bias[o] = layer->bias[o];
    }
  }
}

static inline float TVMTINY_UNUSED tvmtiny_train_logit(const struct tvmtiny_train_layer *layer, int32_t channel)
{
  return (float)((int32_t)layer->output[channel] - layer->output_zero_point) * layer->output_scale;
}

/* The largest logit, and the sum of exp(logit - largest). */
static inline float TVMTINY_UNUSED tvmtiny_train_sum(const struct tvmtiny_train_layer *layer, float *largest)
{
  float sum = 0.0f;
  *largest = tvmtiny_train_logit(layer, 0);
  for (int32_t o = 1; o < layer->channels; ++o) {
    const float logit = tvmtiny_train_logit(layer, o);
    *largest = logit > *largest ? logit : *largest;
  }
  for (int32_t o = 0; o < layer->channels; ++o) {
    sum += tvmtiny_exp(tvmtiny_train_logit(layer, o) - *largest);
  }
  return sum;
}

/* Cross-entropy of the softmax of the layer's most recent output. */
static inline float TVMTINY_UNUSED tvmtiny_train_loss(const struct tvmtiny_train_layer *layer, int32_t label)
{
  float largest;
  const float sum = tvmtiny_train_sum(layer, &largest);
  return tvmtiny_log(sum) - (tvmtiny_train_logit(layer, label) - largest);
}

/* Takes one step along the gradient of one channel. */
static inline void TVMTINY_UNUSED tvmtiny_train_channel(const struct tvmtiny_train_layer *layer,
                                                        const struct tvmtiny_train *train, int32_t channel,
                                                        float gradient)
{
  const struct tvmtiny_train_rule *const rule = &train->rule;
  const float scale = layer->scales[channel];
  const float limit = rule->clip * scale;
  const float step = rule->rate * gradient;
  const float by_input = step * layer->input_scale;
  float *const weights = train->weights + channel * layer->depth;
  float *const velocity = train->velocity == NULL ? NULL : train->velocity + channel * layer->depth;
  float *const bias_velocity =
      train->velocity == NULL ? NULL : train->velocity + layer->channels * layer->depth + channel;
  for (int32_t i = 0; i < layer->depth; ++i) {
    const float input = (float)((int32_t)layer->input[i] - layer->input_zero_point);
    float change = -(by_input * input);
    if (velocity != NULL) {
      const float before = rule->momentum * velocity[i];
      change = before + change;
    }
    change = tvmtiny_train_clamp(change, limit);
    if (velocity != NULL) {
      velocity[i] = change;
    }
    weights[i] = tvmtiny_train_clamp(weights[i] + change, 127.0f * scale);
  }
  float change = -step;
  if (bias_velocity != NULL) {
    const float before = rule->momentum * *bias_velocity;
    change = before + change;
    *bias_velocity = change;
  }
  train->bias[channel] += change;
  tvmtiny_train_quantize(layer, train, channel);
}

/* Adds to the gradients of the layer's input what one channel contributes, with the weights of the
 * most recent inference. Quantizing the input counts as the identity (straight-through estimator). */
static inline void TVMTINY_UNUSED tvmtiny_train_back(const struct tvmtiny_train_layer *layer, int32_t channel,
                                                     float gradient, float *gradients)
{
  const float by_weight = gradient * layer->scales[channel];
  const int8_t *const weights = layer->weights + channel * layer->depth;
  for (int32_t i = 0; i < layer->depth; ++i) {
    const float part = by_weight * (float)weights[i];
    gradients[i] += part;
  }
}

/* Takes one step of a channel of the last layer. `gradients` are those of the layer's input, or NULL
 * if no layer before is trained. */
static inline void TVMTINY_UNUSED tvmtiny_train_last(const struct tvmtiny_train_layer *layer,
                                                     const struct tvmtiny_train *train, int32_t channel,
                                                     float gradient, float *gradients)
{
  if (gradients != NULL) {
    tvmtiny_train_back(layer, channel, gradient, gradients);
  }
  tvmtiny_train_channel(layer, train, channel, gradient);
}

/* Takes one step of the layer before the last one, given the gradients of its output, and sets these
 * to 0 for the next step. */
static inline void TVMTINY_UNUSED tvmtiny_train_before(const struct tvmtiny_train_layer *layer,
                                                       const struct tvmtiny_train *train, float *gradients)
{
  for (int32_t o = 0; o < layer->channels; ++o) {
    const int32_t output = layer->output[o];
    const float gradient = output > layer->lower && output < layer->upper ? gradients[o] : 0.0f;
    gradients[o] = 0.0f;
    tvmtiny_train_channel(layer, train, o, gradient);
  }
}

/* Takes a step for a labelled sample, with the softmax and cross-entropy. */
static inline void TVMTINY_UNUSED tvmtiny_train_class(const struct tvmtiny_train_layer *layer,
                                                      const struct tvmtiny_train *train, int32_t label,
                                                      float *gradients)
{
  float largest;
  const float sum = tvmtiny_train_sum(layer, &largest);
  for (int32_t o = 0; o < layer->channels; ++o) {
    const float share = tvmtiny_exp(tvmtiny_train_logit(layer, o) - largest) / sum;
    tvmtiny_train_last(layer, train, o, o == label ? share - 1.0f : share, gradients);
  }
}

/* Takes a step for target values of the layer's output, with half the squared error. */
static inline void TVMTINY_UNUSED tvmtiny_train_values(const struct tvmtiny_train_layer *layer,
                                                       const struct tvmtiny_train *train, const float *wanted,
                                                       float *gradients)
{
  for (int32_t o = 0; o < layer->channels; ++o) {
    tvmtiny_train_last(layer, train, o, tvmtiny_train_logit(layer, o) - wanted[o], gradients);
  }
}

/* Keeps the weights if the loss of held-out samples is at most the best one so far, and otherwise
 * restores the weights of the best one. */
static inline int32_t TVMTINY_UNUSED tvmtiny_train_keep(const struct tvmtiny_train_layer *layer,
                                                        struct tvmtiny_train *train, float loss)
{
  if (loss <= train->best_loss) {
    train->best_loss = loss;
    tvmtiny_train_copy(layer, train, false);
    return TVMTINY_TRAIN_KEPT;
  }
  tvmtiny_train_copy(layer, train, true);
  tvmtiny_train_restore(layer, train);
  return TVMTINY_TRAIN_REVERTED;
}

#endif
