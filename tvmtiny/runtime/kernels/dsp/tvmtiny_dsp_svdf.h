/* SVDF in int8 with an int16 state, with the tile kernels of tvmtiny_dsp_sums.h. */
#ifndef TVMTINY_DSP_SVDF_H
#define TVMTINY_DSP_SVDF_H

#include "tvmtiny_dsp_sums.h"

/* Defines NAME(state, times, values, end). For each filter of MEMORY int16 numbers, it drops the
 * oldest value of the state and appends the sum in `values`, scaled with M and S like
 * tvmtiny_scale_twice and saturated. It then replaces the sum by the product of the state and
 * `times`, modulo 2^32. Filters in `times` are aligned to words. */
#if TVMTINY_DSP

/* WORDS pairs of the state, in registers from r4 on. If MEMORY is odd, rows of the state are not
 * aligned to words. */
#define TVMTINY_SVDF_STORE(REGISTERS, R4, R5, R6, R7)                                              \
  ".if %c[odd]\n" R4 R5 R6 R7 ".else\n stmia r0!, {" REGISTERS "}\n.endif\n"
#define TVMTINY_SVDF_4                                                                             \
  "ldr r4, [r0, #2]\n ldr r5, [r0, #6]\n ldr r6, [r0, #10]\n ldr r7, [r0, #14]\n"                  \
  "ldmia r1!, {r8, r9, r10, r11}\n" TVMTINY_SVDF_STORE("r4, r5, r6, r7", "str r4, [r0], #4\n",     \
                                                       "str r5, [r0], #4\n", "str r6, [r0], #4\n", \
                                                       "str r7, [r0], #4\n")                       \
  "smlad lr, r4, r8, lr\n smlad lr, r5, r9, lr\n smlad lr, r6, r10, lr\n smlad lr, r7, r11, lr\n"
#define TVMTINY_SVDF_2                                                                             \
  "ldr r4, [r0, #2]\n ldr r5, [r0, #6]\n ldrd r8, r9, [r1], #8\n" TVMTINY_SVDF_STORE(              \
      "r4, r5", "str r4, [r0], #4\n", "str r5, [r0], #4\n", "", "")                                \
  "smlad lr, r4, r8, lr\n smlad lr, r5, r9, lr\n"
#define TVMTINY_SVDF_1                                                                             \
  "ldr r4, [r0, #2]\n ldr r8, [r1], #4\n str r4, [r0], #4\n smlad lr, r4, r8, lr\n"
#define TVMTINY_SVDF_TIME(NAME, MEMORY, M, S)                                                      \
  static __attribute__((naked, noinline)) void NAME(                                               \
      int16_t *state TVMTINY_UNUSED, const int32_t *times TVMTINY_UNUSED,                          \
      int32_t *values TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED)                           \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(                                                                              \
        ".syntax unified\n push {r4-r11, lr}\n"                                                    \
        "movw r4, #%c[m] & 0xffff\n movt r4, #%c[m] >> 16\n push {r4}\n"                           \
        "1:\n ldr r12, [r2]\n ldr r4, [sp]\n lsl r12, r12, #%c[left]\n mov lr, #0\n"               \
        "smmulr r12, r12, r4\n"                                                                    \
        ".if %c[right]\n add r12, r12, r12, asr #31\n add r12, r12, #1 << (%c[right] - 1)\n"        \
        "ssat r12, #16, r12, asr #%c[right]\n.else\n ssat r12, #16, r12\n.endif\n"                 \
        ".rept %c[words] / 4\n" TVMTINY_SVDF_4 ".endr\n"                                           \
        ".if %c[words] %% 4 >= 2\n" TVMTINY_SVDF_2 ".endif\n"                                      \
        ".if %c[words] %% 2\n" TVMTINY_SVDF_1 ".endif\n"                                           \
        "ldr r8, [r1], #4\n"                                                                       \
        ".if %c[odd]\n strh r12, [r0], #2\n"                                                       \
        ".else\n ldrh r4, [r0, #2]\n pkhbt r12, r4, r12, lsl #16\n str r12, [r0], #4\n.endif\n"    \
        "smlad lr, r12, r8, lr\n str lr, [r2], #4\n cmp r2, r3\n bne 1b\n"                         \
        "add sp, sp, #4\n pop {r4-r11, pc}\n" ::[words] "i"(((MEMORY) - 1) / 2),                   \
        [odd] "i"((MEMORY) % 2), [m] "i"(M), [left] "i"(1 + ((S) > 0 ? (S) : 0)),                  \
        [right] "i"((S) < 0 ? -(S) : 0)                                                            \
        : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                                    \
  }

#else

TVMTINY_INLINE void tvmtiny_svdf_time(int16_t *state, const int32_t *times, int32_t *values,
                                      const int32_t *end, int32_t memory, int32_t multiplier,
                                      int32_t shift)
{
  for (; values != end; ++values) {
    const int32_t value =
        tvmtiny_saturate_int16(tvmtiny_scale_twice(*values, multiplier, shift));
    uint32_t sum = 0u;
    int32_t i;
    for (i = 0; i < memory; ++i) {
      const uint32_t pair = (uint32_t)times[i / 2];
      const int32_t weight = (int16_t)((i % 2 != 0 ? pair >> 16 : pair) & 0xffffu);
      state[i] = i + 1 < memory ? state[i + 1] : (int16_t)value;
      sum += (uint32_t)(state[i] * weight);
    }
    *values = (int32_t)sum;
    state += memory;
    times += (memory + 1) / 2;
  }
}

#define TVMTINY_SVDF_TIME(NAME, MEMORY, M, S)                                                      \
  static void NAME(int16_t *state, const int32_t *times, int32_t *values, const int32_t *end)      \
  {                                                                                                \
    tvmtiny_svdf_time(state, times, values, end, MEMORY, M, S);                                        \
  }

#endif

/* Defines NAME(x, stream, times, bias, state, out, sums, patch). FEATURES is the kernel of the
 * features, with a stream of TOTAL words, and TIME is the kernel above. MO and SO are the
 * multiplier and shift of the output, which SCALE scales. `state` is a state of the model that no
 * other layer uses. */
#define TVMTINY_SVDF(NAME, FEATURES, TIME, FORMAT, TOTAL, BATCHES, INPUTS, FILTERS, MEMORY, RANK,  \
                     SCALE, MO, SO, ZERO_POINT)                                            \
  static void NAME(const int8_t *x, const int32_t *stream, const int32_t *times,                   \
                   const int32_t *bias, const int16_t *state, int8_t *out, int32_t *sums,          \
                   uint32_t *patch)                                                                \
  {                                                                                                \
    int16_t *const memory = (int16_t *)(uintptr_t)state;                                           \
    int32_t batch;                                                                                 \
    for (batch = 0; batch < (BATCHES); ++batch) {                                                  \
      int32_t *sum;                                                                                \
      const int32_t *offset;                                                                       \
      (void)tvmtiny_expand_##FORMAT(patch, x + batch * (INPUTS), (INPUTS), 1);                     \
      FEATURES(patch, stream, sums, stream + (TOTAL));                                             \
      TIME(memory + batch * ((FILTERS) * (MEMORY)), times, sums, sums + (FILTERS));                \
      sum = sums;                                                                                  \
      for (offset = bias; offset != bias + (FILTERS) / (RANK); ++offset) {                         \
        uint32_t total = (uint32_t)*offset;                                                        \
        int32_t i;                                                                                 \
        for (i = 0; i < (RANK); ++i) {                                                             \
          total += (uint32_t)*sum++;                                                               \
        }                                                                                          \
        *out++ = (int8_t)tvmtiny_saturate(SCALE((int32_t)total, MO, SO) + (ZERO_POINT));           \
      }                                                                                            \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_SVDF_H */
