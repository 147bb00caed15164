/* Copies and fills by words, whatever the alignment, for cores that allow it; see tvmtiny_dsp.h. */
#ifndef TVMTINY_DSP_COPY_H
#define TVMTINY_DSP_COPY_H

#include "tvmtiny_dsp_elementwise.h"

static void TVMTINY_UNUSED tvmtiny_copy(int8_t *out, const int8_t *x, int32_t count)
{
  const int8_t *end = x + (count & ~15);
  while (x != end) {
    const uint32_t word0 = tvmtiny_load4(x);
    const uint32_t word1 = tvmtiny_load4(x + 4);
    const uint32_t word2 = tvmtiny_load4(x + 8);
    const uint32_t word3 = tvmtiny_load4(x + 12);
    tvmtiny_store4(out, word0);
    tvmtiny_store4(out + 4, word1);
    tvmtiny_store4(out + 8, word2);
    tvmtiny_store4(out + 12, word3);
    x += 16;
    out += 16;
  }
  for (count &= 15; count >= 4; count -= 4) {
    tvmtiny_store4(out, tvmtiny_load4(x));
    x += 4;
    out += 4;
  }
  if ((count & 2) != 0) {
    out[0] = x[0];
    out[1] = x[1];
    x += 2;
    out += 2;
  }
  if ((count & 1) != 0) {
    out[0] = x[0];
  }
}

static void TVMTINY_UNUSED tvmtiny_fill(int8_t *out, int32_t value, int32_t count)
{
  const uint32_t word = ((uint32_t)value & 0xffu) * 0x01010101u;
  int8_t *end = out + (count & ~15);
  while (out != end) {
    tvmtiny_store4(out, word);
    tvmtiny_store4(out + 4, word);
    tvmtiny_store4(out + 8, word);
    tvmtiny_store4(out + 12, word);
    out += 16;
  }
  for (count &= 15; count >= 4; count -= 4) {
    tvmtiny_store4(out, word);
    out += 4;
  }
  if ((count & 2) != 0) {
    out[0] = (int8_t)value;
    out[1] = (int8_t)value;
    out += 2;
  }
  if ((count & 1) != 0) {
    out[0] = (int8_t)value;
  }
}

#endif /* TVMTINY_DSP_COPY_H */
