/* Shared parts of the micro-kernels for RISC-V with 32 integer registers of 32 bits and
 * multiplication (RV32IM). They are assembly. On other cores, or with TVMTINY_PORTABLE, portable
 * twins give the same results. */
#ifndef TVMTINY_RISCV_H
#define TVMTINY_RISCV_H

#include <limits.h>

#include "tvmtiny.h"

#if INT_MAX < 2147483647
#error "tvmtiny: the kernels for RISC-V need an int of 32 bits: compile the model for another CPU, such as cortex-m0"
#endif

#if defined(__riscv_xlen) && defined(__riscv_mul) && !defined(__riscv_32e) && !defined(__riscv_e) &&   \
    (defined(__GNUC__) || defined(__clang__)) && !defined(TVMTINY_PORTABLE)
#if __riscv_xlen == 32
#define TVMTINY_RV32 1
#else
#define TVMTINY_RV32 0
#endif
#else
#define TVMTINY_RV32 0
#endif

#if TVMTINY_RV32 && defined(__clang__)
/* The assembly is longer than 4095 characters, the limit of string literals in C99. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_RISCV_INLINE static inline TVMTINY_UNUSED

/* Words of the stream that requantization takes after the initial accumulator. */
#define TVMTINY_RISCV_PLAIN 1
#define TVMTINY_RISCV_SIGNED 3

#if TVMTINY_RV32

/* Defines a function in assembly with at most eight arguments. The clobbers are for GCC's -fipa-ra,
 * which relies on what it sees of a local function. */
#define TVMTINY_RISCV_FUNCTION(NAME, PARAMETERS, BODY)                                                \
  static __attribute__((naked, noinline)) TVMTINY_UNUSED void NAME PARAMETERS                         \
  {                                                                                                   \
    __asm__ volatile(" addi sp, sp, -64\n sw ra, 0(sp)\n sw s0, 4(sp)\n sw s1, 8(sp)\n sw s2, 12(sp)\n" \
                     " sw s3, 16(sp)\n sw s4, 20(sp)\n sw s5, 24(sp)\n sw s6, 28(sp)\n"               \
                     " sw s7, 32(sp)\n sw s8, 36(sp)\n sw s9, 40(sp)\n sw s10, 44(sp)\n"              \
                     " sw s11, 48(sp)\n" BODY                                                         \
                     " lw ra, 0(sp)\n lw s0, 4(sp)\n lw s1, 8(sp)\n lw s2, 12(sp)\n"                  \
                     " lw s3, 16(sp)\n lw s4, 20(sp)\n lw s5, 24(sp)\n lw s6, 28(sp)\n"               \
                     " lw s7, 32(sp)\n lw s8, 36(sp)\n lw s9, 40(sp)\n lw s10, 44(sp)\n"              \
                     " lw s11, 48(sp)\n addi sp, sp, 64\n ret\n" ::                                   \
                         : "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "a2", "a3",    \
                           "a4", "a5", "a6", "a7", "memory");                                         \
  }

/* Adds a constant to a register. */
#define TVMTINY_RISCV_ADD(REGISTER, NUMBER, SCRATCH)                                                  \
  ".if (" NUMBER ") >= -2048 && (" NUMBER ") < 2048\n addi " REGISTER ", " REGISTER ", (" NUMBER ")\n" \
  ".else\n li " SCRATCH ", (" NUMBER ")\n add " REGISTER ", " REGISTER ", " SCRATCH "\n.endif\n"

/* Loads the constants of a channel and advances a1 past them: t2 gets the address of its output
 * (the channel's number plus a2), t0 the initial accumulator, t1 the multiplier, and t3 and t4 the
 * offset and the step. */
#define TVMTINY_RISCV_CONSTANTS_PLAIN                                                                 \
  " lw t2, 0(a1)\n lw t0, 4(a1)\n lw t1, 8(a1)\n addi a1, a1, 12\n add t2, t2, a2\n"
#define TVMTINY_RISCV_CONSTANTS_SIGNED                                                                \
  " lw t2, 0(a1)\n lw t0, 4(a1)\n lw t1, 8(a1)\n lw t3, 12(a1)\n lw t4, 16(a1)\n addi a1, a1, 20\n add t2, t2, a2\n"
#define TVMTINY_RISCV_SCALE_PLAIN(ACC) " mulh " ACC ", " ACC ", t1\n"
#define TVMTINY_RISCV_SCALE_SIGNED(ACC)                                                               \
  " srai a7, " ACC ", 31\n and a7, a7, t4\n add a7, a7, t3\n mulh " ACC ", " ACC ", t1\n add " ACC      \
  ", " ACC ", a7\n"
/* TVMTINY_RISCV_LIMIT sets up t5 and, with Zbb, t6 for TVMTINY_RISCV_CLAMP. */
#if defined(__riscv_zbb)
#define TVMTINY_RISCV_LIMIT " li t5, 127\n li t6, -128\n"
#define TVMTINY_RISCV_CLAMP(ACC) " min " ACC ", " ACC ", t5\n max " ACC ", " ACC ", t6\n"
#else
#define TVMTINY_RISCV_LIMIT " li t5, 255\n"
#define TVMTINY_RISCV_CLAMP(ACC)                                                                      \
  " addi a7, " ACC ", 128\n bgeu t5, a7, 9f\n srai " ACC ", " ACC ", 31\n xori " ACC ", " ACC ", 127\n9:\n"
#endif
/* Requantizes an accumulator and stores the byte. */
#define TVMTINY_RISCV_OUTPUT(ACC, SHIFT, ROUNDING, AT)                                                \
  TVMTINY_RISCV_SCALE_##ROUNDING(ACC) " srai " ACC ", " ACC ", " SHIFT "\n" TVMTINY_RISCV_CLAMP(ACC)  \
  " sb " ACC ", " AT "\n"

/* Turns a sum into the output of a channel. */
#define TVMTINY_RISCV_CHANNEL(SUM, SHIFT, ROUNDING)                                                   \
  TVMTINY_RISCV_CONSTANTS_##ROUNDING " slli " SUM ", " SUM ", 8\n add " SUM ", " SUM ", t0\n"         \
  TVMTINY_RISCV_OUTPUT(SUM, SHIFT, ROUNDING, "0(t2)")

#endif

/* sum + a * b, modulo 2^32. */
TVMTINY_RISCV_INLINE uint32_t tvmtiny_riscv_add(uint32_t sum, int32_t a, int32_t b)
{
  return sum + (uint32_t)a * (uint32_t)b;
}

/* (acc * multiplier >> 32) >> shift, saturated. `constants` holds the multiplier. If positive and
 * negative sums are rounded differently, an offset and a step follow; the offset is added before
 * the shift, and the step as well for negative sums. */
TVMTINY_RISCV_INLINE int8_t tvmtiny_riscv_output(int32_t acc, const int32_t *constants, int32_t rounding,
                                                 int32_t shift)
{
  int32_t value = (int32_t)(((int64_t)acc * constants[0]) >> 32);
  if (rounding == TVMTINY_RISCV_SIGNED) {
    value += constants[1] + (acc < 0 ? constants[2] : 0);
  }
  return (int8_t)tvmtiny_saturate(value >> shift);
}

#endif /* TVMTINY_RISCV_H */
