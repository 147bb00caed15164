/* Dense layers of one pixel, eight channels at a time, for cores with the DSP extension.
 *
 * Weights are those of the format p8 of tvmtiny_dsp_block.h: 256 * w + v of two channels, which add up
 * to P = 256 * sum(w * x) + sum(v * x) as they are, and by their lower bytes to Q = sum(v * x). The
 * accumulators are P - Q and 256 * Q. The inputs are expanded onto the stack, so that no pointer to
 * them takes a register, and each word of them serves eight words of products.
 *
 * For each tile of eight channels, the stream has the initial accumulators of the odd channels; for
 * each group of four inputs the words of x0 and x2 of all pairs of channels, and those of x1 and x3;
 * the initial accumulators of the even channels; and the multipliers of the odd and of the even
 * channels.
 *
 * Layers with more inputs are computed in parts, all tiles of which add to eight sums each, P and Q in
 * this order. The stream then has the initial accumulators of the odd channels of all tiles, the weights
 * of all tiles for each part, and the other constants of all tiles. */
#ifndef TVMTINY_DSP_DENSE_H
#define TVMTINY_DSP_DENSE_H

#include "tvmtiny_dsp_sums.h"
#include "tvmtiny_dsp_tile.h"

/* Defines NAME(x, stream, out, end), which reads all DEPTH inputs before it writes outputs. DEPTH is a
 * multiple of 16 and at most 256.
 *
 * TVMTINY_DENSE_PART defines NAME(x, stream, sums, end), which adds the products of DEPTH inputs, and
 * TVMTINY_DENSE_FINISH defines NAME(sums, stream, out, end). */
#if TVMTINY_DSP

/* x r0, stream r1, weights r2 r11 r12 lr, P r3-r6, Q r7-r10. Stack: 2 * DEPTH bytes of inputs, out, a
 * free word, the end of the stream. tvmtiny_step is a pair of inputs. With tvmtiny_adds, Q has a sum already, and no initial
 * accumulators come before the weights. */
#define TVMTINY_DENSE_EXPAND(DEPTH)                                                                \
  " add r12, r0, #" DEPTH "\n mov lr, sp\n"                                                        \
  "1:\n ldr r8, [r0]\n ldr r9, [r0, #4]\n ldr r10, [r0, #8]\n ldr r11, [r0, #12]\n adds r0, r0, #16\n" \
  " sxtb16 r3, r8\n sxtb16 r4, r8, ror #8\n sxtb16 r5, r9\n sxtb16 r6, r9, ror #8\n"               \
  " sxtb16 r7, r10\n sxtb16 r8, r10, ror #8\n sxtb16 r9, r11\n sxtb16 r10, r11, ror #8\n"          \
  " stmia lr!, {r3-r10}\n cmp r0, r12\n bne 1b\n"
#define TVMTINY_DENSE_LOAD(TO, OFFSET) " ldr " TO ", [r1, #" OFFSET "]\n"
/* Loads are consecutive, so that each but the first one takes a cycle. */
#define TVMTINY_DENSE_STEP                                                                         \
  ".set tvmtiny_weights, 16 * (tvmtiny_step + 1 - tvmtiny_adds)\n"                                 \
  " ldr r0, [sp, #4 * tvmtiny_step]\n"                                                             \
  TVMTINY_DENSE_LOAD("r2", "0 + tvmtiny_weights")                                               \
  TVMTINY_DENSE_LOAD("r11", "4 + tvmtiny_weights")                                              \
  TVMTINY_DENSE_LOAD("r12", "8 + tvmtiny_weights")                                              \
  TVMTINY_DENSE_LOAD("lr", "12 + tvmtiny_weights")                                               \
  " smlad r3, r0, r2, r3\n smlad r4, r0, r11, r4\n smlad r5, r0, r12, r5\n smlad r6, r0, lr, r6\n" \
  " sxtb16 r2, r2\n sxtb16 r11, r11\n sxtb16 r12, r12\n sxtb16 lr, lr\n"                           \
  ".if tvmtiny_step == 0 && tvmtiny_adds == 0\n"                                                                        \
  " smuad r7, r0, r2\n smuad r8, r0, r11\n smuad r9, r0, r12\n smuad r10, r0, lr\n"                \
  ".else\n smlad r7, r0, r2, r7\n smlad r8, r0, r11, r8\n smlad r9, r0, r12, r9\n"                 \
  " smlad r10, r0, lr, r10\n.endif\n.set tvmtiny_step, tvmtiny_step + 1\n"
#define TVMTINY_DENSE_CONSTANT(TO, INDEX) TVMTINY_DENSE_LOAD(TO, "tvmtiny_last + 4 * " INDEX)
/* LAST is the offset of the constants in the stream, and OUT that of the output pointer. */
#define TVMTINY_DENSE_SCALE(LAST, OUT)                                                             \
  ".set tvmtiny_last, " LAST "\n"                                                                  \
  TVMTINY_DENSE_CONSTANT("r0", "0")                                                                \
  TVMTINY_DENSE_CONSTANT("r2", "1") TVMTINY_DENSE_CONSTANT("r11", "2")                             \
      TVMTINY_DENSE_CONSTANT("r12", "3") TVMTINY_DENSE_CONSTANT("lr", "4")                         \
  " subs r3, r3, r7\n subs r4, r4, r8\n subs r5, r5, r9\n subs r6, r6, r10\n"                      \
  " add r7, r0, r7, lsl #8\n add r8, r2, r8, lsl #8\n add r9, r11, r9, lsl #8\n"                   \
  " add r10, r12, r10, lsl #8\n smmul r3, r3, lr\n"                                                \
  TVMTINY_DENSE_CONSTANT("r0", "5")                                                                \
  TVMTINY_DENSE_CONSTANT("r2", "6") TVMTINY_DENSE_CONSTANT("r11", "7")                             \
      TVMTINY_DENSE_CONSTANT("r12", "8") TVMTINY_DENSE_CONSTANT("lr", "9")                         \
  " smmul r4, r4, r0\n smmul r5, r5, r2\n smmul r6, r6, r11\n smmul r7, r7, r12\n"                 \
  " smmul r8, r8, lr\n"                                                                            \
  TVMTINY_DENSE_CONSTANT("r0", "10") TVMTINY_DENSE_CONSTANT("r2", "11")                            \
  " ldr r11, [sp, #" OUT "]\n ldr r12, [sp, #" OUT " + 8]\n"                                       \
  " smmul r9, r9, r0\n smmul r10, r10, r2\n addw r1, r1, #tvmtiny_last + 48\n"
#define TVMTINY_DENSE_STORE(SHIFT, OUT)                                                                 \
  " ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                           \
  " ssat r5, #8, r5, asr #" SHIFT "\n ssat r6, #8, r6, asr #" SHIFT "\n"                           \
  " ssat r7, #8, r7, asr #" SHIFT "\n ssat r8, #8, r8, asr #" SHIFT "\n"                           \
  " ssat r9, #8, r9, asr #" SHIFT "\n ssat r10, #8, r10, asr #" SHIFT "\n"                         \
  " strb r3, [r11, #1]\n strb r8, [r11, #2]\n strb r4, [r11, #3]\n strb r9, [r11, #4]\n"           \
  " strb r5, [r11, #5]\n strb r10, [r11, #6]\n strb r6, [r11, #7]\n strb r7, [r11], #8\n"    \
  " str r11, [sp, #" OUT "]\n cmp r1, r12\n"
#define TVMTINY_DENSE_1X8_P8(NAME, DEPTH, SHIFT)                                                   \
  TVMTINY_DENSE_(NAME, TVMTINY_STRING(DEPTH), TVMTINY_STRING(SHIFT))
#define TVMTINY_DENSE_(NAME, DEPTH, SHIFT)                                                         \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME,                                                                                        \
      ".syntax unified\n push {r3-r11, lr}\n subw sp, sp, #2 * " DEPTH " + 8\n str r2, [sp, #2 * " DEPTH \
      "]\n" TVMTINY_DENSE_EXPAND(DEPTH)                                                            \
      "2:\n.set tvmtiny_step, 0\n.set tvmtiny_adds, 0\n ldr r3, [r1]\n ldr r4, [r1, #4]\n ldr r5, [r1, #8]\n ldr r6, [r1, #12]\n" \
      ".rept " DEPTH " / 2\n" TVMTINY_DENSE_STEP ".endr\n"                                         \
      TVMTINY_DENSE_SCALE("16 + 8 * " DEPTH, "2 * " DEPTH) TVMTINY_DENSE_STORE(SHIFT, "2 * " DEPTH) \
      " bne 2b\n"                                                                                 \
      " addw sp, sp, #2 * " DEPTH " + 12\n pop {r4-r11, pc}\n")

#define TVMTINY_DENSE_PART(NAME, DEPTH) TVMTINY_DENSE_PART_(NAME, TVMTINY_STRING(DEPTH))
#define TVMTINY_DENSE_PART_(NAME, DEPTH)                                                           \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME,                                                                                        \
      ".syntax unified\n push {r3-r11, lr}\n subw sp, sp, #2 * " DEPTH " + 8\n str r2, [sp, #2 * " DEPTH \
      "]\n" TVMTINY_DENSE_EXPAND(DEPTH)                                                            \
      "2:\n.set tvmtiny_step, 0\n.set tvmtiny_adds, 1\n ldr r11, [sp, #2 * " DEPTH "]\n ldmia r11, {r3-r10}\n" \
      ".rept " DEPTH " / 2\n" TVMTINY_DENSE_STEP ".endr\n"                                         \
      " ldr r11, [sp, #2 * " DEPTH "]\n ldr r12, [sp, #2 * " DEPTH " + 8]\n addw r1, r1, #8 * " DEPTH \
      "\n stmia r11!, {r3-r10}\n str r11, [sp, #2 * " DEPTH "]\n cmp r1, r12\n bne 2b\n"            \
      " addw sp, sp, #2 * " DEPTH " + 12\n pop {r4-r11, pc}\n")
/* Stack: out, sums, the end of the stream. */
#define TVMTINY_DENSE_FINISH(NAME, SHIFT)                                                          \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME,                                                                                        \
      ".syntax unified\n push {r3-r11, lr}\n push {r2, r3}\n str r0, [sp, #4]\n"                  \
      "2:\n ldr r11, [sp, #4]\n ldmia r11!, {r3-r10}\n str r11, [sp, #4]\n"                       \
      TVMTINY_DENSE_SCALE("0", "0") TVMTINY_DENSE_STORE(TVMTINY_STRING(SHIFT), "0")                \
      " bne 2b\n add sp, sp, #12\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_DSP */

/* Adds the products of a tile; `x` has the expanded inputs. */
TVMTINY_INLINE void tvmtiny_dense_products(const uint32_t *x, const int32_t *stream, int32_t *sums,
                                           int32_t words)
{
  int32_t i;
  for (i = 0; i < 4 * words; ++i) {
    const uint32_t weights = (uint32_t)stream[i];
    sums[i % 4] = tvmtiny_smlad(x[i / 4], weights, sums[i % 4]);
    sums[4 + i % 4] = tvmtiny_smlad(x[i / 4], tvmtiny_sxtb16(weights), sums[4 + i % 4]);
  }
}

/* Computes the outputs of a tile. */
TVMTINY_INLINE void tvmtiny_dense_outputs(const int32_t *sums, const int32_t *constants, int8_t *out,
                                          int32_t shift)
{
  int32_t pair;
  for (pair = 0; pair < 4; ++pair) {
    const uint32_t low = (uint32_t)sums[4 + pair];
    const int32_t odd = (int32_t)((uint32_t)sums[pair] - low);
    const int32_t even = (int32_t)((uint32_t)constants[pair] + (low << 8));
    out[2 * pair + 1] = tvmtiny_scale_int8(odd, constants + 4 + pair, TVMTINY_ROUNDING_PLAIN, shift);
    out[2 * pair] = tvmtiny_scale_int8(even, constants + 8 + pair, TVMTINY_ROUNDING_PLAIN, shift);
  }
}

#define TVMTINY_DENSE_1X8_P8(NAME, DEPTH, SHIFT)                                                   \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    uint32_t words[(DEPTH) / 2];                                                                   \
    (void)tvmtiny_expand_w16(words, (const int8_t *)x, DEPTH, 1);                                  \
    while (stream != end) {                                                                        \
      int32_t sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};                                                  \
      int32_t i;                                                                                   \
      for (i = 0; i < 4; ++i) {                                                                    \
        sums[i] = *stream++;                                                                       \
      }                                                                                            \
      tvmtiny_dense_products(words, stream, sums, (DEPTH) / 2);                                    \
      stream += 2 * (DEPTH);                                                                       \
      tvmtiny_dense_outputs(sums, stream, out, SHIFT);                                             \
      stream += 12;                                                                                \
      out += 8;                                                                                    \
    }                                                                                              \
  }
#define TVMTINY_DENSE_PART(NAME, DEPTH)                                                            \
  static void NAME(const void *x, const int32_t *stream, int32_t *sums, const int32_t *end)        \
  {                                                                                                \
    uint32_t words[(DEPTH) / 2];                                                                   \
    (void)tvmtiny_expand_w16(words, (const int8_t *)x, DEPTH, 1);                                  \
    for (; stream != end; stream += 2 * (DEPTH)) {                                                 \
      tvmtiny_dense_products(words, stream, sums, (DEPTH) / 2);                                    \
      sums += 8;                                                                                   \
    }                                                                                              \
  }
#define TVMTINY_DENSE_FINISH(NAME, SHIFT)                                                          \
  static void NAME(const int32_t *sums, const int32_t *stream, int8_t *out, const int32_t *end)    \
  {                                                                                                \
    for (; stream != end; stream += 12) {                                                          \
      tvmtiny_dense_outputs(sums, stream, out, SHIFT);                                             \
      sums += 8;                                                                                   \
      out += 8;                                                                                    \
    }                                                                                              \
  }

#endif

/* Starts the sums of all tiles. */
TVMTINY_INLINE void tvmtiny_dense_start(int32_t *sums, const int32_t *stream, const int32_t *end)
{
  for (; stream != end; stream += 4) {
    sums[0] = stream[0];
    sums[1] = stream[1];
    sums[2] = stream[2];
    sums[3] = stream[3];
    sums[4] = sums[5] = sums[6] = sums[7] = 0;
    sums += 8;
  }
}

#endif /* TVMTINY_DSP_DENSE_H */
