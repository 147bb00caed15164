/* Clamping of int8 outputs to the range of an activation, by vectors. */
#ifndef TVMTINY_RVV_CLAMP_H
#define TVMTINY_RVV_CLAMP_H

#include "tvmtiny_rvv.h"

/* Clamps `count` bytes, at least one, to `low` and `high`. */
#if TVMTINY_RVV
TVMTINY_RVV_FUNCTION(tvmtiny_rvv_clamp_bytes,
                     (int8_t *x TVMTINY_UNUSED, int32_t count TVMTINY_UNUSED,
                      int32_t low TVMTINY_UNUSED, int32_t high TVMTINY_UNUSED),
                     "1: vsetvli t0, a1, e8, m8, ta, ma\n"
                     "vle8.v v8, (a0)\n"
                     "vmax.vx v8, v8, a2\n"
                     "vmin.vx v8, v8, a3\n"
                     "vse8.v v8, (a0)\n"
                     "add a0, a0, t0\n"
                     "sub a1, a1, t0\n"
                     "bnez a1, 1b\n"
                     "ret\n")
#else
static TVMTINY_UNUSED void tvmtiny_rvv_clamp_bytes(int8_t *x, int32_t count, int32_t low,
                                                   int32_t high)
{
  for (; count > 0; --count, ++x) {
    *x = tvmtiny_rvv_clamp(*x, low, high);
  }
}
#endif

#endif /* TVMTINY_RVV_CLAMP_H */
