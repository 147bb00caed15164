/* Dense layers of one pixel, four or six channels at a time, for cores with the DSP extension.
 *
 * Weights are those of the format p8 of tvmtiny_dsp_block.h: halfwords 256 * a + b of two channels,
 * of which a word U belongs to the inputs u = (x0, x2) and a word V to v = (x1, x3). As they are,
 * they add up to P = 256 * sum(a * x) + sum(b * x). The second sum takes half as many products by
 * the inner product of Winograd (1968): with the lower bytes of U and V,
 *
 *   (v + b(U)) * (u + b(V)) = u * v + b(U) * u + b(V) * v + b(U) * b(V)
 *
 * so that these products, in both lanes and for all inputs, add up to sum(b * x), plus the sum of
 * u * v, which is the same for all channels, plus the sum of b(U) * b(V), which is a constant.
 * SXTAB16 extends the lower bytes and adds the inputs, so that eight products take five
 * instructions besides loads. All sums are modulo 2^32.
 *
 * The sum of u * v is computed once per layer, and Q = sum(b * x) + constant starts with its
 * negative. The accumulators are P - Q and 256 * Q; the initial accumulators include the constant.
 * For each tile of channels, the stream has the initial accumulators of the odd channels; for each
 * group of four inputs the words U and V of each pair of channels; the initial accumulators of the
 * even channels; and the multipliers of the odd and of the even channels, or for rounding by sign
 * the multiplier, offset and step of each channel. */
#ifndef TVMTINY_DSP_DENSE_H
#define TVMTINY_DSP_DENSE_H

#include "tvmtiny_dsp_tile.h"

/* ---- The sum of u * v ---------------------------------------------------------------------- */

#if TVMTINY_DSP
#define TVMTINY_DENSE_NOINLINE static __attribute__((noinline)) TVMTINY_UNUSED
/* Adds the products of 8 of 16 bytes; STORE is empty or stores r4, r5, r6 and r8. */
#define TVMTINY_DENSE_EIGHT(FIRST, SECOND, STORE)                                                  \
  " ldr r5, [%[x], #" FIRST "]\n ldr r8, [%[x], #" SECOND "]\n"                                    \
  " sxtb16 r4, r5\n sxtb16 r5, r5, ror #8\n sxtb16 r6, r8\n sxtb16 r8, r8, ror #8\n" STORE         \
  " smlad %[sum], r4, r5, %[sum]\n smlad %[sum], r6, r8, %[sum]\n"
#define TVMTINY_DENSE_SIXTEEN(STORE)                                                               \
  "1:\n" TVMTINY_DENSE_EIGHT("0", "4", STORE) TVMTINY_DENSE_EIGHT("8", "12", STORE)                \
  " add %[x], %[x], #16\n cmp %[x], %[end]\n bne 1b\n"
#else
#define TVMTINY_DENSE_NOINLINE static TVMTINY_UNUSED
#endif

/* Expands inputs as tvmtiny_expand_w16 does, and stores the negative sum of u * v. */
TVMTINY_DENSE_NOINLINE void tvmtiny_dense_expand(uint32_t *to, const int8_t *x, int32_t bytes,
                                                 int32_t *total)
{
  const int8_t *const end = x + bytes;
  int32_t sum = 0;
#if TVMTINY_DSP
  if (bytes >= 16) {
    __asm__ volatile(TVMTINY_DENSE_SIXTEEN(" stmia %[to]!, {r4, r5, r6, r8}\n")
                     : [to] "+r"(to), [x] "+r"(x), [sum] "+r"(sum)
                     : [end] "r"(x + (bytes & ~15))
                     : "r4", "r5", "r6", "r8", "cc", "memory");
  }
#endif
  for (; end - x >= 4; x += 4) {
    tvmtiny_expand_word_w16(to, tvmtiny_load4(x), 1);
    sum = tvmtiny_smlad(to[0], to[1], sum);
    to += 2;
  }
  if (x != end) {
    tvmtiny_expand_word_w16(to, tvmtiny_load_tail(x, bytes & 3), 1);
    sum = tvmtiny_smlad(to[0], to[1], sum);
  }
  *total = (int32_t)(0u - (uint32_t)sum);
}

/* Stores the negative sum of u * v of inputs that are not expanded; `bytes` is a multiple of 4. */
TVMTINY_DENSE_NOINLINE void tvmtiny_dense_total(const int8_t *x, int32_t bytes, int32_t *total)
{
  const int8_t *const end = x + bytes;
  int32_t sum = 0;
#if TVMTINY_DSP
  if (bytes >= 16) {
    __asm__ volatile(TVMTINY_DENSE_SIXTEEN("")
                     : [x] "+r"(x), [sum] "+r"(sum)
                     : [end] "r"(x + (bytes & ~15))
                     : "r4", "r5", "r6", "r8", "cc", "memory");
  }
#endif
  for (; x != end; x += 4) {
    const uint32_t word = tvmtiny_load4(x);
    sum = tvmtiny_smlad(tvmtiny_sxtb16(word), tvmtiny_sxtb16_odd(word), sum);
  }
  *total = (int32_t)(0u - (uint32_t)sum);
}

/* ---- Tiles --------------------------------------------------------------------------------- */

/* Defines NAME(x, stream, out, end, total), which computes all channels of the stream. FIRST groups
 * are unrolled, followed by LOOPS iterations of UNROLL pairs of groups. `total` is what
 * tvmtiny_dense_expand or tvmtiny_dense_total stored.
 *
 * TVMTINY_DENSE_1X4_P8 computes four channels at a time. x has a patch, expanded as for the format
 * w16; DIRECT kernels read the inputs as they are. Both load several words at once, which takes the
 * fewest instructions. TVMTINY_DENSE_1X6_DIRECT_P8 computes six channels at a time.
 * TVMTINY_DENSE_1X6_P8 does the same with a patch, for the fewest cycles: N consecutive loads of
 * one word take 1 + N cycles, as a load of N words does, but can be from two places. Without
 * iterations (LOOPS is less than 2), the stream of a tile is addressed by offsets, so that a tile
 * has at most 160 groups. */
#if TVMTINY_DSP

#define TVMTINY_DENSE_FUNCTION(NAME, BODY)                                                         \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const void *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                          \
      int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED,                               \
      const int32_t *total TVMTINY_UNUSED)                                                         \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(BODY ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                \
  }

/* Stack: the initial value of each Q, out, the end of the stream, the end of x. QS is the number of
 * bytes of the former. */
#define TVMTINY_DENSE_ENTER(XBYTES, QS)                                                            \
  ".syntax unified\n push {r4-r11, lr}\n sub sp, sp, #12 + " QS "\n ldr r4, [sp, #48 + " QS "]\n"  \
  " strd r2, r3, [sp, #" QS "]\n ldr r4, [r4]\n.if (" XBYTES ") > 4095\n"                          \
  TVMTINY_TILE_MOVE("r12", XBYTES) " add r12, r0, r12\n.else\n addw r12, r0, #" XBYTES             \
  "\n.endif\n str r12, [sp, #8 + " QS "]\n"
#define TVMTINY_DENSE_ENTER4(XBYTES) TVMTINY_DENSE_ENTER(XBYTES, "8") " strd r4, r4, [sp]\n"
#define TVMTINY_DENSE_ENTER6(XBYTES)                                                               \
  TVMTINY_DENSE_ENTER(XBYTES, "12") " mov r5, r4\n mov r6, r4\n stm sp, {r4, r5, r6}\n"
#define TVMTINY_DENSE_LEAVE(QS) " add sp, sp, #12 + " QS "\n pop {r4-r11, pc}\n"
#define TVMTINY_DENSE_EXTEND(U, V)                                                                 \
  " sxtb16 " U ", " V "\n sxtb16 " V ", " V ", ror #8\n"

/* Adds the products of two channels and four inputs. Q starts with the register FROM. */
#define TVMTINY_DENSE_FROM(P, Q, FROM, A, B, U, V)                                                 \
  " smlad " P ", " U ", " A ", " P "\n smlad " P ", " V ", " B ", " P "\n"                         \
  " sxtab16 " A ", " V ", " A "\n sxtab16 " B ", " U ", " B "\n"                                   \
  " smlad " Q ", " A ", " B ", " FROM "\n"
#define TVMTINY_DENSE_PAIR(P, Q, A, B, U, V) TVMTINY_DENSE_FROM(P, Q, Q, A, B, U, V)

/* FIRST, then LOOPS iterations of UNROLL times PAIR. TURN advances pointers by an iteration. */
#define TVMTINY_DENSE_REPEAT(FIRST, UNROLL, LOOPS, ONE, PAIR, TURN, LABEL, FREE, END)              \
  ".rept " FIRST "\n" ONE ".endr\n"                                                                \
  ".if (" LOOPS ") > 1\n" TURN LABEL ":\n.endif\n"                                                 \
  ".if (" LOOPS ") > 0\n.rept " UNROLL "\n" PAIR ".endr\n.endif\n"                                 \
  ".if (" LOOPS ") > 1\n" TURN " ldr " FREE ", [sp, #" END "]\n cmp r0, " FREE "\n bne " LABEL     \
  "b\n.endif\n"
/* Goes back to the first input. */
#define TVMTINY_DENSE_BACK(XBYTES)                                                                 \
  ".if (" XBYTES ") > 4095\n" TVMTINY_TILE_MOVE("r8", XBYTES)                                      \
  " subs r0, r0, r8\n.else\n subw r0, r0, #" XBYTES "\n.endif\n"
/* Scales an accumulator by sign; multiplier r8, offset r9, step r10. */
#define TVMTINY_DENSE_SIGNED(ACC)                                                                  \
  " ldm r1!, {r8, r9, r10}\n and r11, r10, " ACC ", asr #31\n add r11, r11, r9\n"                  \
  " smmla " ACC ", " ACC ", r8, r11\n"
#define TVMTINY_DENSE_SATURATE(ACC, SHIFT) " ssat " ACC ", #8, " ACC ", asr #" SHIFT "\n"

/* Four channels: x r0, stream r1, P r2 r3, Q r4 r5, weights r8-r11, u and v of two groups r6 r7 r12
 * lr. */
#define TVMTINY_DENSE_START4 " ldrd r2, r3, [r1], #8\n ldrd r4, r5, [sp]\n"
#define TVMTINY_DENSE_MAC4(U, V)                                                                   \
  " ldm r1!, {r8-r11}\n" TVMTINY_DENSE_PAIR("r2", "r4", "r8", "r9", U, V)                          \
  TVMTINY_DENSE_PAIR("r3", "r5", "r10", "r11", U, V)
#define TVMTINY_DENSE_ONE4 " ldrd r6, r7, [r0], #8\n" TVMTINY_DENSE_MAC4("r6", "r7")
#define TVMTINY_DENSE_PAIR4                                                                        \
  " ldm r0!, {r6, r7, r12, lr}\n" TVMTINY_DENSE_MAC4("r6", "r7") TVMTINY_DENSE_MAC4("r12", "lr")
/* Inputs need not be aligned. */
#define TVMTINY_DENSE_ONE4_DIRECT                                                                  \
  " ldr r7, [r0], #4\n" TVMTINY_DENSE_EXTEND("r6", "r7") TVMTINY_DENSE_MAC4("r6", "r7")
#define TVMTINY_DENSE_PAIR4_DIRECT TVMTINY_DENSE_ONE4_DIRECT TVMTINY_DENSE_ONE4_DIRECT
#define TVMTINY_DENSE_SCALE4_PLAIN                                                                 \
  " ldm r1!, {r6, r7, r8, r9, r10, r11}\n subs r2, r2, r4\n subs r3, r3, r5\n"                     \
  " add r4, r6, r4, lsl #8\n add r5, r7, r5, lsl #8\n"                                             \
  " smmul r2, r2, r8\n smmul r3, r3, r9\n smmul r4, r4, r10\n smmul r5, r5, r11\n"
#define TVMTINY_DENSE_SCALE4_SIGNED                                                                \
  " ldrd r6, r7, [r1], #8\n subs r2, r2, r4\n subs r3, r3, r5\n"                                   \
  " add r4, r6, r4, lsl #8\n add r5, r7, r5, lsl #8\n"                                             \
  TVMTINY_DENSE_SIGNED("r2") TVMTINY_DENSE_SIGNED("r3")                                            \
  TVMTINY_DENSE_SIGNED("r4") TVMTINY_DENSE_SIGNED("r5")
#define TVMTINY_DENSE_STORE4(SHIFT)                                                                \
  TVMTINY_DENSE_SATURATE("r2", SHIFT) TVMTINY_DENSE_SATURATE("r3", SHIFT)                          \
  TVMTINY_DENSE_SATURATE("r4", SHIFT) TVMTINY_DENSE_SATURATE("r5", SHIFT)                          \
  " ldrd r6, r7, [sp, #8]\n strb r2, [r6, #1]\n strb r5, [r6, #2]\n strb r3, [r6, #3]\n"           \
  " strb r4, [r6], #4\n str r6, [sp, #8]\n cmp r1, r7\n bne 1b\n"
/* Six channels: P r2-r4, Q r5-r7, weights r8-r11, u r12, v lr. */
#define TVMTINY_DENSE_START6 " ldm r1!, {r2, r3, r4}\n ldm sp, {r5, r6, r7}\n"
#define TVMTINY_DENSE_MAC6(P, Q, A, B) TVMTINY_DENSE_PAIR(P, Q, A, B, "r12", "lr")
#define TVMTINY_DENSE_X6_DIRECT " ldr lr, [r0], #4\n" TVMTINY_DENSE_EXTEND("r12", "lr")
#define TVMTINY_DENSE_ONE6_DIRECT                                                                  \
  TVMTINY_DENSE_X6_DIRECT " ldm r1!, {r8-r11}\n" TVMTINY_DENSE_MAC6("r2", "r5", "r8", "r9")        \
  TVMTINY_DENSE_MAC6("r3", "r6", "r10", "r11") " ldrd r8, r9, [r1], #8\n"                          \
  TVMTINY_DENSE_MAC6("r4", "r7", "r8", "r9")
#define TVMTINY_DENSE_PAIR6_DIRECT                                                                 \
  TVMTINY_DENSE_X6_DIRECT " ldm r1!, {r8-r11}\n" TVMTINY_DENSE_MAC6("r2", "r5", "r8", "r9")        \
  TVMTINY_DENSE_MAC6("r3", "r6", "r10", "r11") " ldm r1!, {r8-r11}\n"                              \
  TVMTINY_DENSE_MAC6("r4", "r7", "r8", "r9") TVMTINY_DENSE_X6_DIRECT                               \
  TVMTINY_DENSE_MAC6("r2", "r5", "r10", "r11") " ldm r1!, {r8-r11}\n"                              \
  TVMTINY_DENSE_MAC6("r3", "r6", "r8", "r9") TVMTINY_DENSE_MAC6("r4", "r7", "r10", "r11")
#define TVMTINY_DENSE_SPLIT6                                                                       \
  " subs r2, r2, r5\n subs r3, r3, r6\n subs r4, r4, r7\n"                                         \
  " add r5, r8, r5, lsl #8\n add r6, r9, r6, lsl #8\n add r7, r10, r7, lsl #8\n"
#define TVMTINY_DENSE_SCALE6_PLAIN                                                                 \
  " ldm r1!, {r8-r12, lr}\n" TVMTINY_DENSE_SPLIT6                                                  \
  " smmul r2, r2, r11\n smmul r3, r3, r12\n smmul r4, r4, lr\n ldm r1!, {r8, r9, r10}\n"           \
  " smmul r5, r5, r8\n smmul r6, r6, r9\n smmul r7, r7, r10\n ldrd r11, r12, [sp, #12]\n"
#define TVMTINY_DENSE_SCALE6_SIGNED                                                                \
  " ldm r1!, {r8, r9, r10}\n" TVMTINY_DENSE_SPLIT6                                                 \
  TVMTINY_DENSE_SIGNED("r2") TVMTINY_DENSE_SIGNED("r3") TVMTINY_DENSE_SIGNED("r4")                 \
  TVMTINY_DENSE_SIGNED("r5") TVMTINY_DENSE_SIGNED("r6") TVMTINY_DENSE_SIGNED("r7")                 \
  " ldrd r11, r12, [sp, #12]\n"
/* r11 is out, r12 the end of the stream. */
#define TVMTINY_DENSE_STORE6(SHIFT)                                                                \
  TVMTINY_DENSE_SATURATE("r2", SHIFT) TVMTINY_DENSE_SATURATE("r3", SHIFT)                          \
  TVMTINY_DENSE_SATURATE("r4", SHIFT) TVMTINY_DENSE_SATURATE("r5", SHIFT)                          \
  TVMTINY_DENSE_SATURATE("r6", SHIFT) TVMTINY_DENSE_SATURATE("r7", SHIFT)                          \
  " strb r2, [r11, #1]\n strb r6, [r11, #2]\n strb r3, [r11, #3]\n strb r7, [r11, #4]\n"           \
  " strb r4, [r11, #5]\n strb r5, [r11], #6\n str r11, [sp, #12]\n cmp r1, r12\n bne 1b\n"

/* Loads the next word of x or of the stream. */
#define TVMTINY_DENSE_X(TO)                                                                        \
  " ldr " TO ", [r0, #tvmtiny_x]\n.set tvmtiny_x, tvmtiny_x + 4\n"
#define TVMTINY_DENSE_W(TO)                                                                        \
  " ldr " TO ", [r1, #tvmtiny_w]\n.set tvmtiny_w, tvmtiny_w + 4\n"
#define TVMTINY_DENSE_X6 TVMTINY_DENSE_X("r12") TVMTINY_DENSE_X("lr")
#define TVMTINY_DENSE_W2(A, B) TVMTINY_DENSE_W(A) TVMTINY_DENSE_W(B)
#define TVMTINY_DENSE_W4 TVMTINY_DENSE_W2("r8", "r9") TVMTINY_DENSE_W2("r10", "r11")
/* The first two pairs of channels, whose Q may start with r7. */
#define TVMTINY_DENSE_TWO6                                                                         \
  ".if tvmtiny_begins\n" TVMTINY_DENSE_FROM("r2", "r5", "r7", "r8", "r9", "r12", "lr")             \
  TVMTINY_DENSE_FROM("r3", "r6", "r7", "r10", "r11", "r12", "lr")                                  \
  ".set tvmtiny_begins, 0\n.else\n" TVMTINY_DENSE_MAC6("r2", "r5", "r8", "r9")                     \
  TVMTINY_DENSE_MAC6("r3", "r6", "r10", "r11") ".endif\n"
#define TVMTINY_DENSE_ONE6                                                                         \
  TVMTINY_DENSE_X6 TVMTINY_DENSE_W4 TVMTINY_DENSE_TWO6 TVMTINY_DENSE_W2("r8", "r9")                \
  TVMTINY_DENSE_MAC6("r4", "r7", "r8", "r9")
#define TVMTINY_DENSE_PAIR6                                                                        \
  TVMTINY_DENSE_X6 TVMTINY_DENSE_W4 TVMTINY_DENSE_TWO6 TVMTINY_DENSE_W4                            \
  TVMTINY_DENSE_MAC6("r4", "r7", "r8", "r9") TVMTINY_DENSE_X6 TVMTINY_DENSE_W2("r8", "r9")         \
  TVMTINY_DENSE_MAC6("r2", "r5", "r10", "r11") TVMTINY_DENSE_MAC6("r3", "r6", "r8", "r9")          \
  TVMTINY_DENSE_W2("r8", "r9") TVMTINY_DENSE_MAC6("r4", "r7", "r8", "r9")
/* Without iterations, neither pointer advances before the end of the tile, and r7 has the initial
 * value of all Q. */
#define TVMTINY_DENSE_OPEN6(LOOPS)                                                                 \
  ".set tvmtiny_x, 0\n.set tvmtiny_w, 0\n.set tvmtiny_begins, (" LOOPS ") < 2\n"                   \
  TVMTINY_DENSE_W("r2") TVMTINY_DENSE_W("r3") TVMTINY_DENSE_W("r4")                                \
  ".if tvmtiny_begins == 0\n ldr r5, [sp]\n ldr r6, [sp]\n.endif\n ldr r7, [sp]\n"
#define TVMTINY_DENSE_TURN6                                                                        \
  " addw r0, r0, #tvmtiny_x\n addw r1, r1, #tvmtiny_w\n"                                           \
  ".set tvmtiny_x, 0\n.set tvmtiny_w, 0\n"
#define TVMTINY_DENSE_BACK6(LOOPS, XBYTES)                                                         \
  ".if (" LOOPS ") > 1\n" TVMTINY_DENSE_BACK(XBYTES) ".endif\n"
#define TVMTINY_DENSE_CLOSE6_PLAIN                                                                 \
  TVMTINY_DENSE_W("r8") TVMTINY_DENSE_W("r9") TVMTINY_DENSE_W("r10") TVMTINY_DENSE_W("r11")        \
  TVMTINY_DENSE_W("r12") TVMTINY_DENSE_W("lr") TVMTINY_DENSE_SPLIT6                                \
  " smmul r2, r2, r11\n smmul r3, r3, r12\n smmul r4, r4, lr\n"                                    \
  TVMTINY_DENSE_W("r8") TVMTINY_DENSE_W("r9") TVMTINY_DENSE_W("r10")                               \
  " ldr r11, [sp, #12]\n ldr r12, [sp, #16]\n smmul r5, r5, r8\n smmul r6, r6, r9\n"               \
  " smmul r7, r7, r10\n addw r1, r1, #tvmtiny_w\n"
#define TVMTINY_DENSE_CLOSE6_SIGNED                                                                \
  ".if tvmtiny_w\n addw r1, r1, #tvmtiny_w\n.endif\n" TVMTINY_DENSE_SCALE6_SIGNED

#define TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS)                                                 \
  "(" TVMTINY_STRING(FIRST) " + 2 * " TVMTINY_STRING(UNROLL) " * " TVMTINY_STRING(LOOPS) ")"
#define TVMTINY_DENSE_FUNCTION4(NAME, XBYTES, ONE, PAIR, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)    \
  TVMTINY_DENSE_FUNCTION(                                                                          \
      NAME,                                                                                        \
      TVMTINY_DENSE_ENTER4(XBYTES) "1:\n" TVMTINY_DENSE_START4 TVMTINY_DENSE_REPEAT(               \
          TVMTINY_STRING(FIRST), TVMTINY_STRING(UNROLL), TVMTINY_STRING(LOOPS), ONE, PAIR, "",     \
          "2", "r6", "16") TVMTINY_DENSE_SCALE4_##ROUNDING TVMTINY_DENSE_BACK(XBYTES)              \
          TVMTINY_DENSE_STORE4(TVMTINY_STRING(SHIFT)) TVMTINY_DENSE_LEAVE("8"))
#define TVMTINY_DENSE_1X4_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                          \
  TVMTINY_DENSE_FUNCTION4(NAME, "8 * " TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS),                 \
                          TVMTINY_DENSE_ONE4, TVMTINY_DENSE_PAIR4, FIRST, UNROLL, LOOPS, SHIFT,    \
                          ROUNDING)
#define TVMTINY_DENSE_1X4_DIRECT_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                   \
  TVMTINY_DENSE_FUNCTION4(NAME, "4 * " TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS),                 \
                          TVMTINY_DENSE_ONE4_DIRECT, TVMTINY_DENSE_PAIR4_DIRECT, FIRST, UNROLL,    \
                          LOOPS, SHIFT, ROUNDING)
#define TVMTINY_DENSE_1X6_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                          \
  TVMTINY_DENSE_FUNCTION(                                                                          \
      NAME,                                                                                        \
      TVMTINY_DENSE_ENTER6("8 * " TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS)) "1:\n"               \
          TVMTINY_DENSE_OPEN6(TVMTINY_STRING(LOOPS)) TVMTINY_DENSE_REPEAT(                         \
              TVMTINY_STRING(FIRST), TVMTINY_STRING(UNROLL), TVMTINY_STRING(LOOPS),                \
              TVMTINY_DENSE_ONE6, TVMTINY_DENSE_PAIR6, TVMTINY_DENSE_TURN6, "2", "r8", "20")       \
              TVMTINY_DENSE_BACK6(TVMTINY_STRING(LOOPS),                                           \
                                  "8 * " TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS))               \
                  TVMTINY_DENSE_CLOSE6_##ROUNDING TVMTINY_DENSE_STORE6(TVMTINY_STRING(SHIFT))      \
                      TVMTINY_DENSE_LEAVE("12"))
#define TVMTINY_DENSE_1X6_DIRECT_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                   \
  TVMTINY_DENSE_FUNCTION(                                                                          \
      NAME,                                                                                        \
      TVMTINY_DENSE_ENTER6("4 * " TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS)) "1:\n"               \
          TVMTINY_DENSE_START6 TVMTINY_DENSE_REPEAT(                                               \
              TVMTINY_STRING(FIRST), TVMTINY_STRING(UNROLL), TVMTINY_STRING(LOOPS),                \
              TVMTINY_DENSE_ONE6_DIRECT, TVMTINY_DENSE_PAIR6_DIRECT, "", "2", "r8", "20")          \
              TVMTINY_DENSE_BACK("4 * " TVMTINY_DENSE_GROUPS(FIRST, UNROLL, LOOPS))                \
                  TVMTINY_DENSE_SCALE6_##ROUNDING TVMTINY_DENSE_STORE6(TVMTINY_STRING(SHIFT))      \
                      TVMTINY_DENSE_LEAVE("12"))

#else /* !TVMTINY_DSP */

/* Gives the inputs u and v of a group. */
TVMTINY_INLINE void tvmtiny_dense_group(const void *x, int32_t group, int32_t direct, uint32_t *to)
{
  if (direct != 0) {
    const uint32_t word = tvmtiny_load4((const int8_t *)x + 4 * group);
    to[0] = tvmtiny_sxtb16(word);
    to[1] = tvmtiny_sxtb16_odd(word);
  } else {
    to[0] = ((const uint32_t *)x)[2 * group];
    to[1] = ((const uint32_t *)x)[2 * group + 1];
  }
}

/* Computes a tile of as many pairs of channels, and returns its end in the stream. */
TVMTINY_INLINE const int32_t *tvmtiny_dense_tile(const void *x, const int32_t *stream, int8_t *out,
                                                 int32_t pairs, int32_t groups, int32_t direct,
                                                 int32_t start, int32_t shift, int32_t rounding)
{
  int32_t p[3];
  int32_t q[3];
  int32_t pair;
  int32_t group;
  for (pair = 0; pair < pairs; ++pair) {
    p[pair] = *stream++;
    q[pair] = start;
  }
  for (group = 0; group < groups; ++group) {
    uint32_t inputs[2];
    tvmtiny_dense_group(x, group, direct, inputs);
    for (pair = 0; pair < pairs; ++pair) {
      const uint32_t u = (uint32_t)*stream++;
      const uint32_t v = (uint32_t)*stream++;
      p[pair] = tvmtiny_smlad(inputs[1], v, tvmtiny_smlad(inputs[0], u, p[pair]));
      q[pair] =
          tvmtiny_smlad(tvmtiny_sxtab16(inputs[1], u), tvmtiny_sxtab16(inputs[0], v), q[pair]);
    }
  }
  for (pair = 0; pair < pairs; ++pair) {
    const int32_t *const constants = stream + pairs + pair * rounding;
    const int32_t odd = (int32_t)((uint32_t)p[pair] - (uint32_t)q[pair]);
    const int32_t even = (int32_t)((uint32_t)stream[pair] + ((uint32_t)q[pair] << 8));
    out[2 * pair + 1] = tvmtiny_scale_int8(odd, constants, rounding, shift);
    out[2 * pair] = tvmtiny_scale_int8(even, constants + pairs * rounding, rounding, shift);
  }
  return stream + pairs + 2 * pairs * rounding;
}

#define TVMTINY_DENSE_TWIN(NAME, PAIRS, DIRECT, GROUPS, SHIFT, ROUNDING)                           \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end,          \
                   const int32_t *total)                                                           \
  {                                                                                                \
    for (; stream != end; out += 2 * (PAIRS)) {                                                    \
      stream = tvmtiny_dense_tile(x, stream, out, PAIRS, GROUPS, DIRECT, *total, SHIFT,            \
                                  TVMTINY_ROUNDING_##ROUNDING);                                    \
    }                                                                                              \
  }
#define TVMTINY_DENSE_1X4_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                          \
  TVMTINY_DENSE_TWIN(NAME, 2, 0, (FIRST) + 2 * (UNROLL) * (LOOPS), SHIFT, ROUNDING)
#define TVMTINY_DENSE_1X4_DIRECT_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                   \
  TVMTINY_DENSE_TWIN(NAME, 2, 1, (FIRST) + 2 * (UNROLL) * (LOOPS), SHIFT, ROUNDING)
#define TVMTINY_DENSE_1X6_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                          \
  TVMTINY_DENSE_TWIN(NAME, 3, 0, (FIRST) + 2 * (UNROLL) * (LOOPS), SHIFT, ROUNDING)
#define TVMTINY_DENSE_1X6_DIRECT_P8(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                   \
  TVMTINY_DENSE_TWIN(NAME, 3, 1, (FIRST) + 2 * (UNROLL) * (LOOPS), SHIFT, ROUNDING)

#endif

#endif /* TVMTINY_DSP_DENSE_H */
