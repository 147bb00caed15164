/* Shared parts of the micro-kernels for Arm cores without the DSP extension. They are assembly for
 * Armv7-M (Cortex-M3) and Armv8-M Mainline, and for Armv6-M (Cortex-M0) where that pays. On other
 * cores, or with TVMTINY_PORTABLE, portable twins give the same results. */
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
/* The assembly is longer than 4095 characters, the limit of string literals in C99. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_THUMB_INLINE static inline TVMTINY_UNUSED

#define TVMTINY_THUMB_STRING_(text) #text
#define TVMTINY_THUMB_STRING(text) TVMTINY_THUMB_STRING_(text)

/* Words of the stream that requantization takes after the initial accumulator. */
#define TVMTINY_THUMB_PLAIN 1
#define TVMTINY_THUMB_SIGNED 3

#if TVMTINY_THUMB1 || TVMTINY_THUMB2
/* Defines a function in assembly. The clobbers are for GCC's -fipa-ra, which relies on what it sees
 * of a local function. */
#define TVMTINY_THUMB_FUNCTION(NAME, PARAMETERS, BODY)                                               \
  TVMTINY_THUMB_FUNCTION_OF(void, NAME, PARAMETERS, BODY)
#define TVMTINY_THUMB_FUNCTION_OF(TYPE, NAME, PARAMETERS, BODY)                                      \
  static __attribute__((naked, noinline)) TVMTINY_UNUSED TYPE NAME PARAMETERS                        \
  {                                                                                                  \
    __asm__ volatile(".syntax unified\n" BODY ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory"); \
  }
#endif

#if TVMTINY_THUMB2
/* Adds a nonnegative constant to a register, or subtracts it. */
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

/* The upper word of a 64-bit product; computed from 32-bit products on cores that have no others
 * (Cortex-M0). */
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

/* (acc * multiplier >> 32) >> shift, saturated. `constants` holds the multiplier. If positive and
 * negative sums are rounded differently, an offset and a step follow; the offset is added before
 * the shift, and the step as well for negative sums. */
TVMTINY_THUMB_INLINE int8_t tvmtiny_thumb_output(int32_t acc, const int32_t *constants, int32_t rounding,
                                                 int32_t shift)
{
  int32_t value = tvmtiny_thumb_high(acc, constants[0]);
  if (rounding == TVMTINY_THUMB_SIGNED) {
    value += constants[1] + (acc < 0 ? constants[2] : 0);
  }
  return (int8_t)tvmtiny_saturate(value >> shift);
}

/* tvmtiny_thumb_finish_PLAIN and tvmtiny_thumb_finish_SIGNED(constants, sums, out, count, pitch,
 * shift) turn `count` sums into outputs that are `pitch` bytes apart. `constants` points to the
 * words after the initial accumulator. They return the address of the next output. */
#if TVMTINY_THUMB1

/* r0 out, r1 sums, r2 r3 the lower and upper half of the multiplier, r4 a sum, r5-r7 scratch, r12
 * the end of the sums, lr pitch. Stack: with SIGNED the offset and the step, which are added before
 * the shift, the step only to negative sums; r4-r7, lr, pitch, shift. */
#define TVMTINY_THUMB_FINISH_LOAD_PLAIN ".set tvmtiny_finish, 20\n"
#define TVMTINY_THUMB_FINISH_LOAD_SIGNED                                                             \
  ".set tvmtiny_finish, 28\n ldr r4, [r0, #8]\n ldr r5, [r0, #12]\n push {r4, r5}\n"
#define TVMTINY_THUMB_FINISH_ROUND_PLAIN
#define TVMTINY_THUMB_FINISH_ROUND_SIGNED                                                            \
  " asrs r6, r4, #31\n ldr r5, [sp, #4]\n ands r6, r6, r5\n adds r7, r7, r6\n ldr r5, [sp]\n adds r7, r7, r5\n"
#define TVMTINY_THUMB_FINISH(ROUNDING)                                                               \
  TVMTINY_THUMB_FUNCTION_OF(                                                                         \
      int8_t *, tvmtiny_thumb_finish_##ROUNDING,                                                     \
      (const int32_t *constants TVMTINY_UNUSED, const uint32_t *sums TVMTINY_UNUSED, int8_t *out TVMTINY_UNUSED, \
       int32_t count TVMTINY_UNUSED, int32_t pitch TVMTINY_UNUSED, int32_t shift TVMTINY_UNUSED),    \
      " push {r4-r7, lr}\n" TVMTINY_THUMB_FINISH_LOAD_##ROUNDING                                     \
      " lsls r3, r3, #2\n adds r3, r3, r1\n mov r12, r3\n ldr r4, [sp, #tvmtiny_finish]\n mov lr, r4\n" \
      " ldr r4, [r0, #4]\n movs r0, r2\n uxth r2, r4\n asrs r3, r4, #16\n"                           \
      "1:\n ldmia r1!, {r4}\n uxth r5, r4\n asrs r4, r4, #16\n movs r6, r5\n muls r6, r2, r6\n"      \
      " lsrs r6, r6, #16\n movs r7, r4\n muls r7, r2, r7\n adds r7, r7, r6\n muls r5, r3, r5\n"       \
      " uxth r6, r7\n adds r5, r5, r6\n asrs r7, r7, #16\n asrs r5, r5, #16\n adds r7, r7, r5\n"      \
      TVMTINY_THUMB_FINISH_ROUND_##ROUNDING " muls r4, r3, r4\n adds r7, r7, r4\n"                   \
      " ldr r5, [sp, #tvmtiny_finish + 4]\n asrs r7, r7, r5\n sxtb r4, r7\n cmp r4, r7\n beq 2f\n"    \
      " asrs r7, r7, #31\n movs r4, #127\n eors r4, r4, r7\n"                                        \
      "2:\n strb r4, [r0]\n add r0, lr\n cmp r1, r12\n bne 1b\n"                                     \
      ".if tvmtiny_finish > 20\n add sp, sp, #8\n.endif\n pop {r4-r7, pc}\n")
TVMTINY_THUMB_FINISH(PLAIN)
TVMTINY_THUMB_FINISH(SIGNED)

#else /* !TVMTINY_THUMB1 */

#define TVMTINY_THUMB_FINISH(ROUNDING)                                                               \
  TVMTINY_THUMB_INLINE int8_t *tvmtiny_thumb_finish_##ROUNDING(                                      \
      const int32_t *constants, const uint32_t *sums, int8_t *out, int32_t count, int32_t pitch, int32_t shift) \
  {                                                                                                  \
    const uint32_t *const end = sums + count;                                                        \
    do {                                                                                             \
      *out = tvmtiny_thumb_output((int32_t)*sums++, constants + 1, TVMTINY_THUMB_##ROUNDING, shift); \
      out += pitch;                                                                                  \
    } while (sums != end);                                                                           \
    return out;                                                                                      \
  }
TVMTINY_THUMB_FINISH(PLAIN)
TVMTINY_THUMB_FINISH(SIGNED)

#endif

#endif /* TVMTINY_THUMB_H */
