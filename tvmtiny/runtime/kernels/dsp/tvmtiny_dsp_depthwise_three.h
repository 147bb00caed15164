/* Packing for depthwise convolutions with a single output row: see tvmtiny_dsp_depthwise_pack.h. */
#ifndef TVMTINY_DSP_DEPTHWISE_THREE_H
#define TVMTINY_DSP_DEPTHWISE_THREE_H

#include "tvmtiny_dsp_depthwise_pack.h"

/* NAME(from, to) packs three rows, as a pair and another one whose lower row no filter reads, COUNT
 * times. */
#if TVMTINY_DSP
#define TVMTINY_DEPTHWISE_TRIPLES_(NAME, BYTES, STEP, ROW, PLANE)                                  \
  static __attribute__((naked, noinline)) void NAME(const int8_t *from TVMTINY_UNUSED,             \
                                                    uint32_t *to TVMTINY_UNUSED)                   \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(".syntax unified\n push {r4-r11, lr}\n"                                       \
                     " movw r11, #" BYTES "\n add r11, r0, r11\n add r12, r1, #2 * " PLANE "\n"    \
                     "1:\n"                                                                        \
                     " ldr r3, [r0, #" ROW "]\n ldr r4, [r0, #2 * " ROW "]\n"                      \
                     ".if " STEP " < 256\n ldr r2, [r0], #" STEP "\n"                              \
                     ".else\n ldr r2, [r0]\n add r0, r0, #" STEP "\n.endif\n"                     \
                     TVMTINY_DEPTHWISE_UNPACK("r2", "r3", "r5", "r6", "r7")                        \
                     " sxtb16 r2, r4\n sxtb16 r10, r4, ror #8\n"                                   \
                     " asr r9, r2, #16\n asr r8, r10, #16\n"                                       \
                     " strd r7, r10, [r1, #" PLANE "]\n strd r6, r2, [r1], #8\n"                   \
                     " strd r3, r8, [r12, #" PLANE "]\n strd r5, r9, [r12], #8\n"                  \
                     " cmp r0, r11\n bne 1b\n"                                                     \
                     " pop {r4-r11, pc}\n" ::                                                      \
                         : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                   \
  }
#define TVMTINY_DEPTHWISE_TRIPLES(NAME, COUNT, STEP, ROW, PLANE)                                   \
  TVMTINY_DEPTHWISE_TRIPLES_(NAME, "(" #COUNT ") * (" #STEP ")", "(" #STEP ")", "(" #ROW ")",      \
                             "4 * (" #PLANE ")")
#else
#define TVMTINY_DEPTHWISE_TRIPLES(NAME, COUNT, STEP, ROW, PLANE)                                   \
  static void NAME(const int8_t *from, uint32_t *to)                                               \
  {                                                                                                \
    const int8_t *end = from + (COUNT) * (STEP);                                                   \
    for (; from != end; from += (STEP), to += 2) {                                                 \
      tvmtiny_depthwise_pair(to, (PLANE), tvmtiny_load4(from), tvmtiny_load4(from + (ROW)));       \
      tvmtiny_depthwise_pair(to + 1, (PLANE), tvmtiny_load4(from + 2 * (ROW)), 0u);                \
    }                                                                                              \
  }
#endif

/* Defines NAME(x, row, planes, pairs) like TVMTINY_DEPTHWISE_PACK, for an input of three rows and a
 * filter of three rows, which give one output row. */
#define TVMTINY_DEPTHWISE_PACK_THREE(NAME, WIDTH, CHANNELS, LEFT, COLUMNS, PAD)                    \
  TVMTINY_DEPTHWISE_TRIPLES(NAME##_triple, WIDTH, CHANNELS, (WIDTH) * (CHANNELS), 2 * (COLUMNS))   \
  static void NAME(const int8_t *x, int32_t row, uint32_t *planes, int32_t pairs)                  \
  {                                                                                                \
    int32_t column;                                                                                \
    for (column = 0; column < (COLUMNS) - (WIDTH); ++column) {                                     \
      tvmtiny_depthwise_outside(                                                                   \
          planes + (column < (LEFT) ? column : column + (WIDTH)) * 2, 2, 2 * (COLUMNS), (PAD));    \
    }                                                                                              \
    NAME##_triple(x, planes + (LEFT) * 2);                                                         \
    (void)row;                                                                                     \
    (void)pairs;                                                                                   \
  }
#endif /* TVMTINY_DSP_DEPTHWISE_THREE_H */
