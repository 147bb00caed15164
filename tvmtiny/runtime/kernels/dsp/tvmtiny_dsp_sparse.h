/* Tile kernels like those of tvmtiny_dsp_tile.h for 8-bit weights that are mostly zero. Weights are
 * stored in blocks of two channels and one group of four inputs, and blocks of zeros are omitted.
 *
 * The stream of a tile, which has two channels:
 *   halfwords: the number of bytes from the second halfword to the initial accumulators, then a
 *   step for
 *              each block, then a zero if needed for whole words
 *   words:     the initial accumulators, the weights of both channels of each block, the constants
 * A step is the distance in bytes in x from the end of the previous block, or from the start of x.
 * Blocks are in ascending order except for the last one: only its step is negative, which ends the
 * tile. Hence there are at least two blocks, one of which may be zero.
 */
#ifndef TVMTINY_DSP_SPARSE_H
#define TVMTINY_DSP_SPARSE_H

#include "tvmtiny_dsp_tile.h"

/* Defines NAME(x, stream, out, end), which computes all channels of P pixels. The other arguments
 * are those of tvmtiny_dsp_tile.h. */
#if TVMTINY_DSP

/* Stack: x, out, the end of the stream. INDEX holds the address of the next step. */
#define TVMTINY_SPARSE_ENTER(INDEX, STEP)                                                          \
  ".syntax unified\n"                                                                              \
  "push {r0, r2, r3-r11, lr}\n"                                                                    \
  "1:\n"                                                                                           \
  "ldrh " STEP ", [r1], #2\n mov " INDEX ", r1\n add r1, r1, " STEP "\n"
#define TVMTINY_SPARSE_FIRST(INDEX, STEP) "ldrsh " STEP ", [" INDEX "], #2\n add r0, r0, " STEP "\n"
#define TVMTINY_SPARSE_LOOP(INDEX, STEP, BLOCK)                                                    \
  "2:\n"                                                                                           \
  "ldrsh " STEP ", [" INDEX "], #2\n adds r0, r0, " STEP "\n" BLOCK "bcc 2b\n"
#define TVMTINY_SPARSE_LEAVE                                                                       \
  "ldr r9, [sp, #8]\n ldr r0, [sp]\n"                                                              \
  "cmp r1, r9\n"                                                                                   \
  "bne 1b\n"                                                                                       \
  "add sp, sp, #12\n"                                                                              \
  "pop {r4-r11, pc}\n"

/* 3 x 2: registers as in the dense kernel, but the output pointer's register holds the address of
 * the next step. */
#define TVMTINY_SPARSE_3X2(NAME, SHIFT, PITCH, ROUNDING)                                           \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_SPARSE_ENTER("r2", "r11") TVMTINY_INIT_3X2                                     \
                TVMTINY_SPARSE_FIRST("r2", "r11") TVMTINY_LOAD_3X2 TVMTINY_BEGIN_3X2               \
                    TVMTINY_WIDEN_3X2 TVMTINY_MAC_3X2 TVMTINY_SPARSE_LOOP(                         \
                        "r2", "r11",                                                               \
                        TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_WIDEN_3X2 TVMTINY_MAC_3X2)        \
                        "ldr r2, [sp, #4]\n" TVMTINY_SCALE_3X2_##ROUNDING TVMTINY_STORE_3X2(       \
                            TVMTINY_STRING(SHIFT),                                                 \
                            TVMTINY_STRING(PITCH)) "str r2, [sp, #4]\n" TVMTINY_SPARSE_LEAVE)

#define TVMTINY_SPARSE_2X2(NAME, SHIFT, PITCH, ROUNDING)                                           \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_SPARSE_ENTER("lr", "r9")                                                       \
                TVMTINY_INIT_2X2 TVMTINY_SPARSE_FIRST("lr", "r9") TVMTINY_LOAD_2X2_W8              \
                    TVMTINY_BEGIN_2X2("r9", "r10", "r7", "r8") TVMTINY_WIDEN_2X2 TVMTINY_MAC_2X2(  \
                        "r11", "r12", "r7", "r8")                                                  \
                        TVMTINY_SPARSE_LOOP("lr", "r9",                                            \
                                            TVMTINY_LOAD_2X2_W8 TVMTINY_MAC_2X2(                   \
                                                "r9", "r10", "r7", "r8") TVMTINY_WIDEN_2X2         \
                                                TVMTINY_MAC_2X2("r11", "r12", "r7", "r8"))         \
                            TVMTINY_SCALE_2X2_##ROUNDING TVMTINY_STORE_2X2(                        \
                                TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH))                      \
                                TVMTINY_SPARSE_LEAVE)

/* 1 x 2: accumulators r3 r4, inputs r9 r10 (A B), weights r7 r8. PITCH is not used. */
#define TVMTINY_SPARSE_BLOCK_1X2                                                                   \
  "ldrd r7, r8, [r1], #8\n ldrd r9, r10, [r0], #8\n"                                               \
  "smlad r3, r9, r7, r3\n smlad r4, r9, r8, r4\n"                                                  \
  "sxtb16 r7, r7\n sxtb16 r8, r8\n"                                                                \
  "smlad r3, r10, r7, r3\n smlad r4, r10, r8, r4\n"
#define TVMTINY_SCALE_1X2_PLAIN "ldrd r9, r10, [r1], #8\n smmul r3, r3, r9\n smmul r4, r4, r10\n"
#define TVMTINY_SCALE_1X2_SIGNED                                                                   \
  TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r3") TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r4")
#define TVMTINY_STORE_1X2(SHIFT)                                                                   \
  "ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                            \
  "strb r4, [r2, #1]\n strb r3, [r2], #2\n"
#define TVMTINY_SPARSE_1X2(NAME, SHIFT, PITCH, ROUNDING)                                           \
  TVMTINY_TILE_FUNCTION(NAME, TVMTINY_SPARSE_ENTER("lr", "r9") "ldrd r3, r4, [r1], #8\n"           \
                                  TVMTINY_SPARSE_FIRST("lr", "r9") TVMTINY_SPARSE_BLOCK_1X2        \
                                      TVMTINY_SPARSE_LOOP("lr", "r9", TVMTINY_SPARSE_BLOCK_1X2)    \
                                          TVMTINY_SCALE_1X2_##ROUNDING TVMTINY_STORE_1X2(          \
                                              TVMTINY_STRING(SHIFT)) TVMTINY_SPARSE_LEAVE)

#else

/* Returns a halfword of a stream in the order of little-endian cores. */
TVMTINY_INLINE int32_t tvmtiny_sparse_half(const int32_t *stream, int32_t index)
{
  const uint32_t half = ((uint32_t)stream[index >> 1] >> (16 * (index & 1))) & 0xffffu;
  return (int32_t)half - (half >= 0x8000u ? 0x10000 : 0);
}

TVMTINY_INLINE void tvmtiny_sparse(const uint32_t *x, const int32_t *stream, int8_t *out,
                                   const int32_t *end, int32_t pixels, int32_t shift, int32_t pitch,
                                   int32_t rounding)
{
  while (stream != end) {
    const int32_t *const steps = stream;
    int32_t acc[6];
    int32_t at = 0;
    int32_t index = 0;
    int32_t step;
    int32_t p;
    int32_t c;
    stream += (2 + (tvmtiny_sparse_half(steps, 0) & 0xffff)) / 4;
    for (p = 0; p < 2 * pixels; ++p) {
      acc[p] = stream[p % 2];
    }
    stream += 2;
    do {
      ++index;
      step = tvmtiny_sparse_half(steps, index);
      at += step / 4;
      stream = tvmtiny_tile_products(x + at, stream, acc, pixels, 2, 0, 1);
      at += 2 * pixels;
    } while (step >= 0);
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < 2; ++c) {
        out[p * pitch + c] =
            tvmtiny_scale_int8(acc[2 * p + c], stream + c * rounding, rounding, shift);
      }
    }
    stream += 2 * rounding;
    out += 2;
  }
}

#define TVMTINY_SPARSE_TWIN(NAME, PIXELS, SHIFT, PITCH, ROUNDING)                                  \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    tvmtiny_sparse((const uint32_t *)x, stream, out, end, PIXELS, SHIFT, PITCH, ROUNDING);         \
  }
#define TVMTINY_SPARSE_3X2(NAME, SHIFT, PITCH, ROUNDING)                                           \
  TVMTINY_SPARSE_TWIN(NAME, 3, SHIFT, PITCH, TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_SPARSE_2X2(NAME, SHIFT, PITCH, ROUNDING)                                           \
  TVMTINY_SPARSE_TWIN(NAME, 2, SHIFT, PITCH, TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_SPARSE_1X2(NAME, SHIFT, PITCH, ROUNDING)                                           \
  TVMTINY_SPARSE_TWIN(NAME, 1, SHIFT, PITCH, TVMTINY_ROUNDING_##ROUNDING)

#endif

#endif /* TVMTINY_DSP_SPARSE_H */
