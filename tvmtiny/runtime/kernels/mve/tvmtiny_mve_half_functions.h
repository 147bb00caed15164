/* Helium kernels of functions of one int16, and of signs of integers. */
#ifndef TVMTINY_MVE_HALF_FUNCTIONS_H
#define TVMTINY_MVE_HALF_FUNCTIONS_H

#include "tvmtiny_mve.h"

#if TVMTINY_MVE
#include <arm_mve.h>
#endif

/* Interpolates between the entries of a table, which are 128 steps apart; `out` may be `x`. */
TVMTINY_MVE_INLINE void tvmtiny_mve_interpolate(const int16_t *x, const int16_t *table, int16_t *out,
                                                int32_t count)
{
#if TVMTINY_MVE
  for (; count > 0; count -= 8, x += 8, out += 8) {
    const mve_pred16_t some = vctp16q((uint32_t)count);
    const int16x8_t value = vldrhq_z_s16(x, some);
    const uint16x8_t place = vreinterpretq_u16_s16(vaddq_n_s16(vshrq_n_s16(value, 7), 256));
    const int16x8_t left = vldrhq_gather_shifted_offset_z_s16(table, place, some);
    const int16x8_t right = vldrhq_gather_shifted_offset_z_s16(table + 1, place, some);
    const int16x8_t slope = vsubq_s16(right, left);
    const int16x8_t rest = vandq_s16(value, vdupq_n_s16(127));
    int16x8_t more = vdupq_n_s16(0);
    more = vmovnbq_s32(more, vrshrq_n_s32(vmullbq_int_s16(slope, rest), 7));
    more = vmovntq_s32(more, vrshrq_n_s32(vmulltq_int_s16(slope, rest), 7));
    vstrhq_p_s16(out, vaddq_s16(left, more), some);
  }
#else
  for (; count > 0; --count, ++x) {
    const int16_t *const at = table + 256 + (*x >> 7);
    *out++ = (int16_t)tvmtiny_interpolate(at[0], at[1], *x & 127);
  }
#endif
}

/* Interpolates between the entries of the table of the logistic function, which are 2^BITS steps
 * apart. The halves of a table word are the entry minus 2^15, and the difference to the next entry,
 * which is missing for the last one. out = round(value / 2^OUT_BITS) + OFFSET, where the value is
 * relative to the result for 0. Negative inputs are reflected there, and their halves are rounded
 * down. `out` may be `x`. */
#if TVMTINY_MVE

#define TVMTINY_MVE_SIGMOID(NAME, BITS, OUT_BITS, OFFSET)                                          \
  TVMTINY_MVE_INLINE void NAME(const int16_t *x, const int32_t *table, int16_t *out,               \
                               int32_t count, int32_t multiplier, int32_t shift)                   \
  {                                                                                                \
    const int32x4_t most = vdupq_n_s32(255 << (BITS));                                             \
    const int32x4_t mask = vdupq_n_s32((1 << (BITS)) - 1);                                         \
    for (; count > 0; count -= 4, x += 4, out += 4) {                                              \
      const mve_pred16_t some = vctp32q((uint32_t)count);                                          \
      const int32x4_t steps = vmulq_n_s32(vldrhq_z_s32(x, some), multiplier);                      \
      const int32x4_t scaled = vrshlq_n_s32(steps, -shift);                                        \
      const int32x4_t size = vminq_s32(vabsq_s32(scaled), most);                                   \
      const uint32x4_t place = vreinterpretq_u32_s32(vshrq_n_s32(size, BITS));                     \
      const int16x8_t both =                                                                       \
          vreinterpretq_s16_s32(vldrwq_gather_shifted_offset_z_s32(table, place, some));           \
      const int32x4_t more = vmulq_s32(vandq_s32(size, mask), vmovltq_s16(both));                  \
      int32x4_t value = vmlaq_n_s32(more, vmovlbq_s16(both), 1 << (BITS));                         \
      value = veorq_s32(value, vshrq_n_s32(scaled, 31));                                           \
      vstrhq_p_s32(out, vaddq_n_s32(vrshrq_n_s32(value, OUT_BITS), OFFSET), some);                 \
    }                                                                                              \
  }

#else

#define TVMTINY_MVE_SIGMOID(NAME, BITS, OUT_BITS, OFFSET)                                          \
  TVMTINY_MVE_INLINE void NAME(const int16_t *x, const int32_t *table, int16_t *out,               \
                               int32_t count, int32_t multiplier, int32_t shift)                   \
  {                                                                                                \
    for (; count > 0; --count, ++x) {                                                              \
      const int32_t half = shift > 0 ? (int32_t)(UINT32_C(1) << (shift - 1)) : 0;                  \
      const int32_t scaled = (*x * multiplier + half) >> shift;                                    \
      const int32_t whole = scaled < 0 ? -scaled : scaled;                                         \
      const int32_t size = whole < 255 << (BITS) ? whole : 255 << (BITS);                          \
      const uint32_t both = (uint32_t)table[size >> (BITS)];                                       \
      int32_t value = (int16_t)(both & 0xffffu) * (1 << (BITS));                                   \
      value += (size & ((1 << (BITS)) - 1)) * (int16_t)(both >> 16);                               \
      value = scaled < 0 ? ~value : value;                                                         \
      *out++ = (int16_t)(((value + (1 << ((OUT_BITS)-1))) >> (OUT_BITS)) + (OFFSET));              \
    }                                                                                              \
  }

#endif

TVMTINY_MVE_SIGMOID(tvmtiny_mve_logistic, 9, 10, 1 << 14)
TVMTINY_MVE_SIGMOID(tvmtiny_mve_tanh, 8, 8, 0)

/* Changes signs of integers; the smallest integer stays unchanged. `out` may be `x`. */
#if TVMTINY_MVE

#define TVMTINY_MVE_SIGN(NAME, TYPE, LETTER, BITS, INSTRUCTION, FLIPS)                             \
  TVMTINY_MVE_INLINE void NAME(const TYPE *x, TYPE *out, int32_t count)                            \
  {                                                                                                \
    __asm__ volatile("wlstp." #BITS " lr, %[count], 2f\n"                                          \
                     "1:\n"                                                                        \
                     "vldr" #LETTER "." #BITS " q0, [%[x]], #16\n" INSTRUCTION ".s" #BITS          \
                     " q0, q0\n"                                                                   \
                     "vstr" #LETTER "." #BITS " q0, [%[out]], #16\n"                               \
                     "letp lr, 1b\n"                                                               \
                     "2:\n"                                                                        \
                     : [x] "+l"(x), [out] "+l"(out)                                                \
                     : [count] "r"(count)                                                          \
                     : "q0", "lr", "cc", "memory");                                                \
  }

#else

#define TVMTINY_MVE_SIGN(NAME, TYPE, LETTER, BITS, INSTRUCTION, FLIPS)                             \
  TVMTINY_MVE_INLINE void NAME(const TYPE *x, TYPE *out, int32_t count)                            \
  {                                                                                                \
    for (; count > 0; --count, ++x) {                                                              \
      *out++ = FLIPS ? (TYPE)(0u - (uint32_t)*x) : *x;                                             \
    }                                                                                              \
  }

#endif

TVMTINY_MVE_SIGN(tvmtiny_mve_negate_16, int16_t, h, 16, "vneg", 1)
TVMTINY_MVE_SIGN(tvmtiny_mve_negate_32, int32_t, w, 32, "vneg", 1)
TVMTINY_MVE_SIGN(tvmtiny_mve_size_16, int16_t, h, 16, "vabs", *x < 0)
TVMTINY_MVE_SIGN(tvmtiny_mve_size_32, int32_t, w, 32, "vabs", *x < 0)

/* How integers are rescaled: negative numbers have a separate factor, which may be negative, and
 * are used without their sign if `sizes` is not 0. */
typedef struct {
  int32_t zero, above, above_shift, below, below_shift, negative, sizes, out_zero, low, high;
} tvmtiny_mve_line;

/* Instantiates NAME(x, out, count): out = clamp((x - zero) * factor * 2^(shift - 31) + out_zero),
 * with two roundings. The other arguments are the fields of the line; LOAD and STORE are
 * instructions for 4 lanes. */
#if TVMTINY_MVE

TVMTINY_MVE_INLINE int32x4_t tvmtiny_mve_scaled_line(int32x4_t value, int32_t factor, int32_t shift)
{
  const int32x4_t high = vqrdmulhq_n_s32(shift > 0 ? vshlq_r_s32(value, shift) : value, factor);
  return shift < 0 ? vrshlq_n_s32(vaddq_s32(high, vshrq_n_s32(high, 31)), shift) : high;
}

TVMTINY_MVE_INLINE int32x4_t tvmtiny_mve_on_line(const tvmtiny_mve_line *line, int32x4_t x)
{
  int32x4_t value = vsubq_n_s32(x, line->zero);
  if (line->sizes != 0) {
    value = tvmtiny_mve_scaled_line(vabsq_s32(value), line->above, line->above_shift);
  } else if (line->above == line->below && line->above_shift == line->below_shift &&
             line->negative == 0) {
    value = tvmtiny_mve_scaled_line(value, line->above, line->above_shift);
  } else {
    int32x4_t below = tvmtiny_mve_scaled_line(value, line->below, line->below_shift);
    below = line->negative != 0 ? vnegq_s32(below) : below;
    value = vpselq_s32(tvmtiny_mve_scaled_line(value, line->above, line->above_shift), below,
                       vcmpgeq_n_s32(value, 0));
  }
  value = vaddq_n_s32(value, line->out_zero);
  return vmaxq_s32(vminq_s32(value, vdupq_n_s32(line->high)), vdupq_n_s32(line->low));
}

#define TVMTINY_MVE_LINE_16(NAME, FROM, TO, LOAD, STORE, ...)                                      \
  static void NAME(const FROM *x, TO *out, int32_t count)                                          \
  {                                                                                                \
    const tvmtiny_mve_line line = { __VA_ARGS__ };                                                 \
    for (; count > 0; count -= 4, x += 4, out += 4) {                                              \
      const mve_pred16_t some = vctp32q((uint32_t)count);                                          \
      STORE(out, tvmtiny_mve_on_line(&line, LOAD(x, some)), some);                                 \
    }                                                                                              \
  }

#else

TVMTINY_MVE_INLINE int32_t tvmtiny_mve_on_line(const tvmtiny_mve_line *line, int32_t x)
{
  int32_t value = x - line->zero;
  if (line->sizes != 0) {
    value = value < 0 ? -value : value;
  }
  if (value < 0) {
    value = tvmtiny_requantize(value, line->below, line->below_shift);
    value = line->negative != 0 ? -value : value;
  } else {
    value = tvmtiny_requantize(value, line->above, line->above_shift);
  }
  value += line->out_zero;
  return value < line->low ? line->low : value > line->high ? line->high : value;
}

#define TVMTINY_MVE_LINE_16(NAME, FROM, TO, LOAD, STORE, ...)                                      \
  static void NAME(const FROM *x, TO *out, int32_t count)                                          \
  {                                                                                                \
    const tvmtiny_mve_line line = { __VA_ARGS__ };                                                 \
    for (; count > 0; --count) {                                                                   \
      *out++ = (TO)tvmtiny_mve_on_line(&line, *x++);                                               \
    }                                                                                              \
  }

#endif

#endif /* TVMTINY_MVE_HALF_FUNCTIONS_H */
