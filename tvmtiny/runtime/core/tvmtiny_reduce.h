/* Reductions whose result depends on the order of the elements. C99, freestanding, no state. */
#ifndef TVMTINY_REDUCE_H
#define TVMTINY_REDUCE_H

#include "tvmtiny.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the offset of element `number` of the dimensions from `first` to `end`. `dims` holds the
 * size of each dimension and the distance between its neighbours, in elements. */
static inline int32_t TVMTINY_UNUSED tvmtiny_reduce_place(const int32_t *dims, int32_t first, int32_t end, int32_t number)
{
  int32_t place = 0;
  for (int32_t k = end - 1; k >= first; --k) {
    place += number % dims[2 * k] * dims[2 * k + 1];
    number /= dims[2 * k];
  }
  return place;
}

/* Products over all dimensions after the first `kept` of `rank`; each product of two numbers is
 * scaled. */
#define TVMTINY_REDUCE_PROD(name, type, least, most)                                                                       \
  static inline void TVMTINY_UNUSED name(const type *x, const int32_t *dims, type *out, int32_t kept, int32_t rank,        \
                                         int32_t outputs, int32_t count, int32_t multiplier, int32_t shift,                \
                                         int32_t zero_point, int32_t out_zero_point)                                       \
  {                                                                                                                        \
    for (int32_t o = 0; o < outputs; ++o) {                                                                                \
      const type *const first = x + tvmtiny_reduce_place(dims, 0, kept, o);                                                \
      int32_t product = first[0] - zero_point;                                                                             \
      for (int32_t i = 1; i < count; ++i) {                                                                                \
        const int32_t factor = first[tvmtiny_reduce_place(dims, kept, rank, i)] - zero_point;                              \
        product = tvmtiny_requantize_wide((int64_t)product * factor, multiplier, shift);                                   \
      }                                                                                                                    \
      product = tvmtiny_requantize_wide(product, multiplier, shift) + out_zero_point;                                      \
      out[o] = (type)(product > (most) ? (most) : product < (least) ? (least) : product);                                  \
    }                                                                                                                      \
  }

TVMTINY_REDUCE_PROD(tvmtiny_reduce_prod_int8, int8_t, -128, 127)
TVMTINY_REDUCE_PROD(tvmtiny_reduce_prod_int16, int16_t, -32768, 32767)

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_REDUCE_H */
