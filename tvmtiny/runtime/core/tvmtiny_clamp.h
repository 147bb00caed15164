/* Clamping of int8 outputs to the range of an activation. */
#ifndef TVMTINY_CLAMP_H
#define TVMTINY_CLAMP_H

#include "tvmtiny.h"

/* Clamps `count` bytes to `low` and `high`. */
static inline void TVMTINY_UNUSED tvmtiny_clamp_bytes(int8_t *x, int32_t count, int32_t low,
                                                      int32_t high)
{
  const int8_t *const end = x + count;
  while (x != end) {
    const int32_t value = *x;
    *x++ = (int8_t)(value > high ? high : value < low ? low : value);
  }
}

#endif /* TVMTINY_CLAMP_H */
