/* The power spectrum of tvmtiny_microfrontend.h in vectors of four complex numbers. */
#ifndef TVMTINY_MVE_MICROFRONTEND_H
#define TVMTINY_MVE_MICROFRONTEND_H

#include "tvmtiny_microfrontend.h"
#include "tvmtiny_mve.h"

#if TVMTINY_MVE

/* Applies the window to `count` samples; `seen` has four words for the bits of absolute values. */
TVMTINY_MVE_INLINE void tvmtiny_mve_window(const int16_t *samples, const int16_t *coefficients, uint32_t *to, int32_t count, uint32_t *seen)
{
  __asm__ volatile("vldrw.32 q3, [%4]\n"
                   "wlstp.16 lr, %3, 2f\n"
                   "1:\n"
                   "vldrh.16 q0, [%0], #16\n"
                   "vldrh.16 q1, [%1], #16\n"
                   "vmullb.s16 q2, q0, q1\n"
                   "vmullt.s16 q0, q0, q1\n"
                   "vshrnb.i32 q2, q2, #12\n"
                   "vshrnt.i32 q2, q0, #12\n"
                   "vabs.s16 q0, q2\n"
                   "vorr q3, q3, q0\n"
                   "vstrh.16 q2, [%2], #16\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   "vstrw.32 q3, [%4]\n"
                   : "+r"(samples), "+r"(coefficients), "+r"(to)
                   : "r"(count), "r"(seen)
                   : "q0", "q1", "q2", "q3", "lr", "cc", "memory");
}

/* Replaces q0 to q3, which are scaled and rotated, by their sums. */
#define TVMTINY_MVE_BUTTERFLY                                                                        \
  "vadd.i16 q4, q0, q2\n"                                                                            \
  "vsub.i16 q5, q0, q2\n"                                                                            \
  "vadd.i16 q6, q1, q3\n"                                                                            \
  "vsub.i16 q7, q1, q3\n"                                                                            \
  "vadd.i16 q0, q4, q6\n"                                                                            \
  "vsub.i16 q2, q4, q6\n"                                                                            \
  "vcadd.i16 q1, q5, q7, #270\n"                                                                     \
  "vcadd.i16 q3, q5, q7, #90\n"

/* The first stage, of radix 4: `points` is a multiple of 16. */
TVMTINY_MVE_INLINE void tvmtiny_mve_fft_first(const uint32_t *from, uint32_t *to, const int16_t *order, int32_t points, int32_t shift)
{
  const uint32_t *const second = from + points / 4;
  const uint32_t *const third = second + points / 4;
  const uint32_t *const fourth = third + points / 4;
  __asm__ volatile("dls lr, %2\n"
                   "1:\n"
                   "vldrh.u32 q7, [%1], #8\n"
                   "vldrw.u32 q0, [%3, q7, uxtw #2]\n"
                   "vldrw.u32 q1, [%4, q7, uxtw #2]\n"
                   "vldrw.u32 q2, [%5, q7, uxtw #2]\n"
                   "vldrw.u32 q3, [%6, q7, uxtw #2]\n"
                   "vshl.s16 q0, %7\n"
                   "vshl.s16 q1, %7\n"
                   "vshl.s16 q2, %7\n"
                   "vshl.s16 q3, %7\n"
                   "vqrdmulh.s16 q0, q0, %8\n"
                   "vqrdmulh.s16 q1, q1, %8\n"
                   "vqrdmulh.s16 q2, q2, %8\n"
                   "vqrdmulh.s16 q3, q3, %8\n" TVMTINY_MVE_BUTTERFLY "vst40.32 {q0, q1, q2, q3}, [%0]\n"
                   "vst41.32 {q0, q1, q2, q3}, [%0]\n"
                   "vst42.32 {q0, q1, q2, q3}, [%0]\n"
                   "vst43.32 {q0, q1, q2, q3}, [%0]!\n"
                   "le lr, 1b\n"
                   : "+r"(to), "+r"(order)
                   : "r"(points / 16), "r"(from), "r"(second), "r"(third), "r"(fourth), "r"(shift), "r"(8191)
                   : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory");
}

/* A further stage of radix 4 over transforms of `size` words, a multiple of 4. The factors of each
 * quarter follow those of the previous quarter. */
TVMTINY_MVE_INLINE void tvmtiny_mve_fft_stage(uint32_t *words, const int32_t *factors, int32_t points, int32_t size)
{
  for (uint32_t *group = words; group != words + points; group += 4 * size) {
    uint32_t *a = group;
    uint32_t *b = a + size;
    uint32_t *c = b + size;
    uint32_t *d = c + size;
    const int32_t *first = factors;
    const int32_t *second = factors + size;
    const int32_t *third = second + size;
    __asm__ volatile("dls lr, %7\n"
                     "1:\n"
                     "vldrw.32 q0, [%0]\n"
                     "vldrw.32 q1, [%1]\n"
                     "vldrw.32 q2, [%2]\n"
                     "vldrw.32 q3, [%3]\n"
                     "vldrw.32 q4, [%4], #16\n"
                     "vldrw.32 q5, [%5], #16\n"
                     "vldrw.32 q6, [%6], #16\n"
                     "vqrdmulh.s16 q0, q0, %8\n"
                     "vqrdmulh.s16 q1, q1, %8\n"
                     "vqrdmulh.s16 q2, q2, %8\n"
                     "vqrdmulh.s16 q3, q3, %8\n"
                     "vqrdmlsdh.s16 q7, q1, q4\n"
                     "vqrdmladhx.s16 q7, q1, q4\n"
                     "vqrdmlsdh.s16 q1, q2, q5\n"
                     "vqrdmladhx.s16 q1, q2, q5\n"
                     "vqrdmlsdh.s16 q2, q3, q6\n"
                     "vqrdmladhx.s16 q2, q3, q6\n"
                     "vadd.i16 q3, q0, q1\n"
                     "vsub.i16 q0, q0, q1\n"
                     "vadd.i16 q4, q7, q2\n"
                     "vsub.i16 q7, q7, q2\n"
                     "vadd.i16 q1, q3, q4\n"
                     "vsub.i16 q3, q3, q4\n"
                     "vcadd.i16 q2, q0, q7, #270\n"
                     "vcadd.i16 q4, q0, q7, #90\n"
                     "vstrw.32 q1, [%0], #16\n"
                     "vstrw.32 q2, [%1], #16\n"
                     "vstrw.32 q3, [%2], #16\n"
                     "vstrw.32 q4, [%3], #16\n"
                     "le lr, 1b\n"
                     : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(first), "+r"(second), "+r"(third)
                     : "r"(size / 4), "r"(8191)
                     : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory");
  }
}

/* The power spectrum from element `first`, which is a multiple of 4 before the middle element. */
TVMTINY_MVE_INLINE void tvmtiny_mve_fft_energy(uint32_t *words, const int32_t *factors, int32_t points, int32_t first)
{
  static const uint32_t reversed[4] = { 12u, 8u, 4u, 0u };
  static const uint32_t conjugate[4] = { 0xffff0001u, 0xffff0001u, 0xffff0001u, 0xffff0001u };
  uint32_t *left = words + first;
  uint32_t *right = words + (points - first - 3);
  const int32_t *factor = factors + (first - 1);
  __asm__ volatile("vldrw.32 q7, [%4]\n"
                   "vldrw.32 q6, [%5]\n"
                   "wls lr, %3, 2f\n"
                   "1:\n"
                   "vldrw.32 q0, [%0]\n"
                   "vldrw.u32 q1, [%1, q7]\n"
                   "vmul.i16 q1, q1, q6\n"
                   "vqrdmulh.s16 q0, q0, %6\n"
                   "vqrdmulh.s16 q1, q1, %6\n"
                   "vadd.i16 q2, q0, q1\n"
                   "vsub.i16 q0, q0, q1\n"
                   "vldrw.32 q1, [%2], #16\n"
                   "vmullb.s16 q3, q0, q1\n"
                   "vmullt.s16 q4, q0, q1\n"
                   "vsub.i32 q3, q3, q4\n"
                   "vrev32.16 q1, q1\n"
                   "vmullb.s16 q4, q0, q1\n"
                   "vmullt.s16 q5, q0, q1\n"
                   "vadd.i32 q4, q4, q5\n"
                   "vrshrnb.i32 q3, q3, #15\n"
                   "vrshrnt.i32 q3, q4, #15\n"
                   "vhadd.s16 q0, q2, q3\n"
                   "vhsub.s16 q1, q2, q3\n"
                   "vhsub.s16 q2, q3, q2\n"
                   "vmullb.s16 q3, q0, q0\n"
                   "vmullt.s16 q4, q0, q0\n"
                   "vadd.i32 q3, q3, q4\n"
                   "vmullb.s16 q4, q1, q1\n"
                   "vmullt.s16 q5, q2, q2\n"
                   "vadd.i32 q4, q4, q5\n"
                   "vstrw.32 q3, [%0], #16\n"
                   "vstrw.32 q4, [%1, q7]\n"
                   "sub %1, %1, #16\n"
                   "le lr, 1b\n"
                   "2:\n"
                   : "+r"(left), "+r"(right), "+r"(factor)
                   : "r"((points / 2 + 1 - first) / 4), "r"(reversed), "r"(conjugate), "r"(16383)
                   : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory");
}

#endif

TVMTINY_MVE_INLINE int32_t tvmtiny_mve_spectrum(const struct tvmtiny_microfrontend_shape *shape, const struct tvmtiny_microfrontend_tables *tables, const int16_t *remembered, int32_t early, const int16_t *samples, uint32_t *work)
{
  uint32_t *const words = work + shape->points;
  const int32_t *factors = tables->factors;
  const int32_t pairs = shape->window / 2;
  const int32_t first = early / 2;
#if TVMTINY_MVE
  uint32_t seen[4] = { 0u, 0u, 0u, 0u };
  tvmtiny_mve_window(remembered, tables->coefficients, work, early, seen);
  tvmtiny_mve_window(samples, tables->coefficients + early, work + first, shape->window - early, seen);
  const int32_t shift = tvmtiny_headroom(seen[0] | seen[1] | seen[2] | seen[3]);
#else
  uint32_t seen = tvmtiny_window(remembered, tables->coefficients, work, first, 12, 0u);
  seen = tvmtiny_window(samples, tables->coefficients + early, work + first, pairs - first, 12, seen);
  const int32_t shift = tvmtiny_headroom(seen);
#endif
  for (int32_t i = pairs; i < shape->points; ++i) {
    work[i] = 0u;
  }
#if TVMTINY_MVE
  tvmtiny_mve_fft_first(work, words, tables->order, shape->points, shift);
  for (int32_t size = 4; size < shape->points; size *= 4) {
    tvmtiny_mve_fft_stage(words, factors, shape->points, size);
    factors += 3 * size;
  }
  tvmtiny_mve_fft_energy(words, factors, shape->points, shape->first_bin);
#else
  tvmtiny_fft_first(work, words, tables->order, shape->points, 4, shift, 0);
  for (int32_t size = 4; size < shape->points; size *= 4) {
    tvmtiny_fft_stage(words, factors, shape->points, size, 1, size, 0);
    factors += 3 * size;
  }
  tvmtiny_fft_energy(words, factors, shape->points, shape->first_bin);
#endif
  return shift;
}

TVMTINY_MICROFRONTEND(tvmtiny_mve_microfrontend, tvmtiny_mve_spectrum)

#endif /* TVMTINY_MVE_MICROFRONTEND_H */
