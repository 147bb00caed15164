/* Products of two matrices that are both computed at run time, by the tile kernels of
 * tvmtiny_dsp_tile.h and tvmtiny_dsp_sums.h with int16 weights.
 *
 * The left matrix is expanded as inputs are, times 256. The right matrix minus its zero point
 * becomes the stream.
 */
#ifndef TVMTINY_DSP_PRODUCT_H
#define TVMTINY_DSP_PRODUCT_H

#include "tvmtiny_dsp_finish.h"

TVMTINY_INLINE void tvmtiny_expand_word_x256(uint32_t *to, uint32_t word, int32_t pixels)
{
  to[0] = (word << 8) & 0xff00ff00u;
  to[pixels] = word & 0xff00ff00u;
}
TVMTINY_EXPAND(x256)

/* Loads four numbers that are `along` apart. */
TVMTINY_INLINE uint32_t tvmtiny_load_apart(const int8_t *from, int32_t along)
{
  return along == 1 ? tvmtiny_load4(from)
                    : (uint32_t)(uint8_t)from[0] | ((uint32_t)(uint8_t)from[along] << 8) |
                          ((uint32_t)(uint8_t)from[2 * along] << 16) |
                          ((uint32_t)(uint8_t)from[3 * along] << 24);
}

/* Loads one to three of them, followed by zero points. */
TVMTINY_INLINE uint32_t tvmtiny_load_apart_tail(const int8_t *from, int32_t along, int32_t count,
                                                int32_t zero)
{
  const uint32_t pad = (uint32_t)(uint8_t)zero;
  return (uint32_t)(uint8_t)from[0] |
         ((count > 1 ? (uint32_t)(uint8_t)from[along] : pad) << 8) |
         ((count > 2 ? (uint32_t)(uint8_t)from[2 * along] : pad) << 16) | (pad << 24);
}

TVMTINY_INLINE int32_t tvmtiny_pack_word(int32_t *to, uint32_t word, int32_t channels,
                                         int32_t zero, int32_t sum)
{
  const uint32_t zeros = tvmtiny_lanes(zero, zero);
  const uint32_t even = tvmtiny_ssub16(tvmtiny_sxtb16(word), zeros);
  const uint32_t odd = tvmtiny_ssub16(tvmtiny_sxtb16_odd(word), zeros);
  to[0] = (int32_t)even;
  to[channels] = (int32_t)odd;
  return tvmtiny_smlad(odd, 0x00010001u, tvmtiny_smlad(even, 0x00010001u, sum));
}

/* Defines NAME(from, stream), which packs COLUMNS columns of DEPTH numbers for tiles of CHANNELS.
 * Numbers are ALONG apart, and columns ACROSS. ZERO is their zero point, and LEFT_ZERO that of the
 * left matrix. INITIAL is the initial accumulator without the contribution of LEFT_ZERO. COUNT of
 * the three constants follow the weights of each channel. If COLUMNS is not a multiple of CHANNELS,
 * the last tile overlaps the previous one. */
#define TVMTINY_PACK_COLUMNS(NAME, ALONG, ACROSS, DEPTH, COLUMNS, CHANNELS, ZERO, LEFT_ZERO,       \
                             INITIAL, COUNT, MULTIPLIER, OFFSET, STEP)                             \
  static void NAME(const int8_t *from, int32_t *stream)                                            \
  {                                                                                                \
    int32_t tile;                                                                                  \
    for (tile = 0; tile < (COLUMNS); tile += (CHANNELS)) {                                         \
      const int32_t first = tile + (CHANNELS) > (COLUMNS) ? (COLUMNS) - (CHANNELS) : tile;         \
      int32_t *after = stream + (CHANNELS) * (1 + 2 * (((DEPTH) + 3) / 4));                        \
      int32_t c;                                                                                   \
      for (c = 0; c < (CHANNELS); ++c) {                                                           \
        const int8_t *source = from + (first + c) * (ACROSS);                                      \
        int32_t *to = stream + (CHANNELS) + c;                                                     \
        int32_t sum = 0;                                                                           \
        int32_t k;                                                                                 \
        for (k = (DEPTH) / 4; k > 0; --k) {                                                        \
          sum = tvmtiny_pack_word(to, tvmtiny_load_apart(source, ALONG), CHANNELS, ZERO, sum);     \
          source += 4 * (ALONG);                                                                   \
          to += 2 * (CHANNELS);                                                                    \
        }                                                                                          \
        if ((DEPTH) % 4 != 0) {                                                                    \
          const uint32_t word = tvmtiny_load_apart_tail(source, ALONG, (DEPTH) % 4, ZERO);         \
          sum = tvmtiny_pack_word(to, word, CHANNELS, ZERO, sum);                                  \
        }                                                                                          \
        stream[c] = (int32_t)((uint32_t)(INITIAL) - (uint32_t)sum * (uint32_t)((LEFT_ZERO) * 256)); \
        if ((COUNT) > 0) {                                                                         \
          *after++ = (MULTIPLIER);                                                                 \
        }                                                                                          \
        if ((COUNT) > 1) {                                                                         \
          *after++ = (OFFSET);                                                                     \
          *after++ = (STEP);                                                                       \
        }                                                                                          \
      }                                                                                            \
      stream = after;                                                                              \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_PRODUCT_H */
