/* Convolutions like those of tvmtiny_thumb_pairs.h whose weights are mostly zero. The weights of a
 * channel are in blocks of four inputs, and blocks of zeros are omitted.
 *
 * For each channel, the stream holds the initial value of `all`; a step and four int8 weights for
 * each block, with zeros up to whole words; and the same words behind the weights as in
 * tvmtiny_thumb_pairs.h. A step is the distance in blocks from the end of the previous block, or
 * from the first input. Blocks are in ascending order except for the last one: only its step is
 * negative, which ends the channel. Hence there are at least two blocks, one of which may be zero. */
#ifndef TVMTINY_THUMB_SPARSE_H
#define TVMTINY_THUMB_SPARSE_H

#include "tvmtiny_thumb_pairs.h"

/* Defines NAME(x, stream, out, end), which computes all channels of PIXELS pixels; the stream ends
 * at `end`. CHUNK (1, 2 or 4) inputs are added up at a time. */
#if TVMTINY_THUMB2

/* Registers as in tvmtiny_thumb_pairs.h. Stack: out, x, the end of the stream. The sign of a step
 * is left in the carry of the addition, which nothing within a block changes. */
#define TVMTINY_THUMB_SPARSE(NAME, PIXELS, CHUNK, SHIFT, PITCH, ROUNDING)                            \
  TVMTINY_THUMB_SPARSE_(NAME, #PIXELS, #CHUNK,                                                       \
                        TVMTINY_THUMB_CHUNK_##PIXELS##_##CHUNK TVMTINY_THUMB_SPLIT_##PIXELS,         \
                        TVMTINY_THUMB_BEGIN_##PIXELS, TVMTINY_THUMB_LOAD_##ROUNDING,                 \
                        TVMTINY_THUMB_END_##PIXELS(TVMTINY_THUMB_SCALE_##ROUNDING, #SHIFT, #PITCH))
#define TVMTINY_THUMB_SPARSE_(NAME, PIXELS, CHUNK, ONE, BEGIN, LOAD, END)                            \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const uint32_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                       \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                               \
      " push {r3-r11, lr}\n mov r12, r0\n push {r2, r12}\n movw r3, #32767\n"                        \
      "1:\n" BEGIN                                                                                   \
      "2:\n ldrsb r2, [r1], #5\n adds r0, r0, r2, lsl #3 + " PIXELS " / 2\n"                         \
      ".set tvmtiny_weight, -4\n.rept 4 / " CHUNK "\n" ONE ".endr\n bcc 2b\n"                        \
      " add r1, r1, #3\n bic r1, r1, #3\n" LOAD END                                                  \
      " ldr r0, [sp, #4]\n ldr r2, [sp, #8]\n cmp r1, r2\n bne 1b\n add sp, sp, #12\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_THUMB2 */

#if TVMTINY_THUMB1

/* Registers as in tvmtiny_thumb_pairs.h. */
#define TVMTINY_THUMB_SMALL_BLOCK(PIXELS, CHUNK)                                                     \
  ".set tvmtiny_weight, 1\n.rept 4 / " CHUNK "\n" TVMTINY_THUMB_SMALL_FIRST_##PIXELS ".rept " CHUNK   \
  " - 1\n" TVMTINY_THUMB_SMALL_MORE_##PIXELS ".endr\n" TVMTINY_THUMB_SMALL_SPLIT_##PIXELS ".endr\n"
/* NAME(x, blocks, sums) computes the accumulators of a channel, and returns where its words behind
 * the weights are; sums[0] holds the initial value of `all`. */
#define TVMTINY_THUMB_SPARSE_SMALL(NAME, PIXELS, COUNT, CHUNK)                                       \
  TVMTINY_THUMB_FUNCTION_OF(                                                                         \
      const int32_t *, NAME,                                                                         \
      (const uint32_t *x TVMTINY_UNUSED, const int32_t *blocks TVMTINY_UNUSED,                       \
       uint32_t *sums TVMTINY_UNUSED),                                                               \
      " push {r2-r7, lr}\n mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n push {r4-r7}\n"     \
      " movs r4, #128\n lsls r4, r4, #8\n subs r4, r4, #1\n mov r8, r4\n"                            \
      " ldr r4, [r2]\n mov r10, r4\n mov r12, r4\n movs r4, #0\n mov r9, r4\n mov r11, r4\n"         \
      "1:\n ldrb r4, [r1]\n sxtb r4, r4\n lsls r4, r4, #3 + " COUNT " / 2\n adds r0, r0, r4\n"       \
      TVMTINY_THUMB_SMALL_BLOCK(PIXELS, CHUNK)                                                       \
      " ldrb r4, [r1]\n adds r1, r1, #5\n lsls r4, r4, #24\n bpl 1b\n"                               \
      " adds r1, r1, #3\n movs r2, #3\n bics r1, r1, r2\n"                                           \
      " ldr r3, [sp, #16]\n ldr r2, [r1]\n" TVMTINY_THUMB_SMALL_END_##PIXELS                         \
      " mov r0, r1\n pop {r4-r7}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n pop {r2-r7, pc}\n")
#define TVMTINY_THUMB_SPARSE(NAME, PIXELS, CHUNK, SHIFT, PITCH, ROUNDING)                            \
  TVMTINY_THUMB_SPARSE_SMALL(NAME##_sums, PIXELS, #PIXELS, #CHUNK)                                   \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)        \
  {                                                                                                  \
    while (stream != end) {                                                                          \
      const int32_t *constants;                                                                      \
      uint32_t sums[4];                                                                              \
      sums[0] = (uint32_t)stream[0];                                                                 \
      constants = NAME##_sums(x, stream + 1, sums);                                                  \
      (void)tvmtiny_thumb_finish_##ROUNDING(constants, sums, out + constants[1 + TVMTINY_THUMB_##ROUNDING], PIXELS, \
                                            PITCH, SHIFT);                                           \
      stream = constants + (2 + TVMTINY_THUMB_##ROUNDING);                                           \
    }                                                                                                \
  }

#else /* !TVMTINY_THUMB1 */

TVMTINY_THUMB_INLINE void tvmtiny_thumb_sparse(const uint32_t *x, const int32_t *stream, int8_t *out,
                                               const int32_t *end, int32_t pixels, int32_t chunk,
                                               int32_t shift, int32_t pitch, int32_t rounding)
{
  while (stream != end) {
    const int8_t *const blocks = (const int8_t *)(stream + 1);
    const int32_t *constants;
    int32_t count = 0;
    int32_t word = 0;
    int32_t step;
    uint32_t sums[4] = {0, 0, 0, 0};
    int32_t pair;
    sums[0] = sums[2] = (uint32_t)stream[0];
    do {
      int32_t input = 0;
      step = blocks[count];
      word += 2 * pixels * step;
      while (input < 4) {
        const int32_t stop = input + chunk;
        uint32_t parts[2] = {32767u, 32767u};
        for (; input < stop; ++input) {
          const uint32_t factor = (uint32_t)blocks[count + 1 + input];
          for (pair = 0; pair < pixels / 2; ++pair, ++word) {
            parts[pair] += x[word] * factor;
          }
        }
        tvmtiny_thumb_split(sums, parts);
      }
      count += 5;
    } while (step >= 0);
    constants = stream + (1 + (count + 3) / 4);
    tvmtiny_thumb_pairs_outputs(sums, constants, out, pixels, shift, pitch, rounding);
    stream = constants + (2 + rounding);
  }
}

#define TVMTINY_THUMB_SPARSE(NAME, PIXELS, CHUNK, SHIFT, PITCH, ROUNDING)                            \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)        \
  {                                                                                                  \
    tvmtiny_thumb_sparse(x, stream, out, end, PIXELS, CHUNK, SHIFT, PITCH, TVMTINY_THUMB_##ROUNDING); \
  }

#endif

#endif

#endif /* TVMTINY_THUMB_SPARSE_H */
