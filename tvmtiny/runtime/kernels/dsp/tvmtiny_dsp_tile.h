/* Micro-kernels for cores with the DSP extension (Armv7E-M, Armv8-M). On other cores, or with
 * TVMTINY_PORTABLE, the portable twins below give the same results.
 *
 * A tile kernel computes all channels of P pixels, 2 (or 4) output channels at a time. Its operands
 * are packed:
 *
 * - x: the P input patches, expanded once per tile and shared by all channels. A group is four
 *   inputs (x0 x1 x2 x3) of each pixel: the words A of all pixels, then their words B.
 *     int16 weights: A = (x0, x2), B = (x1, x3)
 *     int8 weights:  A = (x1, x3), B = (256 * x0 - x1 + 127, 256 * x2 - x3 + 127)
 * - stream: for each tile of channels the initial accumulators, then the weights of all groups,
 *   then the multipliers.
 *     int16 weights: 256 * w, as (w0, w2) of each channel, then (w1, w3)
 *     int8 weights:  the halfwords 256 * w1 + w0 and 256 * w3 + w2 of each channel. Multiplied by A
 *                    as they are and by B after sign extension of their low bytes, they give
 *                    256 * sum(w * x) + 127 * sum(w0 + w2).
 *   Either way the accumulator is 256 times the sum, plus a constant.
 * - requantization, ROUNDING = PLAIN: (acc * multiplier >> 32) >> SHIFT, saturated to int8. The
 *   initial accumulator includes the bias, zero points and rounding. ROUNDING = SIGNED, if positive
 *   and negative sums are rounded differently: ((acc * multiplier >> 32) + offset + (acc < 0 ? step
 *   : 0)) >> SHIFT, with the multiplier, offset and step of each channel in the stream. All
 *   constants were proven exact when the code was generated.
 */
#ifndef TVMTINY_DSP_TILE_H
#define TVMTINY_DSP_TILE_H

#include "tvmtiny_dsp_patch.h"

/* ---- Tiles -------------------------------------------------------------------------------- */

/* Defines NAME(x, stream, out, end), which computes all channels of P pixels.
 *
 * FIRST groups are unrolled, followed by LOOPS iterations of UNROLL groups. PITCH is the distance
 * in bytes between the outputs of neighbouring pixels; `end` is the end of the stream. */
#if TVMTINY_DSP

#define TVMTINY_TILE_FUNCTION(NAME, BODY)                                                          \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const void *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                          \
      int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED)                               \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(BODY ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                \
  }

#define TVMTINY_TILE_MOVE(TO, NUMBER)                                                              \
  "movw " TO ", #(" NUMBER ") & 0xffff\n"                                                          \
  ".if (" NUMBER ") >> 16\n movt " TO ", #(" NUMBER ") >> 16\n.endif\n"
/* Registers: r0 x, r1 stream, r2 out. Stack: out, the end of x, the end of the stream. */
#define TVMTINY_TILE_ENTER(XBYTES)                                                                 \
  ".syntax unified\n"                                                                              \
  "push {r3-r11, lr}\n" TVMTINY_TILE_MOVE("r12", TVMTINY_STRING(XBYTES)) "add r12, r0, r12\n"      \
  "push {r2, r12}\n"                                                                               \
  "1:\n"
#define TVMTINY_TILE_REPEAT(FIRST, UNROLL, LOOPS, OPEN, GROUP, SCRATCH)                            \
  OPEN ".rept " TVMTINY_STRING(                                                                    \
      FIRST) " - 1\n" GROUP ".endr\n"                                                              \
             ".if " TVMTINY_STRING(LOOPS) "\n"                                                     \
                                          "2:\n"                                                   \
                                          ".rept " TVMTINY_STRING(UNROLL) "\n" GROUP ".endr\n"     \
                                                                          "ldr " SCRATCH           \
                                                                          ", [sp, #4]\n"           \
                                                                          "cmp r0, " SCRATCH "\n"  \
                                                                          "bne 2b\n"               \
                                                                          ".endif\n"
#define TVMTINY_TILE_NEXT(XBYTES, SCRATCH)                                                         \
  ".if " TVMTINY_STRING(XBYTES) " > 4095\n" TVMTINY_TILE_MOVE(SCRATCH, TVMTINY_STRING(XBYTES))     \
  "sub r0, r0, " SCRATCH "\n"                                                                      \
  ".else\n"                                                                                        \
  "sub r0, r0, #" TVMTINY_STRING(XBYTES) "\n"                                                      \
  ".endif\n"                                                                                       \
  "ldr " SCRATCH ", [sp, #8]\n"                                                                    \
  "cmp r1, " SCRATCH "\n"                                                                          \
  "bne 1b\n"                                                                                       \
  "add sp, sp, #12\n"                                                                              \
  "pop {r4-r11, pc}\n"

/* 3 x 2: accumulators r3..r8 (pixel 0: r3 r4, 1: r5 r6, 2: r7 r8), weights r9 r10, inputs r11 r12
 * lr. */
#define TVMTINY_MAC_3X2                                                                            \
  "smlad r3, r11, r9, r3\n smlad r4, r11, r10, r4\n"                                               \
  "smlad r5, r12, r9, r5\n smlad r6, r12, r10, r6\n"                                               \
  "smlad r7, lr, r9, r7\n smlad r8, lr, r10, r8\n"
/* The first products read the initial accumulators from the registers of pixel 2. */
#define TVMTINY_BEGIN_3X2                                                                          \
  "smlad r3, r11, r9, r7\n smlad r4, r11, r10, r8\n"                                               \
  "smlad r5, r12, r9, r7\n smlad r6, r12, r10, r8\n"                                               \
  "smlad r7, lr, r9, r7\n smlad r8, lr, r10, r8\n"
#define TVMTINY_INIT_3X2 "ldrd r7, r8, [r1], #8\n"
#define TVMTINY_LOAD_3X2 "ldrd r9, r10, [r1], #8\n ldmia r0!, {r11, r12, lr}\n"
#define TVMTINY_WIDEN_3X2 "sxtb16 r9, r9\n sxtb16 r10, r10\n ldmia r0!, {r11, r12, lr}\n"
/* Scales an output whose rounding depends on its sign: multiplier r9, offset r11, step r12. */
#define TVMTINY_SCALE_SIGNED(ACC)                                                                  \
  "and lr, r12, " ACC ", asr #31\n add lr, lr, r11\n smmla " ACC ", " ACC ", r9, lr\n"
#define TVMTINY_LOAD_SIGNED "ldmia r1!, {r9, r11, r12}\n"
#define TVMTINY_SCALE_3X2_PLAIN                                                                    \
  "ldrd r9, r10, [r1], #8\n"                                                                       \
  "smmul r3, r3, r9\n smmul r4, r4, r10\n"                                                         \
  "smmul r5, r5, r9\n smmul r6, r6, r10\n"                                                         \
  "smmul r7, r7, r9\n smmul r8, r8, r10\n"
#define TVMTINY_SCALE_3X2_SIGNED                                                                   \
  TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r3") TVMTINY_SCALE_SIGNED("r5")                        \
      TVMTINY_SCALE_SIGNED("r7") TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r4")                    \
          TVMTINY_SCALE_SIGNED("r6") TVMTINY_SCALE_SIGNED("r8")
#define TVMTINY_STORE_3X2(SHIFT, PITCH)                                                            \
  "ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                            \
  "ssat r5, #8, r5, asr #" SHIFT "\n ssat r6, #8, r6, asr #" SHIFT "\n"                            \
  "ssat r7, #8, r7, asr #" SHIFT "\n ssat r8, #8, r8, asr #" SHIFT "\n"                            \
  "strb r4, [r2, #1]\n strb r5, [r2, #" PITCH "]\n strb r6, [r2, #" PITCH " + 1]\n"                \
  "strb r7, [r2, #2 * " PITCH "]\n strb r8, [r2, #2 * " PITCH " + 1]\n strb r3, [r2], #2\n"
#define TVMTINY_TILE_3X2_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME,                                                                                        \
      TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                              \
          FIRST, UNROLL, LOOPS,                                                                    \
          TVMTINY_INIT_3X2 TVMTINY_LOAD_3X2 TVMTINY_BEGIN_3X2 TVMTINY_WIDEN_3X2 TVMTINY_MAC_3X2,   \
          TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_WIDEN_3X2 TVMTINY_MAC_3X2, "r9")                \
          TVMTINY_SCALE_3X2_##ROUNDING TVMTINY_STORE_3X2(                                          \
              TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)) TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_TILE_3X2_W16(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)           \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME,                                                                                        \
      TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                              \
          FIRST, UNROLL, LOOPS,                                                                    \
          TVMTINY_INIT_3X2 TVMTINY_LOAD_3X2 TVMTINY_BEGIN_3X2 TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2,    \
          TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2, "r9")                 \
          TVMTINY_SCALE_3X2_##ROUNDING TVMTINY_STORE_3X2(                                          \
              TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)) TVMTINY_TILE_NEXT(XBYTES, "r9"))

/* 2 x 2: accumulators r3..r6 (pixel 0: r3 r4, pixel 1: r5 r6). */
#define TVMTINY_MAC_2X2(X0, X1, W0, W1)                                                            \
  "smlad r3, " X0 ", " W0 ", r3\n smlad r4, " X0 ", " W1 ", r4\n"                                  \
  "smlad r5, " X1 ", " W0 ", r5\n smlad r6, " X1 ", " W1 ", r6\n"
#define TVMTINY_BEGIN_2X2(X0, X1, W0, W1)                                                          \
  "smlad r3, " X0 ", " W0 ", r5\n smlad r4, " X0 ", " W1 ", r6\n"                                  \
  "smlad r5, " X1 ", " W0 ", r5\n smlad r6, " X1 ", " W1 ", r6\n"
#define TVMTINY_INIT_2X2 "ldrd r5, r6, [r1], #8\n"
#define TVMTINY_SCALE_2X2_PLAIN                                                                    \
  "ldrd r7, r8, [r1], #8\n"                                                                        \
  "smmul r3, r3, r7\n smmul r4, r4, r8\n smmul r5, r5, r7\n smmul r6, r6, r8\n"
#define TVMTINY_SCALE_2X2_SIGNED                                                                   \
  TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r3") TVMTINY_SCALE_SIGNED("r5")                        \
      TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r4") TVMTINY_SCALE_SIGNED("r6")
#define TVMTINY_STORE_2X2(SHIFT, PITCH)                                                            \
  "ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                            \
  "ssat r5, #8, r5, asr #" SHIFT "\n ssat r6, #8, r6, asr #" SHIFT "\n"                            \
  "strb r4, [r2, #1]\n strb r5, [r2, #" PITCH "]\n strb r6, [r2, #" PITCH " + 1]\n"                \
  "strb r3, [r2], #2\n"
/* Inputs r9 r10 r11 r12 (A0 A1 B0 B1), weights r7 r8, widened in place. */
#define TVMTINY_LOAD_2X2_W8 "ldrd r7, r8, [r1], #8\n ldmia r0!, {r9, r10, r11, r12}\n"
#define TVMTINY_WIDEN_2X2 "sxtb16 r7, r7\n sxtb16 r8, r8\n"
#define TVMTINY_TILE_2X2_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_2X2 TVMTINY_LOAD_2X2_W8 TVMTINY_BEGIN_2X2("r9", "r10", "r7", "r8")    \
                    TVMTINY_WIDEN_2X2 TVMTINY_MAC_2X2("r11", "r12", "r7", "r8"),                   \
                TVMTINY_LOAD_2X2_W8 TVMTINY_MAC_2X2("r9", "r10", "r7", "r8")                       \
                    TVMTINY_WIDEN_2X2 TVMTINY_MAC_2X2("r11", "r12", "r7", "r8"),                   \
                "r9") TVMTINY_SCALE_2X2_##ROUNDING TVMTINY_STORE_2X2(TVMTINY_STRING(SHIFT),        \
                                                                     TVMTINY_STRING(PITCH))        \
                TVMTINY_TILE_NEXT(XBYTES, "r9"))
/* Inputs r7 r8 r9 r10 (A0 A1 B0 B1), weights r2 r11 (A) and r12 lr (B); the output pointer is kept
 * on the stack. */
#define TVMTINY_LOAD_2X2_W16 "ldmia r0!, {r7, r8, r9, r10}\n ldmia r1!, {r2, r11, r12, lr}\n"
#define TVMTINY_TILE_2X2_W16(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)           \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_2X2 TVMTINY_LOAD_2X2_W16 TVMTINY_BEGIN_2X2("r7", "r8", "r2", "r11")   \
                    TVMTINY_MAC_2X2("r9", "r10", "r12", "lr"),                                     \
                TVMTINY_LOAD_2X2_W16 TVMTINY_MAC_2X2("r7", "r8", "r2", "r11")                      \
                    TVMTINY_MAC_2X2("r9", "r10", "r12", "lr"),                                     \
                "r9") "ldr r2, [sp]\n" TVMTINY_SCALE_2X2_##ROUNDING                                \
                TVMTINY_STORE_2X2(                                                                 \
                    TVMTINY_STRING(SHIFT),                                                         \
                    TVMTINY_STRING(PITCH)) "str r2, [sp]\n" TVMTINY_TILE_NEXT(XBYTES, "r9"))

/* 1 x 4: accumulators r3..r6, inputs r7 r8 (A B), weights r9..r12. PITCH is not used. */
#define TVMTINY_MAC_1X4(X)                                                                         \
  "smlad r3, " X ", r9, r3\n smlad r4, " X ", r10, r4\n"                                           \
  "smlad r5, " X ", r11, r5\n smlad r6, " X ", r12, r6\n"
#define TVMTINY_INIT_1X4 "ldmia r1!, {r3, r4, r5, r6}\n"
#define TVMTINY_LOAD_1X4 "ldrd r7, r8, [r0], #8\n ldmia r1!, {r9, r10, r11, r12}\n"
#define TVMTINY_WIDEN_1X4 "sxtb16 r9, r9\n sxtb16 r10, r10\n sxtb16 r11, r11\n sxtb16 r12, r12\n"
#define TVMTINY_AGAIN_1X4 "ldmia r1!, {r9, r10, r11, r12}\n"
#define TVMTINY_SCALE_1X4_PLAIN                                                                    \
  "ldmia r1!, {r9, r10, r11, r12}\n"                                                               \
  "smmul r3, r3, r9\n smmul r4, r4, r10\n smmul r5, r5, r11\n smmul r6, r6, r12\n"
#define TVMTINY_SCALE_1X4_SIGNED                                                                   \
  TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r3") TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r4")    \
      TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r5")                                               \
          TVMTINY_LOAD_SIGNED TVMTINY_SCALE_SIGNED("r6")
#define TVMTINY_STORE_1X4(SHIFT)                                                                   \
  "ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                            \
  "ssat r5, #8, r5, asr #" SHIFT "\n ssat r6, #8, r6, asr #" SHIFT "\n"                            \
  "strb r4, [r2, #1]\n strb r5, [r2, #2]\n strb r6, [r2, #3]\n strb r3, [r2], #4\n"
#define TVMTINY_TILE_1X4_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_1X4 TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7")                            \
                    TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),                                       \
                TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7") TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),    \
                "r9") TVMTINY_SCALE_1X4_##ROUNDING TVMTINY_STORE_1X4(TVMTINY_STRING(SHIFT))        \
                TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_TILE_1X4_W16(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)           \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_1X4 TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7")                            \
                    TVMTINY_AGAIN_1X4 TVMTINY_MAC_1X4("r8"),                                       \
                TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7") TVMTINY_AGAIN_1X4 TVMTINY_MAC_1X4("r8"),    \
                "r9") TVMTINY_SCALE_1X4_##ROUNDING TVMTINY_STORE_1X4(TVMTINY_STRING(SHIFT))        \
                TVMTINY_TILE_NEXT(XBYTES, "r9"))

/* As TVMTINY_TILE_1X4_W8, for inputs that are not expanded: five more instructions per group, but
 * no patch in RAM. */
#define TVMTINY_LOAD_1X4_DIRECT                                                                    \
  "ldr r7, [r0], #4\n ldmia r1!, {r9, r10, r11, r12}\n and r8, lr, r7, lsl #8\n"                   \
  "sxtb16 r7, r7, ror #8\n orr r8, r8, #0x007f007f\n ssub16 r8, r8, r7\n"
#define TVMTINY_TILE_1X4_DIRECT_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)     \
  TVMTINY_TILE_FUNCTION(                                                                           \
      NAME,                                                                                        \
      TVMTINY_TILE_ENTER(XBYTES) "mov lr, #0xff00ff00\n" TVMTINY_TILE_REPEAT(                      \
          FIRST, UNROLL, LOOPS,                                                                    \
          TVMTINY_INIT_1X4 TVMTINY_LOAD_1X4_DIRECT TVMTINY_MAC_1X4("r7")                           \
              TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),                                             \
          TVMTINY_LOAD_1X4_DIRECT TVMTINY_MAC_1X4("r7") TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),   \
          "r9") TVMTINY_SCALE_1X4_##ROUNDING TVMTINY_STORE_1X4(TVMTINY_STRING(SHIFT))              \
          TVMTINY_TILE_NEXT(XBYTES, "r9"))

#else /* !TVMTINY_DSP */

#define TVMTINY_ROUNDING_PLAIN 1
#define TVMTINY_ROUNDING_SIGNED 3

/* `constants` holds the multiplier and, for rounding by sign, the offset and the step. */
TVMTINY_INLINE int8_t tvmtiny_scale_int8(int32_t acc, const int32_t *constants, int32_t rounding,
                                         int32_t shift)
{
  int32_t value = (int32_t)(((int64_t)acc * constants[0]) >> 32);
  if (rounding == TVMTINY_ROUNDING_SIGNED) {
    value += constants[1] + (acc < 0 ? constants[2] : 0);
  }
  value >>= shift;
  return (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

/* Computes all groups of a tile. `wide` is 1 if the weights of B are stored, and 0 if they are
 * widened from those of A. Returns the end of the weights in the stream. */
TVMTINY_INLINE const int32_t *tvmtiny_tile_products(const uint32_t *x, const int32_t *stream,
                                                    int32_t *acc, int32_t pixels, int32_t channels,
                                                    int32_t wide, int32_t groups)
{
  int32_t group;
  int32_t p;
  int32_t c;
  for (group = 0; group < groups; ++group) {
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < channels; ++c) {
        const uint32_t a = (uint32_t)stream[c];
        const uint32_t b = wide != 0 ? (uint32_t)stream[channels + c] : tvmtiny_sxtb16(a);
        int32_t *sum = &acc[p * channels + c];
        *sum = tvmtiny_smlad(x[p], a, *sum);
        *sum = tvmtiny_smlad(x[pixels + p], b, *sum);
      }
    }
    x += 2 * pixels;
    stream += wide != 0 ? 2 * channels : channels;
  }
  return stream;
}

TVMTINY_INLINE void tvmtiny_tile(const uint32_t *x, const int32_t *stream, int8_t *out,
                                 const int32_t *end, int32_t pixels, int32_t channels, int32_t wide,
                                 int32_t groups, int32_t shift, int32_t pitch, int32_t rounding)
{
  while (stream != end) {
    int32_t acc[6];
    int32_t p;
    int32_t c;
    for (p = 0; p < pixels * channels; ++p) {
      acc[p] = stream[p % channels];
    }
    stream = tvmtiny_tile_products(x, stream + channels, acc, pixels, channels, wide, groups);
    for (p = 0; p < pixels; ++p) {
      for (c = 0; c < channels; ++c) {
        out[p * pitch + c] =
            tvmtiny_scale_int8(acc[p * channels + c], stream + c * rounding, rounding, shift);
      }
    }
    stream += channels * rounding;
    out += channels;
  }
}

/* Computes one pixel, four channels at a time, from inputs that are not expanded. */
TVMTINY_INLINE const int32_t *tvmtiny_tile_direct_products(const int8_t *x, const int32_t *stream,
                                                           int32_t *acc, int32_t groups)
{
  int32_t group;
  int32_t c;
  for (group = 0; group < groups; ++group) {
    uint32_t words[2];
    tvmtiny_expand_word_w8(words, tvmtiny_load4(x + 4 * group), 1);
    for (c = 0; c < 4; ++c) {
      const uint32_t weights = (uint32_t)stream[c];
      acc[c] = tvmtiny_smlad(words[0], weights, acc[c]);
      acc[c] = tvmtiny_smlad(words[1], tvmtiny_sxtb16(weights), acc[c]);
    }
    stream += 4;
  }
  return stream;
}

TVMTINY_INLINE void tvmtiny_tile_direct(const int8_t *x, const int32_t *stream, int8_t *out,
                                        const int32_t *end, int32_t groups, int32_t shift,
                                        int32_t rounding)
{
  while (stream != end) {
    int32_t acc[4];
    int32_t c;
    for (c = 0; c < 4; ++c) {
      acc[c] = stream[c];
    }
    stream = tvmtiny_tile_direct_products(x, stream + 4, acc, groups);
    for (c = 0; c < 4; ++c) {
      out[c] = tvmtiny_scale_int8(acc[c], stream + c * rounding, rounding, shift);
    }
    stream += 4 * rounding;
    out += 4;
  }
}

#define TVMTINY_TILE_TWIN(NAME, PIXELS, CHANNELS, WIDE, GROUPS, SHIFT, PITCH, ROUNDING)            \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    tvmtiny_tile((const uint32_t *)x, stream, out, end, PIXELS, CHANNELS, WIDE, GROUPS, SHIFT,     \
                 PITCH, ROUNDING);                                                                 \
  }
#define TVMTINY_TILE_3X2_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_TWIN(NAME, 3, 2, 0, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                     \
                    TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_3X2_W16(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)           \
  TVMTINY_TILE_TWIN(NAME, 3, 2, 1, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                     \
                    TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_2X2_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_TWIN(NAME, 2, 2, 0, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                     \
                    TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_2X2_W16(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)           \
  TVMTINY_TILE_TWIN(NAME, 2, 2, 1, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                     \
                    TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_1X4_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)            \
  TVMTINY_TILE_TWIN(NAME, 1, 4, 0, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                     \
                    TVMTINY_ROUNDING_##ROUNDING)
#define TVMTINY_TILE_1X4_W16(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)           \
  TVMTINY_TILE_TWIN(NAME, 1, 4, 1, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,                     \
                    TVMTINY_ROUNDING_##ROUNDING)

#define TVMTINY_TILE_1X4_DIRECT_W8(NAME, FIRST, UNROLL, LOOPS, SHIFT, PITCH, XBYTES, ROUNDING)     \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    tvmtiny_tile_direct((const int8_t *)x, stream, out, end, (FIRST) + (UNROLL) * (LOOPS), SHIFT,  \
                        TVMTINY_ROUNDING_##ROUNDING);                                              \
  }

#endif

#endif /* TVMTINY_DSP_TILE_H */
