/* Helium micro-kernels of REDUCE_MAX, REDUCE_MIN, SUM and MEAN.
 *
 * Inputs have the shape (before, count, after), of which `count` is reduced. If `after` is 1, a row
 * is reduced to one number across vectors; otherwise lanes are neighbouring outputs. */
#ifndef TVMTINY_MVE_REDUCE_H
#define TVMTINY_MVE_REDUCE_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Instantiates NAME(x, out, before, count, after): the largest or the smallest number; MOST is max
 * or min. BITS, LETTER and LANES describe TYPE and a vector of it; FIRST is the initial value,
 * the lowest for max and the highest for min. */
#if TVMTINY_MVE

#define TVMTINY_MVE_EXTREMUM(NAME, TYPE, BITS, LETTER, LANES, MOST, FIRST)                         \
  static void NAME(const TYPE *x, TYPE *out, int32_t before, int32_t count, int32_t after)         \
  {                                                                                                \
    for (; before > 0; --before, x += count * after) {                                             \
      int32_t next;                                                                                \
      if (after == 1) {                                                                            \
        const TYPE *from = x;                                                                      \
        int32_t most = FIRST;                                                                      \
        __asm__ volatile("wlstp." #BITS " lr, %[count], 2f\n"                                      \
                         "1:\n"                                                                    \
                         "vldr" #LETTER "." #BITS " q0, [%[from]], #16\n"                          \
                         "v" #MOST "v.s" #BITS " %[most], q0\n"                                    \
                         "letp lr, 1b\n"                                                           \
                         "2:\n"                                                                    \
                         : [most] "+r"(most), [from] "+l"(from)                                    \
                         : [count] "r"(count)                                                      \
                         : "q0", "lr", "cc", "memory");                                            \
        *out++ = (TYPE)most;                                                                       \
        continue;                                                                                  \
      }                                                                                            \
      for (next = 0; next < after; next += (LANES)) {                                              \
        const mve_pred16_t some = vctp##BITS##q((uint32_t)(after - next));                         \
        const TYPE *from = x + next;                                                               \
        int##BITS##x##LANES##_t most = vdupq_n_s##BITS(FIRST);                                     \
        int32_t left;                                                                              \
        for (left = count; left > 0; --left, from += after) {                                      \
          most = v##MOST##q_s##BITS(most, vldr##LETTER##q_z_s##BITS(from, some));                  \
        }                                                                                          \
        vstr##LETTER##q_p_s##BITS(out + next, most, some);                                         \
      }                                                                                            \
      out += after;                                                                                \
    }                                                                                              \
  }

#else

#define TVMTINY_MVE_OF_max(A, B) ((A) > (B) ? (A) : (B))
#define TVMTINY_MVE_OF_min(A, B) ((A) < (B) ? (A) : (B))

#define TVMTINY_MVE_EXTREMUM(NAME, TYPE, BITS, LETTER, LANES, MOST, FIRST)                         \
  static void NAME(const TYPE *x, TYPE *out, int32_t before, int32_t count, int32_t after)         \
  {                                                                                                \
    for (; before > 0; --before, x += count * after) {                                             \
      int32_t next;                                                                                \
      for (next = 0; next < after; ++next) {                                                       \
        int32_t most = FIRST;                                                                      \
        int32_t i;                                                                                 \
        for (i = 0; i < count; ++i) {                                                              \
          most = TVMTINY_MVE_OF_##MOST(most, x[i * after + next]);                                 \
        }                                                                                          \
        *out++ = (TYPE)most;                                                                       \
      }                                                                                            \
    }                                                                                              \
  }

#endif

/* Computes sums of up to 4 neighbouring outputs, the first of which reads from `x`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_sums(const int8_t *x, int32_t count, int32_t after,
                                         int32_t outputs, int32_t *sums)
{
  int32_t i;
#if TVMTINY_MVE
  if (after == 1) {
    for (i = 0; i < outputs; ++i) {
      const int8_t *from = x + i * count;
      int32_t sum = 0;
      __asm__ volatile("wlstp.8 lr, %[count], 2f\n"
                       "1:\n"
                       "vldrb.8 q0, [%[from]], #16\n"
                       "vaddva.s8 %[sum], q0\n"
                       "letp lr, 1b\n"
                       "2:\n"
                       : [sum] "+Te"(sum), [from] "+l"(from)
                       : [count] "r"(count)
                       : "q0", "lr", "cc", "memory");
      sums[i] = sum;
    }
  } else {
    const mve_pred16_t some = vctp32q((uint32_t)outputs);
    int32x4_t sum = vdupq_n_s32(0);
    for (i = count; i > 0; --i, x += after) {
      sum = vaddq_s32(sum, vldrbq_z_s32(x, some));
    }
    vstrwq_s32(sums, sum);
  }
#else
  int32_t output;
  for (output = 0; output < outputs; ++output) {
    const int8_t *const from = x + (after == 1 ? output * count : output);
    sums[output] = 0;
    for (i = 0; i < count; ++i) {
      sums[output] += from[i * after];
    }
  }
#endif
}

/* Runs BODY for up to 4 outputs at a time, given as `outputs` sums in `sums`, and advances. */
#define TVMTINY_MVE_SUMMED(BODY)                                                                   \
  const int32_t run = after == 1 ? before : after;                                                 \
  const int32_t images = after == 1 ? 1 : before;                                                  \
  int32_t image;                                                                                   \
  for (image = 0; image < images; ++image, x += count * after) {                                   \
    int32_t next;                                                                                  \
    for (next = 0; next < run; next += 4) {                                                        \
      const int32_t outputs = run - next < 4 ? run - next : 4;                                     \
      int32_t sums[4] = { 0, 0, 0, 0 };                                                            \
      tvmtiny_mve_sums(x + next * (after == 1 ? count : 1), count, after, outputs, sums);          \
      BODY out += outputs;                                                                         \
    }                                                                                              \
  }

TVMTINY_MVE_INLINE void tvmtiny_mve_mean_outputs(const int32_t *sums, int8_t *out, int32_t outputs,
                                                 int32_t offset, int32_t multiplier, int32_t shift,
                                                 int32_t zero_point)
{
#if TVMTINY_MVE
  int32x4_t value = vaddq_n_s32(vldrwq_s32(sums), offset);
  value = vqrdmulhq_n_s32(shift > 0 ? vshlq_r_s32(value, shift) : value, multiplier);
  if (shift < 0) {
    value = vrshlq_n_s32(vaddq_s32(value, vshrq_n_s32(value, 31)), shift);
  }
  value = vaddq_n_s32(value, zero_point);
  value = vmaxq_s32(vminq_s32(value, vdupq_n_s32(127)), vdupq_n_s32(-128));
  vstrbq_p_s32(out, value, vctp32q((uint32_t)outputs));
#else
  int32_t i;
  for (i = 0; i < outputs; ++i) {
    const int32_t value = tvmtiny_requantize(sums[i] + offset, multiplier, shift) + zero_point;
    out[i] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
  }
#endif
}

/* out = clamp((sum + offset) * multiplier * 2^(shift - 31) + zero_point), with two roundings. */
TVMTINY_MVE_INLINE void tvmtiny_mve_mean(const int8_t *x, int8_t *out, int32_t before,
                                         int32_t count, int32_t after, int32_t offset,
                                         int32_t multiplier, int32_t shift, int32_t zero_point)
{
  TVMTINY_MVE_SUMMED(
      { tvmtiny_mve_mean_outputs(sums, out, outputs, offset, multiplier, shift, zero_point); })
}

/* out = clamp(round(sum * scale + bias) + zero_point), in float32. */
TVMTINY_MVE_INLINE void tvmtiny_mve_scaled_sum(const int8_t *x, int8_t *out, int32_t before,
                                               int32_t count, int32_t after, float scale,
                                               float bias, int32_t zero_point)
{
  TVMTINY_MVE_SUMMED({
    int32_t i;
    for (i = 0; i < outputs; ++i) {
      const float value = tvmtiny_scaled_sum(sums[i], scale, bias);
      out[i] = (int8_t)tvmtiny_quantize(value, 1.0f, zero_point, -128, 127);
    }
  })
}

#endif /* TVMTINY_MVE_REDUCE_H */
