/* Dense layers, pixel by pixel, with two products in one multiplication, for Arm cores without the
 * DSP extension.
 *
 * Four channels are computed at a time. The stream has a word for each input, with one weight of
 * each channel minus the smallest weight of that channel, so that all are bytes from 0 to 255.
 * Bytes 0 and 2 are multiplied with the input at once, and so are bytes 1 and 3. Chunks are split
 * as in tvmtiny_thumb_pairs.h; |sum| <= 32767 was proven for each.
 *
 * For each four channels, the stream holds the initial value of `all` and the words. Channels 0, 1,
 * 2, 3 follow in this order, each with 256 times its smallest weight, by which the sum of all
 * inputs is multiplied, the initial accumulator, the multiplier and, for ROUNDING = SIGNED, the
 * offset and the step, and the channel's number. */
#ifndef TVMTINY_THUMB_QUADS_H
#define TVMTINY_THUMB_QUADS_H

#include "tvmtiny_thumb.h"

/* Sums `depth` inputs. */
static void TVMTINY_UNUSED tvmtiny_thumb_sum(const int8_t *x, int32_t depth, int32_t *sum)
{
  const int8_t *end = x + (depth & ~7);
  int32_t total = 0;
  while (x != end) {
    total += x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7];
    x += 8;
  }
  end += depth & 7;
  while (x != end) {
    total += *x++;
  }
  *sum = total;
}

/* Defines NAME(x, stream, out, end, sum), which computes all channels of one pixel; the stream ends
 * at `end`.
 *
 * CHUNK inputs are added up at a time; it is 1, 2, 4 or 8, and divides the number of inputs. FIRST
 * chunks are unrolled, followed by LOOPS iterations of UNROLL chunks. */
#if TVMTINY_THUMB2

/* r0 x, r1 stream, r2 an input, r3 lr words, r4 high and r5 all of channels 2 and 0, r6 and r7 of
 * channels 3 and 1, r8 r9 their chunks, r10 0x00ff00ff, r11 32767. Stack: out, the end of x, the
 * sum, the end of the stream. */
#define TVMTINY_THUMB_QUAD_BEGIN(WORD)                                                               \
  " ldrsb r2, [r0], #1\n and r8, r10, " WORD "\n and r9, r10, " WORD ", lsr #8\n mla r8, r2, r8, r11\n"  \
  " mla r9, r2, r9, r11\n"
#define TVMTINY_THUMB_QUAD_GO_ON(WORD)                                                               \
  " ldrsb r2, [r0], #1\n and r12, r10, " WORD "\n mla r8, r2, r12, r8\n and r12, r10, " WORD         \
  ", lsr #8\n mla r9, r2, r12, r9\n"
#define TVMTINY_THUMB_QUAD_1 " ldr r3, [r1], #4\n" TVMTINY_THUMB_QUAD_BEGIN("r3")
#define TVMTINY_THUMB_QUAD_2                                                                         \
  " ldmia r1!, {r3, lr}\n" TVMTINY_THUMB_QUAD_BEGIN("r3") TVMTINY_THUMB_QUAD_GO_ON("lr")
#define TVMTINY_THUMB_QUAD_MORE                                                                      \
  " ldmia r1!, {r3, lr}\n" TVMTINY_THUMB_QUAD_GO_ON("r3") TVMTINY_THUMB_QUAD_GO_ON("lr")
#define TVMTINY_THUMB_QUAD_4 TVMTINY_THUMB_QUAD_2 TVMTINY_THUMB_QUAD_MORE
#define TVMTINY_THUMB_QUAD_8 TVMTINY_THUMB_QUAD_4 TVMTINY_THUMB_QUAD_MORE TVMTINY_THUMB_QUAD_MORE
#define TVMTINY_THUMB_QUAD_SPLIT                                                                     \
  " add r4, r4, r8, asr #16\n add r5, r5, r8\n add r6, r6, r9, asr #16\n add r7, r7, r9\n"
/* r12 is the sum of x, lr is out. */
#define TVMTINY_THUMB_QUAD_PLAIN(ACC)                                                                \
  " ldmia r1!, {r2, r3, r8, r9}\n add " ACC ", r3, " ACC ", lsl #8\n mla " ACC ", r12, r2, " ACC     \
  "\n smull r2, " ACC ", " ACC ", r8\n"
#define TVMTINY_THUMB_QUAD_SIGNED(ACC)                                                               \
  " ldmia r1!, {r2, r3}\n add " ACC ", r3, " ACC ", lsl #8\n mla " ACC ", r12, r2, " ACC             \
  "\n ldmia r1!, {r2, r3, r8, r9}\n and r8, r8, " ACC ", asr #31\n add r8, r8, r3\n smull r2, " ACC ", " ACC \
  ", r2\n add " ACC ", " ACC ", r8\n"
#define TVMTINY_THUMB_QUAD_STORE(ACC, SHIFT) " ssat " ACC ", #8, " ACC ", asr #" SHIFT "\n strb " ACC ", [lr, r9]\n"

#define TVMTINY_THUMB_QUADS(NAME, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                      \
  TVMTINY_THUMB_QUADS_(NAME, TVMTINY_THUMB_QUAD_##CHUNK TVMTINY_THUMB_QUAD_SPLIT,                    \
                       TVMTINY_THUMB_QUAD_##ROUNDING, #FIRST, #UNROLL, #LOOPS, #SHIFT,               \
                       "(" #CHUNK " * (" #FIRST " + " #UNROLL " * " #LOOPS "))")
#define TVMTINY_THUMB_QUADS_(NAME, ONE, SCALE, FIRST, UNROLL, LOOPS, SHIFT, DEPTH)                   \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                         \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED,                                \
       const int32_t *sum TVMTINY_UNUSED),                                                           \
      " ldr r12, [sp]\n ldr r12, [r12]\n push {r3-r11, lr}\n mov r3, r0\n"                           \
      TVMTINY_THUMB_ADD("r3", DEPTH, "r4")                                                           \
      " push {r2, r3, r12}\n mov r10, #0x00ff00ff\n movw r11, #32767\n"                              \
      "1:\n ldr r5, [r1], #4\n mov r7, r5\n movs r4, #0\n movs r6, #0\n"                             \
      ".rept " FIRST "\n" ONE ".endr\n"                                                              \
      ".if " LOOPS "\n2:\n.rept " UNROLL "\n" ONE ".endr\n ldr r12, [sp, #4]\n cmp r0, r12\n bne 2b\n.endif\n" \
      " ldr r12, [sp, #8]\n ldr lr, [sp]\n sub r5, r5, r4, lsl #16\n sub r7, r7, r6, lsl #16\n"      \
      SCALE("r5") TVMTINY_THUMB_QUAD_STORE("r5", SHIFT) SCALE("r7") TVMTINY_THUMB_QUAD_STORE("r7", SHIFT) \
      SCALE("r4") TVMTINY_THUMB_QUAD_STORE("r4", SHIFT) SCALE("r6") TVMTINY_THUMB_QUAD_STORE("r6", SHIFT) \
      TVMTINY_THUMB_SUBTRACT("r0", DEPTH, "r2")                                                      \
      " ldr r12, [sp, #12]\n cmp r1, r12\n bne 1b\n add sp, sp, #16\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_THUMB2 */

TVMTINY_THUMB_INLINE void tvmtiny_thumb_quads(const int8_t *x, const int32_t *stream, int8_t *out,
                                              const int32_t *end, uint32_t sum, int32_t chunk,
                                              int32_t chunks, int32_t shift, int32_t rounding)
{
  while (stream != end) {
    const int8_t *input = x;
    uint32_t sums[4] = {0, 0, 0, 0};
    int32_t left;
    int32_t c;
    sums[0] = sums[1] = (uint32_t)*stream++;
    for (left = chunks; left > 0; --left) {
      const int8_t *const stop = input + chunk;
      uint32_t even = 32767u;
      uint32_t odd = 32767u;
      while (input != stop) {
        const uint32_t word = (uint32_t)*stream++;
        const uint32_t factor = (uint32_t)*input++;
        even += factor * (word & 0x00ff00ffu);
        odd += factor * ((word >> 8) & 0x00ff00ffu);
      }
      sums[0] += even;
      sums[1] += odd;
      sums[2] += (uint32_t)((int32_t)even >> 16);
      sums[3] += (uint32_t)((int32_t)odd >> 16);
    }
    sums[0] -= sums[2] << 16;
    sums[1] -= sums[3] << 16;
    for (c = 0; c < 4; ++c) {
      const uint32_t acc = (uint32_t)stream[1] + (sums[c] << 8) + (uint32_t)stream[0] * sum;
      out[stream[2 + rounding]] = tvmtiny_thumb_output((int32_t)acc, stream + 2, rounding, shift);
      stream += 3 + rounding;
    }
  }
}

#define TVMTINY_THUMB_QUADS(NAME, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                      \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, const int32_t *end,          \
                   const int32_t *sum)                                                               \
  {                                                                                                  \
    tvmtiny_thumb_quads(x, stream, out, end, (uint32_t)*sum, CHUNK, (FIRST) + (UNROLL) * (LOOPS),    \
                        SHIFT, TVMTINY_THUMB_##ROUNDING);                                            \
  }

#endif

#endif /* TVMTINY_THUMB_QUADS_H */
