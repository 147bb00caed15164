/* Common definitions of tvmtiny's micro-kernels for cores with Helium (MVE: Armv8.1-M, Cortex-M55
 * and M85). On other cores, or with TVMTINY_PORTABLE, portable twins give the same results.
 *
 * Kernels read whole vectors only if all of their bytes belong to the buffer. */
#ifndef TVMTINY_MVE_H
#define TVMTINY_MVE_H

#include <limits.h>

#include "tvmtiny.h"

#if INT_MAX < 2147483647
#error "The kernels for Helium need an int of 32 bits: compile the model for a target without it, such as cortex-m0."
#endif

#if defined(__ARM_FEATURE_MVE) && (defined(__GNUC__) || defined(__clang__)) &&                     \
    !defined(TVMTINY_PORTABLE)
#define TVMTINY_MVE 1
#else
#define TVMTINY_MVE 0
#if defined(__arm__) && !defined(TVMTINY_PORTABLE)
#pragma message(                                                                                       \
    "tvmtiny: this compiler may not use Helium, so slow portable code runs: give -mcpu=cortex-m55 or -mcpu=cortex-m85 and -mfloat-abi=hard or softfp, or define TVMTINY_PORTABLE")
#endif
#endif

#if TVMTINY_MVE && defined(__clang__)
/* Assembly that is longer than the 4095 characters that C99 guarantees for string literals. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_MVE_INLINE static inline TVMTINY_UNUSED

#if TVMTINY_MVE

/* A function NAME that consists of assembly. The clobbers are for GCC's -fipa-ra, which relies on
 * the registers that a local function is seen to use. */
#define TVMTINY_MVE_FUNCTION(NAME, PARAMETERS, TEXT)                                               \
  static __attribute__((naked, noinline)) void NAME PARAMETERS                                     \
  {                                                                                                \
    __asm__ volatile(".syntax unified\n" TEXT ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc",       \
                     "memory");                                                                    \
  }

#else

#define TVMTINY_MVE_ROUNDING_PLAIN 0
#define TVMTINY_MVE_ROUNDING_SIGNED 1

/* (acc * multiplier >> 32) + offset, and below zero + step, shifted right and saturated to int8. */
TVMTINY_MVE_INLINE int8_t tvmtiny_mve_scale(int32_t acc, int32_t multiplier, int32_t offset,
                                            int32_t step, int32_t shift)
{
  int32_t value = (int32_t)(((int64_t)acc * multiplier) >> 32);
  value = (value + offset + (value < 0 ? step : 0)) >> shift;
  return (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

#endif

TVMTINY_MVE_INLINE void tvmtiny_mve_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
#if TVMTINY_MVE
  __asm__ volatile("wlstp.8 lr, %2, 2f\n"
                   "1:\n"
                   "vldrb.8 q0, [%1], #16\n"
                   "vstrb.8 q0, [%0], #16\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : "+r"(to), "+r"(from)
                   : "r"(bytes)
                   : "q0", "lr", "cc", "memory");
#else
  while (bytes-- > 0) {
    *to++ = *from++;
  }
#endif
}

TVMTINY_MVE_INLINE void tvmtiny_mve_fill(int8_t *to, int32_t value, int32_t bytes)
{
#if TVMTINY_MVE
  __asm__ volatile("vdup.8 q0, %1\n"
                   "wlstp.8 lr, %2, 2f\n"
                   "1:\n"
                   "vstrb.8 q0, [%0], #16\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : "+r"(to)
                   : "r"(value), "r"(bytes)
                   : "q0", "lr", "cc", "memory");
#else
  while (bytes-- > 0) {
    *to++ = (int8_t)value;
  }
#endif
}

#endif /* TVMTINY_MVE_H */
