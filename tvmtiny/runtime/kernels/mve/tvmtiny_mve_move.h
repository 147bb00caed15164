/* Helium kernels of operators that only move elements. */
#ifndef TVMTINY_MVE_MOVE_H
#define TVMTINY_MVE_MOVE_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

TVMTINY_MVE_INLINE void tvmtiny_mve_move(void *out, const void *x, int32_t bytes)
{
  tvmtiny_mve_copy((int8_t *)out, (const int8_t *)x, bytes);
}

TVMTINY_MVE_INLINE void tvmtiny_mve_set(void *out, int32_t value, int32_t bytes)
{
  tvmtiny_mve_fill((int8_t *)out, value, bytes);
}

/* Copies `rows` runs of `bytes` bytes, which are `down` bytes apart in `out` and `on` in `x`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_move_rows(void *out, const void *x, int32_t rows, int32_t bytes,
                                              int32_t down, int32_t on)
{
  int8_t *to = (int8_t *)out;
  const int8_t *from = (const int8_t *)x;
#if TVMTINY_MVE
  if (bytes <= 16) {
    const mve_pred16_t some = vctp8q((uint32_t)bytes);
    for (; rows > 0; --rows, to += down, from += on) {
      vstrbq_p_s8(to, vldrbq_z_s8(from, some), some);
    }
    return;
  }
#endif
  for (; rows > 0; --rows, to += down, from += on) {
    tvmtiny_mve_copy(to, from, bytes);
  }
}

/* Copies `count` elements of TYPE, which are `write` elements apart in `out` and `read` in `x`.
 * LANES of BITS hold the offsets, each of which is below 2^BITS. LOAD and STORE are the
 * instructions for an element, SCALE is the shift of offsets. */
#if TVMTINY_MVE

#define TVMTINY_MVE_MOVE_ELEMENTS(NAME, TYPE, BITS, LANES, LOAD, STORE, SCALE)                     \
  TVMTINY_MVE_INLINE void NAME(void *out, const void *x, int32_t count, int32_t write, int32_t read) \
  {                                                                                                \
    TYPE *to = (TYPE *)out;                                                                        \
    const TYPE *from = (const TYPE *)x;                                                            \
    int32_t first = 0;                                                                             \
    __asm__ volatile("vidup.u" #BITS " q2, %[first], #1\n"                                         \
                     "vmul.i" #BITS " q1, q2, %[read]\n"                                           \
                     "vmul.i" #BITS " q2, q2, %[write]\n"                                          \
                     "wlstp." #BITS " lr, %[count], 2f\n"                                          \
                     "1:\n" LOAD " q0, [%[from], q1" SCALE "]\n"                                   \
                     "add %[from], %[from], %[on]\n" STORE " q0, [%[to], q2" SCALE "]\n"           \
                     "add %[to], %[to], %[down]\n"                                                 \
                     "letp lr, 1b\n"                                                               \
                     "2:\n"                                                                        \
                     : [to] "+l"(to), [from] "+l"(from), [first] "+Te"(first)                      \
                     : [count] "r"(count), [read] "r"(read), [write] "r"(write),                   \
                       [on] "r"(read * (LANES) * (int32_t)sizeof(TYPE)),                           \
                       [down] "r"(write * (LANES) * (int32_t)sizeof(TYPE))                         \
                     : "q0", "q1", "q2", "lr", "cc", "memory");                                    \
  }

#else

#define TVMTINY_MVE_MOVE_ELEMENTS(NAME, TYPE, BITS, LANES, LOAD, STORE, SCALE)                     \
  TVMTINY_MVE_INLINE void NAME(void *out, const void *x, int32_t count, int32_t write, int32_t read) \
  {                                                                                                \
    TYPE *to = (TYPE *)out;                                                                        \
    const TYPE *from = (const TYPE *)x;                                                            \
    for (; count > 0; --count, to += write, from += read) {                                        \
      *to = *from;                                                                                 \
    }                                                                                              \
  }

#endif

TVMTINY_MVE_MOVE_ELEMENTS(tvmtiny_mve_move_1, int8_t, 16, 8, "vldrb.u16", "vstrb.16", "")
TVMTINY_MVE_MOVE_ELEMENTS(tvmtiny_mve_move_2, int16_t, 16, 8, "vldrh.u16", "vstrh.16", ", uxtw #1")

#endif /* TVMTINY_MVE_MOVE_H */
