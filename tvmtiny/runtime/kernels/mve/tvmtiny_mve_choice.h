/* Helium micro-kernels of MAXIMUM, MINIMUM and comparisons. */
#ifndef TVMTINY_MVE_CHOICE_H
#define TVMTINY_MVE_CHOICE_H

#include "tvmtiny_mve.h"

/* Instantiates NAME(a, b, out, count): out = RELATION of `a` and `b`: max, min, or whether the
 * relation holds. ONCE is 1 if all elements use the same element of `b`. Without a left shift,
 * integers are used unchanged; otherwise they become (value * 2^LEFT + ZERO) * FACTOR *
 * 2^(SHIFT - 31), with two roundings. `out` may be `a` or `b` if it has the same size. */
#if TVMTINY_MVE

#define TVMTINY_MVE_CHOICE(NAME, TYPE, RESULT, RELATION, ONCE, LEFT, ZA, FA, SA, ZB, FB, SB, TEXT) \
  TVMTINY_MVE_FUNCTION(NAME,                                                                       \
                       (const TYPE *a TVMTINY_UNUSED, const TYPE *b TVMTINY_UNUSED,                \
                        RESULT *out TVMTINY_UNUSED, int32_t count TVMTINY_UNUSED),                 \
                       TEXT)

#else

#define TVMTINY_MVE_RELATION_max(A, B) ((A) > (B) ? (A) : (B))
#define TVMTINY_MVE_RELATION_min(A, B) ((A) < (B) ? (A) : (B))
#define TVMTINY_MVE_RELATION_eq(A, B) ((A) == (B))
#define TVMTINY_MVE_RELATION_ne(A, B) ((A) != (B))
#define TVMTINY_MVE_RELATION_lt(A, B) ((A) < (B))
#define TVMTINY_MVE_RELATION_le(A, B) ((A) <= (B))
#define TVMTINY_MVE_RELATION_gt(A, B) ((A) > (B))
#define TVMTINY_MVE_RELATION_ge(A, B) ((A) >= (B))

TVMTINY_MVE_INLINE int32_t tvmtiny_mve_compared(int32_t value, int32_t left, int32_t zero,
                                                int32_t factor, int32_t shift)
{
  return left == 0 ? value
                   : tvmtiny_requantize(value * (int32_t)(UINT32_C(1) << left) + zero, factor, shift);
}

#define TVMTINY_MVE_CHOICE(NAME, TYPE, RESULT, RELATION, ONCE, LEFT, ZA, FA, SA, ZB, FB, SB, TEXT) \
  static void NAME(const TYPE *a, const TYPE *b, RESULT *out, int32_t count)                       \
  {                                                                                                \
    for (; count > 0; --count, b += 1 - (ONCE)) {                                                  \
      const int32_t x = tvmtiny_mve_compared(*a++, LEFT, ZA, FA, SA);                              \
      const int32_t y = tvmtiny_mve_compared(*b, LEFT, ZB, FB, SB);                                \
      *out++ = (RESULT)TVMTINY_MVE_RELATION_##RELATION(x, y);                                      \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_MVE_CHOICE_H */
