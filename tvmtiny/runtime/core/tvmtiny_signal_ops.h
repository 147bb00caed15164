/* The operators of TensorFlow's signal library. */
#ifndef TVMTINY_SIGNAL_OPS_H
#define TVMTINY_SIGNAL_OPS_H

#include "tvmtiny.h"
#include "tvmtiny_signal.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline int32_t TVMTINY_UNUSED tvmtiny_signal_saturate(int32_t value)
{
  return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
}

static inline void TVMTINY_UNUSED tvmtiny_signal_window(const int16_t *x, const int16_t *window, int16_t *out, int32_t count, int32_t size, int32_t shift)
{
  for (int32_t i = 0; i < count; i += size) {
    for (int32_t k = 0; k < size; ++k) {
      out[i + k] = (int16_t)tvmtiny_signal_saturate(((int32_t)x[i + k] * window[k]) >> shift);
    }
  }
}

/* The number of bits by which all values can be shifted to the left. As in TensorFlow, the most
 * negative number of 16 bits discards the values before it. */
static inline void TVMTINY_UNUSED tvmtiny_signal_scale_bits(const int16_t *x, int32_t *out, int32_t count)
{
  int32_t most = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t value = x[i];
    most = value > most ? value : -value > most ? (int32_t)(int16_t)-value : most;
  }
  *out = most <= 0 ? 0 : 15 - tvmtiny_bit_length((uint32_t)most);
}

static inline void TVMTINY_UNUSED tvmtiny_signal_scale(const int16_t *x, const int32_t *bits, int16_t *out, int32_t count)
{
  for (int32_t i = 0; i < count; ++i) {
    out[i] = (int16_t)((uint16_t)((uint32_t)(int32_t)x[i] << *bits));
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_stages(uint32_t *words, const int32_t *factors, int32_t points, int32_t radix, int32_t inverse)
{
  for (int32_t size = radix; size < points; size *= 4) {
    tvmtiny_fft_stage(words, factors, points, size, 3, 1, inverse);
    factors += 3 * size;
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_rfft(const int16_t *x, const int32_t *factors, const int16_t *order, int16_t *out, int32_t *work, int32_t count, int32_t length, int32_t points, int32_t radix)
{
  uint32_t *const from = (uint32_t *)(void *)work;
  uint32_t *const words = from + points;
  const int32_t *const split = factors + (points - radix);
  for (int32_t frame = 0; frame < count; ++frame) {
    for (int32_t i = 0; i < points; ++i) {
      from[i] = tvmtiny_join_lanes(2 * i < length ? x[2 * i] : 0, 2 * i + 1 < length ? x[2 * i + 1] : 0);
    }
    tvmtiny_fft_first(from, words, order, points, radix, 0, 0);
    tvmtiny_signal_stages(words, factors, points, radix, 0);
    const int32_t sum = tvmtiny_scaled_lane(tvmtiny_low_lane(words[0]), 16383);
    const int32_t difference = tvmtiny_scaled_lane(tvmtiny_high_lane(words[0]), 16383);
    out[0] = (int16_t)(sum + difference);
    out[2 * points] = (int16_t)(sum - difference);
    out[1] = 0;
    out[2 * points + 1] = 0;
    for (int32_t k = 1; 2 * k <= points; ++k) {
      const uint32_t left = words[k];
      const uint32_t right = words[points - k];
      const int32_t left_re = tvmtiny_scaled_lane(tvmtiny_low_lane(left), 16383);
      const int32_t left_im = tvmtiny_scaled_lane(tvmtiny_high_lane(left), 16383);
      const int32_t right_re = tvmtiny_scaled_lane(tvmtiny_low_lane(right), 16383);
      const int32_t right_im = tvmtiny_scaled_lane((int32_t)(int16_t)-tvmtiny_high_lane(right), 16383);
      const uint32_t turned = tvmtiny_product_lanes(left_re - right_re, left_im - right_im, (uint32_t)split[k - 1]);
      const int32_t re = tvmtiny_low_lane(turned);
      const int32_t im = tvmtiny_high_lane(turned);
      out[2 * k] = (int16_t)((left_re + right_re + re) >> 1);
      out[2 * k + 1] = (int16_t)((left_im + right_im + im) >> 1);
      out[2 * (points - k)] = (int16_t)((left_re + right_re - re) >> 1);
      out[2 * (points - k) + 1] = (int16_t)((im - left_im - right_im) >> 1);
    }
    x += length;
    out += 2 * points + 2;
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_irfft(const int16_t *x, const int32_t *factors, const int16_t *order, int16_t *out, int32_t *work, int32_t count, int32_t points, int32_t radix)
{
  uint32_t *const from = (uint32_t *)(void *)work;
  uint32_t *const words = from + points;
  const int32_t *const split = factors + (points - radix);
  for (int32_t frame = 0; frame < count; ++frame) {
    const int16_t *const last = x + 2 * points;
    from[0] = tvmtiny_join_lanes(tvmtiny_scaled_lane((int16_t)(x[0] + last[0]), 16383), tvmtiny_scaled_lane((int16_t)(x[0] - last[0]), 16383));
    for (int32_t k = 1; 2 * k <= points; ++k) {
      const int16_t *const left = x + 2 * k;
      const int16_t *const right = x + 2 * (points - k);
      const int32_t left_re = tvmtiny_scaled_lane(left[0], 16383);
      const int32_t left_im = tvmtiny_scaled_lane(left[1], 16383);
      const int32_t right_re = tvmtiny_scaled_lane(right[0], 16383);
      const int32_t right_im = tvmtiny_scaled_lane((int32_t)(int16_t)-(int32_t)right[1], 16383);
      const uint32_t odd = tvmtiny_product_lanes(left_re - right_re, left_im - right_im, (uint32_t)split[k - 1]);
      const int32_t re = tvmtiny_low_lane(odd);
      const int32_t im = tvmtiny_high_lane(odd);
      from[k] = tvmtiny_join_lanes(left_re + right_re + re, left_im + right_im + im);
      from[points - k] = tvmtiny_join_lanes(left_re + right_re - re, im - left_im - right_im);
    }
    tvmtiny_fft_first(from, words, order, points, radix, 0, 1);
    tvmtiny_signal_stages(words, factors, points, radix, 1);
    for (int32_t i = 0; i < points; ++i) {
      out[2 * i] = (int16_t)tvmtiny_low_lane(words[i]);
      out[2 * i + 1] = (int16_t)tvmtiny_high_lane(words[i]);
    }
    x += 2 * points + 2;
    out += 2 * points;
  }
}

/* Bins outside `begin` to `end` become 0. */
static inline void TVMTINY_UNUSED tvmtiny_signal_energy(const int16_t *x, uint32_t *out, int32_t count, int32_t begin, int32_t end)
{
  for (int32_t i = 0; i < count; ++i) {
    const int32_t re = x[2 * i];
    const int32_t im = x[2 * i + 1];
    out[i] = i >= begin && i < end ? (uint32_t)(re * re) + (uint32_t)(im * im) : 0u;
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_filter_bank(const uint32_t *x, const int16_t *weights, const int16_t *unweights, const int16_t *starts, const int16_t *weight_starts, const int16_t *widths, uint64_t *out, int32_t channels)
{
  uint64_t next = 0u;
  for (int32_t band = 0; band <= channels; ++band) {
    const uint32_t *const bins = x + starts[band];
    const int16_t *const weight = weights + weight_starts[band];
    const int16_t *const unweight = unweights + weight_starts[band];
    uint64_t ending = next;
    next = 0u;
    for (int32_t i = 0; i < widths[band]; ++i) {
      ending += (uint64_t)(uint32_t)weight[i] * bins[i];
      next += (uint64_t)(uint32_t)unweight[i] * bins[i];
    }
    if (band != 0) {
      out[band - 1] = ending;
    }
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_square_root(const uint64_t *x, const int32_t *bits, uint32_t *out, int32_t count)
{
  for (int32_t i = 0; i < count; ++i) {
    out[i] = tvmtiny_rounded_root(x[i]) >> *bits;
  }
}

/* `shares` holds the shares of the signal and of the previous estimate, for even channels and then
 * for odd ones. */
static inline void TVMTINY_UNUSED tvmtiny_signal_noise(const uint32_t *x, const uint32_t *before, const int32_t *shares, uint32_t *out, int32_t count, int32_t bits, int32_t share_bits, int32_t clamps)
{
  for (int32_t i = 0; i < count; ++i) {
    const int32_t *const share = shares + 2 * (i & 1);
    const uint32_t after = tvmtiny_follow_noise(x[i], before[i], (uint32_t)share[0], (uint32_t)share[1], bits, share_bits);
    const uint32_t scaled = x[i] << bits;
    out[i] = clamps != 0 && after > scaled ? scaled : after;
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_subtract(const uint32_t *x, const uint32_t *noise, uint32_t *out, int32_t count, int32_t bits, int32_t share_bits, int32_t least)
{
  for (int32_t i = 0; i < count; ++i) {
    out[i] = tvmtiny_without_noise(x[i], noise[i], (uint32_t)least, bits, share_bits);
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_pcan(const uint32_t *x, const uint32_t *noise, const int16_t *table, uint32_t *out, int32_t count, int32_t snr_shift)
{
  for (int32_t i = 0; i < count; ++i) {
    out[i] = tvmtiny_control_gain(x[i], tvmtiny_gain(noise[i], table), snr_shift);
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_log(const uint32_t *x, const int16_t *table, int16_t *out, int32_t count, int32_t scale, int32_t bits)
{
  for (int32_t i = 0; i < count; ++i) {
    const uint32_t value = tvmtiny_logarithm(x[i] << bits, table, (uint32_t)scale);
    out[i] = (int16_t)(value < 32767u ? value : 32767u);
  }
}

/* ---- Samples kept from call to call: `before` is a state of the model that no other layer uses
 * ---- */

static inline void TVMTINY_UNUSED tvmtiny_signal_move(int16_t *to, const int16_t *from, int32_t count)
{
  for (int32_t i = 0; i < count; ++i) {
    to[i] = from[i];
  }
}

static inline void TVMTINY_UNUSED tvmtiny_signal_delay(const int16_t *x, const int16_t *before, int16_t *out, int32_t rows, int32_t size, int32_t delay)
{
  int16_t *memory = (int16_t *)(uintptr_t)before;
  for (int32_t row = 0; row < rows; ++row) {
    for (int32_t i = 0; i < size; ++i) {
      out[i] = i < delay ? memory[i] : x[i - delay];
    }
    for (int32_t i = 0; i < delay; ++i) {
      memory[i] = i + size < delay ? memory[i + size] : x[i + size - delay];
    }
    x += size;
    out += size;
    memory += delay;
  }
}

/* `counts` holds the number of samples, whether any has ever come, and whether the output is
 * complete. */
static inline void TVMTINY_UNUSED tvmtiny_signal_stack(const int16_t *x, const int16_t *before, const int32_t *counts, int16_t *out, int32_t channels, int32_t left, int32_t size, int32_t step)
{
  int16_t *const memory = (int16_t *)(uintptr_t)before;
  int32_t *const count = (int32_t *)(uintptr_t)counts;
  const int32_t times = count[1] != 0 ? 1 : 1 + left;
  for (int32_t i = 0; i < times; ++i) {
    tvmtiny_signal_move(memory + count[0], x, channels);
    count[0] += channels;
  }
  count[1] = 1;
  count[2] = count[0] >= size ? 1 : 0;
  for (int32_t i = 0; i < size; ++i) {
    out[i] = count[2] != 0 ? memory[i] : 0;
  }
  if (count[2] != 0) {
    count[0] -= step;
    tvmtiny_signal_move(memory, memory + step, count[0]);
  }
}

/* `counts` holds the number of samples and whether all frames are complete. */
static inline void TVMTINY_UNUSED tvmtiny_signal_frames(const int16_t *x, const int16_t *before, const int32_t *counts, int16_t *out, int32_t rows, int32_t frames, int32_t size, int32_t step, int32_t capacity)
{
  int16_t *memory = (int16_t *)(uintptr_t)before;
  int32_t *const count = (int32_t *)(uintptr_t)counts;
  const int32_t first = count[0];
  count[1] = 1;
  for (int32_t row = 0; row < rows; ++row) {
    count[0] = first;
    for (int32_t frame = 0; frame < frames; ++frame) {
      tvmtiny_signal_move(memory + count[0], x, step);
      count[0] += step;
      const int32_t whole = count[0] >= size ? 1 : 0;
      for (int32_t i = 0; i < size; ++i) {
        out[i] = whole != 0 ? memory[i] : 0;
      }
      if (whole != 0) {
        count[0] -= step;
        tvmtiny_signal_move(memory, memory + step, count[0]);
      } else {
        count[1] = 0;
      }
      x += step;
      out += size;
    }
    memory += capacity;
  }
}

/* Returns one of the counts as a truth value. `after` is the output of the call that sets it, and
 * orders the two. */
static inline void TVMTINY_UNUSED tvmtiny_signal_valid(const int32_t *counts, const int16_t *after, bool *out, int32_t place)
{
  (void)after;
  *out = counts[place] != 0;
}

static inline void TVMTINY_UNUSED tvmtiny_signal_overlap_add(const int16_t *x, const int16_t *before, int16_t *out, int32_t rows, int32_t frames, int32_t size, int32_t step)
{
  int16_t *memory = (int16_t *)(uintptr_t)before;
  for (int32_t row = 0; row < rows; ++row) {
    for (int32_t frame = 0; frame < frames; ++frame) {
      for (int32_t i = 0; i < size; ++i) {
        memory[i] = (int16_t)tvmtiny_signal_saturate((int32_t)x[i] + memory[i]);
      }
      tvmtiny_signal_move(out, memory, step);
      tvmtiny_signal_move(memory, memory + step, size - step);
      for (int32_t i = size - step; i < size; ++i) {
        memory[i] = 0;
      }
      x += size;
      out += step;
    }
    memory += size;
  }
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_SIGNAL_OPS_H */
