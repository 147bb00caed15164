/* Micro-kernels of float32 ADD, SUB and MUL, with eight elements per iteration; see tvmtiny_fpu.h.
 *
 * x and the output have `rows` contiguous rows of `count` elements. The second operand is one row
 * that is combined with each row of x (ROWS), or has one element for each row (VALUES). If SWAPPED,
 * it is the first operand of the operator. Eight results are stored together if all are finite, and
 * otherwise one by one. */
#ifndef TVMTINY_FPU_ELEMENTWISE_H
#define TVMTINY_FPU_ELEMENTWISE_H

#include "tvmtiny_fpu.h"

#define TVMTINY_FPU_VALUE_ADD(A, B) ((A) + (B))
#define TVMTINY_FPU_VALUE_SUB(A, B) ((A) - (B))
#define TVMTINY_FPU_VALUE_MUL(A, B) ((A) * (B))

/* Combines one element of x with one of the second operand. */
#define TVMTINY_FPU_ELEMENT(NAME, OPERATION, SWAPPED, LOW, HIGH)                                   \
  TVMTINY_FPU_INLINE float NAME##_element(float a, float b)                                        \
  {                                                                                                \
    const float value = (SWAPPED) != 0 ? TVMTINY_FPU_VALUE_##OPERATION(b, a)                       \
                                       : TVMTINY_FPU_VALUE_##OPERATION(a, b);                      \
    return value < (LOW) ? (LOW) : value > (HIGH) ? (HIGH) : value;                                \
  }

#if TVMTINY_FPU

#define TVMTINY_FPU_EACH(LINE)                                                                     \
  LINE("s0", "s8") LINE("s1", "s9") LINE("s2", "s10") LINE("s3", "s11") LINE("s4", "s12")          \
  LINE("s5", "s13") LINE("s6", "s14") LINE("s7", "s15")

#define TVMTINY_FPU_ADD_ROWS_0(A, B) "vadd.f32 " A ", " A ", " B "\n\t"
#define TVMTINY_FPU_ADD_ROWS_1(A, B) TVMTINY_FPU_ADD_ROWS_0(A, B)
#define TVMTINY_FPU_SUB_ROWS_0(A, B) "vsub.f32 " A ", " A ", " B "\n\t"
#define TVMTINY_FPU_SUB_ROWS_1(A, B) "vsub.f32 " A ", " B ", " A "\n\t"
#define TVMTINY_FPU_MUL_ROWS_0(A, B) "vmul.f32 " A ", " A ", " B "\n\t"
#define TVMTINY_FPU_MUL_ROWS_1(A, B) TVMTINY_FPU_MUL_ROWS_0(A, B)
#define TVMTINY_FPU_ADD_VALUES_0(A, B) TVMTINY_FPU_ADD_ROWS_0(A, "%[b]")
#define TVMTINY_FPU_ADD_VALUES_1(A, B) TVMTINY_FPU_ADD_ROWS_0(A, "%[b]")
#define TVMTINY_FPU_SUB_VALUES_0(A, B) TVMTINY_FPU_SUB_ROWS_0(A, "%[b]")
#define TVMTINY_FPU_SUB_VALUES_1(A, B) TVMTINY_FPU_SUB_ROWS_1(A, "%[b]")
#define TVMTINY_FPU_MUL_VALUES_0(A, B) TVMTINY_FPU_MUL_ROWS_0(A, "%[b]")
#define TVMTINY_FPU_MUL_VALUES_1(A, B) TVMTINY_FPU_MUL_ROWS_0(A, "%[b]")

/* ReLU as half of the sum of a number and its magnitude; minus infinity gives NaN. */
#define TVMTINY_FPU_BOUND_NONE ""
#define TVMTINY_FPU_MAGNITUDE(A, B) "vabs.f32 " B ", " A "\n\t"
#define TVMTINY_FPU_TWICE(A, B) "vadd.f32 " A ", " A ", " B "\n\t"
#define TVMTINY_FPU_HALF(A, B) "vmul.f32 " A ", " A ", %[half]\n\t"
#define TVMTINY_FPU_BOUND_RELU                                                                     \
  TVMTINY_FPU_EACH(TVMTINY_FPU_MAGNITUDE)                                                          \
  TVMTINY_FPU_EACH(TVMTINY_FPU_TWICE) TVMTINY_FPU_EACH(TVMTINY_FPU_HALF)

/* Zero times a number that is not finite is NaN. */
#define TVMTINY_FPU_STORE                                                                          \
  "vmul.f32 s8, s0, %[zero]\n\tvmul.f32 s9, s1, %[zero]\n\t"                                       \
  "vfma.f32 s8, s2, %[zero]\n\tvfma.f32 s9, s3, %[zero]\n\t"                                       \
  "vfma.f32 s8, s4, %[zero]\n\tvfma.f32 s9, s5, %[zero]\n\t"                                       \
  "vfma.f32 s8, s6, %[zero]\n\tvfma.f32 s9, s7, %[zero]\n\t"                                       \
  "vcmp.f32 s8, s9\n\tvmrs APSR_nzcv, fpscr\n\tit vc\n\tvstmiavc %[out]!, {s0-s7}"

#define TVMTINY_FPU_LOAD_ROWS "vldmia %[x]!, {s0-s7}\n\tvldmia %[y]!, {s8-s15}\n\t"
#define TVMTINY_FPU_LOAD_VALUES "vldmia %[x]!, {s0-s7}\n\t"

#define TVMTINY_FPU_EIGHT(NAME, OPERATION, SWAPPED, BOUND, FORM)                                   \
  __asm__ volatile(TVMTINY_FPU_LOAD_##FORM TVMTINY_FPU_EACH(                                       \
                       TVMTINY_FPU_##OPERATION##_##FORM##_##SWAPPED) TVMTINY_FPU_BOUND_##BOUND     \
                       TVMTINY_FPU_STORE                                                           \
                   : [x] "+r"(x), [y] "+r"(other), [out] "+r"(to)                                  \
                   : [b] "t"(b), [zero] "t"(0.0f), [half] "t"(0.5f)                                \
                   : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11",     \
                     "s12", "s13", "s14", "s15", "cc", "memory");                                  \
  if (to == out) {                                                                                 \
    int32_t i;                                                                                     \
    for (i = -8; i < 0; ++i) {                                                                     \
      *to++ = NAME##_element(x[i], TVMTINY_FPU_OTHER_##FORM(i));                                   \
    }                                                                                              \
  }                                                                                                \
  out = to;
#define TVMTINY_FPU_OTHER_ROWS(I) other[I]
#define TVMTINY_FPU_OTHER_VALUES(I) b

#else

#define TVMTINY_FPU_EIGHT(NAME, OPERATION, SWAPPED, BOUND, FORM)                                   \
  for (to = out + 8; out != to;) {                                                                 \
    *out++ = NAME##_element(*x++, TVMTINY_FPU_NEXT_##FORM);                                        \
  }

#endif

#define TVMTINY_FPU_NEXT_ROWS *other++
#define TVMTINY_FPU_NEXT_VALUES b
#define TVMTINY_FPU_FIRST_ROWS 0.0f
#define TVMTINY_FPU_FIRST_VALUES *y++

/* Defines NAME(x, y, out, rows, count). */
#define TVMTINY_FPU_BINARY(NAME, OPERATION, SWAPPED, BOUND, LOW, HIGH, FORM)                       \
  TVMTINY_FPU_ELEMENT(NAME, OPERATION, SWAPPED, LOW, HIGH)                                         \
  static void NAME(const float *x, const float *y, float *out, int32_t rows, int32_t count)        \
  {                                                                                                \
    for (; rows > 0; --rows) {                                                                     \
      const float b = TVMTINY_FPU_FIRST_##FORM;                                                    \
      const float *other = y;                                                                      \
      float *to = out;                                                                             \
      int32_t left = count;                                                                        \
      for (; left >= 8; left -= 8) {                                                               \
        TVMTINY_FPU_EIGHT(NAME, OPERATION, SWAPPED, BOUND, FORM)                                   \
      }                                                                                            \
      for (; left > 0; --left) {                                                                   \
        *out++ = NAME##_element(*x++, TVMTINY_FPU_NEXT_##FORM);                                    \
      }                                                                                            \
      (void)b;                                                                                     \
      (void)other;                                                                                 \
      (void)to;                                                                                    \
    }                                                                                              \
  }

#endif /* TVMTINY_FPU_ELEMENTWISE_H */
