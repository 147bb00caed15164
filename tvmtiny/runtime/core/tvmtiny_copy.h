/* Copies and fills by words: at any address where the core allows it, else at multiples of four. */
#ifndef TVMTINY_COPY_H
#define TVMTINY_COPY_H

#include "tvmtiny.h"

#if defined(__ARM_FEATURE_UNALIGNED) && (defined(__GNUC__) || defined(__clang__))

/* Assembly, since a compiler may join accesses to pairs, which do need alignment. The cast goes through
 * an integer, because an array cannot be const in C99, and GCC would miss the const of its elements. */
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

#else

#define TVMTINY_BY_WORDS(address) 0
#define tvmtiny_load_word(source) ((uint32_t) * (source))
#define tvmtiny_store_word(target, word) ((void)(*(target) = (uint8_t)(word)))

#endif

static void TVMTINY_UNUSED tvmtiny_copy(void *out, const void *x, int32_t count)
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
    for (count &= 15; count >= 4; count -= 4) {
      tvmtiny_store_word(to, tvmtiny_load_word(from));
      from += 4;
      to += 4;
    }
  }
  for (; count > 0; --count) {
    *to++ = *from++;
  }
}

/* All `count` bytes get the lowest byte of `value`. */
static void TVMTINY_UNUSED tvmtiny_fill(void *out, int32_t value, int32_t count)
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
    for (count &= 15; count >= 4; count -= 4) {
      tvmtiny_store_word(to, word);
      to += 4;
    }
  }
  for (; count > 0; --count) {
    *to++ = (uint8_t)(word & 0xffu);
  }
}

#endif /* TVMTINY_COPY_H */
