/* Convolutions with two products in one multiplication, for Arm cores without the DSP extension.
 *
 * A step computes all channels of PIXELS (2 or 4) pixels from the words of tvmtiny_pairs.h. The
 * product of such a word and a weight holds two products. They are added up in chunks that keep the
 * sum of the lower ones within 16 bits, which was proven for the weights of each channel when the
 * code was generated. A chunk starts at 32767, so that its arithmetic shift by 16 is exactly the
 * sum of the upper ones.
 *
 *   high += chunk >> 16; all += chunk; in the end the lower sum is all - 65536 * high, modulo 2^32.
 *
 * For each channel, the stream holds the initial value of `all`, which compensates for the starts
 * of the chunks; the int8 weights, in whole chunks and words, with zeros at the end; the initial
 * accumulator; the multiplier and, for ROUNDING = SIGNED, the offset and the step; and the
 * channel's number. The accumulator is the initial one plus 256 times the sum. */
#ifndef TVMTINY_THUMB_PAIRS_H
#define TVMTINY_THUMB_PAIRS_H

#include "tvmtiny_pairs.h"
#include "tvmtiny_thumb.h"

TVMTINY_PAIRS_PACK(tvmtiny_thumb_pack, 4, 0)

/* Defines NAME(x, stream, out, end), which computes all channels of PIXELS pixels; the stream ends
 * at `end`.
 *
 * CHUNK (1, 2, 3, 4, 6 or 8) inputs are added up at a time; FIRST chunks are unrolled, followed by
 * LOOPS iterations of UNROLL chunks. PITCH is the distance between pixels of `out`. */
#if TVMTINY_THUMB2

/* r0 x, r1 stream, r2 a weight, r3 32767; r4 high and r5 all of two pixels, r6 and r7 of the
 * others; r8 r9 words of x and then chunks; up to lr more words. Stack: out, the end of x, the end
 * of the stream. */
#define TVMTINY_THUMB_WEIGHT                                                                         \
  " ldrsb r2, [r1, #tvmtiny_weight]\n.set tvmtiny_weight, tvmtiny_weight + 1\n"

#define TVMTINY_THUMB_MULTIPLY(X, Y, FROM, ALSO)                                                     \
  TVMTINY_THUMB_WEIGHT " mla r8, " X ", r2, " FROM "\n mla r9, " Y ", r2, " ALSO "\n"
#define TVMTINY_THUMB_FIRST_2                                                                        \
  " ldmia r0!, {r8-r11}\n" TVMTINY_THUMB_MULTIPLY("r8", "r9", "r3", "r3")                            \
      TVMTINY_THUMB_MULTIPLY("r10", "r11", "r8", "r9")
#define TVMTINY_THUMB_MORE_2                                                                         \
  " ldmia r0!, {r10-r12, lr}\n" TVMTINY_THUMB_MULTIPLY("r10", "r11", "r8", "r9")                     \
      TVMTINY_THUMB_MULTIPLY("r12", "lr", "r8", "r9")
#define TVMTINY_THUMB_CHUNK_4_1 " ldmia r0!, {r8, r9}\n" TVMTINY_THUMB_MULTIPLY("r8", "r9", "r3", "r3")
#define TVMTINY_THUMB_CHUNK_4_2 TVMTINY_THUMB_FIRST_2
#define TVMTINY_THUMB_CHUNK_4_3                                                                      \
  " ldmia r0!, {r8-r12, lr}\n" TVMTINY_THUMB_MULTIPLY("r8", "r9", "r3", "r3")                        \
      TVMTINY_THUMB_MULTIPLY("r10", "r11", "r8", "r9") TVMTINY_THUMB_MULTIPLY("r12", "lr", "r8", "r9")
#define TVMTINY_THUMB_CHUNK_4_4 TVMTINY_THUMB_FIRST_2 TVMTINY_THUMB_MORE_2
#define TVMTINY_THUMB_CHUNK_4_6 TVMTINY_THUMB_CHUNK_4_4 TVMTINY_THUMB_MORE_2
#define TVMTINY_THUMB_CHUNK_4_8 TVMTINY_THUMB_CHUNK_4_6 TVMTINY_THUMB_MORE_2
#define TVMTINY_THUMB_SPLIT_4                                                                        \
  " add r4, r4, r8, asr #16\n add r5, r5, r8\n add r6, r6, r9, asr #16\n add r7, r7, r9\n"

#define TVMTINY_THUMB_ONE_MORE(X, FROM) TVMTINY_THUMB_WEIGHT " mla r8, " X ", r2, " FROM "\n"
#define TVMTINY_THUMB_CHUNK_2_1 " ldr r8, [r0], #4\n" TVMTINY_THUMB_ONE_MORE("r8", "r3")
#define TVMTINY_THUMB_CHUNK_2_2                                                                      \
  " ldmia r0!, {r8, r9}\n" TVMTINY_THUMB_ONE_MORE("r8", "r3") TVMTINY_THUMB_ONE_MORE("r9", "r8")
#define TVMTINY_THUMB_CHUNK_2_3                                                                      \
  " ldmia r0!, {r8-r10}\n" TVMTINY_THUMB_ONE_MORE("r8", "r3") TVMTINY_THUMB_ONE_MORE("r9", "r8")     \
      TVMTINY_THUMB_ONE_MORE("r10", "r8")
#define TVMTINY_THUMB_CHUNK_2_4                                                                      \
  " ldmia r0!, {r8-r11}\n" TVMTINY_THUMB_ONE_MORE("r8", "r3") TVMTINY_THUMB_ONE_MORE("r9", "r8")     \
      TVMTINY_THUMB_ONE_MORE("r10", "r8") TVMTINY_THUMB_ONE_MORE("r11", "r8")
#define TVMTINY_THUMB_CHUNK_2_6                                                                      \
  " ldmia r0!, {r8-r12, lr}\n" TVMTINY_THUMB_ONE_MORE("r8", "r3") TVMTINY_THUMB_ONE_MORE("r9", "r8") \
      TVMTINY_THUMB_ONE_MORE("r10", "r8") TVMTINY_THUMB_ONE_MORE("r11", "r8")                        \
          TVMTINY_THUMB_ONE_MORE("r12", "r8") TVMTINY_THUMB_ONE_MORE("lr", "r8")
#define TVMTINY_THUMB_CHUNK_2_8                                                                      \
  TVMTINY_THUMB_CHUNK_2_6 " ldmia r0!, {r9, r10}\n" TVMTINY_THUMB_ONE_MORE("r9", "r8")               \
      TVMTINY_THUMB_ONE_MORE("r10", "r8")
#define TVMTINY_THUMB_SPLIT_2 " add r4, r4, r8, asr #16\n add r5, r5, r8\n"

/* COUNT chunks, and the step past their weights. */
#define TVMTINY_THUMB_CHUNKS(ONE, COUNT, BYTES)                                                      \
  ".set tvmtiny_weight, 0\n.rept " COUNT "\n" ONE ".endr\n" TVMTINY_THUMB_ADD("r1", BYTES, "r2")

#define TVMTINY_THUMB_BEGIN_2 " ldr r5, [r1], #4\n movs r4, #0\n"
#define TVMTINY_THUMB_BEGIN_4 TVMTINY_THUMB_BEGIN_2 " mov r7, r5\n movs r6, #0\n"
#define TVMTINY_THUMB_ADJUST(ALL, HIGH)                                                              \
  " sub " ALL ", " ALL ", " HIGH ", lsl #16\n add " ALL ", r8, " ALL ", lsl #8\n add " HIGH ", r8, " HIGH \
  ", lsl #8\n"
#define TVMTINY_THUMB_SCALE_PLAIN(ACC) " smull r2, " ACC ", " ACC ", r9\n"
#define TVMTINY_THUMB_SCALE_SIGNED(ACC)                                                              \
  " and lr, r11, " ACC ", asr #31\n add lr, lr, r10\n smull r2, " ACC ", " ACC ", r9\n add " ACC ", " ACC \
  ", lr\n"
#define TVMTINY_THUMB_LOAD_PLAIN " ldmia r1!, {r8, r9, r12}\n"
#define TVMTINY_THUMB_LOAD_SIGNED " ldmia r1!, {r8-r12}\n"
#define TVMTINY_THUMB_LAST(ACC, SHIFT, OFFSET)                                                       \
  " ssat " ACC ", #8, " ACC ", asr #" SHIFT "\n strb " ACC ", [r2, #" OFFSET "]\n"
#define TVMTINY_THUMB_END_2(SCALE, SHIFT, PITCH)                                                     \
  TVMTINY_THUMB_ADJUST("r5", "r4") SCALE("r5") SCALE("r4") " ldr r2, [sp]\n add r2, r2, r12\n"       \
  TVMTINY_THUMB_LAST("r5", SHIFT, "0") TVMTINY_THUMB_LAST("r4", SHIFT, PITCH)
#define TVMTINY_THUMB_END_4(SCALE, SHIFT, PITCH)                                                     \
  TVMTINY_THUMB_ADJUST("r7", "r6") SCALE("r7") SCALE("r6") TVMTINY_THUMB_END_2(SCALE, SHIFT, PITCH)  \
  TVMTINY_THUMB_LAST("r7", SHIFT, "2 * " PITCH) TVMTINY_THUMB_LAST("r6", SHIFT, "3 * " PITCH)

#define TVMTINY_THUMB_PAIRS(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, PITCH, ROUNDING)       \
  TVMTINY_THUMB_PAIRS_(NAME, TVMTINY_THUMB_CHUNK_##PIXELS##_##CHUNK TVMTINY_THUMB_SPLIT_##PIXELS,    \
                       TVMTINY_THUMB_BEGIN_##PIXELS, TVMTINY_THUMB_LOAD_##ROUNDING,                  \
                       TVMTINY_THUMB_END_##PIXELS(TVMTINY_THUMB_SCALE_##ROUNDING, #SHIFT, #PITCH),   \
                       #CHUNK, #FIRST, #UNROLL, #LOOPS,                                              \
                       "(2 * " #PIXELS " * " #CHUNK " * (" #FIRST " + " #UNROLL " * " #LOOPS "))",   \
                       "(-" #CHUNK " * (" #FIRST " + " #UNROLL " * " #LOOPS ") & 3)")
#define TVMTINY_THUMB_PAIRS_(NAME, ONE, BEGIN, LOAD, END, CHUNK, FIRST, UNROLL, LOOPS, XBYTES, REST) \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const uint32_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                       \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                               \
      " push {r3-r11, lr}\n mov r12, r0\n" TVMTINY_THUMB_ADD("r12", XBYTES, "r3")                    \
      " push {r2, r12}\n movw r3, #32767\n"                                                          \
      "1:\n" BEGIN TVMTINY_THUMB_CHUNKS(ONE, FIRST, CHUNK " * " FIRST)                               \
      ".if " LOOPS "\n2:\n" TVMTINY_THUMB_CHUNKS(ONE, UNROLL, CHUNK " * " UNROLL)                    \
      " ldr r2, [sp, #4]\n cmp r0, r2\n bne 2b\n.endif\n" TVMTINY_THUMB_ADD("r1", REST, "r2")        \
      LOAD END TVMTINY_THUMB_SUBTRACT("r0", XBYTES, "r2")                                            \
      " ldr r2, [sp, #8]\n cmp r1, r2\n bne 1b\n add sp, sp, #12\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_THUMB2 */

#if TVMTINY_THUMB1

/* r0 x, r1 weights, r2 r3 chunks, r4 a weight, r5 r6 words of x, r7 scratch; r8 32767, r9 high and
 * r10 all of two pixels, r11 and r12 of the others, lr the end of x. */
#define TVMTINY_THUMB_SMALL_WEIGHT                                                                   \
  " ldrb r4, [r1, #tvmtiny_weight]\n sxtb r4, r4\n.set tvmtiny_weight, tvmtiny_weight + 1\n"
#define TVMTINY_THUMB_SMALL_FIRST_2                                                                  \
  " ldmia r0!, {r2}\n" TVMTINY_THUMB_SMALL_WEIGHT " muls r2, r4, r2\n add r2, r8\n"
#define TVMTINY_THUMB_SMALL_MORE_2                                                                   \
  " ldmia r0!, {r5}\n" TVMTINY_THUMB_SMALL_WEIGHT " muls r5, r4, r5\n adds r2, r2, r5\n"
#define TVMTINY_THUMB_SMALL_SPLIT_2 " asrs r7, r2, #16\n add r9, r7\n add r10, r2\n"
#define TVMTINY_THUMB_SMALL_FIRST_4                                                                  \
  " ldmia r0!, {r2, r3}\n" TVMTINY_THUMB_SMALL_WEIGHT                                                \
  " muls r2, r4, r2\n muls r3, r4, r3\n add r2, r8\n add r3, r8\n"
#define TVMTINY_THUMB_SMALL_MORE_4                                                                   \
  " ldmia r0!, {r5, r6}\n" TVMTINY_THUMB_SMALL_WEIGHT                                                \
  " muls r5, r4, r5\n muls r6, r4, r6\n adds r2, r2, r5\n adds r3, r3, r6\n"
#define TVMTINY_THUMB_SMALL_SPLIT_4                                                                  \
  TVMTINY_THUMB_SMALL_SPLIT_2 " asrs r7, r3, #16\n add r11, r7\n add r12, r3\n"
#define TVMTINY_THUMB_SMALL_CHUNKS(PIXELS, CHUNK, COUNT)                                             \
  ".set tvmtiny_weight, 0\n.rept " COUNT "\n" TVMTINY_THUMB_SMALL_FIRST_##PIXELS ".rept " CHUNK      \
  " - 1\n" TVMTINY_THUMB_SMALL_MORE_##PIXELS ".endr\n" TVMTINY_THUMB_SMALL_SPLIT_##PIXELS            \
  ".endr\n adds r1, #" CHUNK " * " COUNT "\n"
/* Computes the accumulators of two pixels from all (r4) and high (r5); r2 holds the initial
 * accumulator. */
#define TVMTINY_THUMB_SMALL_SUMS(ALL, HIGH, SCRATCH)                                                 \
  " lsls " ALL ", " ALL ", #8\n lsls " HIGH ", " HIGH ", #8\n lsls " SCRATCH ", " HIGH ", #16\n subs " ALL \
  ", " ALL ", " SCRATCH "\n adds " ALL ", " ALL ", r2\n adds " HIGH ", " HIGH ", r2\n"
#define TVMTINY_THUMB_SMALL_END_2                                                                    \
  " mov r4, r10\n mov r5, r9\n" TVMTINY_THUMB_SMALL_SUMS("r4", "r5", "r6") " stmia r3!, {r4, r5}\n"
#define TVMTINY_THUMB_SMALL_END_4                                                                    \
  " mov r4, r10\n mov r5, r9\n mov r6, r12\n mov r7, r11\n" TVMTINY_THUMB_SMALL_SUMS("r4", "r5", "r0") \
  TVMTINY_THUMB_SMALL_SUMS("r6", "r7", "r0") " stmia r3!, {r4-r7}\n"
/* NAME(x, weights, end, sums) computes the accumulators of a channel; sums[0] holds the initial
 * value of `all`, and sums[1] the initial accumulator. */
#define TVMTINY_THUMB_SMALL(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS)                               \
  TVMTINY_THUMB_SMALL_OF(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, "")
/* The same with code that adds up inputs behind the words. */
#define TVMTINY_THUMB_SMALL_OF(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, MORE)                      \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const uint32_t *x TVMTINY_UNUSED, const int8_t *weights TVMTINY_UNUSED,                       \
       const uint32_t *end TVMTINY_UNUSED, uint32_t *sums TVMTINY_UNUSED),                           \
      " push {r3-r7, lr}\n mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n push {r4-r7}\n"     \
      " mov lr, r2\n movs r4, #128\n lsls r4, r4, #8\n subs r4, r4, #1\n mov r8, r4\n"               \
      " ldr r4, [r3]\n mov r10, r4\n mov r12, r4\n movs r4, #0\n mov r9, r4\n mov r11, r4\n"         \
      TVMTINY_THUMB_SMALL_CHUNKS(PIXELS, CHUNK, FIRST)                                               \
      ".if " LOOPS "\n1:\n" TVMTINY_THUMB_SMALL_CHUNKS(PIXELS, CHUNK, UNROLL)                        \
      " cmp r0, lr\n beq 2f\n b 1b\n2:\n.endif\n" MORE                                               \
      " ldr r3, [sp, #16]\n ldr r2, [r3, #4]\n" TVMTINY_THUMB_SMALL_END_##PIXELS                      \
      " pop {r4-r7}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n pop {r3-r7, pc}\n")
/* Defines NAME, which calls NAME_sums(x, weights, end, sums) for each channel. INPUTS is a multiple
 * of CHUNK, and WORDS are in the stream behind their weights. */
#define TVMTINY_THUMB_SMALL_CHANNELS(NAME, PIXELS, INPUTS, WORDS, SHIFT, PITCH, ROUNDING)            \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)        \
  {                                                                                                  \
    const int32_t inputs = INPUTS;                                                                   \
    while (stream != end) {                                                                          \
      const int32_t *const constants = stream + (1 + (inputs + 3) / 4 + (WORDS));                    \
      uint32_t sums[4];                                                                              \
      sums[0] = (uint32_t)stream[0];                                                                 \
      sums[1] = (uint32_t)constants[0];                                                              \
      NAME##_sums(x, (const int8_t *)(stream + 1), x + (PIXELS) / 2 * inputs, sums);                 \
      (void)tvmtiny_thumb_finish_##ROUNDING(constants, sums, out + constants[1 + TVMTINY_THUMB_##ROUNDING], PIXELS, \
                                            PITCH, SHIFT);                                           \
      stream = constants + (2 + TVMTINY_THUMB_##ROUNDING);                                           \
    }                                                                                                \
  }
#define TVMTINY_THUMB_PAIRS(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, PITCH, ROUNDING)       \
  TVMTINY_THUMB_SMALL(NAME##_sums, PIXELS, #CHUNK, #FIRST, #UNROLL, #LOOPS)                          \
  TVMTINY_THUMB_SMALL_CHANNELS(NAME, PIXELS, (CHUNK) * ((FIRST) + (UNROLL) * (LOOPS)), 0, SHIFT, PITCH, \
                               ROUNDING)

#else /* !TVMTINY_THUMB1 */

/* The outputs of two pixels. */
TVMTINY_THUMB_INLINE void tvmtiny_thumb_pair_outputs(uint32_t all, uint32_t high, const int32_t *constants,
                                                     int8_t *out, int32_t shift, int32_t pitch,
                                                     int32_t rounding)
{
  const uint32_t initial = (uint32_t)constants[0];
  const int32_t first = (int32_t)(initial + ((all - (high << 16)) << 8));
  out[0] = tvmtiny_thumb_output(first, constants + 1, rounding, shift);
  out[pitch] = tvmtiny_thumb_output((int32_t)(initial + (high << 8)), constants + 1, rounding, shift);
}

/* The outputs of all pairs. */
TVMTINY_THUMB_INLINE void tvmtiny_thumb_pairs_outputs(const uint32_t *sums, const int32_t *constants,
                                                      int8_t *out, int32_t pixels, int32_t shift,
                                                      int32_t pitch, int32_t rounding)
{
  int32_t pair;
  for (pair = 0; pair < pixels / 2; ++pair) {
    tvmtiny_thumb_pair_outputs(sums[2 * pair], sums[2 * pair + 1], constants,
                               out + (constants[1 + rounding] + 2 * pair * pitch), shift, pitch, rounding);
  }
}

/* Adds a chunk of each pair to its sums. */
TVMTINY_THUMB_INLINE void tvmtiny_thumb_split(uint32_t *sums, const uint32_t *parts)
{
  int32_t pair;
  for (pair = 0; pair < 2; ++pair) {
    sums[2 * pair] += parts[pair];
    sums[2 * pair + 1] += (uint32_t)((int32_t)parts[pair] >> 16);
  }
}

/* Computes `all` and `high` of each pair for the channel at `stream`. */
TVMTINY_THUMB_INLINE void tvmtiny_thumb_pair_sums(const uint32_t *x, const int32_t *stream, uint32_t *sums,
                                                  int32_t pixels, int32_t chunk, int32_t chunks)
{
  const int8_t *weight = (const int8_t *)(stream + 1);
  int32_t pair;
  sums[0] = sums[2] = (uint32_t)stream[0];
  sums[1] = sums[3] = 0u;
  do {
    const int8_t *const stop = weight + chunk;
    uint32_t parts[2] = {32767u, 32767u};
    do {
      const uint32_t factor = (uint32_t)*weight++;
      /* Behind the inputs, where all weights are zero, nothing was written. */
      for (pair = 0; pair < pixels / 2; ++pair, ++x) {
        parts[pair] += factor == 0u ? 0u : *x * factor;
      }
    } while (weight != stop);
    tvmtiny_thumb_split(sums, parts);
  } while (--chunks != 0);
}

TVMTINY_THUMB_INLINE void tvmtiny_thumb_pairs(const uint32_t *x, const int32_t *stream, int8_t *out,
                                              const int32_t *end, int32_t pixels, int32_t chunk,
                                              int32_t chunks, int32_t shift, int32_t pitch,
                                              int32_t rounding)
{
  while (stream != end) {
    const int32_t *const constants = stream + (1 + (chunk * chunks + 3) / 4);
    uint32_t sums[4];
    tvmtiny_thumb_pair_sums(x, stream, sums, pixels, chunk, chunks);
    tvmtiny_thumb_pairs_outputs(sums, constants, out, pixels, shift, pitch, rounding);
    stream = constants + (2 + rounding);
  }
}

#define TVMTINY_THUMB_PAIRS(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, PITCH, ROUNDING)       \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)        \
  {                                                                                                  \
    tvmtiny_thumb_pairs(x, stream, out, end, PIXELS, CHUNK, (FIRST) + (UNROLL) * (LOOPS), SHIFT,     \
                        PITCH, TVMTINY_THUMB_##ROUNDING);                                            \
  }

#endif

#endif

#endif /* TVMTINY_THUMB_PAIRS_H */
