/* Helium kernels of functions of int8 by a table, and of SOFTMAX. */
#ifndef TVMTINY_MVE_ROWS_H
#define TVMTINY_MVE_ROWS_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Looks up `count` values in a table, whose order is 0 to 127, -128 to -1; `out` may be `x`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_look_up(const int8_t *x, const int8_t *table, int8_t *out,
                                            int32_t count)
{
#if TVMTINY_MVE
  __asm__ volatile("wlstp.8 lr, %2, 2f\n"
                   "1:\n"
                   "vldrb.8 q0, [%0], #16\n"
                   "vldrb.u8 q1, [%3, q0]\n"
                   "vstrb.8 q1, [%1], #16\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : "+r"(x), "+r"(out)
                   : "r"(count), "r"(table)
                   : "q0", "q1", "lr", "cc", "memory");
#else
  while (count-- > 0) {
    *out++ = table[(uint8_t)*x++];
  }
#endif
}

/* Computes `rows` rows of `depth` values. `table` has the exponentials of the differences 0, -1 ..
 * to a row's largest value, with 31 fractional bits, and a 0 at `last` for all values further
 * below. `out` may be `x`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_softmax(const int8_t *x, const int32_t *table, int8_t *out,
                                            int32_t rows, int32_t depth, int32_t last)
{
  for (; rows > 0; --rows, x += depth, out += depth) {
    int32_t top = -128;
    uint32_t sum = 0u;
    int32_t headroom;
    int32_t reciprocal;
    int32_t i;
#if TVMTINY_MVE
    const uint32x4_t end = vdupq_n_u32((uint32_t)last);
    int8_t most = -128;
    int32x4_t tops;
    for (i = 0; i < depth; i += 16) {
      const mve_pred16_t some = vctp8q((uint32_t)(depth - i));
      most = vmaxvq_p_s8(most, vldrbq_z_s8(x + i, some), some);
    }
    top = (int32_t)most;
    tops = vdupq_n_s32(top);
    for (i = 0; i < depth; i += 4) {
      const mve_pred16_t some = vctp32q((uint32_t)(depth - i));
      const int32x4_t below = vsubq_s32(tops, vldrbq_z_s32(x + i, some));
      const uint32x4_t place = vminq_u32(vreinterpretq_u32_s32(below), end);
      const int32x4_t power = vldrwq_gather_shifted_offset_z_s32(table, place, some);
      sum = vaddvaq_p_u32(sum, vreinterpretq_u32_s32(vrshrq_n_s32(power, 12)), some);
    }
#else
    for (i = 0; i < depth; ++i) {
      top = x[i] > top ? x[i] : top;
    }
    for (i = 0; i < depth; ++i) {
      const int32_t below = top - x[i];
      sum += ((uint32_t)table[below < last ? below : last] + 2048u) >> 12;
    }
#endif
    headroom = tvmtiny_softmax_headroom((int32_t)sum);
    /* LiteRT aborts for sums of 512 and more; here all outputs are 0, as none exceeds 1/512. */
    reciprocal = headroom < 4 ? 0 : tvmtiny_softmax_reciprocal((int32_t)sum, headroom);
#if TVMTINY_MVE
    for (i = 0; i < depth; i += 4) {
      const mve_pred16_t some = vctp32q((uint32_t)(depth - i));
      const int32x4_t below = vsubq_s32(tops, vldrbq_z_s32(x + i, some));
      const uint32x4_t place = vminq_u32(vreinterpretq_u32_s32(below), end);
      int32x4_t share = vldrwq_gather_shifted_offset_z_s32(table, place, some);
      share = vrshlq_n_s32(vqrdmulhq_n_s32(share, reciprocal), headroom - 35);
      share = vminq_s32(vaddq_n_s32(share, -128), vdupq_n_s32(127));
      vstrbq_p_s32(out + i, share, some);
    }
#else
    for (i = 0; i < depth; ++i) {
      const int32_t below = top - x[i];
      const int32_t power = table[below < last ? below : last];
      const int32_t share = tvmtiny_softmax_output(power, reciprocal, headroom) - 128;
      out[i] = (int8_t)(share > 127 ? 127 : share);
    }
#endif
  }
}

#endif /* TVMTINY_MVE_ROWS_H */
