/* Tile kernels that read expanded inputs in place, for cores with the DSP extension.
 *
 * A block is a rectangle of input pixels that is expanded once: each pixel gives the words A and B
 * of its first four channels, of the next four and so on, as tvmtiny_dsp_tile.h describes.
 * Neighbouring patches share their common pixels. Weights are packed as for the other tile kernels.
 *
 * The format p8 has weights of two channels in a halfword, 256 * w + v, and inputs as for w16: (x0, x2)
 * and (x1, x3). As they are they add up to P = 256 * sum(w * x) + sum(v * x), and their lower bytes to
 * Q = sum(v * x), so that the accumulators are P - Q and 256 * Q. Each word of inputs serves four
 * products rather than two.
 *
 * All words are loaded by LDR with immediate offsets. In a sequence of loads, each but the first
 * takes one cycle, so that this is faster than LDM and LDRD for words from several places, though
 * longer.
 */
#ifndef TVMTINY_DSP_BLOCK_H
#define TVMTINY_DSP_BLOCK_H

#include "tvmtiny_dsp_tile.h"

/* Defines NAME(x, row, column, to), which expands ROWS x COLUMNS pixels whose top left corner is at
 * (row, column) of an input of HEIGHT x WIDTH x CHANNELS; CHANNELS is a multiple of 4. Inputs
 * outside the tensor are PAD. */
#define TVMTINY_EXPAND_BLOCK(NAME, FORMAT, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, PAD)            \
  static void NAME(const int8_t *x, int32_t row, int32_t column, uint32_t *to)                     \
  {                                                                                                \
    const int32_t left = column < 0 ? -column : 0;                                                 \
    const int32_t over = column + (COLUMNS) - (WIDTH);                                             \
    const int32_t right = over > 0 ? over : 0;                                                     \
    const int32_t inside = (COLUMNS)-left - right;                                                 \
    int32_t ky;                                                                                    \
    for (ky = row; ky < row + (ROWS); ++ky) {                                                      \
      if (ky < 0 || ky >= (HEIGHT) || inside <= 0) {                                               \
        to = tvmtiny_fill_##FORMAT(to, (PAD), (COLUMNS) * (CHANNELS), 1);                          \
      } else {                                                                                     \
        to = tvmtiny_fill_##FORMAT(to, (PAD), left * (CHANNELS), 1);                               \
        to = tvmtiny_expand_##FORMAT(to, x + (ky * (WIDTH) + column + left) * (CHANNELS),          \
                                     inside * (CHANNELS), 1);                                      \
        to = tvmtiny_fill_##FORMAT(to, (PAD), right * (CHANNELS), 1);                              \
      }                                                                                            \
    }                                                                                              \
  }

/* Defines NAME(x, stream, out, end), which computes all channels of P pixels; the first patch
 * starts at x.
 *
 * A patch has HEIGHT rows of UNROLL * TURNS groups. ROW, PIXEL and PITCH are the distances in bytes
 * between rows, patches and outputs. The offsets within an iteration must be less than 4096. */
#if TVMTINY_DSP

/* Stack: out, the end of a row of the patch, the end of x, the end of the stream. r9 is free
 * between groups. A patch that takes one iteration is tvmtiny_single: pointers stay in place until
 * the tile ends, the first products read the initial accumulators from the registers that they were
 * loaded into, and the loads before and after the groups are joined with other loads. tvmtiny_start
 * is the offset of the weights. */
#define TVMTINY_BLOCK_ADD(TO, FROM, BYTES)                                                         \
  ".if (" BYTES ") > 4095\n movw r9, #" BYTES "\n add " TO ", " FROM ", r9\n.else\n"               \
  " addw " TO ", " FROM ", #" BYTES "\n.endif\n"
#define TVMTINY_BLOCK_SUBTRACT(TO, BYTES)                                                          \
  ".if (" BYTES ") > 4095\n movw r9, #" BYTES "\n sub " TO ", " TO ", r9\n.else\n"                 \
  " subw " TO ", " TO ", #" BYTES "\n.endif\n"
#define TVMTINY_BLOCK(INIT, GROUP, SCALE, STORE, WEIGHTS, HEIGHT, UNROLL, TURNS, ROW)              \
  ".syntax unified\n push {r3-r11, lr}\n sub sp, sp, #12\n str r2, [sp]\n"                        \
  ".if (" HEIGHT ") > 1\n" TVMTINY_BLOCK_ADD("r12", "r0", "(" HEIGHT ") * (" ROW ")")              \
  " str r12, [sp, #8]\n.endif\n.set tvmtiny_start, 0\n.set tvmtiny_single, 0\n.set tvmtiny_word, 4\n"             \
  ".if (" TURNS ") == 1 && (" HEIGHT ") == 1\n.set tvmtiny_single, 1\n.endif\n"                    \
  ".set tvmtiny_weights, " WEIGHTS " * (" UNROLL ")\n"                                             \
  "1:\n" INIT "2:\n"                                                                               \
  ".if (" TURNS ") > 1\n" TVMTINY_BLOCK_ADD("r12", "r0", "8 * (" UNROLL ") * (" TURNS ")")         \
  " str r12, [sp, #4]\n.endif\n"                                                                   \
  "3:\n.set tvmtiny_group, 0\n.rept " UNROLL "\n" GROUP                                            \
  ".set tvmtiny_group, tvmtiny_group + 1\n.endr\n"                                                 \
  ".if tvmtiny_single == 0\n addw r1, r1, #" WEIGHTS " * (" UNROLL ")\n.endif\n"                   \
  ".if (" TURNS ") > 1\n addw r0, r0, #8 * (" UNROLL ")\n ldr r9, [sp, #4]\n cmp r0, r9\n bne 3b\n"\
  ".endif\n"                                                                                       \
  ".if (" HEIGHT ") > 1\n"                                                                         \
  ".if (" TURNS ") > 1\n" TVMTINY_BLOCK_ADD("r0", "r0", "(" ROW ") - 8 * (" UNROLL ") * (" TURNS   \
                                                                                         ")")      \
  ".else\n" TVMTINY_BLOCK_ADD("r0", "r0", ROW)                                                     \
  ".endif\n ldr r9, [sp, #8]\n cmp r0, r9\n bne 2b\n" TVMTINY_BLOCK_SUBTRACT(                      \
      "r0", "(" HEIGHT ") * (" ROW ")")                                                            \
  ".elseif (" TURNS ") > 1\n" TVMTINY_BLOCK_SUBTRACT("r0", "8 * (" UNROLL ") * (" TURNS ")")       \
  ".endif\n" SCALE STORE "bne 1b\n"                                                                \
  " add sp, sp, #16\n pop {r4-r11, pc}\n"
/* Loads the initial accumulators of two channels, into r7 and r8 or other registers. */
#define TVMTINY_BLOCK_START2(A, B)                                                                 \
  ".if tvmtiny_single\n.set tvmtiny_start, 8\n ldr " A ", [r1]\n ldr " B ", [r1, #4]\n.else\n ldrd " A\
  ", " B ", [r1], #8\n.endif\n"
/* Loads their multipliers, and the end of the stream into FREE, which must not change
 * afterwards. */
#define TVMTINY_BLOCK_MULTIPLIERS2(A, B, FREE)                                                     \
  ".if tvmtiny_single\n ldr " A ", [r1, #tvmtiny_start + tvmtiny_weights]\n ldr " B                \
  ", [r1, #tvmtiny_start + tvmtiny_weights + 4]\n.else\n ldrd " A ", " B ", [r1], #8\n.endif\n"    \
  TVMTINY_BLOCK_END(FREE, "8")
/* Loads the end of the stream. For a single patch, advances to the next tile, BYTES after the
 * weights. */
#define TVMTINY_BLOCK_END(FREE, BYTES)                                                             \
  " ldr " FREE ", [sp, #12]\n.if tvmtiny_single\n addw r1, r1, #tvmtiny_start + tvmtiny_weights + " BYTES\
  "\n.endif\n"
/* Skips the weights of a single patch before constants for rounding by sign, which are loaded in
 * order. */
#define TVMTINY_BLOCK_SKIP                                                                         \
  ".if tvmtiny_single\n addw r1, r1, #tvmtiny_start + tvmtiny_weights\n.endif\n"
#define TVMTINY_BLOCK_LAST(FREE) " ldr " FREE ", [sp, #12]\n"
#define TVMTINY_BLOCK_FUNCTION(NAME, INIT, GROUP, SCALE, STORE, WEIGHTS, HEIGHT, UNROLL, TURNS,    \
                               ROW)                                                                \
  TVMTINY_TILE_FUNCTION(NAME, TVMTINY_BLOCK(INIT, GROUP, SCALE, STORE, WEIGHTS,                    \
                                            TVMTINY_STRING(HEIGHT), TVMTINY_STRING(UNROLL),        \
                                            TVMTINY_STRING(TURNS), TVMTINY_STRING(ROW)))

/* Loads word W (0: A, 1: B) of pixel P, and word W of the weights of a group, which has BYTES
 * bytes. */
#define TVMTINY_BLOCK_X(TO, P, W, PIXEL)                                                           \
  " ldr " TO ", [r0, #tvmtiny_word * (2 * tvmtiny_group + " W ") + " P " * " PIXEL "]\n"
#define TVMTINY_BLOCK_W(TO, W, BYTES) " ldr " TO ", [r1, #tvmtiny_start + " BYTES " * tvmtiny_group + 4 * (" W ")]\n"

/* Chooses BEGIN for the first products of a single patch, and MAC otherwise. */
#define TVMTINY_BLOCK_EITHER(W, BEGIN, MAC)                                                        \
  ".if tvmtiny_single && tvmtiny_group == 0 && " W " == 0\n" BEGIN ".else\n" MAC ".endif\n"
#define TVMTINY_BLOCK_COPY(MOVES) ".if tvmtiny_single == 0\n" MOVES ".endif\n"

/* 4 x 2: accumulators r2..r8 and r11 (pixel 0: r3 r4, 1: r5 r6, 2: r7 r8, 3: r2 r11), weights r9
 * r10, inputs r12 lr. The output pointer is kept on the stack. */
#define TVMTINY_BLOCK_INIT_4X2                                                                     \
  TVMTINY_BLOCK_START2("r7", "r8")                                                                 \
  TVMTINY_BLOCK_COPY(                                                                              \
      " mov r3, r7\n mov r4, r8\n mov r5, r7\n mov r6, r8\n mov r2, r7\n mov r11, r8\n")
#define TVMTINY_BLOCK_HALF_4X2(W, PIXEL)                                                           \
  TVMTINY_BLOCK_X("r12", "0", W, PIXEL)                                                            \
  TVMTINY_BLOCK_X("lr", "1", W, PIXEL)                                                             \
  TVMTINY_BLOCK_EITHER(W,                                                                          \
                       " smlad r3, r12, r9, r7\n smlad r4, r12, r10, r8\n"                         \
                       " smlad r5, lr, r9, r7\n smlad r6, lr, r10, r8\n",                          \
                       " smlad r3, r12, r9, r3\n smlad r4, r12, r10, r4\n"                         \
                       " smlad r5, lr, r9, r5\n smlad r6, lr, r10, r6\n")                          \
  TVMTINY_BLOCK_X("r12", "2", W, PIXEL) TVMTINY_BLOCK_X("lr", "3", W, PIXEL)                       \
  TVMTINY_BLOCK_EITHER(W, " smlad r2, lr, r9, r7\n smlad r11, lr, r10, r8\n",                      \
                       " smlad r2, lr, r9, r2\n smlad r11, lr, r10, r11\n")                        \
  " smlad r7, r12, r9, r7\n smlad r8, r12, r10, r8\n"
#define TVMTINY_BLOCK_SCALE_4X2_PLAIN                                                              \
  " ldr lr, [sp]\n" TVMTINY_BLOCK_MULTIPLIERS2("r9", "r10", "r12")                                 \
  " smmul r3, r3, r9\n smmul r4, r4, r10\n smmul r5, r5, r9\n smmul r6, r6, r10\n"                 \
  " smmul r7, r7, r9\n smmul r8, r8, r10\n smmul r2, r2, r9\n smmul r11, r11, r10\n"
/* Multiplier r9, offset r10, step r12; r11 is scaled later. */
#define TVMTINY_BLOCK_SIGNED(ACC)                                                                  \
  " and lr, r12, " ACC ", asr #31\n add lr, lr, r10\n smmla " ACC ", " ACC ", r9, lr\n"
#define TVMTINY_BLOCK_SCALE_4X2_SIGNED                                                             \
  TVMTINY_BLOCK_SKIP " ldm r1!, {r9, r10, r12}\n" TVMTINY_BLOCK_SIGNED("r3") TVMTINY_BLOCK_SIGNED( \
      "r5") TVMTINY_BLOCK_SIGNED("r7") TVMTINY_BLOCK_SIGNED("r2") " ldm r1!, {r9, r10, r12}\n"     \
      TVMTINY_BLOCK_SIGNED("r4") TVMTINY_BLOCK_SIGNED("r6") TVMTINY_BLOCK_SIGNED("r8")             \
          TVMTINY_BLOCK_SIGNED("r11") " ldr lr, [sp]\n" TVMTINY_BLOCK_LAST("r12")
#define TVMTINY_BLOCK_STORE_4X2(SHIFT, PITCH)                                                      \
  " ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                           \
  " ssat r5, #8, r5, asr #" SHIFT "\n ssat r6, #8, r6, asr #" SHIFT "\n"                           \
  " ssat r7, #8, r7, asr #" SHIFT "\n ssat r8, #8, r8, asr #" SHIFT "\n"                           \
  " ssat r2, #8, r2, asr #" SHIFT "\n ssat r11, #8, r11, asr #" SHIFT "\n"                         \
  " strb r4, [lr, #1]\n strb r5, [lr, #" PITCH "]\n strb r6, [lr, #" PITCH " + 1]\n"               \
  " strb r7, [lr, #2 * " PITCH "]\n strb r8, [lr, #2 * " PITCH " + 1]\n"                           \
  " strb r2, [lr, #3 * " PITCH "]\n strb r11, [lr, #3 * " PITCH " + 1]\n strb r3, [lr], #2\n"      \
  " str lr, [sp]\n cmp r1, r12\n"

/* 3 x 2: as in tvmtiny_dsp_tile.h. */
#define TVMTINY_BLOCK_INIT_3X2                                                                     \
  TVMTINY_BLOCK_START2("r7", "r8")                                                                 \
  TVMTINY_BLOCK_COPY(" mov r3, r7\n mov r4, r8\n mov r5, r7\n mov r6, r8\n")
#define TVMTINY_BLOCK_HALF_3X2(W, PIXEL)                                                           \
  TVMTINY_BLOCK_X("r11", "0", W, PIXEL)                                                            \
  TVMTINY_BLOCK_X("r12", "1", W, PIXEL)                                                            \
  TVMTINY_BLOCK_X("lr", "2", W, PIXEL) TVMTINY_BLOCK_EITHER(W, TVMTINY_BEGIN_3X2, TVMTINY_MAC_3X2)
#define TVMTINY_BLOCK_SCALE_3X2_PLAIN                                                              \
  TVMTINY_BLOCK_MULTIPLIERS2("r9", "r10", "r12")                                                   \
  " smmul r3, r3, r9\n smmul r4, r4, r10\n smmul r5, r5, r9\n smmul r6, r6, r10\n"                 \
  " smmul r7, r7, r9\n smmul r8, r8, r10\n"
#define TVMTINY_BLOCK_SCALE_3X2_SIGNED                                                             \
  TVMTINY_BLOCK_SKIP TVMTINY_SCALE_3X2_SIGNED TVMTINY_BLOCK_LAST("r12")
#define TVMTINY_BLOCK_STORE_3X2(SHIFT, PITCH) TVMTINY_STORE_3X2(SHIFT, PITCH) " cmp r1, r12\n"

/* 2 x 2: accumulators r3..r6 (pixel 0: r3 r4, pixel 1: r5 r6), weights r9 r10, inputs r11 r12 (A)
 * and r7 r8 (B), which are loaded together. */
#define TVMTINY_BLOCK_INIT_2X2                                                                     \
  TVMTINY_BLOCK_START2("r5", "r6") TVMTINY_BLOCK_COPY(" mov r3, r5\n mov r4, r6\n")
#define TVMTINY_BLOCK_FIRST_2X2                                                                    \
  TVMTINY_BLOCK_EITHER("0", TVMTINY_BEGIN_2X2("r11", "r12", "r9", "r10"),                          \
                       TVMTINY_MAC_2X2("r11", "r12", "r9", "r10"))
#define TVMTINY_BLOCK_SCALE_2X2_PLAIN                                                              \
  TVMTINY_BLOCK_MULTIPLIERS2("r7", "r8", "r12")                                                    \
  " smmul r3, r3, r7\n smmul r4, r4, r8\n smmul r5, r5, r7\n smmul r6, r6, r8\n"
#define TVMTINY_BLOCK_SCALE_2X2_SIGNED                                                             \
  TVMTINY_BLOCK_SKIP TVMTINY_SCALE_2X2_SIGNED TVMTINY_BLOCK_LAST("r12")
#define TVMTINY_BLOCK_STORE_2X2(SHIFT, PITCH) TVMTINY_STORE_2X2(SHIFT, PITCH) " cmp r1, r12\n"
#define TVMTINY_BLOCK_INPUTS_2X2(PIXEL)                                                            \
  TVMTINY_BLOCK_X("r11", "0", "0", PIXEL)                                                          \
  TVMTINY_BLOCK_X("r12", "1", "0", PIXEL) TVMTINY_BLOCK_X("r7", "0", "1", PIXEL)                   \
      TVMTINY_BLOCK_X("r8", "1", "1", PIXEL)

/* 1 x 4: accumulators r3..r6, weights r9..r12, inputs r7 r8 (A B). */
#define TVMTINY_BLOCK_INIT_1X4                                                                     \
  ".if tvmtiny_single\n.set tvmtiny_start, 16\n ldr r3, [r1]\n ldr r4, [r1, #4]\n ldr r5, [r1, #8]\n"\
  " ldr r6, [r1, #12]\n.else\n" TVMTINY_INIT_1X4 ".endif\n"
#define TVMTINY_BLOCK_CONSTANT(TO, INDEX)                                                        \
  " ldr " TO ", [r1, #tvmtiny_start + tvmtiny_weights + 4 * " INDEX "]\n"
#define TVMTINY_BLOCK_SCALE_1X4_PLAIN                                                              \
  ".if tvmtiny_single\n" TVMTINY_BLOCK_CONSTANT("r9", "0") TVMTINY_BLOCK_CONSTANT("r10", "1")  \
      TVMTINY_BLOCK_CONSTANT("r11", "2") TVMTINY_BLOCK_CONSTANT("r12", "3")                    \
  ".else\n ldmia r1!, {r9, r10, r11, r12}\n.endif\n" TVMTINY_BLOCK_END("r7", "16")                 \
  " smmul r3, r3, r9\n smmul r4, r4, r10\n smmul r5, r5, r11\n smmul r6, r6, r12\n"
#define TVMTINY_BLOCK_SCALE_1X4_SIGNED                                                             \
  TVMTINY_BLOCK_SKIP TVMTINY_SCALE_1X4_SIGNED TVMTINY_BLOCK_LAST("r7")
#define TVMTINY_BLOCK_STORE_1X4(SHIFT) TVMTINY_STORE_1X4(SHIFT) " cmp r1, r7\n"
#define TVMTINY_BLOCK_WEIGHTS_1X4(FIRST, BYTES)                                                    \
  TVMTINY_BLOCK_W("r9", FIRST, BYTES)                                                              \
  TVMTINY_BLOCK_W("r10", FIRST " + 1", BYTES)                                                      \
  TVMTINY_BLOCK_W("r11", FIRST " + 2", BYTES) TVMTINY_BLOCK_W("r12", FIRST " + 3", BYTES)

/* 2 x 4 with p8; the words of two patches may alternate, so that a PIXEL is 4 bytes. P in r3 r4 (pixel 0) and r5 r6 (pixel 1), Q in r7 r8 and r2 r11, weights r9 r10, inputs
 * r12 lr. The output pointer waits on the stack. Before the weights, the stream has the initial
 * accumulators of the odd channels, and behind them those of the even ones, the multipliers of the odd
 * channels, and of the even ones; or for rounding by sign the constants of each channel. */
#define TVMTINY_BLOCK_INIT_2X4                                                                     \
  TVMTINY_BLOCK_START2("r5", "r6")                                                                 \
  TVMTINY_BLOCK_COPY(                                                                              \
      " mov r3, r5\n mov r4, r6\n mov r7, #0\n mov r8, #0\n mov r2, #0\n mov r11, #0\n")
#define TVMTINY_BLOCK_HALF_2X4(W, FIRST, PIXEL)                                                    \
  TVMTINY_BLOCK_W("r9", FIRST, "16")                                                               \
  TVMTINY_BLOCK_W("r10", FIRST " + 1", "16")                                                       \
  TVMTINY_BLOCK_X("r12", "0", W, PIXEL)                                                            \
  TVMTINY_BLOCK_X("lr", "1", W, PIXEL)                                                             \
  TVMTINY_BLOCK_EITHER(W, TVMTINY_BEGIN_2X2("r12", "lr", "r9", "r10"),                             \
                       TVMTINY_MAC_2X2("r12", "lr", "r9", "r10"))                                  \
  TVMTINY_BLOCK_WIDEN                                                                              \
  TVMTINY_BLOCK_EITHER(W,                                                                          \
                       " smuad r7, r12, r9\n smuad r8, r12, r10\n smuad r2, lr, r9\n smuad r11, lr, r10\n", \
                       " smlad r7, r12, r9, r7\n smlad r8, r12, r10, r8\n"                         \
                       " smlad r2, lr, r9, r2\n smlad r11, lr, r10, r11\n")
#define TVMTINY_BLOCK_SPLIT_2X4                                                                    \
  " sub r3, r3, r7\n sub r4, r4, r8\n sub r5, r5, r2\n sub r6, r6, r11\n"                          \
  " add r7, r9, r7, lsl #8\n add r8, r10, r8, lsl #8\n add r2, r9, r2, lsl #8\n add r11, r10, r11, lsl #8\n"
#define TVMTINY_BLOCK_SCALE_2X4_PLAIN                                                              \
  ".if tvmtiny_single\n" TVMTINY_BLOCK_CONSTANT("r9", "0") TVMTINY_BLOCK_CONSTANT("r10", "1")      \
      TVMTINY_BLOCK_CONSTANT("r12", "2") TVMTINY_BLOCK_CONSTANT("lr", "3")                         \
  ".else\n ldmia r1!, {r9, r10, r12, lr}\n.endif\n" TVMTINY_BLOCK_SPLIT_2X4                        \
  " smmul r3, r3, r12\n smmul r4, r4, lr\n smmul r5, r5, r12\n smmul r6, r6, lr\n"                 \
  ".if tvmtiny_single\n" TVMTINY_BLOCK_CONSTANT("r12", "4") TVMTINY_BLOCK_CONSTANT("lr", "5")      \
  ".else\n ldrd r12, lr, [r1], #8\n.endif\n ldr r9, [sp]\n" TVMTINY_BLOCK_END("r10", "24")         \
  " smmul r7, r7, r12\n smmul r8, r8, lr\n smmul r2, r2, r12\n smmul r11, r11, lr\n"
#define TVMTINY_BLOCK_SCALE_2X4_SIGNED                                                             \
  TVMTINY_BLOCK_SKIP " ldrd r9, r10, [r1], #8\n" TVMTINY_BLOCK_SPLIT_2X4                           \
  TVMTINY_BLOCK_SIGNED_2("r3", "r5") TVMTINY_BLOCK_SIGNED_2("r4", "r6")                            \
  TVMTINY_BLOCK_SIGNED_2("r7", "r2") TVMTINY_BLOCK_SIGNED_2("r8", "r11")                           \
  " ldr r9, [sp]\n" TVMTINY_BLOCK_LAST("r10")
#define TVMTINY_BLOCK_SIGNED_2(FIRST, SECOND)                                                      \
  " ldm r1!, {r9, r10, r12}\n" TVMTINY_BLOCK_SIGNED(FIRST) TVMTINY_BLOCK_SIGNED(SECOND)
#define TVMTINY_BLOCK_STORE_2X4(SHIFT, PITCH)                                                      \
  " ssat r3, #8, r3, asr #" SHIFT "\n ssat r4, #8, r4, asr #" SHIFT "\n"                           \
  " ssat r5, #8, r5, asr #" SHIFT "\n ssat r6, #8, r6, asr #" SHIFT "\n"                           \
  " ssat r7, #8, r7, asr #" SHIFT "\n ssat r8, #8, r8, asr #" SHIFT "\n"                           \
  " ssat r2, #8, r2, asr #" SHIFT "\n ssat r11, #8, r11, asr #" SHIFT "\n"                         \
  " strb r3, [r9, #1]\n strb r8, [r9, #2]\n strb r4, [r9, #3]\n"                                   \
  " strb r2, [r9, #" PITCH "]\n strb r5, [r9, #" PITCH " + 1]\n strb r11, [r9, #" PITCH " + 2]\n"   \
  " strb r6, [r9, #" PITCH " + 3]\n strb r7, [r9], #4\n str r9, [sp]\n cmp r1, r10\n"

#define TVMTINY_BLOCK_WIDEN " sxtb16 r9, r9\n sxtb16 r10, r10\n"
#define TVMTINY_BLOCK_W2(FIRST, BYTES)                                                             \
  TVMTINY_BLOCK_W("r9", FIRST, BYTES) TVMTINY_BLOCK_W("r10", FIRST " + 1", BYTES)

#define TVMTINY_BLOCK_4X2_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_4X2,                                                                \
      TVMTINY_BLOCK_W2("0", "8") TVMTINY_BLOCK_HALF_4X2("0", TVMTINY_STRING(PIXEL))                \
          TVMTINY_BLOCK_WIDEN TVMTINY_BLOCK_HALF_4X2("1", TVMTINY_STRING(PIXEL)),                  \
      TVMTINY_BLOCK_SCALE_4X2_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_4X2(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)), "8", HEIGHT, UNROLL,  \
      TURNS, ROW)
#define TVMTINY_BLOCK_4X2_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_4X2,                                                                \
      TVMTINY_BLOCK_W2("0", "16") TVMTINY_BLOCK_HALF_4X2("0", TVMTINY_STRING(PIXEL))               \
          TVMTINY_BLOCK_W2("2", "16") TVMTINY_BLOCK_HALF_4X2("1", TVMTINY_STRING(PIXEL)),          \
      TVMTINY_BLOCK_SCALE_4X2_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_4X2(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)), "16", HEIGHT, UNROLL, \
      TURNS, ROW)
#define TVMTINY_BLOCK_3X2_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_3X2,                                                                \
      TVMTINY_BLOCK_W2("0", "8") TVMTINY_BLOCK_HALF_3X2("0", TVMTINY_STRING(PIXEL))                \
          TVMTINY_BLOCK_WIDEN TVMTINY_BLOCK_HALF_3X2("1", TVMTINY_STRING(PIXEL)),                  \
      TVMTINY_BLOCK_SCALE_3X2_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_3X2(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)), "8", HEIGHT, UNROLL,  \
      TURNS, ROW)
#define TVMTINY_BLOCK_3X2_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_3X2,                                                                \
      TVMTINY_BLOCK_W2("0", "16") TVMTINY_BLOCK_HALF_3X2("0", TVMTINY_STRING(PIXEL))               \
          TVMTINY_BLOCK_W2("2", "16") TVMTINY_BLOCK_HALF_3X2("1", TVMTINY_STRING(PIXEL)),          \
      TVMTINY_BLOCK_SCALE_3X2_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_3X2(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)), "16", HEIGHT, UNROLL, \
      TURNS, ROW)
#define TVMTINY_BLOCK_2X2_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_2X2,                                                                \
      TVMTINY_BLOCK_W2("0", "8") TVMTINY_BLOCK_INPUTS_2X2(TVMTINY_STRING(PIXEL))                   \
          TVMTINY_BLOCK_FIRST_2X2 TVMTINY_BLOCK_WIDEN TVMTINY_MAC_2X2("r7", "r8", "r9", "r10"), \
      TVMTINY_BLOCK_SCALE_2X2_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_2X2(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)), "8", HEIGHT, UNROLL,  \
      TURNS, ROW)
#define TVMTINY_BLOCK_2X2_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_2X2,                                                                \
      TVMTINY_BLOCK_W2("0", "16") TVMTINY_BLOCK_W("r2", "2", "16") TVMTINY_BLOCK_W(                \
          "lr", "3", "16") TVMTINY_BLOCK_INPUTS_2X2(TVMTINY_STRING(PIXEL))                         \
          TVMTINY_BLOCK_FIRST_2X2 TVMTINY_MAC_2X2("r7", "r8", "r2", "lr"),                         \
      TVMTINY_BLOCK_SCALE_2X2_##ROUNDING,                                                          \
      " ldr r2, [sp]\n" TVMTINY_BLOCK_STORE_2X2(TVMTINY_STRING(SHIFT),                             \
                                                TVMTINY_STRING(PITCH)) " str r2, [sp]\n", "16", HEIGHT, UNROLL, \
      TURNS, ROW)
#define TVMTINY_BLOCK_1X4_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_1X4,                                                                \
      TVMTINY_BLOCK_X("r7", "0", "0", "0") TVMTINY_BLOCK_X("r8", "0", "1", "0")                    \
          TVMTINY_BLOCK_WEIGHTS_1X4("0", "16") TVMTINY_MAC_1X4("r7")                               \
              TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),                                             \
      TVMTINY_BLOCK_SCALE_1X4_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_1X4(TVMTINY_STRING(SHIFT)), "16", HEIGHT, UNROLL, TURNS, ROW)
#define TVMTINY_BLOCK_1X4_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME, TVMTINY_BLOCK_INIT_1X4,                                                                \
      TVMTINY_BLOCK_X("r7", "0", "0", "0") TVMTINY_BLOCK_X("r8", "0", "1", "0")                    \
          TVMTINY_BLOCK_WEIGHTS_1X4("0", "32") TVMTINY_MAC_1X4("r7")                               \
              TVMTINY_BLOCK_WEIGHTS_1X4("4", "32") TVMTINY_MAC_1X4("r8"),                          \
      TVMTINY_BLOCK_SCALE_1X4_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_1X4(TVMTINY_STRING(SHIFT)), "32", HEIGHT, UNROLL, TURNS, ROW)

#define TVMTINY_BLOCK_2X4_P8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_FUNCTION(                                                                          \
      NAME,                                                                                        \
      ".if (" TVMTINY_STRING(PIXEL) ") == 4\n.set tvmtiny_word, 8\n.endif\n" TVMTINY_BLOCK_INIT_2X4, \
      TVMTINY_BLOCK_HALF_2X4("0", "0", TVMTINY_STRING(PIXEL))                                      \
          TVMTINY_BLOCK_HALF_2X4("1", "2", TVMTINY_STRING(PIXEL)),                                 \
      TVMTINY_BLOCK_SCALE_2X4_##ROUNDING,                                                          \
      TVMTINY_BLOCK_STORE_2X4(TVMTINY_STRING(SHIFT), TVMTINY_STRING(PITCH)), "16", HEIGHT, UNROLL, \
      TURNS, ROW)

#else /* !TVMTINY_DSP */

/* Two pixels and four channels at a time, of which halfwords have two. */
TVMTINY_INLINE void tvmtiny_block_channels(const uint32_t *x, const int32_t *stream, int8_t *out,
                                           const int32_t *end, int32_t height, int32_t groups,
                                           int32_t shift, int32_t pitch, int32_t row, int32_t pixel,
                                           int32_t rounding)
{
  static const int32_t places[] = {1, 3, 0, 2};
  const int32_t words = 4 * height * groups;
  while (stream != end) {
    const int32_t *const constants = stream + 2 + words;
    int32_t p;
    for (p = 0; p < 2; ++p) {
      int32_t acc[4];
      int32_t i;
      acc[0] = stream[0];
      acc[1] = stream[1];
      acc[2] = acc[3] = 0;
      for (i = 0; i < words; ++i) {
        const int32_t pair = i % 2;
        const uint32_t weights = (uint32_t)stream[2 + i];
        const int32_t word = i % (4 * groups) / 2 * (pixel == 4 ? 2 : 1);
        const uint32_t inputs = x[(i / (4 * groups) * row + p * pixel) / 4 + word];
        acc[pair] = tvmtiny_smlad(inputs, weights, acc[pair]);
        acc[2 + pair] = tvmtiny_smlad(inputs, tvmtiny_sxtb16(weights), acc[2 + pair]);
      }
      for (i = 0; i < 2; ++i) {
        acc[i] = (int32_t)((uint32_t)acc[i] - (uint32_t)acc[2 + i]);
        acc[2 + i] = (int32_t)((uint32_t)constants[i] + ((uint32_t)acc[2 + i] << 8));
      }
      for (i = 0; i < 4; ++i) {
        out[p * pitch + places[i]] =
            tvmtiny_scale_int8(acc[i], constants + 2 + i * rounding, rounding, shift);
      }
    }
    stream = constants + 2 + 4 * rounding;
    out += 4;
  }
}

#define TVMTINY_BLOCK_2X4_P8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    tvmtiny_block_channels((const uint32_t *)x, stream, out, end, HEIGHT, (UNROLL) * (TURNS),      \
                           SHIFT, PITCH, ROW, PIXEL, TVMTINY_ROUNDING_##ROUNDING);                 \
  }

TVMTINY_INLINE void tvmtiny_block(const uint32_t *x, const int32_t *stream, int8_t *out,
                                  const int32_t *end, int32_t pixels, int32_t channels,
                                  int32_t wide, int32_t height, int32_t groups, int32_t shift,
                                  int32_t pitch, int32_t row, int32_t pixel, int32_t rounding)
{
  while (stream != end) {
    int32_t acc[8];
    int32_t y;
    int32_t group;
    int32_t p;
    int32_t c;
    for (p = 0; p < pixels * channels; ++p) {
      acc[p] = stream[p % channels];
    }
    stream += channels;
    for (y = 0; y < height; ++y) {
      for (group = 0; group < groups; ++group) {
        for (p = 0; p < pixels; ++p) {
          const uint32_t *inputs = x + (y * row + p * pixel) / 4 + 2 * group;
          for (c = 0; c < channels; ++c) {
            const uint32_t a = (uint32_t)stream[c];
            const uint32_t b = wide != 0 ? (uint32_t)stream[channels + c] : tvmtiny_sxtb16(a);
            int32_t *sum = &acc[p * channels + c];
            *sum = tvmtiny_smlad(inputs[0], a, *sum);
            *sum = tvmtiny_smlad(inputs[1], b, *sum);
          }
        }
        stream += wide != 0 ? 2 * channels : channels;
      }
    }
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

#define TVMTINY_BLOCK_TWIN(NAME, PIXELS, CHANNELS, WIDE, HEIGHT, GROUPS, SHIFT, PITCH, ROW, PIXEL, \
                           ROUNDING)                                                               \
  static void NAME(const void *x, const int32_t *stream, int8_t *out, const int32_t *end)          \
  {                                                                                                \
    tvmtiny_block((const uint32_t *)x, stream, out, end, PIXELS, CHANNELS, WIDE, HEIGHT, GROUPS,   \
                  SHIFT, PITCH, ROW, PIXEL, TVMTINY_ROUNDING_##ROUNDING);                          \
  }
#define TVMTINY_BLOCK_4X2_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_TWIN(NAME, 4, 2, 0, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_4X2_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_TWIN(NAME, 4, 2, 1, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_3X2_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_TWIN(NAME, 3, 2, 0, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_3X2_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_TWIN(NAME, 3, 2, 1, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_2X2_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_TWIN(NAME, 2, 2, 0, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_2X2_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_TWIN(NAME, 2, 2, 1, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_1X4_W8(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)      \
  TVMTINY_BLOCK_TWIN(NAME, 1, 4, 0, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)
#define TVMTINY_BLOCK_1X4_W16(NAME, HEIGHT, UNROLL, TURNS, SHIFT, PITCH, ROW, PIXEL, ROUNDING)     \
  TVMTINY_BLOCK_TWIN(NAME, 1, 4, 1, HEIGHT, (UNROLL) * (TURNS), SHIFT, PITCH, ROW, PIXEL, ROUNDING)

#endif

#endif /* TVMTINY_DSP_BLOCK_H */
