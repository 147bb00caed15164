/* A Helium kernel of L2_NORMALIZATION in int8. */
#ifndef TVMTINY_MVE_NORM_H
#define TVMTINY_MVE_NORM_H

#include "tvmtiny_mve.h"
#include "tvmtiny_rows.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* The sum of (x - zero)^2 over `count` values, which fits int32. */
TVMTINY_MVE_INLINE int32_t tvmtiny_mve_squares(const int8_t *x, int32_t count, int32_t zero)
{
  int32_t sum = 0;
#if TVMTINY_MVE
  int32_t squares = 0;
  const int32_t depth = count;
  __asm__ volatile("wlstp.8 lr, %[count], 2f\n"
                   "1:\n"
                   "vldrb.8 q0, [%[x]], #16\n"
                   "vmladava.s8 %[squares], q0, q0\n"
                   "vaddva.s8 %[sum], q0\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : [sum] "+Te"(sum), [squares] "+Te"(squares), [x] "+l"(x)
                   : [count] "r"(count)
                   : "q0", "lr", "cc", "memory");
  return (int32_t)((uint32_t)squares + (uint32_t)(zero * (depth * zero - 2 * sum)));
#else
  for (; count > 0; --count, ++x) {
    sum += (*x - zero) * (*x - zero);
  }
  return sum;
#endif
}

/* Divides `rows` rows of `depth` values by their Euclidean norms: out = clamp((x - zero) * 2^before
 * * root * 2^(shift + after - 31)), with two roundings, where root and shift are those of 1 / sqrt
 * of the sum of squares; `out` may be `x`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_normalize(const int8_t *x, int8_t *out, int32_t rows,
                                              int32_t depth, int32_t zero, int32_t before,
                                              int32_t after)
{
  for (; rows > 0; --rows, x += depth, out += depth) {
    const int32_t sum = tvmtiny_mve_squares(x, depth, zero);
    const int32_t root = tvmtiny_inverse_sqrt(sum);
    const int32_t shift = tvmtiny_inverse_sqrt_shift(sum) + after;
    int32_t i;
#if TVMTINY_MVE
    const int32_t left = shift > 0 ? shift + before : before;
    const int32_t right = shift > 0 ? 0 : shift;
    for (i = 0; i < depth; i += 4) {
      const mve_pred16_t some = vctp32q((uint32_t)(depth - i));
      int32x4_t value = vshlq_r_s32(vsubq_n_s32(vldrbq_z_s32(x + i, some), zero), left);
      value = vqrdmulhq_n_s32(value, root);
      if (right < 0) {
        value = vrshlq_n_s32(vaddq_s32(value, vshrq_n_s32(value, 31)), right);
      }
      value = vmaxq_s32(vminq_s32(value, vdupq_n_s32(127)), vdupq_n_s32(-128));
      vstrbq_p_s32(out + i, value, some);
    }
#else
    for (i = 0; i < depth; ++i) {
      const int32_t value = tvmtiny_requantize((x[i] - zero) * (1 << before), root, shift);
      out[i] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
    }
#endif
  }
}

#endif /* TVMTINY_MVE_NORM_H */
