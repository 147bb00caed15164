/* Dense layers of single pixels whose weights are mostly zero, for cores that multiply one product at
 * a time. The weights of two channels are in blocks of four inputs, and blocks of zeros are omitted.
 *
 * For each two channels, the stream holds a step and eight int8 weights for each block, both channels
 * for each input, with zeros up to whole words, and then for each channel its number, the initial
 * accumulator, the multiplier and, for ROUNDING = SIGNED, the offset and the step. A step is the
 * distance in blocks from the previous block, or from the first input. Blocks are in ascending order
 * except for the last one: only its step is negative, which ends the channels. Hence there are at
 * least two blocks, one of which may be zero. The accumulator is the initial one plus 256 times the
 * sum. */
#ifndef TVMTINY_BLOCKS_H
#define TVMTINY_BLOCKS_H

#include "tvmtiny.h"

/* Defines NAME(x, stream, out), which computes all CHANNELS of one pixel. OUTPUT(accumulator,
 * constants, rounding, shift) returns an output. ROUNDING is the number of words from the multiplier
 * on. BLOCKS, the number of all blocks, is there for estimates of the cost. */
#define TVMTINY_BLOCKS(NAME, OUTPUT, CHANNELS, BLOCKS, SHIFT, ROUNDING)                            \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out)                            \
  {                                                                                                \
    int32_t left;                                                                                  \
    for (left = CHANNELS; left > 0; left -= 2) {                                                   \
      const int8_t *block = (const int8_t *)stream;                                                \
      const int8_t *inputs = x;                                                                    \
      int32_t first = 0;                                                                           \
      int32_t second = 0;                                                                          \
      int32_t step;                                                                                \
      do {                                                                                         \
        step = block[0];                                                                           \
        inputs += 4 * step;                                                                        \
        first += inputs[0] * block[1];                                                             \
        second += inputs[0] * block[2];                                                            \
        first += inputs[1] * block[3];                                                             \
        second += inputs[1] * block[4];                                                            \
        first += inputs[2] * block[5];                                                             \
        second += inputs[2] * block[6];                                                            \
        first += inputs[3] * block[7];                                                             \
        second += inputs[3] * block[8];                                                            \
        block += 9;                                                                                \
      } while (step >= 0);                                                                         \
      stream += (block - (const int8_t *)stream + 3) / 4;                                          \
      out[stream[0]] = OUTPUT((int32_t)((uint32_t)stream[1] + ((uint32_t)first << 8)), stream + 2, \
                              ROUNDING, SHIFT);                                                    \
      stream += 2 + (ROUNDING);                                                                    \
      out[stream[0]] = OUTPUT((int32_t)((uint32_t)stream[1] + ((uint32_t)second << 8)), stream + 2, \
                              ROUNDING, SHIFT);                                                    \
      stream += 2 + (ROUNDING);                                                                    \
    }                                                                                              \
  }

#endif /* TVMTINY_BLOCKS_H */
