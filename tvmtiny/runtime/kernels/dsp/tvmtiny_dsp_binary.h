/* Micro-kernels of operators with two int8 operands, four elements per word; see tvmtiny_dsp.h.
 *
 * x and the output have `rows` contiguous rows of `count` elements. The second operand is one row
 * that is combined with each row of x (ROWS), or has one element for each row (VALUES). */
#ifndef TVMTINY_DSP_BINARY_H
#define TVMTINY_DSP_BINARY_H

#include "tvmtiny_dsp_elementwise.h"

/* acc plus the product of the low lanes. */
TVMTINY_INLINE int32_t tvmtiny_smlabb(uint32_t a, uint32_t b, int32_t acc)
{
#if TVMTINY_DSP
  int32_t sum;
  __asm__("smlabb %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
  return sum;
#else
  return acc + (int32_t)(int16_t)(a & 0xffffu) * (int16_t)(b & 0xffffu);
#endif
}

/* acc plus the product of the high lanes. */
TVMTINY_INLINE int32_t tvmtiny_smlatt(uint32_t a, uint32_t b, int32_t acc)
{
#if TVMTINY_DSP
  int32_t sum;
  __asm__("smlatt %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
  return sum;
#else
  return tvmtiny_smlabb(a >> 16, b >> 16, acc);
#endif
}

/* The upper word of a product plus `acc`. */
TVMTINY_INLINE int32_t tvmtiny_smmla(int32_t a, int32_t b, int32_t acc)
{
#if TVMTINY_DSP
  int32_t sum;
  __asm__("smmla %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
  return sum;
#else
  return acc + (int32_t)(((int64_t)a * b) >> 32);
#endif
}

TVMTINY_INLINE int32_t tvmtiny_smmul(int32_t a, int32_t b)
{
#if TVMTINY_DSP
  int32_t upper;
  __asm__("smmul %0, %1, %2" : "=r"(upper) : "r"(a), "r"(b));
  return upper;
#else
  return (int32_t)(((int64_t)a * b) >> 32);
#endif
}

/* Half of the difference of each pair of lanes. */
TVMTINY_INLINE uint32_t tvmtiny_shsub16(uint32_t a, uint32_t b)
{
#if TVMTINY_DSP
  uint32_t lanes;
  __asm__("shsub16 %0, %1, %2" : "=r"(lanes) : "r"(a), "r"(b));
  return lanes;
#else
  const int32_t low = (int32_t)(int16_t)(a & 0xffffu) - (int16_t)(b & 0xffffu);
  const int32_t high = (int32_t)(int16_t)(a >> 16) - (int16_t)(b >> 16);
  return tvmtiny_lanes(low >> 1, high >> 1);
#endif
}

/* Loads up to three bytes into the low bytes of a word. */
TVMTINY_INLINE uint32_t tvmtiny_load_few(const int8_t *source, int32_t count)
{
  uint32_t word = 0u;
  int32_t i;
  for (i = 0; i < count; ++i) {
    word |= (uint32_t)(uint8_t)source[i] << (8 * i);
  }
  return word;
}

TVMTINY_INLINE void tvmtiny_store_few(int8_t *target, uint32_t word, int32_t count)
{
  int32_t i;
  for (i = 0; i < count; ++i) {
    target[i] = (int8_t)((word >> (8 * i)) & 0xffu);
  }
}

/* Defines NAME(x, y, constants, out, rows, count); NAME_word combines words. */
#define TVMTINY_BINARY_ROWS(NAME)                                                                  \
  static void TVMTINY_UNUSED NAME(const int8_t *x, const int8_t *y, const int32_t *constants,      \
                                  int8_t *out, int32_t rows, int32_t count)                        \
  {                                                                                                \
    const NAME##_constants k = NAME##_load(constants);                                             \
    for (; rows > 0; --rows) {                                                                     \
      const int8_t *other = y;                                                                     \
      const int8_t *const end = out + (count & ~3);                                                \
      for (; out != end; x += 4, other += 4, out += 4) {                                           \
        tvmtiny_store4(out, NAME##_word(tvmtiny_load4(x), tvmtiny_load4(other), &k));              \
      }                                                                                            \
      if ((count & 3) != 0) {                                                                      \
        const uint32_t a = tvmtiny_load_few(x, count & 3);                                         \
        const uint32_t b = tvmtiny_load_few(other, count & 3);                                     \
        tvmtiny_store_few(out, NAME##_word(a, b, &k), count & 3);                                  \
        x += count & 3;                                                                            \
        out += count & 3;                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
#define TVMTINY_BINARY_VALUES(NAME)                                                                \
  static void TVMTINY_UNUSED NAME(const int8_t *x, const int8_t *y, const int32_t *constants,      \
                                  int8_t *out, int32_t rows, int32_t count)                        \
  {                                                                                                \
    const NAME##_constants k = NAME##_load(constants);                                             \
    for (; rows > 0; --rows) {                                                                     \
      const uint32_t b = (uint32_t)(uint8_t)*y++ * 0x01010101u;                                    \
      const int8_t *const end = out + (count & ~3);                                                \
      for (; out != end; x += 4, out += 4) {                                                       \
        tvmtiny_store4(out, NAME##_word(tvmtiny_load4(x), b, &k));                                 \
      }                                                                                            \
      if ((count & 3) != 0) {                                                                      \
        const uint32_t a = tvmtiny_load_few(x, count & 3);                                         \
        tvmtiny_store_few(out, NAME##_word(a, b, &k), count & 3);                                  \
        x += count & 3;                                                                            \
        out += count & 3;                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

/* ---- Maximum and minimum ------------------------------------------------------------------- */

#define TVMTINY_BINARY_CHOICE(NAME, CHOOSE, FORM)                                                  \
  typedef int32_t NAME##_constants;                                                                \
  TVMTINY_INLINE NAME##_constants NAME##_load(const int32_t *constants)                            \
  {                                                                                                \
    return constants[0];                                                                           \
  }                                                                                                \
  TVMTINY_INLINE uint32_t NAME##_word(uint32_t a, uint32_t b, const NAME##_constants *k)           \
  {                                                                                                \
    (void)k;                                                                                       \
    return CHOOSE(a, b);                                                                           \
  }                                                                                                \
  TVMTINY_BINARY_##FORM(NAME)

/* ---- Sums ----------------------------------------------------------------------------------- */

/* See TVMTINY_ADD. */
#define TVMTINY_BINARY_SUM(NAME, SHIFT, LOW, HIGH, FORM)                                           \
  typedef struct {                                                                                 \
    int32_t p, q, r;                                                                               \
    uint32_t mask;                                                                                 \
  } NAME##_constants;                                                                              \
  TVMTINY_SATURATE_FUNCTION(NAME, SHIFT)                                                           \
  TVMTINY_INLINE NAME##_constants NAME##_load(const int32_t *constants)                            \
  {                                                                                                \
    NAME##_constants k;                                                                            \
    k.p = constants[0];                                                                            \
    k.q = constants[1];                                                                            \
    k.r = constants[2];                                                                            \
    k.mask = 0xff00ff00u;                                                                          \
    return k;                                                                                      \
  }                                                                                                \
  TVMTINY_INLINE uint32_t NAME##_word(uint32_t a, uint32_t b, const NAME##_constants *k)           \
  {                                                                                                \
    const uint32_t even_a = (a << 8) & k->mask;                                                    \
    const uint32_t odd_a = a & k->mask;                                                            \
    const uint32_t even_b = (b << 8) & k->mask;                                                    \
    const uint32_t odd_b = b & k->mask;                                                            \
    const int32_t s0 = tvmtiny_smlawb(k->q, even_b, tvmtiny_smlawb(k->p, even_a, k->r));           \
    const int32_t s1 = tvmtiny_smlawb(k->q, odd_b, tvmtiny_smlawb(k->p, odd_a, k->r));             \
    const int32_t s2 = tvmtiny_smlawt(k->q, even_b, tvmtiny_smlawt(k->p, even_a, k->r));           \
    const int32_t s3 = tvmtiny_smlawt(k->q, odd_b, tvmtiny_smlawt(k->p, odd_a, k->r));             \
    return tvmtiny_clamp4(tvmtiny_pack4(NAME##_saturate(s0), NAME##_saturate(s1),                  \
                                        NAME##_saturate(s2), NAME##_saturate(s3)),                 \
                          LOW, HIGH);                                                              \
  }                                                                                                \
  TVMTINY_BINARY_##FORM(NAME)

/* ---- Products ------------------------------------------------------------------------------- */

/* out = clamp((offset + ((initial + 128 * (x - x_zero) * (y - y_zero)) * multiplier >> 32)) >>
 * SHIFT); `step` is added to `offset` if the sum is negative. The constants are 256 * x_zero and
 * -y_zero, each in both lanes, then initial, multiplier, offset and step. */
#define TVMTINY_BINARY_PRODUCT(NAME, SHIFT, SIGNED, LOW, HIGH, FORM)                               \
  typedef struct {                                                                                 \
    uint32_t x_zero, y_zero, mask;                                                                 \
    int32_t initial, multiplier, offset, step;                                                     \
  } NAME##_constants;                                                                              \
  TVMTINY_SATURATE_FUNCTION(NAME, SHIFT)                                                           \
  TVMTINY_INLINE NAME##_constants NAME##_load(const int32_t *constants)                            \
  {                                                                                                \
    NAME##_constants k;                                                                            \
    k.x_zero = (uint32_t)constants[0];                                                             \
    k.y_zero = (uint32_t)constants[1];                                                             \
    k.initial = constants[2];                                                                      \
    k.multiplier = constants[3];                                                                   \
    k.offset = constants[4];                                                                       \
    k.step = constants[5];                                                                         \
    k.mask = 0xff00ff00u;                                                                          \
    return k;                                                                                      \
  }                                                                                                \
  TVMTINY_INLINE uint32_t NAME##_byte(int32_t acc, const NAME##_constants *k)                      \
  {                                                                                                \
    if ((SIGNED) == 0) {                                                                           \
      return NAME##_saturate(tvmtiny_smmul(acc, k->multiplier));                                   \
    }                                                                                              \
    return NAME##_saturate(tvmtiny_smmla(acc, k->multiplier, k->offset) + ((acc >> 31) & k->step)); \
  }                                                                                                \
  TVMTINY_INLINE uint32_t NAME##_word(uint32_t a, uint32_t b, const NAME##_constants *k)           \
  {                                                                                                \
    const uint32_t even_a = tvmtiny_shsub16((a << 8) & k->mask, k->x_zero);                        \
    const uint32_t odd_a = tvmtiny_shsub16(a & k->mask, k->x_zero);                                \
    const uint32_t even_b = tvmtiny_sxtab16(k->y_zero, b);                                         \
    const uint32_t odd_b = tvmtiny_sxtab16_odd(k->y_zero, b);                                      \
    const uint32_t s0 = NAME##_byte(tvmtiny_smlabb(even_a, even_b, k->initial), k);                \
    const uint32_t s1 = NAME##_byte(tvmtiny_smlabb(odd_a, odd_b, k->initial), k);                  \
    const uint32_t s2 = NAME##_byte(tvmtiny_smlatt(even_a, even_b, k->initial), k);                \
    const uint32_t s3 = NAME##_byte(tvmtiny_smlatt(odd_a, odd_b, k->initial), k);                  \
    return tvmtiny_clamp4(tvmtiny_pack4(s0, s1, s2, s3), LOW, HIGH);                               \
  }                                                                                                \
  TVMTINY_BINARY_##FORM(NAME)

#endif /* TVMTINY_DSP_BINARY_H */
