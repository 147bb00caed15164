/* Dense layers, pixel by pixel on unpacked inputs, for Arm cores without the DSP extension.
 *
 * For each tile of CHANNELS channels, the stream holds the int8 weights of all channels for each
 * input, padded to whole words; the initial accumulators; and for each channel the multiplier and,
 * for ROUNDING = SIGNED, the offset and the step. The accumulator is the initial one plus 256 times
 * the sum. */
#ifndef TVMTINY_THUMB_SINGLE_H
#define TVMTINY_THUMB_SINGLE_H

#include "tvmtiny_thumb.h"

/* Defines NAME(x, stream, out, end), which computes all channels of a pixel, CHANNELS (1, 2, 4 or
 * 8) at a time.
 *
 * FIRST inputs are unrolled, followed by LOOPS iterations of UNROLL inputs. */
#if TVMTINY_THUMB2

/* r0 x, r1 stream, r2 an input, r3 r12 weights, lr the end of x; sums r4-r11. Stack: out, the end
 * of x, the end of the stream. While weights are loaded, r1 is one byte behind, so that the last
 * load of an iteration can advance it. */
#define TVMTINY_THUMB_SINGLE_WEIGHT(TO)                                                              \
  ".set tvmtiny_weight, tvmtiny_weight + 1\n.if tvmtiny_weight == tvmtiny_last\n ldrsb " TO          \
  ", [r1, #tvmtiny_weight]!\n.else\n ldrsb " TO ", [r1, #tvmtiny_weight]\n.endif\n"
#define TVMTINY_THUMB_BEGIN_ONE(A) TVMTINY_THUMB_SINGLE_WEIGHT("r3") " mul " A ", r2, r3\n"
#define TVMTINY_THUMB_BEGIN_TWO(A, B)                                                                \
  TVMTINY_THUMB_SINGLE_WEIGHT("r3") TVMTINY_THUMB_SINGLE_WEIGHT("r12")                               \
  " mul " A ", r2, r3\n mul " B ", r2, r12\n"
#define TVMTINY_THUMB_GO_ON_ONE(A) TVMTINY_THUMB_SINGLE_WEIGHT("r3") " mla " A ", r2, r3, " A "\n"
#define TVMTINY_THUMB_GO_ON_TWO(A, B)                                                                \
  TVMTINY_THUMB_SINGLE_WEIGHT("r3") TVMTINY_THUMB_SINGLE_WEIGHT("r12")                               \
  " mla " A ", r2, r3, " A "\n mla " B ", r2, r12, " B "\n"
#define TVMTINY_THUMB_TILE_1(ONE, TWO) ONE("r4")
#define TVMTINY_THUMB_TILE_2(ONE, TWO) TWO("r4", "r5")
#define TVMTINY_THUMB_TILE_4(ONE, TWO) TWO("r4", "r5") TWO("r6", "r7")
#define TVMTINY_THUMB_TILE_8(ONE, TWO) TWO("r4", "r5") TWO("r6", "r7") TWO("r8", "r9") TWO("r10", "r11")

/* The constants of up to four channels at a time. */
#define TVMTINY_THUMB_ADD_INITIAL(A, FROM) " add " A ", " FROM ", " A ", lsl #8\n"
#define TVMTINY_THUMB_MULTIPLY_HIGH(A, FROM) " smull " FROM ", " A ", " A ", " FROM "\n"
#define TVMTINY_THUMB_CONSTANTS_1(WHAT) " ldr r2, [r1], #4\n" WHAT("r4", "r2")
#define TVMTINY_THUMB_CONSTANTS_2(WHAT) " ldmia r1!, {r2, r3}\n" WHAT("r4", "r2") WHAT("r5", "r3")
#define TVMTINY_THUMB_CONSTANTS_4(WHAT)                                                              \
  " ldmia r1!, {r2, r3, r12, lr}\n" WHAT("r4", "r2") WHAT("r5", "r3") WHAT("r6", "r12") WHAT("r7", "lr")
#define TVMTINY_THUMB_CONSTANTS_8(WHAT)                                                              \
  TVMTINY_THUMB_CONSTANTS_4(WHAT)                                                                    \
  " ldmia r1!, {r2, r3, r12, lr}\n" WHAT("r8", "r2") WHAT("r9", "r3") WHAT("r10", "r12") WHAT("r11", "lr")
#define TVMTINY_THUMB_SIGNED_ONE(A)                                                                  \
  " ldmia r1!, {r2, r3, r12}\n and r12, r12, " A ", asr #31\n add r12, r12, r3\n smull r2, " A ", " A        \
  ", r2\n add " A ", " A ", r12\n"
#define TVMTINY_THUMB_SIGNED_TWO(A, B) TVMTINY_THUMB_SIGNED_ONE(A) TVMTINY_THUMB_SIGNED_ONE(B)
#define TVMTINY_THUMB_SINGLE_PLAIN(CHANNELS) TVMTINY_THUMB_CONSTANTS_##CHANNELS(TVMTINY_THUMB_MULTIPLY_HIGH)
#define TVMTINY_THUMB_SINGLE_SIGNED(CHANNELS)                                                        \
  TVMTINY_THUMB_TILE_##CHANNELS(TVMTINY_THUMB_SIGNED_ONE, TVMTINY_THUMB_SIGNED_TWO)
#define TVMTINY_THUMB_STORE_ONE(A)                                                                   \
  " ssat " A ", #8, " A ", asr #tvmtiny_shift\n strb " A ", [r12], #1\n"
#define TVMTINY_THUMB_STORE_TWO(A, B) TVMTINY_THUMB_STORE_ONE(A) TVMTINY_THUMB_STORE_ONE(B)

/* COUNT inputs: FIRST handles the first one unless it is empty, and TILE multiplies the REPEATED
 * others. */
#define TVMTINY_THUMB_SINGLE_INPUT " ldrsb r2, [r0], #1\n"
#define TVMTINY_THUMB_SINGLE_INPUTS(CHANNELS, COUNT, FIRST, REPEATED, TILE)                          \
  ".set tvmtiny_weight, 0\n.set tvmtiny_last, " CHANNELS " * " COUNT                                 \
  "\n.if tvmtiny_last > 255\n.set tvmtiny_last, 0\n.endif\n" FIRST ".rept " REPEATED                 \
  "\n" TVMTINY_THUMB_SINGLE_INPUT TILE ".endr\n.if tvmtiny_last == 0\n"                              \
  TVMTINY_THUMB_ADD("r1", CHANNELS " * " COUNT, "r12") ".endif\n"

#define TVMTINY_THUMB_SINGLE(NAME, CHANNELS, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                  \
  TVMTINY_THUMB_SINGLE_(                                                                             \
      NAME, TVMTINY_THUMB_TILE_##CHANNELS(TVMTINY_THUMB_BEGIN_ONE, TVMTINY_THUMB_BEGIN_TWO),         \
      TVMTINY_THUMB_TILE_##CHANNELS(TVMTINY_THUMB_GO_ON_ONE, TVMTINY_THUMB_GO_ON_TWO),               \
      TVMTINY_THUMB_CONSTANTS_##CHANNELS(TVMTINY_THUMB_ADD_INITIAL)                                  \
          TVMTINY_THUMB_SINGLE_##ROUNDING(CHANNELS),                                                 \
      TVMTINY_THUMB_TILE_##CHANNELS(TVMTINY_THUMB_STORE_ONE, TVMTINY_THUMB_STORE_TWO), #CHANNELS,    \
      #FIRST, #UNROLL, #LOOPS, #SHIFT, "(" #FIRST " + " #UNROLL " * " #LOOPS ")")
#define TVMTINY_THUMB_SINGLE_(NAME, BEGIN, GO_ON, SCALE, STORE, CHANNELS, FIRST, UNROLL, LOOPS, SHIFT, DEPTH) \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                         \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                               \
      ".set tvmtiny_shift, " SHIFT "\n push {r3-r11, lr}\n mov r12, r0\n"                            \
      TVMTINY_THUMB_ADD("r12", DEPTH, "r3")                                                          \
      " push {r2, r12}\n1:\n sub r1, r1, #1\n"                                                       \
      TVMTINY_THUMB_SINGLE_INPUTS(CHANNELS, FIRST, TVMTINY_THUMB_SINGLE_INPUT BEGIN, FIRST " - 1", GO_ON) \
      ".if " LOOPS "\n ldr lr, [sp, #4]\n2:\n"                                                       \
      TVMTINY_THUMB_SINGLE_INPUTS(CHANNELS, UNROLL, "", UNROLL, GO_ON) " cmp r0, lr\n bne 2b\n.endif\n" \
      TVMTINY_THUMB_ADD("r1", "(-" CHANNELS " * " DEPTH " & 3) + 1", "r12") SCALE                    \
      " ldr r12, [sp]\n" STORE " ldr r3, [sp, #8]\n str r12, [sp]\n"                                 \
      TVMTINY_THUMB_SUBTRACT("r0", DEPTH, "r2")                                                      \
      " cmp r1, r3\n bne 1b\n add sp, sp, #12\n pop {r4-r11, pc}\n")

#else /* !TVMTINY_THUMB2 */

TVMTINY_THUMB_INLINE void tvmtiny_thumb_single(const int8_t *x, const int32_t *stream, int8_t *out,
                                               const int32_t *end, int32_t channels, int32_t depth,
                                               int32_t shift, int32_t rounding)
{
  while (stream != end) {
    const int8_t *const weights = (const int8_t *)stream;
    const int32_t *const initial = stream + (channels * depth + 3) / 4;
    int32_t sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    int32_t i;
    int32_t c;
    for (i = 0; i < depth; ++i) {
      for (c = 0; c < channels; ++c) {
        sums[c] += x[i] * weights[channels * i + c];
      }
    }
    for (c = 0; c < channels; ++c) {
      const uint32_t acc = (uint32_t)initial[c] + ((uint32_t)sums[c] << 8);
      out[c] = tvmtiny_thumb_output((int32_t)acc, initial + channels + c * rounding, rounding, shift);
    }
    stream = initial + channels * (1 + rounding);
    out += channels;
  }
}

#define TVMTINY_THUMB_SINGLE(NAME, CHANNELS, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                  \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                  \
    tvmtiny_thumb_single(x, stream, out, end, CHANNELS, (FIRST) + (UNROLL) * (LOOPS), SHIFT,         \
                         TVMTINY_THUMB_##ROUNDING);                                                  \
  }

#endif

#endif /* TVMTINY_THUMB_SINGLE_H */
