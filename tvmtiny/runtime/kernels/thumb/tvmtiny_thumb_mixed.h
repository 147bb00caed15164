/* Convolutions like those of tvmtiny_thumb_pairs.h, for steps of four pixels, whose workspace holds
 * some inputs as bytes.
 *
 * The last inputs of a pixel follow the words of the others, one word for the four pixels: from the
 * lowest byte on, pixels 2, 0, 3 and 1, each plus 128. The word's odd bytes are the words of pixels
 * 0 and 1 in tvmtiny_thumb_pairs.h, but for the 128, and its even bytes those of pixels 2 and 3. With
 * sums of words and of odd bytes, those of even bytes are the words minus 256 times the odd bytes.
 *
 * For each channel, the stream holds what it does in tvmtiny_thumb_pairs.h, with the weights of the
 * bytes behind the other ones: for each of their chunks, 32767 minus what is added for the 128, and
 * the weights, with zeros up to a whole word. */
#ifndef TVMTINY_THUMB_MIXED_H
#define TVMTINY_THUMB_MIXED_H

#include "tvmtiny_thumb_pairs.h"

/* Packs the inputs of four pixels, of which the last `bytes` stay bytes. */
static TVMTINY_UNUSED void tvmtiny_thumb_pack_mixed(uint32_t *to, const int8_t *x, int32_t depth, int32_t bytes)
{
  const int32_t pairs = depth - bytes;
  const int8_t *const end = x + depth;
  (void)tvmtiny_thumb_pack(to, x, x + depth, pairs, 2);
  to = tvmtiny_thumb_pack(to + 1, x + 2 * depth, x + 3 * depth, pairs, 2) - 1;
  for (x += pairs; x != end; ++x) {
    const uint32_t even = (uint32_t)(uint8_t)x[2 * depth] | (uint32_t)(uint8_t)x[3 * depth] << 16;
    const uint32_t odd = (uint32_t)(uint8_t)x[0] | (uint32_t)(uint8_t)x[depth] << 16;
    *to++ = (even | odd << 8) ^ 0x80808080u;
  }
}

/* Defines NAME(x, stream, out, end), which computes all channels of four pixels; the stream ends at
 * `end`.
 *
 * CHUNK (1, 2, 3, 4, 6 or 8) words are added up at a time; FIRST chunks are unrolled, followed by
 * LOOPS iterations of UNROLL chunks, a multiple of four words in all. TURNS chunks of BYTES (2, 3 or
 * 4) inputs that are bytes come after them. PIXELS is 4, and PITCH the distance between pixels of
 * `out`. */
#if TVMTINY_THUMB2

/* Registers as in tvmtiny_thumb_pairs.h, except for r3 and r12, which are chunks here, and lr, which
 * masks odd bytes. */
#define TVMTINY_THUMB_BYTES_START                                                                    \
  " ldr r3, [r1, #tvmtiny_weight]\n.set tvmtiny_weight, tvmtiny_weight + 4\n" TVMTINY_THUMB_WEIGHT    \
  " and r12, lr, r8, lsr #8\n mla r12, r12, r2, r3\n add r3, r3, r3, lsl #8\n mla r3, r8, r2, r3\n"
#define TVMTINY_THUMB_BYTES_MORE(X)                                                                  \
  TVMTINY_THUMB_WEIGHT " and r8, lr, " X ", lsr #8\n mla r12, r8, r2, r12\n mla r3, " X ", r2, r3\n"
#define TVMTINY_THUMB_BYTES_2                                                                        \
  " ldmia r0!, {r8, r9}\n" TVMTINY_THUMB_BYTES_START TVMTINY_THUMB_BYTES_MORE("r9")                  \
  ".set tvmtiny_weight, tvmtiny_weight + 2\n"
#define TVMTINY_THUMB_BYTES_3                                                                        \
  " ldmia r0!, {r8-r10}\n" TVMTINY_THUMB_BYTES_START TVMTINY_THUMB_BYTES_MORE("r9")                  \
  TVMTINY_THUMB_BYTES_MORE("r10") ".set tvmtiny_weight, tvmtiny_weight + 1\n"
#define TVMTINY_THUMB_BYTES_4                                                                        \
  " ldmia r0!, {r8-r11}\n" TVMTINY_THUMB_BYTES_START TVMTINY_THUMB_BYTES_MORE("r9")                  \
  TVMTINY_THUMB_BYTES_MORE("r10") TVMTINY_THUMB_BYTES_MORE("r11")
#define TVMTINY_THUMB_BYTES_SPLIT                                                                    \
  " sub r3, r3, r12, lsl #8\n add r4, r4, r12, asr #16\n add r5, r5, r12\n add r6, r6, r3, asr #16\n" \
  " add r7, r7, r3\n"

#define TVMTINY_THUMB_MIXED(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, BYTES, TURNS, SHIFT, PITCH, ROUNDING) \
  TVMTINY_THUMB_MIXED_(NAME, TVMTINY_THUMB_CHUNK_4_##CHUNK TVMTINY_THUMB_SPLIT_4,                    \
                       TVMTINY_THUMB_BYTES_##BYTES TVMTINY_THUMB_BYTES_SPLIT,                        \
                       TVMTINY_THUMB_LOAD_##ROUNDING,                                                \
                       TVMTINY_THUMB_END_4(TVMTINY_THUMB_SCALE_##ROUNDING, #SHIFT, #PITCH), #CHUNK,  \
                       #FIRST, #UNROLL, #LOOPS, #TURNS,                                              \
                       "(8 * " #CHUNK " * (" #FIRST " + " #UNROLL " * " #LOOPS "))",                 \
                       "(4 * " #BYTES " * " #TURNS ")")
#define TVMTINY_THUMB_MIXED_(NAME, ONE, BYTES, LOAD, END, CHUNK, FIRST, UNROLL, LOOPS, TURNS, XBYTES, REST) \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const uint32_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                       \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                               \
      " push {r3-r11, lr}\n mov r12, r0\n" TVMTINY_THUMB_ADD("r12", XBYTES, "r3")                    \
      " push {r2, r12}\n1:\n movw r3, #32767\n" TVMTINY_THUMB_BEGIN_4                                \
      TVMTINY_THUMB_CHUNKS(ONE, FIRST, CHUNK " * " FIRST)                                            \
      ".if " LOOPS "\n2:\n" TVMTINY_THUMB_CHUNKS(ONE, UNROLL, CHUNK " * " UNROLL)                    \
      " ldr r2, [sp, #4]\n cmp r0, r2\n bne 2b\n.endif\n"                                            \
      " mov lr, #0x00ff00ff\n" TVMTINY_THUMB_CHUNKS(BYTES, TURNS, "8 * " TURNS)                      \
      LOAD END TVMTINY_THUMB_SUBTRACT("r0", XBYTES " + " REST, "r2")                                 \
      " ldr r2, [sp, #8]\n cmp r1, r2\n bne 1b\n add sp, sp, #12\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_THUMB2 */

#if TVMTINY_THUMB1

/* Registers as in tvmtiny_thumb_pairs.h, except for r7, which masks odd bytes. */
#define TVMTINY_THUMB_SMALL_BYTES(BYTES, TURNS)                                                      \
  " movs r7, #255\n lsls r4, r7, #16\n orrs r7, r7, r4\n"                                            \
  ".rept " TURNS "\n.set tvmtiny_weight, 4\n ldmia r0!, {r3}\n" TVMTINY_THUMB_SMALL_WEIGHT            \
  " lsrs r2, r3, #8\n ands r2, r2, r7\n muls r2, r4, r2\n muls r3, r4, r3\n.rept " BYTES              \
  " - 1\n ldmia r0!, {r5}\n" TVMTINY_THUMB_SMALL_WEIGHT                                              \
  " lsrs r6, r5, #8\n ands r6, r6, r7\n muls r6, r4, r6\n muls r5, r4, r5\n adds r2, r2, r6\n"        \
  " adds r3, r3, r5\n.endr\n lsls r5, r2, #8\n subs r3, r3, r5\n ldr r4, [r1]\n adds r2, r2, r4\n"    \
  " adds r3, r3, r4\n asrs r4, r2, #16\n add r9, r4\n add r10, r2\n asrs r4, r3, #16\n add r11, r4\n" \
  " add r12, r3\n adds r1, #8\n.endr\n"
/* NAME(x, weights, end, sums) computes the accumulators of a channel; the words end at `end`. */
#define TVMTINY_THUMB_MIXED_SMALL(NAME, CHUNK, FIRST, UNROLL, LOOPS, BYTES, TURNS)                   \
  TVMTINY_THUMB_SMALL_OF(NAME, 4, CHUNK, FIRST, UNROLL, LOOPS, TVMTINY_THUMB_SMALL_BYTES(BYTES, TURNS))
#define TVMTINY_THUMB_MIXED(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, BYTES, TURNS, SHIFT, PITCH, ROUNDING) \
  TVMTINY_THUMB_MIXED_SMALL(NAME##_sums, #CHUNK, #FIRST, #UNROLL, #LOOPS, #BYTES, #TURNS)            \
  TVMTINY_THUMB_SMALL_CHANNELS(NAME, 4, (CHUNK) * ((FIRST) + (UNROLL) * (LOOPS)), 2 * (TURNS), SHIFT, \
                               PITCH, ROUNDING)

#else /* !TVMTINY_THUMB1 */

TVMTINY_THUMB_INLINE void tvmtiny_thumb_mixed(const uint32_t *x, const int32_t *stream, int8_t *out,
                                              const int32_t *end, int32_t chunk, int32_t chunks,
                                              int32_t bytes, int32_t turns, int32_t shift, int32_t pitch,
                                              int32_t rounding)
{
  while (stream != end) {
    const int32_t *constants = stream + (1 + chunk * chunks / 4);
    const uint32_t *word = x + 2 * chunk * chunks;
    uint32_t sums[4];
    int32_t turn;
    tvmtiny_thumb_pair_sums(x, stream, sums, 4, chunk, chunks);
    for (turn = 0; turn < turns; ++turn, constants += 2) {
      const int8_t *const weights = (const int8_t *)(constants + 1);
      uint32_t parts[2];
      int32_t i;
      parts[0] = parts[1] = (uint32_t)constants[0];
      for (i = 0; i < bytes; ++i, ++word) {
        const uint32_t factor = (uint32_t)weights[i];
        /* Behind the inputs, where weights are zero, nothing was written. */
        if (factor != 0u) {
          parts[0] += (*word >> 8 & 0x00ff00ffu) * factor;
          parts[1] += (*word & 0x00ff00ffu) * factor;
        }
      }
      tvmtiny_thumb_split(sums, parts);
    }
    tvmtiny_thumb_pairs_outputs(sums, constants, out, 4, shift, pitch, rounding);
    stream = constants + (2 + rounding);
  }
}

#define TVMTINY_THUMB_MIXED(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, BYTES, TURNS, SHIFT, PITCH, ROUNDING) \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)        \
  {                                                                                                  \
    tvmtiny_thumb_mixed(x, stream, out, end, CHUNK, (FIRST) + (UNROLL) * (LOOPS), BYTES, TURNS, SHIFT, \
                        PITCH, TVMTINY_THUMB_##ROUNDING);                                            \
  }

#endif

#endif

#endif /* TVMTINY_THUMB_MIXED_H */
