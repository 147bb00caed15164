/* The spectra of tvmtiny_spectrum.h and the sums of tvmtiny_mel.h in vectors of four numbers. */
#ifndef TVMTINY_MVE_SPECTRUM_H
#define TVMTINY_MVE_SPECTRUM_H

#include "tvmtiny_mel.h"
#include "tvmtiny_mve.h"
#include "tvmtiny_spectrum.h"

#if TVMTINY_MVE

/* As tvmtiny_scatter_samples; four pairs at a time. */
TVMTINY_MVE_INLINE void tvmtiny_mve_scatter_samples(const int16_t *samples, const uint16_t *coefficients, const int16_t *order, int32_t first, int32_t count, int32_t *z)
{
  static const uint32_t even[4] = { 0u, 2u, 4u, 6u };
  const int32_t whole = (first & 1) == 0 ? count & ~7 : 0;
  if (whole != 0) {
    const int16_t *x = samples;
    const int16_t *later = samples + 1;
    const uint16_t *w = coefficients + first;
    const uint16_t *w_later = w + 1;
    const int16_t *place = order + (first >> 1);
    __asm__ volatile("vldrw.32 q7, [%6]\n"
                     "dls lr, %5\n"
                     "1:\n"
                     "vldrh.s32 q0, [%0, q7, uxtw #1]\n"
                     "vldrh.s32 q1, [%1, q7, uxtw #1]\n"
                     "vldrh.u32 q2, [%2, q7, uxtw #1]\n"
                     "vldrh.u32 q3, [%3, q7, uxtw #1]\n"
                     "vldrh.s32 q4, [%4], #8\n"
                     "vmul.i32 q0, q0, q2\n"
                     "vmul.i32 q1, q1, q3\n"
                     "vshl.i32 q4, q4, #1\n"
                     "vstrw.32 q0, [%7, q4, uxtw #2]\n"
                     "vstrw.32 q1, [%8, q4, uxtw #2]\n"
                     "add %0, %0, #16\n"
                     "add %1, %1, #16\n"
                     "add %2, %2, #16\n"
                     "add %3, %3, #16\n"
                     "le lr, 1b\n"
                     : "+r"(x), "+r"(later), "+r"(w), "+r"(w_later), "+l"(place)
                     : "r"(whole / 8), "r"(even), "r"(z), "r"(z + 1)
                     : "q0", "q1", "q2", "q3", "q4", "q7", "lr", "cc", "memory");
  }
  tvmtiny_scatter_samples(samples + whole, coefficients, order, first + whole, count - whole, z);
}

/* Butterflies of `size` numbers, a multiple of 4, at four places of all groups; the roots lie at the
 * distances `apart`. MIDDLE completes q6 and q7, the products of q2 and q3. */
#define TVMTINY_MVE_BUTTERFLIES(NAME, FIRST, MIDDLE)                                                 \
  TVMTINY_MVE_INLINE void NAME(int32_t *z, const int32_t *roots, const uint32_t *apart, int32_t points, int32_t size) \
  {                                                                                                  \
    int32_t *a = z;                                                                                  \
    int32_t *b = z + 2 * size;                                                                       \
    __asm__ volatile("vldrw.32 q0, [%2]\n"                                                           \
                     "vldrw.u32 q4, [%3, q0]\n"                                                      \
                     "vldrw.u32 q5, [%4, q0]\n" FIRST "dls lr, %5\n"                                 \
                     "1:\n"                                                                          \
                     "vld20.32 {q2, q3}, [%1]\n"                                                     \
                     "vld21.32 {q2, q3}, [%1]\n"                                                     \
                     "vmulh.s32 q6, q2, q4\n"                                                        \
                     "vmulh.s32 q7, q3, q5\n"                                                        \
                     "vmulh.s32 q0, q2, q5\n"                                                        \
                     "vmulh.s32 q1, q3, q4\n"                                                        \
                     "vsub.i32 q6, q6, q7\n"                                                         \
                     "vadd.i32 q7, q0, q1\n" MIDDLE "vld20.32 {q0, q1}, [%0]\n"                      \
                     "vld21.32 {q0, q1}, [%0]\n"                                                     \
                     "vshr.s32 q0, q0, #1\n"                                                         \
                     "vshr.s32 q1, q1, #1\n"                                                         \
                     "vsub.i32 q2, q0, q6\n"                                                         \
                     "vsub.i32 q3, q1, q7\n"                                                         \
                     "vadd.i32 q0, q0, q6\n"                                                         \
                     "vadd.i32 q1, q1, q7\n"                                                         \
                     "vst20.32 {q2, q3}, [%1]\n"                                                     \
                     "vst21.32 {q2, q3}, [%1]\n"                                                     \
                     "vst20.32 {q0, q1}, [%0]\n"                                                     \
                     "vst21.32 {q0, q1}, [%0]\n"                                                     \
                     "add %0, %0, %6\n"                                                              \
                     "add %1, %1, %6\n"                                                              \
                     "le lr, 1b\n"                                                                   \
                     : "+r"(a), "+r"(b)                                                              \
                     : "r"(apart), "r"(roots), "r"(roots + 1), "r"(points / (2 * size)), "r"(16 * size), "r"(0xf) \
                     : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory");        \
  }

TVMTINY_MVE_BUTTERFLIES(tvmtiny_mve_butterflies, "", "")
/* The first place has the root 1, which the table rounds. */
TVMTINY_MVE_BUTTERFLIES(tvmtiny_mve_first_butterflies, "vmsr p0, %7\n", "vpstt\nvshrt.s32 q6, q2, #1\nvshrt.s32 q7, q3, #1\n")

/* As tvmtiny_transform. */
TVMTINY_MVE_INLINE void tvmtiny_mve_transform(int32_t *z, const int32_t *roots, int32_t points)
{
  tvmtiny_trivial_stages(z, points, 1);
  for (int32_t size = 4; size < points; size *= 2) {
    const int32_t step = points / size;
    const uint32_t bytes = 8u * (uint32_t)step;
    const uint32_t apart[4] = { 0u, bytes, 2u * bytes, 3u * bytes };
    tvmtiny_mve_first_butterflies(z, roots, apart, points, size);
    for (int32_t place = 4; place < size; place += 4) {
      tvmtiny_mve_butterflies(z + 2 * place, roots + 2 * step * place, apart, points, size);
    }
  }
}

/* As tvmtiny_energies; `points` is a multiple of 8. */
TVMTINY_MVE_INLINE uint64_t tvmtiny_mve_energies(int32_t *z, const int32_t *roots, int32_t points)
{
  static const uint32_t reversed[4] = { 24u, 16u, 8u, 0u };
  const int64_t first = (z[0] >> 1) + (z[1] >> 1);
  const int64_t last = (z[0] >> 1) - (z[1] >> 1);
  uint32_t seen[8] = { 0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u };
  int32_t *near = z + 2;
  int32_t *far = z + 2 * (points - 4);
  int32_t *far_im = far + 1;
  const int32_t *root = roots + 2;
  __asm__ volatile("vldrw.32 q7, [%5]\n"
                   "dls lr, %4\n"
                   "1:\n"
                   "vld20.32 {q0, q1}, [%0]\n"
                   "vld21.32 {q0, q1}, [%0]\n"
                   "vldrw.u32 q2, [%1, q7]\n"
                   "vldrw.u32 q3, [%2, q7]\n"
                   "vld20.32 {q4, q5}, [%3]\n"
                   "vld21.32 {q4, q5}, [%3]!\n"
                   "vshr.s32 q0, q0, #1\n"
                   "vshr.s32 q1, q1, #1\n"
                   "vshr.s32 q2, q2, #1\n"
                   "vshr.s32 q3, q3, #1\n"
                   "vsub.i32 q6, q0, q2\n"
                   "vshr.s32 q0, q0, #1\n"
                   "vshr.s32 q2, q2, #1\n"
                   "vadd.i32 q0, q0, q2\n"
                   "vadd.i32 q2, q1, q3\n"
                   "vshr.s32 q1, q1, #1\n"
                   "vshr.s32 q3, q3, #1\n"
                   "vsub.i32 q1, q1, q3\n"
                   "vmulh.s32 q3, q6, q5\n"
                   "vmulh.s32 q6, q6, q4\n"
                   "vmulh.s32 q5, q2, q5\n"
                   "vmulh.s32 q4, q2, q4\n"
                   "vsub.i32 q6, q6, q5\n"
                   "vadd.i32 q3, q3, q4\n"
                   /* Both sums of a number and its mirror image: q2, q4 and q3, q6. */
                   "vadd.i32 q2, q0, q3\n"
                   "vsub.i32 q3, q0, q3\n"
                   "vsub.i32 q4, q1, q6\n"
                   "vadd.i32 q6, q1, q6\n"
                   "vmul.i32 q0, q2, q2\n"
                   "vmulh.s32 q1, q2, q2\n"
                   "vmul.i32 q2, q4, q4\n"
                   "vmulh.s32 q4, q4, q4\n"
                   "vadd.i32 q0, q0, q2\n"
                   "vadd.i32 q1, q1, q4\n"
                   "vcmp.u32 hi, q2, q0\n"
                   "vpst\n"
                   "vaddt.i32 q1, q1, %7\n"
                   "vmul.i32 q2, q3, q3\n"
                   "vmulh.s32 q3, q3, q3\n"
                   "vmul.i32 q4, q6, q6\n"
                   "vmulh.s32 q6, q6, q6\n"
                   "vadd.i32 q2, q2, q4\n"
                   "vadd.i32 q3, q3, q6\n"
                   "vcmp.u32 hi, q4, q2\n"
                   "vpst\n"
                   "vaddt.i32 q3, q3, %7\n"
                   "vstrw.32 q2, [%1, q7]\n"
                   "vstrw.32 q3, [%2, q7]\n"
                   "vst20.32 {q0, q1}, [%0]\n"
                   "vst21.32 {q0, q1}, [%0]!\n"
                   "vldrw.32 q4, [%6]\n"
                   "vldrw.32 q5, [%6, #16]\n"
                   "vorr q0, q0, q2\n"
                   "vorr q1, q1, q3\n"
                   "vorr q4, q4, q0\n"
                   "vorr q5, q5, q1\n"
                   "vstrw.32 q4, [%6]\n"
                   "vstrw.32 q5, [%6, #16]\n"
                   "sub %1, %1, #32\n"
                   "sub %2, %2, #32\n"
                   "le lr, 1b\n"
                   : "+r"(near), "+r"(far), "+r"(far_im), "+r"(root)
                   : "r"(points / 8), "r"(reversed), "r"(seen), "r"(1)
                   : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "lr", "cc", "memory");
  tvmtiny_put64(z, (uint64_t)(first * first));
  tvmtiny_put64(z + 2 * points, (uint64_t)(last * last));
  return ((uint64_t)(seen[4] | seen[5] | seen[6] | seen[7]) << 32 | (seen[0] | seen[1] | seen[2] | seen[3])) |
         (uint64_t)(first * first) | (uint64_t)(last * last);
}

/* As tvmtiny_shift_energies; `points` is a multiple of 4. */
TVMTINY_MVE_INLINE void tvmtiny_mve_shift_energies(int32_t *z, int32_t points, int32_t shift)
{
  if (shift != 0) {
    __asm__ volatile("dls lr, %1\n"
                     "1:\n"
                     "vld20.32 {q0, q1}, [%0]\n"
                     "vld21.32 {q0, q1}, [%0]\n"
                     "vmov q2, q1\n"
                     "vshl.u32 q0, %2\n"
                     "vshl.u32 q1, %2\n"
                     "vshl.u32 q2, %3\n"
                     "vorr q0, q0, q2\n"
                     "vst20.32 {q0, q1}, [%0]\n"
                     "vst21.32 {q0, q1}, [%0]!\n"
                     "le lr, 1b\n"
                     : "+r"(z)
                     : "r"(points / 4), "r"(-shift), "r"(32 - shift)
                     : "q0", "q1", "q2", "lr", "cc", "memory");
    tvmtiny_shift_energies(z, 0, shift);
  }
}

/* As tvmtiny_mel_sum, for at least one number. r2, r3 and r12 hold the sums. */
static __attribute__((naked, noinline)) TVMTINY_UNUSED uint64_t tvmtiny_mve_sum_up(const int32_t *z TVMTINY_UNUSED, const uint16_t *weight TVMTINY_UNUSED, int32_t count TVMTINY_UNUSED, const uint32_t *apart TVMTINY_UNUSED)
{
  __asm__ volatile("push {r4, lr}\n"
                   "vldrw.32 q3, [r3]\n"
                   "add r4, r0, #4\n"
                   "dlstp.32 lr, r2\n"
                   "mov r2, #0\n"
                   "mov r3, #0\n"
                   "mov r12, #0\n"
                   "1:\n"
                   "vldrw.u32 q0, [r0, q3]\n"
                   "vldrw.u32 q1, [r4, q3]\n"
                   "vldrh.u32 q2, [r1], #8\n"
                   "vmlaldava.u32 r2, r3, q0, q2\n"
                   "vmladava.u32 r12, q1, q2\n"
                   "add r0, r0, #32\n"
                   "add r4, r4, #32\n"
                   "letp lr, 1b\n"
                   "mov r0, r2\n"
                   "add r1, r3, r12\n"
                   "pop {r4, pc}\n" ::: "r0", "r1", "r2", "r3", "r12", "lr", "q0", "q1", "q2", "q3", "cc", "memory");
}

TVMTINY_MVE_INLINE uint64_t tvmtiny_mve_mel_sum(const int32_t *z, const uint16_t *weight, int32_t count)
{
  static const uint32_t apart[4] = { 0u, 8u, 16u, 24u };
  return tvmtiny_mve_sum_up(z, weight, count, apart);
}

#else

#define tvmtiny_mve_scatter_samples tvmtiny_scatter_samples
#define tvmtiny_mve_transform tvmtiny_transform
#define tvmtiny_mve_energies tvmtiny_energies
#define tvmtiny_mve_shift_energies tvmtiny_shift_energies
#define tvmtiny_mve_mel_sum tvmtiny_mel_sum

#endif

TVMTINY_MEL(tvmtiny_mve_mel, tvmtiny_mve_scatter_samples, tvmtiny_mve_transform, tvmtiny_mve_energies, tvmtiny_mve_shift_energies, tvmtiny_mve_mel_sum)

#endif /* TVMTINY_MVE_SPECTRUM_H */
