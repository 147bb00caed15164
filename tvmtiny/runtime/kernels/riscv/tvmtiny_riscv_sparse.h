/* Convolutions like those of tvmtiny_riscv_pairs.h whose weights are mostly zero. The weights of
 * two channels are in blocks of four inputs, and blocks of zeros are omitted.
 *
 * A step computes all channels of four or two pixels, two channels at a time. For each two
 * channels, the stream holds a step and eight int8 weights for each block, both channels for each
 * input, with zeros up to whole words, and then for each channel the same words as in
 * tvmtiny_riscv_pairs.h. A step is the distance in blocks from the previous block, or from the first
 * input. Blocks are in ascending order except for the last one: only its step is negative, which
 * ends the channels. Hence there are at least two blocks, one of which may be zero. */
#ifndef TVMTINY_RISCV_SPARSE_H
#define TVMTINY_RISCV_SPARSE_H

#include "tvmtiny_riscv_pairs.h"

/* Defines NAME(x, stream, out, end), which computes all channels of PIXELS (4 or 2) pixels; the
 * stream ends at `end`. CHUNK (1, 2 or 4) inputs are added up at a time. */
#if TVMTINY_RV32

/* Registers as in tvmtiny_riscv_pairs.h, but ra holds a step; chunks t0-t3, sums of all chunks
 * s0-s3, their upper halves s6-s9. Stack: x. */
#define TVMTINY_RISCV_BLOCK_BEGIN_4 TVMTINY_RISCV_BEGIN_4("t0", "t1") TVMTINY_RISCV_BEGIN_4("t2", "t3")
#define TVMTINY_RISCV_BLOCK_BEGIN_2 TVMTINY_RISCV_BEGIN_2("t0", "t1")
#define TVMTINY_RISCV_BLOCK_GO_ON_4 TVMTINY_RISCV_GO_ON_4("t0", "t1") TVMTINY_RISCV_GO_ON_4("t2", "t3")
#define TVMTINY_RISCV_BLOCK_GO_ON_2 TVMTINY_RISCV_GO_ON_2("t0", "t1")
#define TVMTINY_RISCV_BLOCK_ZERO_2 " li s0, 0\n li s1, 0\n li s6, 0\n li s7, 0\n"
#define TVMTINY_RISCV_BLOCK_ZERO_4 TVMTINY_RISCV_BLOCK_ZERO_2 " li s2, 0\n li s3, 0\n li s8, 0\n li s9, 0\n"
#define TVMTINY_RISCV_BLOCK_SPLIT_2                                                                   \
  TVMTINY_RISCV_SPLIT("s6", "s0", "t0") TVMTINY_RISCV_SPLIT("s7", "s1", "t1")
#define TVMTINY_RISCV_BLOCK_SPLIT_4                                                                   \
  TVMTINY_RISCV_BLOCK_SPLIT_2 TVMTINY_RISCV_SPLIT("s8", "s2", "t2") TVMTINY_RISCV_SPLIT("s9", "s3", "t3")
#define TVMTINY_RISCV_BLOCK_CHANNELS_4(SHIFT, PITCH, ROUNDING)                                        \
  TVMTINY_RISCV_CHANNEL_4("s6", "s0", "s7", "s1", SHIFT, PITCH, ROUNDING)                             \
  TVMTINY_RISCV_CHANNEL_4("s8", "s2", "s9", "s3", SHIFT, PITCH, ROUNDING)
#define TVMTINY_RISCV_BLOCK_CHANNELS_2(SHIFT, PITCH, ROUNDING)                                        \
  TVMTINY_RISCV_CHANNEL_2("s6", "s0", SHIFT, PITCH, ROUNDING)                                         \
  TVMTINY_RISCV_CHANNEL_2("s7", "s1", SHIFT, PITCH, ROUNDING)

#define TVMTINY_RISCV_SPARSE(NAME, PIXELS, CHUNK, SHIFT, PITCH, ROUNDING)                             \
  TVMTINY_RISCV_SPARSE_(NAME, PIXELS, #PIXELS, #CHUNK, #SHIFT, #PITCH, ROUNDING)
#define TVMTINY_RISCV_SPARSE_(NAME, PIXELS, COUNT, CHUNK, SHIFT, PITCH, ROUNDING)                     \
  TVMTINY_RISCV_FUNCTION(                                                                             \
      NAME,                                                                                           \
      (const uint32_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                        \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                                \
      " sw a0, 52(sp)\n1:\n lui t6, 8\n" TVMTINY_RISCV_BLOCK_ZERO_##PIXELS                            \
      "2:\n lb ra, 0(a1)\n slli a7, ra, 3 + " COUNT " / 2\n add a0, a0, a7\n"                         \
      ".set tvmtiny_x, 0\n.set tvmtiny_weight, 1\n.rept 4 / " CHUNK "\n"                              \
      TVMTINY_RISCV_WORDS_##PIXELS TVMTINY_RISCV_BLOCK_BEGIN_##PIXELS ".rept " CHUNK " - 1\n"         \
      TVMTINY_RISCV_WORDS_##PIXELS TVMTINY_RISCV_BLOCK_GO_ON_##PIXELS ".endr\n"                       \
      TVMTINY_RISCV_BLOCK_SPLIT_##PIXELS ".endr\n addi a1, a1, 9\n bgez ra, 2b\n"                     \
      ".set tvmtiny_x, 0\n.set tvmtiny_weight, 0\n addi a1, a1, 3\n andi a1, a1, -4\n"                \
      TVMTINY_RISCV_LIMIT TVMTINY_RISCV_BLOCK_CHANNELS_##PIXELS(SHIFT, PITCH, ROUNDING)               \
      " lw a0, 52(sp)\n bne a1, a3, 1b\n")

#else /* !TVMTINY_RV32 */

static void TVMTINY_UNUSED tvmtiny_riscv_sparse(const uint32_t *x, const int32_t *stream, int8_t *out,
                                                const int32_t *end, int32_t pixels, int32_t chunk,
                                                int32_t shift, int32_t pitch, int32_t rounding)
{
  while (stream != end) {
    const int8_t *const blocks = (const int8_t *)stream;
    int32_t first = 0;
    int32_t count = 0;
    int32_t step;
    /* By channel and pair of pixels. */
    uint32_t all[4] = {0, 0, 0, 0};
    int32_t high[4] = {0, 0, 0, 0};
    int32_t i;
    do {
      int32_t input = 0;
      step = blocks[count];
      first += 2 * pixels * step;
      while (input < 4) {
        const int32_t stop = input + chunk;
        uint32_t sums[4] = {0, 0, 0, 0};
        for (; input < stop; ++input) {
          for (i = 0; i < pixels; ++i) {
            const int32_t channel = i / (pixels / 2);
            sums[i] = tvmtiny_riscv_add(sums[i], (int32_t)x[first + input * (pixels / 2) + i % (pixels / 2)],
                                        blocks[count + 1 + 2 * input + channel]);
          }
        }
        for (i = 0; i < pixels; ++i) {
          high[i] += (int32_t)(sums[i] + 0x8000u) >> 16;
          all[i] += sums[i];
        }
      }
      count += 9;
    } while (step >= 0);
    stream += (count + 3) / 4;
    for (i = 0; i < pixels; ++i) {
      const int32_t *const constants = stream + i / (pixels / 2) * (2 + rounding);
      int8_t *const to = out + (constants[0] + i % (pixels / 2) * 2 * pitch);
      const uint32_t low = all[i] - ((uint32_t)high[i] << 16);
      to[0] = tvmtiny_riscv_output((int32_t)((uint32_t)constants[1] + (low << 8)), constants + 2, rounding, shift);
      to[pitch] = tvmtiny_riscv_output((int32_t)((uint32_t)constants[1] + ((uint32_t)high[i] << 8)), constants + 2,
                                       rounding, shift);
    }
    stream += 2 * (2 + rounding);
  }
}

#define TVMTINY_RISCV_SPARSE(NAME, PIXELS, CHUNK, SHIFT, PITCH, ROUNDING)                             \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)         \
  {                                                                                                   \
    tvmtiny_riscv_sparse(x, stream, out, end, PIXELS, CHUNK, SHIFT, PITCH, TVMTINY_RISCV_##ROUNDING); \
  }

#endif

#endif /* TVMTINY_RISCV_SPARSE_H */
