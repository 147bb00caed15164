/* Tile kernels that store their sums, for outputs that two instructions do not scale exactly.
 *
 * Operands are those of tvmtiny_dsp_tile.h without multipliers. The initial accumulators make each
 * accumulator end as 256 times the sum, which is stored as int32.
 */
#ifndef TVMTINY_DSP_SUMS_H
#define TVMTINY_DSP_SUMS_H

#include "tvmtiny_dsp_tile.h"

/* Defines NAME(x, stream, out, end) for all channels of P pixels; FIRST, UNROLL, LOOPS and XBYTES
 * are those of a tile. PITCH is the distance between pixels, in sums. */
#if TVMTINY_DSP

#define TVMTINY_SUMS_FUNCTION(NAME, BODY)                                                          \
  static __attribute__((naked, noinline)) void NAME(                                               \
      const void *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                          \
      int32_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED)                              \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(BODY ::: "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                \
  }

#define TVMTINY_SUMS_STORE_3X2(PITCH)                                                              \
  "asr r3, r3, #8\n asr r4, r4, #8\n asr r5, r5, #8\n"                                             \
  "asr r6, r6, #8\n asr r7, r7, #8\n asr r8, r8, #8\n"                                             \
  "str r4, [r2, #4]\n str r5, [r2, #4 * " PITCH "]\n str r6, [r2, #4 * " PITCH " + 4]\n"           \
  "str r7, [r2, #8 * " PITCH "]\n str r8, [r2, #8 * " PITCH " + 4]\n str r3, [r2], #8\n"
#define TVMTINY_SUMS_STORE_2X2(PITCH)                                                              \
  "asr r3, r3, #8\n asr r4, r4, #8\n asr r5, r5, #8\n asr r6, r6, #8\n"                            \
  "str r4, [r2, #4]\n str r5, [r2, #4 * " PITCH "]\n str r6, [r2, #4 * " PITCH " + 4]\n"           \
  "str r3, [r2], #8\n"
#define TVMTINY_SUMS_STORE_1X4                                                                     \
  "asr r3, r3, #8\n asr r4, r4, #8\n asr r5, r5, #8\n asr r6, r6, #8\n"                            \
  "stmia r2!, {r3, r4, r5, r6}\n"

#define TVMTINY_SUMS_3X2_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                             \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME,                                                                                        \
      TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                              \
          FIRST, UNROLL, LOOPS,                                                                    \
          TVMTINY_INIT_3X2 TVMTINY_LOAD_3X2 TVMTINY_BEGIN_3X2 TVMTINY_WIDEN_3X2 TVMTINY_MAC_3X2,   \
          TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_WIDEN_3X2 TVMTINY_MAC_3X2, "r9")                \
          TVMTINY_SUMS_STORE_3X2(TVMTINY_STRING(PITCH)) TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_SUMS_3X2_W16(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                            \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME,                                                                                        \
      TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                              \
          FIRST, UNROLL, LOOPS,                                                                    \
          TVMTINY_INIT_3X2 TVMTINY_LOAD_3X2 TVMTINY_BEGIN_3X2 TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2,    \
          TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2 TVMTINY_LOAD_3X2 TVMTINY_MAC_3X2, "r9")                 \
          TVMTINY_SUMS_STORE_3X2(TVMTINY_STRING(PITCH)) TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_SUMS_2X2_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                             \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_2X2 TVMTINY_LOAD_2X2_W8 TVMTINY_BEGIN_2X2("r9", "r10", "r7", "r8")    \
                    TVMTINY_WIDEN_2X2 TVMTINY_MAC_2X2("r11", "r12", "r7", "r8"),                   \
                TVMTINY_LOAD_2X2_W8 TVMTINY_MAC_2X2("r9", "r10", "r7", "r8")                       \
                    TVMTINY_WIDEN_2X2 TVMTINY_MAC_2X2("r11", "r12", "r7", "r8"),                   \
                "r9") TVMTINY_SUMS_STORE_2X2(TVMTINY_STRING(PITCH))                                \
                TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_SUMS_2X2_W16(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                            \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_2X2 TVMTINY_LOAD_2X2_W16 TVMTINY_BEGIN_2X2("r7", "r8", "r2", "r11")   \
                    TVMTINY_MAC_2X2("r9", "r10", "r12", "lr"),                                     \
                TVMTINY_LOAD_2X2_W16 TVMTINY_MAC_2X2("r7", "r8", "r2", "r11")                      \
                    TVMTINY_MAC_2X2("r9", "r10", "r12", "lr"),                                     \
                "r9") "ldr r2, [sp]\n" TVMTINY_SUMS_STORE_2X2(TVMTINY_STRING(                      \
                PITCH)) "str r2, [sp]\n" TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_SUMS_1X4_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                             \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_1X4 TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7")                            \
                    TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),                                       \
                TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7") TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),    \
                "r9") TVMTINY_SUMS_STORE_1X4 TVMTINY_TILE_NEXT(XBYTES, "r9"))
#define TVMTINY_SUMS_1X4_W16(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                            \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME, TVMTINY_TILE_ENTER(XBYTES) TVMTINY_TILE_REPEAT(                                        \
                FIRST, UNROLL, LOOPS,                                                              \
                TVMTINY_INIT_1X4 TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7")                            \
                    TVMTINY_AGAIN_1X4 TVMTINY_MAC_1X4("r8"),                                       \
                TVMTINY_LOAD_1X4 TVMTINY_MAC_1X4("r7") TVMTINY_AGAIN_1X4 TVMTINY_MAC_1X4("r8"),    \
                "r9") TVMTINY_SUMS_STORE_1X4 TVMTINY_TILE_NEXT(XBYTES, "r9"))
/* The same kernel for inputs that are not expanded. */
#define TVMTINY_SUMS_1X4_DIRECT_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                      \
  TVMTINY_SUMS_FUNCTION(                                                                           \
      NAME,                                                                                        \
      TVMTINY_TILE_ENTER(XBYTES) "mov lr, #0xff00ff00\n" TVMTINY_TILE_REPEAT(                      \
          FIRST, UNROLL, LOOPS,                                                                    \
          TVMTINY_INIT_1X4 TVMTINY_LOAD_1X4_DIRECT TVMTINY_MAC_1X4("r7")                           \
              TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),                                             \
          TVMTINY_LOAD_1X4_DIRECT TVMTINY_MAC_1X4("r7") TVMTINY_WIDEN_1X4 TVMTINY_MAC_1X4("r8"),   \
          "r9") TVMTINY_SUMS_STORE_1X4 TVMTINY_TILE_NEXT(XBYTES, "r9"))

#else /* !TVMTINY_DSP */

TVMTINY_INLINE void tvmtiny_sums_direct(const int8_t *x, const int32_t *stream, int32_t *out,
                                        const int32_t *end, int32_t groups)
{
  while (stream != end) {
    int32_t c;
    for (c = 0; c < 4; ++c) {
      out[c] = stream[c];
    }
    stream = tvmtiny_tile_direct_products(x, stream + 4, out, groups);
    for (c = 0; c < 4; ++c) {
      *out++ >>= 8;
    }
  }
}

#define TVMTINY_SUMS_1X4_DIRECT_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                      \
  static void NAME(const void *x, const int32_t *stream, int32_t *out, const int32_t *end)         \
  {                                                                                                \
    tvmtiny_sums_direct((const int8_t *)x, stream, out, end, (FIRST) + (UNROLL) * (LOOPS));        \
  }

TVMTINY_INLINE void tvmtiny_sums(const uint32_t *x, const int32_t *stream, int32_t *out,
                                 const int32_t *end, int32_t pixels, int32_t channels, int32_t wide,
                                 int32_t groups, int32_t pitch)
{
  while (stream != end) {
    int32_t acc[6];
    int32_t p;
    for (p = 0; p < pixels * channels; ++p) {
      acc[p] = stream[p % channels];
    }
    stream = tvmtiny_tile_products(x, stream + channels, acc, pixels, channels, wide, groups);
    for (p = 0; p < pixels * channels; ++p) {
      out[p / channels * pitch + p % channels] = acc[p] >> 8;
    }
    out += channels;
  }
}

#define TVMTINY_SUMS_TWIN(NAME, PIXELS, CHANNELS, WIDE, GROUPS, PITCH)                             \
  static void NAME(const void *x, const int32_t *stream, int32_t *out, const int32_t *end)         \
  {                                                                                                \
    tvmtiny_sums((const uint32_t *)x, stream, out, end, PIXELS, CHANNELS, WIDE, GROUPS, PITCH);    \
  }
#define TVMTINY_SUMS_3X2_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                             \
  TVMTINY_SUMS_TWIN(NAME, 3, 2, 0, (FIRST) + (UNROLL) * (LOOPS), PITCH)
#define TVMTINY_SUMS_3X2_W16(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                            \
  TVMTINY_SUMS_TWIN(NAME, 3, 2, 1, (FIRST) + (UNROLL) * (LOOPS), PITCH)
#define TVMTINY_SUMS_2X2_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                             \
  TVMTINY_SUMS_TWIN(NAME, 2, 2, 0, (FIRST) + (UNROLL) * (LOOPS), PITCH)
#define TVMTINY_SUMS_2X2_W16(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                            \
  TVMTINY_SUMS_TWIN(NAME, 2, 2, 1, (FIRST) + (UNROLL) * (LOOPS), PITCH)
#define TVMTINY_SUMS_1X4_W8(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                             \
  TVMTINY_SUMS_TWIN(NAME, 1, 4, 0, (FIRST) + (UNROLL) * (LOOPS), PITCH)
#define TVMTINY_SUMS_1X4_W16(NAME, FIRST, UNROLL, LOOPS, PITCH, XBYTES)                            \
  TVMTINY_SUMS_TWIN(NAME, 1, 4, 1, (FIRST) + (UNROLL) * (LOOPS), PITCH)

#endif

/* ---- Scaling of sums --------------------------------------------------------------------- */

/* (a * b + 2^31) >> 32 */
TVMTINY_INLINE int32_t tvmtiny_smmulr(int32_t a, int32_t b)
{
#if TVMTINY_DSP
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
#else
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* Saturates to int16. */
TVMTINY_INLINE int32_t tvmtiny_saturate_int16(int32_t value)
{
#if TVMTINY_DSP
  int32_t saturated;
  __asm__("ssat %0, #16, %1" : "=r"(saturated) : "r"(value) : "cc");
  return saturated;
#else
  return value > 32767 ? 32767 : value < -32768 ? -32768 : value;
#endif
}

/* value / 2^shift, with halves rounded away from zero. */
TVMTINY_INLINE int32_t tvmtiny_shift_rounding(int32_t value, int32_t shift)
{
  return shift == 0 ? value : (value + (value >> 31) + (INT32_C(1) << (shift - 1))) >> shift;
}

/* sum * multiplier * 2^(shift - 31) with two roundings; sum * 2^(shift + 1) must fit in 32 bits. */
TVMTINY_INLINE int32_t tvmtiny_scale_twice(int32_t sum, int32_t multiplier, int32_t shift)
{
  const int32_t left = shift > 0 ? shift : 0;
  return tvmtiny_shift_rounding(tvmtiny_smmulr((int32_t)((uint32_t)sum << (left + 1)), multiplier),
                            left - shift);
}

/* As tvmtiny_scale_twice for any sum and a shift that is not positive. */
TVMTINY_INLINE int32_t tvmtiny_scale_twice_right(int32_t sum, int32_t multiplier, int32_t shift)
{
  const int32_t high = (int32_t)(((int64_t)sum * multiplier + (INT32_C(1) << 30)) >> 31);
  /* The last bit of the shift rounds the result; adding half beforehand could overflow. */
  return shift == 0 ? high : (((high + (high >> 31)) >> (-shift - 1)) + 1) >> 1;
}

#endif /* TVMTINY_DSP_SUMS_H */
