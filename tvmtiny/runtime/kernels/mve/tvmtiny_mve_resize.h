/* Helium kernels of RESIZE_BILINEAR in int8 and int16. */
#ifndef TVMTINY_MVE_RESIZE_H
#define TVMTINY_MVE_RESIZE_H

#include "tvmtiny_mve.h"

/* Interpolates one pixel of `channels` channels between four, with weights in units of 2^-10. Each
 * side is the first pixel plus a part of the difference to the second pixel, and the two sides are
 * combined in the same way. Halves are rounded away from zero. */
TVMTINY_MVE_INLINE void tvmtiny_mve_between_8(const int8_t *top_left, const int8_t *bottom_left,
                                               const int8_t *top_right,
                                               const int8_t *bottom_right, int8_t *out,
                                               int32_t channels, int32_t down, int32_t across)
{
#if TVMTINY_MVE
  __asm__ volatile("wlstp.32 lr, %[channels], 2f\n"
                   "1:\n"
                   "vldrb.s32 q0, [%[top_left]], #4\n"
                   "vldrb.s32 q1, [%[bottom_left]], #4\n"
                   "vsub.i32 q1, q1, q0\n"
                   "vshl.i32 q0, q0, #10\n"
                   "vmla.s32 q0, q1, %[down]\n"
                   "vldrb.s32 q2, [%[top_right]], #4\n"
                   "vldrb.s32 q1, [%[bottom_right]], #4\n"
                   "vsub.i32 q1, q1, q2\n"
                   "vshl.i32 q2, q2, #10\n"
                   "vmla.s32 q2, q1, %[down]\n"
                   "vsub.i32 q2, q2, q0\n"
                   "vshl.i32 q0, q0, #10\n"
                   "vmla.s32 q0, q2, %[across]\n"
                   "vshr.s32 q2, q0, #31\n"
                   "vadd.i32 q0, q0, q2\n"
                   "vrshr.s32 q0, q0, #20\n"
                   "vstrb.32 q0, [%[out]], #4\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : [top_left] "+l"(top_left), [bottom_left] "+l"(bottom_left),
                     [top_right] "+l"(top_right), [bottom_right] "+l"(bottom_right), [out] "+l"(out)
                   : [channels] "r"(channels), [down] "r"(down), [across] "r"(across)
                   : "q0", "q1", "q2", "lr", "cc", "memory");
#else
  int32_t i;
  for (i = 0; i < channels; ++i) {
    out[i] = (int8_t)tvmtiny_bilinear(top_left[i], bottom_left[i], top_right[i], bottom_right[i],
                                      down, across);
  }
#endif
}

/* Interpolates one pixel of `channels` channels between four, with weights in units of 2^-10. The
 * sum of both sides has up to 37 bits: its lower 10 bits are those of the product with the lower 10
 * bits of their difference. */
TVMTINY_MVE_INLINE void tvmtiny_mve_between_16(const int16_t *top_left, const int16_t *bottom_left,
                                               const int16_t *top_right,
                                               const int16_t *bottom_right, int16_t *out,
                                               int32_t channels, int32_t down, int32_t across)
{
#if TVMTINY_MVE
  __asm__ volatile("vdup.32 q3, %[low]\n"
                   "wlstp.32 lr, %[channels], 2f\n"
                   "1:\n"
                   "vldrh.s32 q0, [%[top_left]], #8\n"
                   "vldrh.s32 q1, [%[bottom_left]], #8\n"
                   "vsub.i32 q1, q1, q0\n"
                   "vshl.i32 q0, q0, #10\n"
                   "vmla.s32 q0, q1, %[down]\n"
                   "vldrh.s32 q2, [%[top_right]], #8\n"
                   "vldrh.s32 q1, [%[bottom_right]], #8\n"
                   "vsub.i32 q1, q1, q2\n"
                   "vshl.i32 q2, q2, #10\n"
                   "vmla.s32 q2, q1, %[down]\n"
                   "vsub.i32 q2, q2, q0\n"
                   "vshr.s32 q1, q2, #10\n"
                   "vand q2, q2, q3\n"
                   "vmul.i32 q2, q2, %[across]\n"
                   "vmla.s32 q0, q1, %[across]\n"
                   "vshr.s32 q1, q2, #10\n"
                   "vadd.i32 q1, q1, q0\n"
                   "vshr.s32 q1, q1, #31\n"
                   "vadd.i32 q2, q2, q1\n"
                   "vshr.s32 q2, q2, #10\n"
                   "vadd.i32 q0, q0, q2\n"
                   "vrshr.s32 q0, q0, #10\n"
                   "vstrh.32 q0, [%[out]], #8\n"
                   "letp lr, 1b\n"
                   "2:\n"
                   : [top_left] "+l"(top_left), [bottom_left] "+l"(bottom_left),
                     [top_right] "+l"(top_right), [bottom_right] "+l"(bottom_right), [out] "+l"(out)
                   : [channels] "r"(channels), [down] "r"(down), [across] "r"(across),
                     [low] "r"(1023)
                   : "q0", "q1", "q2", "q3", "lr", "cc", "memory");
#else
  int32_t i;
  for (i = 0; i < channels; ++i) {
    out[i] = (int16_t)tvmtiny_bilinear_wide(top_left[i], bottom_left[i], top_right[i], bottom_right[i],
                                      down, across);
  }
#endif
}

/* Instantiates NAME(x, rows, columns, out, images, image, height, width, channels). For each output
 * row or column, `rows` and `columns` have the offsets in elements of the first and the second
 * input row or column, and the weight of the second. `image` is the number of elements of an
 * image. */
#define TVMTINY_MVE_BILINEAR(NAME, TYPE, BETWEEN)                                                  \
  TVMTINY_MVE_INLINE void NAME(const TYPE *x, const int32_t *rows, const int32_t *columns,         \
                               TYPE *out, int32_t images, int32_t image, int32_t height,           \
                               int32_t width, int32_t channels)                                    \
  {                                                                                                \
    for (; images > 0; --images, x += image) {                                                     \
      const int32_t *row = rows;                                                                   \
      int32_t i;                                                                                   \
      for (i = height; i > 0; --i, row += 3) {                                                     \
        const TYPE *const top = x + row[0];                                                        \
        const TYPE *const bottom = x + row[1];                                                     \
        const int32_t *column = columns;                                                           \
        int32_t j;                                                                                 \
        for (j = width; j > 0; --j, column += 3, out += channels) {                                \
          BETWEEN(top + column[0], bottom + column[0], top + column[1], bottom + column[1], out,   \
                  channels, row[2], column[2]);                                                    \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

TVMTINY_MVE_BILINEAR(tvmtiny_mve_bilinear_8, int8_t, tvmtiny_mve_between_8)
TVMTINY_MVE_BILINEAR(tvmtiny_mve_bilinear_16, int16_t, tvmtiny_mve_between_16)

#endif /* TVMTINY_MVE_RESIZE_H */
