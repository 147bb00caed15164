/* Micro-kernels for sums and pooling of int8 tensors, four elements per word; see tvmtiny_dsp.h. */
#ifndef TVMTINY_DSP_ELEMENTWISE_H
#define TVMTINY_DSP_ELEMENTWISE_H

#include "tvmtiny_dsp.h"

/* The upper 32 of the 48 bits of `factor` times the low lane, plus `acc`. */
TVMTINY_INLINE int32_t tvmtiny_smlawb(int32_t factor, uint32_t lanes, int32_t acc)
{
#if TVMTINY_DSP
  int32_t sum;
  __asm__("smlawb %0, %1, %2, %3" : "=r"(sum) : "r"(factor), "r"(lanes), "r"(acc));
  return sum;
#else
  return acc + (int32_t)(((int64_t)factor * (int16_t)(lanes & 0xffffu)) >> 16);
#endif
}

/* As tvmtiny_smlawb, with the high lane. */
TVMTINY_INLINE int32_t tvmtiny_smlawt(int32_t factor, uint32_t lanes, int32_t acc)
{
#if TVMTINY_DSP
  int32_t sum;
  __asm__("smlawt %0, %1, %2, %3" : "=r"(sum) : "r"(factor), "r"(lanes), "r"(acc));
  return sum;
#else
  return tvmtiny_smlawb(factor, lanes >> 16, acc);
#endif
}

/* Adds the sign-extended bytes 1 and 3 to two lanes. */
TVMTINY_INLINE uint32_t tvmtiny_sxtab16_odd(uint32_t lanes, uint32_t word)
{
#if TVMTINY_DSP
  uint32_t sum;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sum) : "r"(lanes), "r"(word));
  return sum;
#else
  return tvmtiny_sxtab16(lanes, word >> 8);
#endif
}

/* The larger byte of each pair. */
TVMTINY_INLINE uint32_t tvmtiny_max4(uint32_t a, uint32_t b)
{
#if TVMTINY_DSP
  uint32_t larger;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(larger) : "r"(a), "r"(b) : "cc");
  return larger;
#else
  uint32_t larger = 0;
  uint32_t bit;
  for (bit = 0; bit < 32u; bit += 8u) {
    const uint32_t byte_a = (a >> bit) & 0xffu;
    const uint32_t byte_b = (b >> bit) & 0xffu;
    larger |= ((byte_a ^ 0x80u) > (byte_b ^ 0x80u) ? byte_a : byte_b) << bit;
  }
  return larger;
#endif
}

/* The smaller byte of each pair. */
TVMTINY_INLINE uint32_t tvmtiny_min4(uint32_t a, uint32_t b)
{
#if TVMTINY_DSP
  uint32_t smaller;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(smaller) : "r"(a), "r"(b) : "cc");
  return smaller;
#else
  return ~tvmtiny_max4(~a, ~b);
#endif
}

/* Clamps four bytes; -128 and 127 are no limits. */
TVMTINY_INLINE uint32_t tvmtiny_clamp4(uint32_t word, int32_t low, int32_t high)
{
  if (low > -128) {
    word = tvmtiny_max4(word, ((uint32_t)low & 0xffu) * 0x01010101u);
  }
  if (high < 127) {
    word = tvmtiny_min4(word, ((uint32_t)high & 0xffu) * 0x01010101u);
  }
  return word;
}

/* Stores four bytes at any address. */
TVMTINY_INLINE void tvmtiny_store4(int8_t *target, uint32_t word)
{
#if TVMTINY_DSP
  __asm__("str %1, %0" : "=m"(*(uint8_t(*)[4])target) : "r"(word));
#else
  uint8_t *bytes = (uint8_t *)target;
  bytes[0] = (uint8_t)(word & 0xffu);
  bytes[1] = (uint8_t)((word >> 8) & 0xffu);
  bytes[2] = (uint8_t)((word >> 16) & 0xffu);
  bytes[3] = (uint8_t)(word >> 24);
#endif
}

/* value >> SHIFT, saturated to a byte. */
#if TVMTINY_DSP
#define TVMTINY_SATURATE_FUNCTION(NAME, SHIFT)                                                     \
  TVMTINY_INLINE uint32_t NAME##_saturate(int32_t value)                                           \
  {                                                                                                \
    uint32_t byte;                                                                                 \
    __asm__("ssat %0, #8, %1, asr #" TVMTINY_STRING(SHIFT) : "=r"(byte) : "r"(value));             \
    return byte;                                                                                   \
  }
#else
#define TVMTINY_SATURATE_FUNCTION(NAME, SHIFT)                                                     \
  TVMTINY_INLINE uint32_t NAME##_saturate(int32_t value)                                           \
  {                                                                                                \
    const int32_t shifted = value >> (SHIFT);                                                      \
    return (uint32_t)(shifted > 127 ? 127 : shifted < -128 ? -128 : shifted);                      \
  }
#endif

/* Packs the low bytes of four words into one word. */
TVMTINY_INLINE uint32_t tvmtiny_pack4(uint32_t b0, uint32_t b1, uint32_t b2, uint32_t b3)
{
#if TVMTINY_DSP
  __asm__("bfi %0, %1, #8, #8\n\tbfi %0, %2, #16, #8\n\tbfi %0, %3, #24, #8"
          : "+&r"(b0)
          : "r"(b1), "r"(b2), "r"(b3));
  return b0;
#else
  return (b0 & 0xffu) | ((b1 & 0xffu) << 8) | ((b2 & 0xffu) << 16) | (b3 << 24);
#endif
}

/* ---- Sums --------------------------------------------------------------------------------- */

/* Computes `count` elements of
 *   out = clamp((plane[2] + plane[0] * 256 * x / 2^16 + plane[1] * 256 * y / 2^16) >> SHIFT)
 * where divisions round down. The bytes are moved to the top of their lanes rather than sign-
 * extended, which takes as many instructions and leaves eight more bits for the factors.
 * TVMTINY_ADD_WORDS defines it for multiples of 4 * WORDS, WORDS being 1 or 2, and TVMTINY_ADD for
 * any count, inlined because counts are constants. LOW and HIGH are the limits of the clamp; -128 and 127 cost nothing. */
#if TVMTINY_DSP

#define TVMTINY_ADD_LOW(LOW)                                                                       \
  ".if " TVMTINY_STRING(LOW) " > -128\n\t"                                                         \
  "mov %[b], #(" TVMTINY_STRING(LOW) " & 255) * 0x01010101\n\t"                                    \
  "ssub8 %[u], %[t], %[b]\n\tsel %[t], %[t], %[b]\n\t.endif\n\t"
#define TVMTINY_ADD_HIGH(HIGH)                                                                     \
  ".if " TVMTINY_STRING(HIGH) " < 127\n\t"                                                         \
  "mov %[b], #(" TVMTINY_STRING(HIGH) " & 255) * 0x01010101\n\t"                                   \
  "ssub8 %[u], %[t], %[b]\n\tsel %[t], %[b], %[t]\n\t.endif\n\t"
#define TVMTINY_ADD_STEP(SHIFT, LOW, HIGH)                                                         \
  "ldr %[a], [%[x]], #4\n\tldr %[b], [%[y]], #4\n\t"                                               \
  "and %[u], %[m], %[a], lsl #8\n\tand %[a], %[a], %[m]\n\t"                                       \
  "and %[v], %[m], %[b], lsl #8\n\tand %[b], %[b], %[m]\n\t"                                       \
  "smlawb %[t], %[p], %[u], %[r]\n\tsmlawt %[u], %[p], %[u], %[r]\n\t"                             \
  "smlawb %[t], %[q], %[v], %[t]\n\tsmlawt %[u], %[q], %[v], %[u]\n\t"                             \
  "smlawb %[v], %[p], %[a], %[r]\n\tsmlawt %[a], %[p], %[a], %[r]\n\t"                             \
  "smlawb %[v], %[q], %[b], %[v]\n\tsmlawt %[a], %[q], %[b], %[a]\n\t"                             \
  "ssat %[t], #8, %[t], asr #" SHIFT "\n\tssat %[v], #8, %[v], asr #" SHIFT "\n\t"                 \
  "ssat %[u], #8, %[u], asr #" SHIFT "\n\tssat %[a], #8, %[a], asr #" SHIFT "\n\t"                 \
  "bfi %[t], %[v], #8, #8\n\tbfi %[t], %[u], #16, #8\n\tbfi %[t], %[a], #24, #8\n\t"               \
  TVMTINY_ADD_LOW(LOW) TVMTINY_ADD_HIGH(HIGH) "str %[t], [%[out]], #4\n\t"
#define TVMTINY_ADD_STEPS_1(SHIFT, LOW, HIGH) TVMTINY_ADD_STEP(SHIFT, LOW, HIGH)
#define TVMTINY_ADD_STEPS_2(SHIFT, LOW, HIGH)                                                      \
  TVMTINY_ADD_STEP(SHIFT, LOW, HIGH) TVMTINY_ADD_STEP(SHIFT, LOW, HIGH)
#define TVMTINY_ADD_WORDS(NAME, SHIFT, WORDS, LOW, HIGH)                                           \
  static void TVMTINY_UNUSED NAME(const int8_t *x, const int8_t *y, const int32_t *plane,          \
                                  int8_t *out, int32_t count)                                      \
  {                                                                                                \
    uint32_t a, b, t, u, v;                                                                        \
    if (count == 0) {                                                                              \
      return;                                                                                      \
    }                                                                                              \
    __asm__ volatile("1:\n\t"                                                                      \
                     TVMTINY_ADD_STEPS_##WORDS(TVMTINY_STRING(SHIFT), LOW, HIGH)                   \
                     "cmp %[out], %[end]\n\tbne 1b"                                                \
                     : [x] "+r"(x), [y] "+r"(y), [out] "+r"(out), [a] "=&r"(a), [b] "=&r"(b),      \
                       [t] "=&r"(t), [u] "=&r"(u), [v] "=&r"(v)                                    \
                     : [p] "r"(plane[0]), [q] "r"(plane[1]), [r] "r"(plane[2]),                    \
                       [m] "r"(0xff00ff00u), [end] "r"(out + count)                                \
                     : "cc", "memory");                                                            \
  }

#else

#define TVMTINY_ADD_WORDS(NAME, SHIFT, WORDS, LOW, HIGH)                                           \
  static void TVMTINY_UNUSED NAME(const int8_t *x, const int8_t *y, const int32_t *plane,          \
                                  int8_t *out, int32_t count)                                      \
  {                                                                                                \
    int32_t i;                                                                                     \
    for (i = 0; i < count; ++i) {                                                                  \
      const int32_t sum = tvmtiny_smlawb(plane[0], (uint32_t)x[i] << 8, plane[2]);                 \
      const int32_t value = tvmtiny_smlawb(plane[1], (uint32_t)y[i] << 8, sum) >> (SHIFT);         \
      out[i] = (int8_t)(value > (HIGH) ? (HIGH) : value < (LOW) ? (LOW) : value);                  \
    }                                                                                              \
  }

#endif

#define TVMTINY_ADD(NAME, SHIFT, LOW, HIGH)                                                        \
  TVMTINY_ADD_WORDS(NAME##_words, SHIFT, 1, LOW, HIGH)                                             \
  static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED NAME(                                           \
      const int8_t *x, const int8_t *y, const int32_t *plane, int8_t *out, int32_t count)          \
  {                                                                                                \
    const int32_t whole = count & ~3;                                                              \
    int8_t rest[3][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};                                \
    int32_t i;                                                                                     \
    NAME##_words(x, y, plane, out, whole);                                                         \
    for (i = whole; i < count; ++i) {                                                              \
      rest[0][i - whole] = x[i];                                                                   \
      rest[1][i - whole] = y[i];                                                                   \
    }                                                                                              \
    NAME##_words(rest[0], rest[1], plane, rest[2], 4);                                             \
    for (i = whole; i < count; ++i) {                                                              \
      out[i] = rest[2][i - whole];                                                                 \
    }                                                                                              \
  }

/* ---- Pooling ------------------------------------------------------------------------------- */

/* Keeps loads of words together, which take fewer cycles than loads between other instructions. */
#if TVMTINY_DSP
#define TVMTINY_TOGETHER(A, B, C, D) __asm__("" : "+r"(A), "+r"(B), "+r"(C), "+r"(D))
#else
#define TVMTINY_TOGETHER(A, B, C, D) (void)0
#endif

/* Applies TAP to the words at `from`, `from + STRIDE` and so on, of one row of a window. */
#define TVMTINY_POOL_ROW(TAP, STRIDE)                                                              \
  for (left = columns; left >= 4; left -= 4) {                                                     \
    uint32_t word0 = tvmtiny_load4(from);                                                          \
    uint32_t word1 = tvmtiny_load4(from + (STRIDE));                                               \
    uint32_t word2 = tvmtiny_load4(from + 2 * (STRIDE));                                           \
    uint32_t word3 = tvmtiny_load4(from + 3 * (STRIDE));                                           \
    TVMTINY_TOGETHER(word0, word1, word2, word3);                                                  \
    TAP(word0) TAP(word1) TAP(word2) TAP(word3)                                                    \
    from += 4 * (STRIDE);                                                                          \
  }                                                                                                \
  if ((left & 2) != 0) {                                                                           \
    const uint32_t word0 = tvmtiny_load4(from);                                                    \
    const uint32_t word1 = tvmtiny_load4(from + (STRIDE));                                         \
    TAP(word0) TAP(word1)                                                                          \
    from += 2 * (STRIDE);                                                                          \
  }                                                                                                \
  if ((left & 1) != 0) {                                                                           \
    const uint32_t word0 = tvmtiny_load4(from);                                                    \
    TAP(word0)                                                                                     \
  }

/* Runs BODY for each four channels from `channel` on. CHANNELS is at least 4; if it is not a
 * multiple of 4, the last four channels overlap those before. */
#define TVMTINY_POOL_CHANNELS(CHANNELS, BODY)                                                      \
  for (next = 0; next < (CHANNELS); next += 4) {                                                   \
    const int32_t channel =                                                                        \
        (CHANNELS) % 4 == 0 || next + 4 <= (CHANNELS) ? next : (CHANNELS) - 4;                     \
    BODY                                                                                           \
  }

/* One window of `rows` x `columns` pixels of CHANNELS channels, with rows PITCH bytes apart; at
 * most 256 pixels, so that sums fit in the lanes. NAME_low and NAME_high scale the sum in the low
 * or high lane. */
#define TVMTINY_SUM_TAP(WORD)                                                                      \
  even = tvmtiny_sxtab16(even, WORD);                                                              \
  odd = tvmtiny_sxtab16_odd(odd, WORD);
#define TVMTINY_SUM_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                                         \
  static void TVMTINY_UNUSED NAME(const int8_t *x, const int32_t *scale, int8_t *out,              \
                                  int32_t rows, int32_t columns)                                   \
  {                                                                                                \
    const int32_t factor = scale[0];                                                               \
    const int32_t offset = scale[1];                                                               \
    int32_t next;                                                                                  \
    TVMTINY_POOL_CHANNELS(CHANNELS, {                                                              \
      const int8_t *row = x + channel;                                                             \
      uint32_t even = 0;                                                                           \
      uint32_t odd = 0;                                                                            \
      int32_t i;                                                                                   \
      for (i = 0; i < rows; ++i, row += (PITCH)) {                                                 \
        const int8_t *from = row;                                                                  \
        int32_t left;                                                                              \
        TVMTINY_POOL_ROW(TVMTINY_SUM_TAP, CHANNELS)                                                \
      }                                                                                            \
      tvmtiny_store4(out + channel,                                                                \
                     tvmtiny_clamp4(tvmtiny_pack4(NAME##_low(even, factor, offset),                \
                                                  NAME##_low(odd, factor, offset),                 \
                                                  NAME##_high(even, factor, offset),               \
                                                  NAME##_high(odd, factor, offset)),               \
                                    LOW, HIGH));                                                   \
    })                                                                                             \
  }

/* out = clamp((scale[1] + scale[0] * sum / 2^16) >> SHIFT); the division rounds down. */
#define TVMTINY_AVERAGE_POOL(NAME, CHANNELS, PITCH, SHIFT, LOW, HIGH)                              \
  TVMTINY_SATURATE_FUNCTION(NAME, SHIFT)                                                           \
  TVMTINY_INLINE uint32_t NAME##_low(uint32_t sums, int32_t factor, int32_t offset)                \
  {                                                                                                \
    return NAME##_saturate(tvmtiny_smlawb(factor, sums, offset));                                  \
  }                                                                                                \
  TVMTINY_INLINE uint32_t NAME##_high(uint32_t sums, int32_t factor, int32_t offset)               \
  {                                                                                                \
    return NAME##_saturate(tvmtiny_smlawt(factor, sums, offset));                                  \
  }                                                                                                \
  TVMTINY_SUM_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)

/* out = (sum + scale[1]) * scale[0] * 2^(SHIFT - 31) with two roundings, plus ZERO_POINT,
 * saturated. */
#define TVMTINY_MEAN(NAME, CHANNELS, SHIFT, ZERO_POINT)                                            \
  TVMTINY_INLINE uint32_t NAME##_low(uint32_t sums, int32_t factor, int32_t offset)                \
  {                                                                                                \
    const int32_t sum = (int16_t)(sums & 0xffffu) + offset;                                        \
    return (uint32_t)tvmtiny_saturate(tvmtiny_requantize(sum, factor, SHIFT) + (ZERO_POINT));      \
  }                                                                                                \
  TVMTINY_INLINE uint32_t NAME##_high(uint32_t sums, int32_t factor, int32_t offset)               \
  {                                                                                                \
    return NAME##_low(sums >> 16, factor, offset);                                                 \
  }                                                                                                \
  TVMTINY_SUM_POOL(NAME, CHANNELS, 0, -128, 127)

/* The largest value of each channel of a window. */
#define TVMTINY_MAX_TAP(WORD) most = tvmtiny_max4(most, WORD);
#define TVMTINY_MAX_WINDOW(CHANNELS, PITCH, LOW, HIGH)                                             \
  const int8_t *row = x + channel;                                                                 \
  uint32_t most = 0x80808080u;                                                                     \
  int32_t i;                                                                                       \
  for (i = 0; i < rows; ++i, row += (PITCH)) {                                                     \
    const int8_t *from = row;                                                                      \
    int32_t left;                                                                                  \
    TVMTINY_POOL_ROW(TVMTINY_MAX_TAP, CHANNELS)                                                    \
  }                                                                                                \
  tvmtiny_store4(out + channel, tvmtiny_clamp4(most, LOW, HIGH));
#define TVMTINY_MAX_POOL(NAME, CHANNELS, PITCH, LOW, HIGH)                                         \
  static void TVMTINY_UNUSED NAME(const int8_t *x, int8_t *out, int32_t rows, int32_t columns)     \
  {                                                                                                \
    int32_t next;                                                                                  \
    TVMTINY_POOL_CHANNELS(CHANNELS, {TVMTINY_MAX_WINDOW(CHANNELS, PITCH, LOW, HIGH)})              \
  }
/* The same with a copy of the code for the last four channels, for windows whose size is constant,
 * which need little code. */
#define TVMTINY_MAX_POOL_APART(NAME, CHANNELS, PITCH, LOW, HIGH)                                   \
  static void TVMTINY_UNUSED NAME(const int8_t *x, int8_t *out, int32_t rows, int32_t columns)     \
  {                                                                                                \
    int32_t channel;                                                                               \
    for (channel = 0; channel < (CHANNELS) / 4 * 4; channel += 4) {                                \
      TVMTINY_MAX_WINDOW(CHANNELS, PITCH, LOW, HIGH)                                               \
    }                                                                                              \
    channel = (CHANNELS) - 4;                                                                      \
    {                                                                                              \
      TVMTINY_MAX_WINDOW(CHANNELS, PITCH, LOW, HIGH)                                               \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_ELEMENTWISE_H */
