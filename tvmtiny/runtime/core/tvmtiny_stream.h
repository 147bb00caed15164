/* Rows of models that run row by row: moving them, and adding them up for pooling over whole
 * images. */
#ifndef TVMTINY_STREAM_H
#define TVMTINY_STREAM_H

#include "tvmtiny.h"
#include "tvmtiny_copy.h"

/* Moves rows towards the start of the arena; source and destination may overlap. */
static void TVMTINY_UNUSED tvmtiny_move_rows(uint8_t *to, const uint8_t *from, int32_t count)
{
#if defined(__thumb__) && (defined(__GNUC__) || defined(__clang__))
  if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
    const uint8_t *const end = from + (count & ~31);
    count &= 31;
    while (from != end) {
      __asm__ volatile("ldmia %0!, {r3, r4, r5, r6}\n\tstmia %1!, {r3, r4, r5, r6}\n\t"
                       "ldmia %0!, {r3, r4, r5, r6}\n\tstmia %1!, {r3, r4, r5, r6}"
                       : "+l"(from), "+l"(to)
                       :
                       : "memory", "r3", "r4", "r5", "r6");
    }
  }
#endif
  tvmtiny_copy(to, from, count);
}

/* The same towards the end of the arena, piece by piece, the last one first. */
static void TVMTINY_UNUSED tvmtiny_move_rows_up(uint8_t *to, const uint8_t *from, int32_t count)
{
  const int32_t distance = (int32_t)(to - from);
  while (count > distance) {
    count -= distance;
    tvmtiny_move_rows(to + count, from + count, distance);
  }
  tvmtiny_move_rows(to, from, count);
}

/* Adds `pixels` int8 pixels to the sums of their channels, four channels at a time. */
static void TVMTINY_UNUSED tvmtiny_add_rows(int32_t *sums, const int8_t *x, int32_t pixels, int32_t channels)
{
  int32_t channel = 0;
  for (; channel + 4 <= channels; channel += 4, sums += 4) {
    const int8_t *from = x + channel;
    int32_t left;
    int32_t sum0 = sums[0];
    int32_t sum1 = sums[1];
    int32_t sum2 = sums[2];
    int32_t sum3 = sums[3];
    for (left = pixels; left > 0; --left, from += channels) {
      sum0 += from[0];
      sum1 += from[1];
      sum2 += from[2];
      sum3 += from[3];
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
  }
  for (; channel < channels; ++channel, ++sums) {
    const int8_t *from = x + channel;
    int32_t left;
    for (left = pixels; left > 0; --left, from += channels) {
      *sums += *from;
    }
  }
}

/* The mean of `count` values, halves rounded away from zero, as in LiteRT's AVERAGE_POOL_2D of a
 * whole image. */
static void TVMTINY_UNUSED tvmtiny_average_sums(const int32_t *sums, int8_t *out, int32_t channels, int32_t count, int32_t low, int32_t high)
{
  int32_t channel;
  for (channel = 0; channel < channels; ++channel) {
    const int32_t sum = sums[channel];
    const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
    out[channel] = (int8_t)(mean < low ? low : mean > high ? high : mean);
  }
}

/* (sum - zeros) * multiplier * 2^(shift - 31) + zero_point, clamped, as in LiteRT's MEAN of a whole
 * image. */
static void TVMTINY_UNUSED tvmtiny_scale_sums(const int32_t *sums, int8_t *out, int32_t channels, int32_t zeros, int32_t multiplier, int32_t shift, int32_t zero_point)
{
  int32_t channel;
  for (channel = 0; channel < channels; ++channel) {
    const int32_t mean = tvmtiny_requantize(sums[channel] - zeros, multiplier, shift) + zero_point;
    out[channel] = (int8_t)(mean < -128 ? -128 : mean > 127 ? 127 : mean);
  }
}

#endif /* TVMTINY_STREAM_H */
