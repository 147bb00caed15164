/* Clamping of int8 outputs to the range of an activation, by vectors. */
#ifndef TVMTINY_MVE_CLAMP_H
#define TVMTINY_MVE_CLAMP_H

#include "tvmtiny_mve.h"

/* Clamps `count` bytes to `low` and `high`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_clamp_bytes(int8_t *x, int32_t count, int32_t low, int32_t high)
{
#if TVMTINY_MVE
  __asm__ volatile("vdup.8 q1, %[low]\n"
                   "vdup.8 q2, %[high]\n"
                   "wlstp.8 lr, %[count], 2f\n"
                   "1:\n"
                   "vldrb.8 q0, [%[x]]\n"
                   "vmax.s8 q0, q0, q1\n"
                   "vmin.s8 q0, q0, q2\n"
                   "vstrb.8 q0, [%[x]], #16\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : [x] "+r"(x)
                   : [count] "r"(count), [low] "r"(low), [high] "r"(high)
                   : "q0", "q1", "q2", "lr", "cc", "memory");
#else
  for (; count > 0; --count, ++x) {
    *x = (int8_t)(*x > high ? high : *x < low ? low : *x);
  }
#endif
}

#endif /* TVMTINY_MVE_CLAMP_H */
