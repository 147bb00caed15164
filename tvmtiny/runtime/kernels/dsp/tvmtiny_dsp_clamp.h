/* Clamping of int8 outputs to the range of an activation, four at a time; see tvmtiny_dsp.h. */
#ifndef TVMTINY_DSP_CLAMP_H
#define TVMTINY_DSP_CLAMP_H

#include "tvmtiny_dsp.h"

#if TVMTINY_DSP

/* SSUB8 sets a flag for each byte that is not below the limit, by which SEL chooses. */
#define TVMTINY_DSP_CLAMP_LOW(WORD) " ssub8 r12, " WORD ", %[low]\n sel " WORD ", " WORD ", %[low]\n"
#define TVMTINY_DSP_CLAMP_HIGH(WORD)                                                               \
  " ssub8 r12, " WORD ", %[high]\n sel " WORD ", %[high], " WORD "\n"
#define TVMTINY_DSP_CLAMP_BOTH(WORD) TVMTINY_DSP_CLAMP_LOW(WORD) TVMTINY_DSP_CLAMP_HIGH(WORD)
#define TVMTINY_DSP_CLAMP_WORDS(CLAMP)                                                             \
  __asm__ volatile("1: ldm %[x], {r4, r5, r6, r8}\n" CLAMP("r4") CLAMP("r5") CLAMP("r6")           \
                       CLAMP("r8") " stm %[x]!, {r4, r5, r6, r8}\n"                                \
                                   " cmp %[x], %[end]\n bne 1b\n"                                  \
                   : [x] "+r"(x)                                                                   \
                   : [end] "r"(end), [low] "r"(lows), [high] "r"(highs)                            \
                   : "r4", "r5", "r6", "r8", "r12", "cc", "memory")

#endif

/* Clamps `count` bytes to `low` and `high`. */
static TVMTINY_UNUSED void tvmtiny_dsp_clamp_bytes(int8_t *x, int32_t count, int32_t low,
                                                   int32_t high)
{
#if TVMTINY_DSP
  const uint32_t lows = (uint32_t)(uint8_t)low * 0x01010101u;
  const uint32_t highs = (uint32_t)(uint8_t)high * 0x01010101u;
  const int8_t *end;
  /* LDM needs whole words. */
  for (; count > 0 && ((uintptr_t)x & 3u) != 0u; --count, ++x) {
    *x = (int8_t)(*x > high ? high : *x < low ? low : *x);
  }
  end = x + (count & ~15);
  count &= 15;
  if (x != end) {
    if (low == -128) {
      TVMTINY_DSP_CLAMP_WORDS(TVMTINY_DSP_CLAMP_HIGH);
    } else if (high == 127) {
      TVMTINY_DSP_CLAMP_WORDS(TVMTINY_DSP_CLAMP_LOW);
    } else {
      TVMTINY_DSP_CLAMP_WORDS(TVMTINY_DSP_CLAMP_BOTH);
    }
  }
#endif
  for (; count > 0; --count, ++x) {
    *x = (int8_t)(*x > high ? high : *x < low ? low : *x);
  }
}

#endif /* TVMTINY_DSP_CLAMP_H */
