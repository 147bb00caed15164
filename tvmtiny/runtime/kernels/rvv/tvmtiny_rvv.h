/* Shared parts of the micro-kernels for RISC-V with vectors (RVV 1.0: V, or Zve32x with vectors of
 * at least 128 bits). On other cores, or with TVMTINY_PORTABLE, portable twins give the same
 * results.
 *
 * Start-up code must have enabled vectors (VS in mstatus); otherwise the first vector instruction
 * is illegal. GCC before 13 supports the instructions only in its assembler and has no C library
 * for them, so the CPU flags omit the extension and define TVMTINY_RISCV_VECTORS. Kernels read and
 * write only bytes of their operands. */
#ifndef TVMTINY_RVV_H
#define TVMTINY_RVV_H

#include <limits.h>

#include "tvmtiny.h"

#if INT_MAX < 2147483647
#error "tvmtiny: the kernels for RISC-V need an int of 32 bits: compile the model for another CPU, such as cortex-m0"
#endif

#if defined(__riscv_xlen) && (defined(__riscv_vector) || defined(TVMTINY_RISCV_VECTORS)) &&        \
    !defined(__riscv_32e) && (defined(__GNUC__) || defined(__clang__)) && !defined(TVMTINY_PORTABLE)
#if __riscv_xlen == 32
#define TVMTINY_RVV 1
#else
#define TVMTINY_RVV 0
#endif
#else
#define TVMTINY_RVV 0
#if defined(__riscv) && !defined(TVMTINY_PORTABLE)
#pragma message(                                                                                   \
    "tvmtiny: this compiler may not use vectors, so slow portable code runs: give -march with v or zve32x_zvl128b, or define TVMTINY_RISCV_VECTORS or TVMTINY_PORTABLE")
#endif
#endif

#if TVMTINY_RVV && defined(__riscv_v_min_vlen) && !defined(TVMTINY_RISCV_VECTORS)
#if __riscv_v_min_vlen < 128
#error "tvmtiny: the kernels for RISC-V's vectors need 128 bits: compile for V or Zvl128b, or the model for rv32imc"
#endif
#endif

#if TVMTINY_RVV && defined(__clang__)
/* The assembly is longer than 4095 characters, the limit of string literals in C99. */
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

#define TVMTINY_RVV_INLINE static inline TVMTINY_UNUSED

#if TVMTINY_RVV

/* Clang supports the option since version 17, and does not need it if vectors are enabled for the
 * whole file. */
#if defined(__clang__) && defined(__riscv_vector)
#define TVMTINY_RVV_TEXT(TEXT) TEXT
#else
#define TVMTINY_RVV_TEXT(TEXT)                                                                     \
  ".option push\n.option arch, +zve32x\n.option arch, +zicsr\n" TEXT ".option pop\n"
#endif

/* The registers that kernels change, for compilers that keep values in vectors. */
#if defined(__riscv_vector) && (defined(__clang__) || __GNUC__ >= 13)
#define TVMTINY_RVV_CHANGED                                                                        \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",   \
      "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",   \
      "v28", "v29", "v30", "v31", "memory"
#else
#define TVMTINY_RVV_CHANGED "memory"
#endif

/* Defines a function in assembly with at most five arguments. The clobbers are for GCC's -fipa-ra,
 * which relies on what it sees of a local function. */
#define TVMTINY_RVV_FUNCTION(NAME, PARAMETERS, TEXT)                                               \
  static __attribute__((naked, noinline)) TVMTINY_UNUSED void NAME PARAMETERS                      \
  {                                                                                                \
    __asm__ volatile(TVMTINY_RVV_TEXT(TEXT)::                                                      \
                         : "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "a2", "a3", "a4", \
                           "a5", "a6", "a7", TVMTINY_RVV_CHANGED);                                 \
  }

#else

#define TVMTINY_RVV_PLAIN 0
#define TVMTINY_RVV_SIGNED 1

/* The largest number of outputs that registers hold at a time. */
#define TVMTINY_RVV_MOST_OUTPUTS 128

/* ((acc * multiplier >> 32) + offset) >> shift, saturated to int8; for negative numbers `step` is
 * added to `offset`. */
TVMTINY_RVV_INLINE int8_t tvmtiny_rvv_scale(int32_t acc, int32_t multiplier, int32_t step,
                                            int32_t offset, int32_t shift)
{
  int32_t value = (int32_t)(((int64_t)acc * multiplier) >> 32);
  value = (value + (value < 0 ? step : 0) + offset) >> shift;
  return (int8_t)tvmtiny_saturate(value);
}

TVMTINY_RVV_INLINE int8_t tvmtiny_rvv_clamp(int32_t value, int32_t low, int32_t high)
{
  return (int8_t)(value < low ? low : value > high ? high : value);
}

#endif

/* Copies bytes. Source and destination may overlap if `to` is the lower address. */
TVMTINY_RVV_INLINE void tvmtiny_rvv_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
#if TVMTINY_RVV
  int32_t lanes;
  while (bytes > 0) {
    __asm__ volatile(TVMTINY_RVV_TEXT("vsetvli %0, %1, e8, m8, ta, ma\n"
                                      "vle8.v v0, (%2)\n"
                                      "vse8.v v0, (%3)\n")
                     : "=&r"(lanes)
                     : "r"(bytes), "r"(from), "r"(to)
                     : TVMTINY_RVV_CHANGED);
    bytes -= lanes;
    from += lanes;
    to += lanes;
  }
#else
  while (bytes-- > 0) {
    *to++ = *from++;
  }
#endif
}

TVMTINY_RVV_INLINE void tvmtiny_rvv_fill(int8_t *to, int32_t value, int32_t bytes)
{
#if TVMTINY_RVV
  int32_t lanes;
  while (bytes > 0) {
    __asm__ volatile(TVMTINY_RVV_TEXT("vsetvli %0, %1, e8, m8, ta, ma\n"
                                      "vmv.v.x v0, %2\n"
                                      "vse8.v v0, (%3)\n")
                     : "=&r"(lanes)
                     : "r"(bytes), "r"(value), "r"(to)
                     : TVMTINY_RVV_CHANGED);
    bytes -= lanes;
    to += lanes;
  }
#else
  while (bytes-- > 0) {
    *to++ = (int8_t)value;
  }
#endif
}

/* Copies `rows` rows of an input of `height` rows, from `first` on, with their padding, to `strip`.
 * Each row gets `left` bytes of padding, `bytes` bytes of input and `right` bytes of padding; rows
 * of the input are `pitch` bytes long. */
TVMTINY_RVV_INLINE void tvmtiny_rvv_rows(const int8_t *x, int8_t *strip, int32_t first, int32_t rows,
                                         int32_t height, int32_t pitch, int32_t left, int32_t bytes,
                                         int32_t right, int32_t zero_point)
{
  int32_t row;
  for (row = first; row < first + rows; ++row) {
    if (row < 0 || row >= height) {
      tvmtiny_rvv_fill(strip, zero_point, left + bytes + right);
    } else {
      tvmtiny_rvv_fill(strip, zero_point, left);
      tvmtiny_rvv_copy(strip + left, x + row * pitch, bytes);
      tvmtiny_rvv_fill(strip + left + bytes, zero_point, right);
    }
    strip += left + bytes + right;
  }
}

#endif /* TVMTINY_RVV_H */
