/* Copies and fills by words: at any address if the core allows it, else at multiples of four. */
#ifndef TVMTINY_COPY_H
#define TVMTINY_COPY_H

#include "tvmtiny.h"

#if defined(__ARM_FEATURE_UNALIGNED) && (defined(__GNUC__) || defined(__clang__))

/* Assembly, because a compiler may merge accesses to pairs, which must be aligned. The cast goes
 * through an integer, because an array cannot be const in C99, and GCC would miss the const of its
 * elements. */
static inline uint32_t TVMTINY_UNUSED tvmtiny_load_word(const uint8_t *source)
{
  uint32_t word;
  __asm__("ldr %0, %1" : "=r"(word) : "m"(*(const uint8_t(*)[4])(uintptr_t)source));
  return word;
}

static inline void TVMTINY_UNUSED tvmtiny_store_word(uint8_t *target, uint32_t word)
{
  __asm__("str %1, %0" : "=m"(*(uint8_t(*)[4])target) : "r"(word));
}

static inline void TVMTINY_UNUSED tvmtiny_copy_half(uint8_t *target, const uint8_t *source)
{
  uint32_t half;
  __asm__("ldrh %0, %1" : "=r"(half) : "m"(*(const uint8_t(*)[2])(uintptr_t)source));
  __asm__("strh %1, %0" : "=m"(*(uint8_t(*)[2])target) : "r"(half));
}

static inline void TVMTINY_UNUSED tvmtiny_store_half(uint8_t *target, uint32_t half)
{
  __asm__("strh %1, %0" : "=m"(*(uint8_t(*)[2])target) : "r"(half));
}

#define TVMTINY_BY_WORDS(address) 1

#elif defined(__GNUC__) || defined(__clang__)

typedef uint32_t __attribute__((may_alias)) tvmtiny_word;

static inline uint32_t TVMTINY_UNUSED tvmtiny_load_word(const uint8_t *source)
{
  return *(const tvmtiny_word *)(const void *)source;
}

static inline void TVMTINY_UNUSED tvmtiny_store_word(uint8_t *target, uint32_t word)
{
  *(tvmtiny_word *)(void *)target = word;
}

#define TVMTINY_BY_WORDS(address) (((address) & 3u) == 0u)
#define tvmtiny_copy_half(target, source) ((target)[0] = (source)[0], (target)[1] = (source)[1])
#define tvmtiny_store_half(target, half) ((target)[0] = (target)[1] = (uint8_t)(half))

#else

#define TVMTINY_BY_WORDS(address) 0
#define tvmtiny_load_word(source) ((uint32_t) * (source))
#define tvmtiny_store_word(target, word) ((void)(*(target) = (uint8_t)(word)))
#define tvmtiny_copy_half(target, source) ((void)(*(target) = *(source)))
#define tvmtiny_store_half(target, half) ((void)(*(target) = (uint8_t)(half)))

#endif

/* Placed between bytes, so that no compiler turns the loop into a call of a library function, which
 * would be slower for the usual few bytes. */
#if defined(__GNUC__) || defined(__clang__)
#define TVMTINY_NEXT_BYTE() __asm__ volatile("" ::: "memory")
#else
#define TVMTINY_NEXT_BYTE() ((void)0)
#endif

/* Inlined, because counts are mostly constants: branches that do not apply then take no code. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_copy(void *out, const void *x, int32_t count)
{
  uint8_t *to = (uint8_t *)out;
  const uint8_t *from = (const uint8_t *)x;
  if (TVMTINY_BY_WORDS((uintptr_t)to | (uintptr_t)from)) {
    const uint8_t *const end = from + (count & ~15);
    while (from != end) {
      const uint32_t word0 = tvmtiny_load_word(from);
      const uint32_t word1 = tvmtiny_load_word(from + 4);
      const uint32_t word2 = tvmtiny_load_word(from + 8);
      const uint32_t word3 = tvmtiny_load_word(from + 12);
      tvmtiny_store_word(to, word0);
      tvmtiny_store_word(to + 4, word1);
      tvmtiny_store_word(to + 8, word2);
      tvmtiny_store_word(to + 12, word3);
      from += 16;
      to += 16;
    }
    if ((count & 8) != 0) {
      const uint32_t word0 = tvmtiny_load_word(from);
      const uint32_t word1 = tvmtiny_load_word(from + 4);
      tvmtiny_store_word(to, word0);
      tvmtiny_store_word(to + 4, word1);
      from += 8;
      to += 8;
    }
    if ((count & 4) != 0) {
      tvmtiny_store_word(to, tvmtiny_load_word(from));
      from += 4;
      to += 4;
    }
    if ((count & 2) != 0) {
      tvmtiny_copy_half(to, from);
      from += 2;
      to += 2;
    }
    if ((count & 1) != 0) {
      *to = *from;
    }
    return;
  }
  for (; count > 0; --count) {
    *to++ = *from++;
    TVMTINY_NEXT_BYTE();
  }
}

/* Sets `count` bytes to the lowest byte of `value`. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_fill(void *out, int32_t value, int32_t count)
{
  uint8_t *to = (uint8_t *)out;
  const uint32_t word = ((uint32_t)value & 0xffu) * 0x01010101u;
  if (TVMTINY_BY_WORDS((uintptr_t)to)) {
    const uint8_t *const end = to + (count & ~15);
    while (to != end) {
      tvmtiny_store_word(to, word);
      tvmtiny_store_word(to + 4, word);
      tvmtiny_store_word(to + 8, word);
      tvmtiny_store_word(to + 12, word);
      to += 16;
    }
    if ((count & 8) != 0) {
      tvmtiny_store_word(to, word);
      tvmtiny_store_word(to + 4, word);
      to += 8;
    }
    if ((count & 4) != 0) {
      tvmtiny_store_word(to, word);
      to += 4;
    }
    if ((count & 2) != 0) {
      tvmtiny_store_half(to, word & 0xffffu);
      to += 2;
    }
    if ((count & 1) != 0) {
      *to = (uint8_t)(word & 0xffu);
    }
    return;
  }
  for (; count > 0; --count) {
    *to++ = (uint8_t)(word & 0xffu);
    TVMTINY_NEXT_BYTE();
  }
}

#endif /* TVMTINY_COPY_H */
