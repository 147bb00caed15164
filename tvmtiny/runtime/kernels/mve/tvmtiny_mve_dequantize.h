/* Helium kernels of DEQUANTIZE, for cores with MVE-F. */
#ifndef TVMTINY_MVE_DEQUANTIZE_H
#define TVMTINY_MVE_DEQUANTIZE_H

#include "tvmtiny_mve_float.h"

/* Instantiates NAME(x, out, count, zero_point, scale): out = (x - zero_point) * scale. LOAD is an
 * instruction that loads four numbers of TYPE. Nonzero results must be normal numbers: vectors
 * flush subnormal numbers to 0. */
#if TVMTINY_MVE_FLOAT

#define TVMTINY_MVE_DEQUANTIZE(NAME, TYPE, LOAD)                                                   \
  static void NAME(const TYPE *x, float *out, int32_t count, int32_t zero_point, float scale)      \
  {                                                                                                \
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"                                                 \
                     "1:\n" LOAD "\n"                                                              \
                     "vsub.i32 q0, q0, %[zero_point]\n"                                            \
                     "vcvt.f32.s32 q0, q0\n"                                                       \
                     "vmul.f32 q0, q0, %[scale]\n"                                                 \
                     "vstrw.32 q0, [%[out]], #16\n"                                                \
                     "letp lr, 1b\n"                                                               \
                     "2:\n"                                                                        \
                     : [x] "+l"(x), [out] "+l"(out)                                                \
                     : [count] "r"(count), [zero_point] "r"(zero_point), [scale] "r"(scale)        \
                     : "q0", "lr", "cc", "memory");                                                \
  }

#else

#define TVMTINY_MVE_DEQUANTIZE(NAME, TYPE, LOAD)                                                   \
  static void NAME(const TYPE *x, float *out, int32_t count, int32_t zero_point, float scale)      \
  {                                                                                                \
    for (; count > 0; --count) {                                                                   \
      *out++ = (float)(*x++ - zero_point) * scale;                                                 \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_MVE_DEQUANTIZE_H */
