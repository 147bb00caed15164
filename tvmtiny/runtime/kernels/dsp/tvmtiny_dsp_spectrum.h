/* The transform and the energies of tvmtiny_spectrum.h with the upper words of products. */
#ifndef TVMTINY_DSP_SPECTRUM_H
#define TVMTINY_DSP_SPECTRUM_H

#include "tvmtiny_dsp.h"
#include "tvmtiny_mel.h"
#include "tvmtiny_spectrum.h"

/* The upper word of a * b, and of acc * 2^32 + a * b and acc * 2^32 - a * b. */
#if TVMTINY_DSP
TVMTINY_INLINE int32_t tvmtiny_dsp_high(int32_t a, int32_t b)
{
  int32_t upper;
  __asm__("smmul %0, %1, %2" : "=r"(upper) : "r"(a), "r"(b));
  return upper;
}

TVMTINY_INLINE int32_t tvmtiny_dsp_add_high(int32_t acc, int32_t a, int32_t b)
{
  int32_t upper;
  __asm__("smmla %0, %1, %2, %3" : "=r"(upper) : "r"(a), "r"(b), "r"(acc));
  return upper;
}

TVMTINY_INLINE int32_t tvmtiny_dsp_subtract_high(int32_t acc, int32_t a, int32_t b)
{
  int32_t upper;
  __asm__("smmls %0, %1, %2, %3" : "=r"(upper) : "r"(a), "r"(b), "r"(acc));
  return upper;
}
#else
TVMTINY_INLINE int32_t tvmtiny_dsp_high(int32_t a, int32_t b)
{
  return tvmtiny_high_product(a, b);
}

TVMTINY_INLINE int32_t tvmtiny_dsp_add_high(int32_t acc, int32_t a, int32_t b)
{
  return acc + tvmtiny_high_product(a, b);
}

TVMTINY_INLINE int32_t tvmtiny_dsp_subtract_high(int32_t acc, int32_t a, int32_t b)
{
  return acc + (int32_t)(-((int64_t)a * b) >> 32);
}
#endif

/* Half of the product of b and a root of unity; `turned` multiplies by the negative imaginary unit
 * as well. */
#define TVMTINY_DSP_TURN(b_re, b_im, cosine, sine, re, im)                                            \
  const int32_t re = tvmtiny_dsp_high(b_re, cosine) - tvmtiny_dsp_high(b_im, sine);                   \
  const int32_t im = tvmtiny_dsp_add_high(tvmtiny_dsp_high(b_re, sine), b_im, cosine)
#define TVMTINY_DSP_TURN_ON(b_re, b_im, cosine, sine, re, im)                                         \
  const int32_t re = tvmtiny_dsp_high(b_re, sine) - tvmtiny_dsp_subtract_high(0, b_im, cosine);       \
  const int32_t im = tvmtiny_dsp_subtract_high(tvmtiny_dsp_high(b_im, sine), b_re, cosine)

/* Roots of unity of two stages, and the end of the numbers. */
struct tvmtiny_dsp_roots {
  int32_t far[2], near[2];
  const int32_t *end;
};

/* Two stages of butterflies at places that are `bytes` apart, with other roots than 1. */
#if TVMTINY_DSP
/* r0: numbers, r1: bytes, r2: roots. After each stage, r10, r11, r8 and r9 hold the first two numbers,
 * and r7, lr, r12 and r6 the others. The clobbers are for GCC's -fipa-ra. */
static __attribute__((naked, noinline)) TVMTINY_UNUSED void tvmtiny_dsp_two_stages(int32_t *z TVMTINY_UNUSED, int32_t bytes TVMTINY_UNUSED, const struct tvmtiny_dsp_roots *roots TVMTINY_UNUSED)
{
  __asm__ volatile("push {r4-r11, lr}\n"
                   "1:\n"
                   "ldrd r4, r5, [r2]\n"
                   "add r12, r0, r1\n"
                   "ldrd r6, r7, [r12]\n"
                   "smmul r8, r6, r4\n"
                   "smmul r9, r7, r5\n"
                   "sub r8, r8, r9\n"
                   "smmul r9, r6, r5\n"
                   "smmla r9, r7, r4, r9\n"
                   "ldrd r6, r7, [r0]\n"
                   "add r10, r8, r6, asr #1\n"
                   "add r11, r9, r7, asr #1\n"
                   "rsb r8, r8, r6, asr #1\n"
                   "rsb r9, r9, r7, asr #1\n"
                   "add lr, r12, r1, lsl #1\n"
                   "ldrd r6, r7, [lr]\n"
                   "smmul r12, r6, r4\n"
                   "smmul lr, r7, r5\n"
                   "sub r12, r12, lr\n"
                   "smmul r6, r6, r5\n"
                   "smmla r6, r7, r4, r6\n"
                   "add lr, r0, r1, lsl #1\n"
                   "ldrd r4, r5, [lr]\n"
                   "add r7, r12, r4, asr #1\n"
                   "add lr, r6, r5, asr #1\n"
                   "rsb r12, r12, r4, asr #1\n"
                   "rsb r6, r6, r5, asr #1\n"
                   "ldrd r4, r5, [r2, #8]\n"
                   "smmul r3, r7, r5\n"
                   "smmla r3, lr, r4, r3\n"
                   "smmul r7, r7, r4\n"
                   "smmul lr, lr, r5\n"
                   "sub r7, r7, lr\n"
                   "add lr, r7, r10, asr #1\n"
                   "rsb r10, r7, r10, asr #1\n"
                   "add r7, r3, r11, asr #1\n"
                   "rsb r11, r3, r11, asr #1\n"
                   "strd lr, r7, [r0]\n"
                   "add r3, r0, r1, lsl #1\n"
                   "strd r10, r11, [r3]\n"
                   "mov lr, #0\n"
                   "smmul r3, r12, r5\n"
                   "smmls r7, r6, r4, lr\n"
                   "sub r3, r3, r7\n"
                   "smmul r7, r6, r5\n"
                   "smmls r10, r12, r4, r7\n"
                   "add r11, r3, r8, asr #1\n"
                   "add lr, r10, r9, asr #1\n"
                   "rsb r8, r3, r8, asr #1\n"
                   "rsb r9, r10, r9, asr #1\n"
                   "add r12, r0, r1\n"
                   "strd r11, lr, [r12]\n"
                   "add r12, r12, r1, lsl #1\n"
                   "strd r8, r9, [r12]\n"
                   "add r0, r0, r1, lsl #2\n"
                   "ldr r3, [r2, #16]\n"
                   "cmp r0, r3\n"
                   "blo 1b\n"
                   "pop {r4-r11, pc}\n" ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");
}
#else
TVMTINY_INLINE void tvmtiny_dsp_two_stages(int32_t *z, int32_t bytes, const struct tvmtiny_dsp_roots *roots)
{
  const int32_t *const far = roots->far;
  const int32_t *const near = roots->near;
  const int32_t size = bytes / 8;
  for (; z < roots->end; z += 8 * size) {
    int32_t *const z1 = z + 2 * size;
    int32_t *const z2 = z1 + 2 * size;
    int32_t *const z3 = z2 + 2 * size;
    TVMTINY_DSP_TURN(z1[0], z1[1], far[0], far[1], t_re, t_im);
    TVMTINY_DSP_TURN(z3[0], z3[1], far[0], far[1], u_re, u_im);
    const int32_t y0_re = t_re + (z[0] >> 1);
    const int32_t y0_im = t_im + (z[1] >> 1);
    const int32_t y1_re = (z[0] >> 1) - t_re;
    const int32_t y1_im = (z[1] >> 1) - t_im;
    const int32_t y2_re = u_re + (z2[0] >> 1);
    const int32_t y2_im = u_im + (z2[1] >> 1);
    const int32_t y3_re = (z2[0] >> 1) - u_re;
    const int32_t y3_im = (z2[1] >> 1) - u_im;
    TVMTINY_DSP_TURN(y2_re, y2_im, near[0], near[1], v_re, v_im);
    TVMTINY_DSP_TURN_ON(y3_re, y3_im, near[0], near[1], w_re, w_im);
    z[0] = v_re + (y0_re >> 1);
    z[1] = v_im + (y0_im >> 1);
    z1[0] = w_re + (y1_re >> 1);
    z1[1] = w_im + (y1_im >> 1);
    z2[0] = (y0_re >> 1) - v_re;
    z2[1] = (y0_im >> 1) - v_im;
    z3[0] = (y1_re >> 1) - w_re;
    z3[1] = (y1_im >> 1) - w_im;
  }
}
#endif

/* As tvmtiny_transform, two stages at a time. */
TVMTINY_INLINE void tvmtiny_dsp_transform(int32_t *z, const int32_t *roots, int32_t points)
{
  int32_t size = 1;
  if ((tvmtiny_bit_length((uint32_t)points) & 1) == 0) {
    for (int32_t *pair = z; pair < z + 2 * points; pair += 4) {
      const int32_t re = pair[2] >> 1;
      const int32_t im = pair[3] >> 1;
      pair[2] = (pair[0] >> 1) - re;
      pair[3] = (pair[1] >> 1) - im;
      pair[0] = (pair[0] >> 1) + re;
      pair[1] = (pair[1] >> 1) + im;
    }
    size = 2;
  }
  for (; size < points; size *= 4) {
    const int32_t step = points / size;
    tvmtiny_trivial_stages(z, points, size);
    const int32_t *near = roots + step;
    const int32_t *far = roots + 2 * step;
    for (int32_t place = 1; place < size; ++place, near += step, far += 2 * step) {
      const struct tvmtiny_dsp_roots both = { { far[0], far[1] }, { near[0], near[1] }, z + 2 * points };
      tvmtiny_dsp_two_stages(z + 2 * place, 8 * size, &both);
    }
  }
}

/* As tvmtiny_energies. */
TVMTINY_INLINE uint64_t tvmtiny_dsp_energies(int32_t *z, const int32_t *roots, int32_t points)
{
  const int64_t first = (z[0] >> 1) + (z[1] >> 1);
  const int64_t last = (z[0] >> 1) - (z[1] >> 1);
  uint32_t seen = 0;
  uint32_t seen_high = 0;
  int32_t *near = z + 2;
  int32_t *far = z + 2 * (points - 1);
  const int32_t *root = roots + 2;
  for (; near <= far; near += 2, far -= 2, root += 2) {
    const int32_t apart_re = (near[0] >> 1) - (far[0] >> 1);
    const int32_t total_im = (near[1] >> 1) + (far[1] >> 1);
    TVMTINY_DSP_TURN(apart_re, total_im, root[0], root[1], re, im);
    const int32_t even_re = (near[0] >> 2) + (far[0] >> 2);
    const int32_t even_im = (near[1] >> 2) - (far[1] >> 2);
    const int64_t low_re = even_re + im;
    const int64_t low_im = even_im - re;
    const int64_t high_re = even_re - im;
    const int64_t high_im = even_im + re;
    const uint64_t low = (uint64_t)(low_re * low_re + low_im * low_im);
    const uint64_t high = (uint64_t)(high_re * high_re + high_im * high_im);
    far[0] = (int32_t)(uint32_t)high;
    far[1] = (int32_t)(uint32_t)(high >> 32);
    near[0] = (int32_t)(uint32_t)low;
    near[1] = (int32_t)(uint32_t)(low >> 32);
    seen |= (uint32_t)low | (uint32_t)high;
    seen_high |= (uint32_t)(low >> 32) | (uint32_t)(high >> 32);
  }
  tvmtiny_put64(z, (uint64_t)(first * first));
  tvmtiny_put64(z + 2 * points, (uint64_t)(last * last));
  return ((uint64_t)seen_high << 32 | seen) | (uint64_t)(first * first) | (uint64_t)(last * last);
}

TVMTINY_MEL(tvmtiny_dsp_mel, tvmtiny_scatter_samples, tvmtiny_dsp_transform, tvmtiny_dsp_energies, tvmtiny_shift_energies, tvmtiny_mel_sum)

#endif /* TVMTINY_DSP_SPECTRUM_H */
