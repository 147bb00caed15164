/* Shared parts of the micro-kernels for cores with the DSP extension (Armv7E-M, Armv8-M).
 * On other cores, or with TVMTINY_PORTABLE, portable twins give the same results. */
#ifndef TVMTINY_DSP_H
#define TVMTINY_DSP_H

#include <limits.h>

#include "tvmtiny.h"

#if INT_MAX < 2147483647
#error "The kernels for the DSP extension need an int of 32 bits: compile the model for a target without it, such as cortex-m0."
#endif

#if defined(__ARM_FEATURE_DSP) && (defined(__GNUC__) || defined(__clang__)) &&                     \
    !defined(TVMTINY_PORTABLE)
#define TVMTINY_DSP 1
#else
#define TVMTINY_DSP 0
#if defined(__arm__) && !defined(TVMTINY_PORTABLE)
#pragma message(                                                                                       \
    "tvmtiny: this compiler may not use the DSP extension, so slow portable code runs: give -mcpu of the processor that the model was compiled for, or define TVMTINY_PORTABLE")
#endif
#endif

#if TVMTINY_DSP && defined(__clang__)
/* The assembly is longer than 4095 characters, the limit of string literals in C99. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_INLINE static inline TVMTINY_UNUSED
#define TVMTINY_STRING_(text) #text
#define TVMTINY_STRING(text) TVMTINY_STRING_(text)

/* ---- Words of two int16 lanes ------------------------------------------------------------- */

TVMTINY_INLINE uint32_t tvmtiny_lanes(int32_t low, int32_t high)
{
  return ((uint32_t)low & 0xffffu) | ((uint32_t)high << 16);
}

/* Loads four bytes from any address. The cast goes through an integer, because an array cannot be
 * const in C99, and GCC would warn that the const of its elements is lost. */
TVMTINY_INLINE uint32_t tvmtiny_load4(const int8_t *source)
{
#if TVMTINY_DSP
  uint32_t word;
  __asm__("ldr %0, %1" : "=r"(word) : "m"(*(const uint8_t(*)[4])(uintptr_t)source));
  return word;
#else
  const uint8_t *bytes = (const uint8_t *)source;
  return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) |
         ((uint32_t)bytes[3] << 24);
#endif
}

/* Sign-extends bytes 0 and 2. */
TVMTINY_INLINE uint32_t tvmtiny_sxtb16(uint32_t word)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("sxtb16 %0, %1" : "=r"(lanes) : "r"(word));
  return lanes;
#else
  return tvmtiny_lanes((int8_t)(word & 0xffu), (int8_t)((word >> 16) & 0xffu));
#endif
}

/* Sign-extends bytes 1 and 3. */
TVMTINY_INLINE uint32_t tvmtiny_sxtb16_odd(uint32_t word)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(lanes) : "r"(word));
  return lanes;
#else
  return tvmtiny_sxtb16(word >> 8);
#endif
}

/* Adds the sign-extended bytes 0 and 2 to two lanes. */
TVMTINY_INLINE uint32_t tvmtiny_sxtab16(uint32_t lanes, uint32_t word)
{
#if TVMTINY_DSP
  uint32_t sum;
  __asm__("sxtab16 %0, %1, %2" : "=r"(sum) : "r"(lanes), "r"(word));
  return sum;
#else
  const uint32_t bytes = tvmtiny_sxtb16(word);
  return ((lanes + bytes) & 0xffffu) | ((lanes & 0xffff0000u) + (bytes & 0xffff0000u));
#endif
}

TVMTINY_INLINE uint32_t tvmtiny_ssub16(uint32_t a, uint32_t b)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("ssub16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));
  return lanes;
#else
  return ((a - b) & 0xffffu) | ((a & 0xffff0000u) - (b & 0xffff0000u));
#endif
}

/* acc plus the products of both lanes. */
TVMTINY_INLINE int32_t tvmtiny_smlad(uint32_t a, uint32_t b, int32_t acc)
{
#if TVMTINY_DSP
  int32_t sum;
  __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
  return sum;
#else
  const int32_t low = (int32_t)(int16_t)(a & 0xffffu) * (int16_t)(b & 0xffffu);
  const int32_t high = (int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16);
  return (int32_t)((uint32_t)acc + (uint32_t)low + (uint32_t)high);
#endif
}

#endif /* TVMTINY_DSP_H */
