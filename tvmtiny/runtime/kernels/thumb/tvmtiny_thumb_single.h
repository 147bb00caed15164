/* Dense layers pixel by pixel on inputs as they are, for Arm cores without the DSP extension.
 *
 * The stream has per tile of CHANNELS channels: the int8 weights of all of them for the first input, for the
 * second and so on, up to whole words; per channel the initial accumulator; per channel the multiplier and, for
 * ROUNDING = SIGNED, offset and step. The accumulator is the initial one plus 256 times the sum. */
#ifndef TVMTINY_THUMB_SINGLE_H
#define TVMTINY_THUMB_SINGLE_H

#include "tvmtiny_thumb.h"

/* Instantiates NAME(x, stream, out, end): all channels of a pixel, CHANNELS at a time, 1, 2, 4 or 8.
 *
 * FIRST inputs are unrolled, then LOOPS times UNROLL. */
#if TVMTINY_THUMB2

/* r0 x, r1 stream, r2 an input, r3 r12 weights, lr the end of x; sums r4-r11. Stack: out, the end of x, the end of
 * the stream. */
#define TVMTINY_THUMB_SINGLE_WEIGHT(TO)                                                              \
  " ldrsb " TO ", [r1, #tvmtiny_weight]\n.set tvmtiny_weight, tvmtiny_weight + 1\n"
#define TVMTINY_THUMB_BEGIN_ONE(A) TVMTINY_THUMB_SINGLE_WEIGHT("r3") " mul " A ", r2, r3\n"
#define TVMTINY_THUMB_BEGIN_TWO(A, B)                                                                \
  TVMTINY_THUMB_SINGLE_WEIGHT("r3") TVMTINY_THUMB_SINGLE_WEIGHT("r12")                               \
  " mul " A ", r2, r3\n mul " B ", r2, r12\n"
#define TVMTINY_THUMB_GO_ON_ONE(A) TVMTINY_THUMB_SINGLE_WEIGHT("r3") " mla " A ", r2, r3, " A "\n"
#define TVMTINY_THUMB_GO_ON_TWO(A, B)                                                                \
  TVMTINY_THUMB_SINGLE_WEIGHT("r3") TVMTINY_THUMB_SINGLE_WEIGHT("r12")                               \
  " mla " A ", r2, r3, " A "\n mla " B ", r2, r12, " B "\n"
#define TVMTINY_THUMB_INITIAL_ONE(A) " ldr r3, [r1], #4\n add " A ", r3, " A ", lsl #8\n"
#define TVMTINY_THUMB_INITIAL_TWO(A, B)                                                              \
  " ldrd r3, r12, [r1], #8\n add " A ", r3, " A ", lsl #8\n add " B ", r12, " B ", lsl #8\n"
#define TVMTINY_THUMB_SCALE_PLAIN_ONE(A) " ldr r3, [r1], #4\n smull r3, " A ", " A ", r3\n"
#define TVMTINY_THUMB_SCALE_PLAIN_TWO(A, B)                                                          \
  " ldrd r3, r12, [r1], #8\n smull r3, " A ", " A ", r3\n smull r12, " B ", " B ", r12\n"
#define TVMTINY_THUMB_SCALE_SIGNED_ONE(A)                                                            \
  " ldmia r1!, {r2, r3, r12}\n and r12, r12, " A ", asr #31\n add r12, r12, r3\n smull r2, " A ", " A        \
  ", r2\n add " A ", " A ", r12\n"
#define TVMTINY_THUMB_SCALE_SIGNED_TWO(A, B)                                                         \
  TVMTINY_THUMB_SCALE_SIGNED_ONE(A) TVMTINY_THUMB_SCALE_SIGNED_ONE(B)
#define TVMTINY_THUMB_ACCS_1(ONE, TWO) ONE("r4")
#define TVMTINY_THUMB_ACCS_2(ONE, TWO) TWO("r4", "r5")
#define TVMTINY_THUMB_ACCS_4(ONE, TWO) TWO("r4", "r5") TWO("r6", "r7")
#define TVMTINY_THUMB_ACCS_8(ONE, TWO) TWO("r4", "r5") TWO("r6", "r7") TWO("r8", "r9") TWO("r10", "r11")
#define TVMTINY_THUMB_STORE_ONE(A)                                                                   \
  " ssat " A ", #8, " A ", asr #tvmtiny_shift\n strb " A ", [r12], #1\n"
#define TVMTINY_THUMB_STORE_TWO(A, B) TVMTINY_THUMB_STORE_ONE(A) TVMTINY_THUMB_STORE_ONE(B)
#define TVMTINY_THUMB_SINGLE_INPUT " ldrsb r2, [r0], #1\n"

#define TVMTINY_THUMB_SINGLE(NAME, CHANNELS, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                  \
  TVMTINY_THUMB_SINGLE_(NAME, TVMTINY_THUMB_ACCS_##CHANNELS, #CHANNELS, #FIRST, #UNROLL, #LOOPS,     \
                        #SHIFT, TVMTINY_THUMB_SCALE_##ROUNDING##_ONE,                                \
                        TVMTINY_THUMB_SCALE_##ROUNDING##_TWO,                                        \
                        "(" #FIRST " + " #UNROLL " * " #LOOPS ")")
#define TVMTINY_THUMB_SINGLE_(NAME, ACCS, CHANNELS, FIRST, UNROLL, LOOPS, SHIFT, SCALE_ONE, SCALE_TWO, DEPTH) \
  TVMTINY_THUMB_FUNCTION(                                                                            \
      NAME,                                                                                          \
      (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                         \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                               \
      ".set tvmtiny_shift, " SHIFT "\n push {r3-r11, lr}\n mov r12, r0\n"                            \
      TVMTINY_THUMB_ADD("r12", DEPTH, "r3")                                                          \
      " push {r2, r12}\n"                                                                            \
      "1:\n.set tvmtiny_weight, 0\n" TVMTINY_THUMB_SINGLE_INPUT                                      \
      ACCS(TVMTINY_THUMB_BEGIN_ONE, TVMTINY_THUMB_BEGIN_TWO)                                         \
      ".rept " FIRST " - 1\n" TVMTINY_THUMB_SINGLE_INPUT                                             \
      ACCS(TVMTINY_THUMB_GO_ON_ONE, TVMTINY_THUMB_GO_ON_TWO) ".endr\n"                               \
      TVMTINY_THUMB_ADD("r1", CHANNELS " * " FIRST, "r12")                                           \
      ".if " LOOPS "\n ldr lr, [sp, #4]\n2:\n.set tvmtiny_weight, 0\n.rept " UNROLL "\n"             \
      TVMTINY_THUMB_SINGLE_INPUT ACCS(TVMTINY_THUMB_GO_ON_ONE, TVMTINY_THUMB_GO_ON_TWO) ".endr\n"    \
      TVMTINY_THUMB_ADD("r1", CHANNELS " * " UNROLL, "r12") " cmp r0, lr\n bne 2b\n.endif\n"         \
      TVMTINY_THUMB_ADD("r1", "(-" CHANNELS " * " DEPTH " & 3)", "r12")                              \
      ACCS(TVMTINY_THUMB_INITIAL_ONE, TVMTINY_THUMB_INITIAL_TWO) ACCS(SCALE_ONE, SCALE_TWO)          \
      " ldr r12, [sp]\n" ACCS(TVMTINY_THUMB_STORE_ONE, TVMTINY_THUMB_STORE_TWO)                      \
      " ldr r3, [sp, #8]\n str r12, [sp]\n" TVMTINY_THUMB_SUBTRACT("r0", DEPTH, "r2")                \
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
