/* Common ground of tvmtiny's micro-kernels for Arm cores without the DSP extension: assembly for Armv7-M
 * (Cortex-M3) and Armv8-M Mainline, and for Armv6-M (Cortex-M0) where that pays. Elsewhere, or with
 * TVMTINY_PORTABLE, portable twins give the same results. */
#ifndef TVMTINY_THUMB_H
#define TVMTINY_THUMB_H

#include "tvmtiny.h"

#if defined(__thumb2__) && defined(__ARM_FEATURE_SAT) && (defined(__GNUC__) || defined(__clang__)) && \
    !defined(TVMTINY_PORTABLE)
#define TVMTINY_THUMB2 1
#else
#define TVMTINY_THUMB2 0
#endif

#if defined(__thumb__) && !defined(__thumb2__) && (defined(__GNUC__) || defined(__clang__)) &&          \
    !defined(TVMTINY_PORTABLE)
#define TVMTINY_THUMB1 1
#else
#define TVMTINY_THUMB1 0
#endif

#if (TVMTINY_THUMB1 || TVMTINY_THUMB2) && defined(__clang__)
/* Assembly of more than 4095 characters, up to which C99 asks for string literals. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_THUMB_INLINE static inline TVMTINY_UNUSED
#define TVMTINY_THUMB_STRING_(text) #text
#define TVMTINY_THUMB_STRING(text) TVMTINY_THUMB_STRING_(text)

/* Words of the stream that requantization takes beside the initial accumulator. */
#define TVMTINY_THUMB_PLAIN 1
#define TVMTINY_THUMB_SIGNED 3

#if TVMTINY_THUMB1 || TVMTINY_THUMB2
/* A function in assembly. The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */
#define TVMTINY_THUMB_FUNCTION(NAME, PARAMETERS, BODY)                                               \
  static __attribute__((naked, noinline)) TVMTINY_UNUSED void NAME PARAMETERS                        \
  {                                                                                                  \
    __asm__ volatile(".syntax unified\n" BODY ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory"); \
  }
#endif

#if TVMTINY_THUMB2
/* Adds a constant from 0 on to a register, or subtracts it. */
#define TVMTINY_THUMB_STEP_(WHAT, REGISTER, NUMBER, SCRATCH)                                         \
  ".if (" NUMBER ") > 4095\n movw " SCRATCH ", #(" NUMBER ") & 0xffff\n.if (" NUMBER ") >> 16\n movt "    \
  SCRATCH ", #(" NUMBER ") >> 16\n.endif\n " WHAT " " REGISTER ", " REGISTER ", " SCRATCH            \
  "\n.elseif (" NUMBER ") > 0\n " WHAT "w " REGISTER ", " REGISTER ", #(" NUMBER ")\n.endif\n"
#define TVMTINY_THUMB_ADD(REGISTER, NUMBER, SCRATCH) TVMTINY_THUMB_STEP_("add", REGISTER, NUMBER, SCRATCH)
#define TVMTINY_THUMB_SUBTRACT(REGISTER, NUMBER, SCRATCH)                                            \
  TVMTINY_THUMB_STEP_("sub", REGISTER, NUMBER, SCRATCH)

#endif

/* sum + a * b, modulo 2^32. */
TVMTINY_THUMB_INLINE uint32_t tvmtiny_thumb_add(uint32_t sum, int32_t a, int32_t b)
{
  return sum + (uint32_t)a * (uint32_t)b;
}

/* The upper word of a product of 64 bits; from products of 32 bits, where there are no others (Cortex-M0). */
TVMTINY_THUMB_INLINE int32_t tvmtiny_thumb_high(int32_t a, int32_t b)
{
#if TVMTINY_THUMB2
  return (int32_t)(((int64_t)a * b) >> 32);
#else
  const int32_t a_low = (int32_t)((uint32_t)a & 0xffffu);
  const int32_t b_low = (int32_t)((uint32_t)b & 0xffffu);
  const int32_t a_high = a >> 16;
  const int32_t b_high = b >> 16;
  const int32_t carry = (int32_t)(((uint32_t)a_low * (uint32_t)b_low) >> 16);
  const int32_t middle = a_high * b_low + carry;
  const int32_t rest = a_low * b_high + (int32_t)((uint32_t)middle & 0xffffu);
  return a_high * b_high + (middle >> 16) + (rest >> 16);
#endif
}

/* (acc * multiplier >> 32) >> shift, saturated. `constants` is the multiplier and, where positive and negative
 * sums are rounded differently, an offset, which is added before the shift, and a step, which is added too
 * below zero. */
TVMTINY_THUMB_INLINE int8_t tvmtiny_thumb_output(int32_t acc, const int32_t *constants, int32_t rounding,
                                                 int32_t shift)
{
  int32_t value = tvmtiny_thumb_high(acc, constants[0]);
  if (rounding == TVMTINY_THUMB_SIGNED) {
    value += constants[1] + (acc < 0 ? constants[2] : 0);
  }
  return (int8_t)tvmtiny_saturate(value >> shift);
}

#endif /* TVMTINY_THUMB_H */
