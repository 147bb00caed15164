/* Input patches of the tile kernels, expanded as tvmtiny_dsp_tile.h describes. */
#ifndef TVMTINY_DSP_PATCH_H
#define TVMTINY_DSP_PATCH_H

#include "tvmtiny_dsp.h"

/* ---- Expansion of inputs ------------------------------------------------------------------ */

TVMTINY_INLINE void tvmtiny_expand_word_w16(uint32_t *to, uint32_t word, int32_t pixels)
{
  to[0] = tvmtiny_sxtb16(word);
  to[pixels] = tvmtiny_sxtb16_odd(word);
}

TVMTINY_INLINE void tvmtiny_expand_word_w8(uint32_t *to, uint32_t word, int32_t pixels)
{
  const uint32_t odd = tvmtiny_sxtb16_odd(word);
  to[0] = odd;
  to[pixels] = tvmtiny_ssub16(((word << 8) & 0xff00ff00u) | 0x007f007fu, odd);
}

/* Loads four bytes from `first` on of a row of `width` bytes, at least 4; bytes outside the row are
 * those of `pad`. */
TVMTINY_INLINE uint32_t tvmtiny_load_edge(const int8_t *row, int32_t first, int32_t width,
                                          uint32_t pad)
{
  const int32_t over = first + 4 - width;
  if (first <= -4 || over >= 4) {
    return pad;
  }
  if (first < 0) {
    return (tvmtiny_load4(row) << (-8 * first)) | (pad >> (32 + 8 * first));
  }
  if (over > 0) {
    return (tvmtiny_load4(row + width - 4) >> (8 * over)) | (pad << (32 - 8 * over));
  }
  return tvmtiny_load4(row + first);
}

/* Loads the last one to three bytes of a patch; the missing ones are multiplied by zero weights. */
TVMTINY_INLINE uint32_t tvmtiny_load_tail(const int8_t *source, int32_t bytes)
{
  uint32_t word = (uint8_t)source[0];
  if (bytes > 1) {
    word |= (uint32_t)(uint8_t)source[1] << 8;
  }
  if (bytes > 2) {
    word |= (uint32_t)(uint8_t)source[2] << 16;
  }
  return word;
}

#if TVMTINY_DSP

/* Expands words at `from` into consecutive words, 32 bytes at a time, until `end`. Neighbouring loads
 * take fewer cycles, and STM takes fewer than stores of pairs. */
#define TVMTINY_EXPAND_ROW(FORMAT)                                                                 \
  TVMTINY_INLINE uint32_t *tvmtiny_expand_row_##FORMAT(uint32_t *to, const int8_t *from,           \
                                                       const int8_t *end)                          \
  {                                                                                                \
    __asm__ volatile("1:\n" TVMTINY_EXPAND_PAIR_##FORMAT("0", "4")                                 \
                         TVMTINY_EXPAND_PAIR_##FORMAT("8", "12")                                   \
                             TVMTINY_EXPAND_PAIR_##FORMAT("16", "20")                              \
                                 TVMTINY_EXPAND_PAIR_##FORMAT("24", "28") " add %[x], %[x], #32\n" \
                                                                          " cmp %[x], %[end]\n"    \
                                                                          " bne 1b\n"              \
                     : [to] "+r"(to), [x] "+r"(from)                                               \
                     : [end] "r"(end), [odd] "r"(0xff00ff00u)                                      \
                     : "r4", "r5", "r6", "r8", "cc", "memory");                                    \
    return to;                                                                                     \
  }
#define TVMTINY_EXPAND_PAIR_w16(FIRST, SECOND)                                                     \
  " ldr r4, [%[x], #" FIRST "]\n ldr r6, [%[x], #" SECOND "]\n"                                    \
  " sxtb16 r5, r4, ror #8\n sxtb16 r4, r4\n sxtb16 r8, r6, ror #8\n sxtb16 r6, r6\n"               \
  " stmia %[to]!, {r4, r5, r6, r8}\n"
#define TVMTINY_EXPAND_PAIR_w8(FIRST, SECOND)                                                      \
  " ldr r5, [%[x], #" FIRST "]\n ldr r8, [%[x], #" SECOND "]\n"                                    \
  " sxtb16 r4, r5, ror #8\n and r5, %[odd], r5, lsl #8\n orr r5, r5, #0x007f007f\n"                \
  " ssub16 r5, r5, r4\n sxtb16 r6, r8, ror #8\n and r8, %[odd], r8, lsl #8\n"                      \
  " orr r8, r8, #0x007f007f\n ssub16 r8, r8, r6\n stmia %[to]!, {r4, r5, r6, r8}\n"
TVMTINY_EXPAND_ROW(w16)
TVMTINY_EXPAND_ROW(w8)

#endif

/* Expands `bytes` consecutive inputs of one pixel into every `pixels`-th word from `to` on. */
#define TVMTINY_EXPAND(FORMAT)                                                                     \
  TVMTINY_INLINE uint32_t *tvmtiny_expand_any_##FORMAT(uint32_t *to, const int8_t *from,           \
                                                       int32_t bytes, int32_t pixels)              \
  {                                                                                                \
    const int8_t *end = from + (bytes & ~15);                                                      \
    while (from != end) {                                                                          \
      tvmtiny_expand_word_##FORMAT(to, tvmtiny_load4(from), pixels);                               \
      tvmtiny_expand_word_##FORMAT(to + 2 * pixels, tvmtiny_load4(from + 4), pixels);              \
      tvmtiny_expand_word_##FORMAT(to + 4 * pixels, tvmtiny_load4(from + 8), pixels);              \
      tvmtiny_expand_word_##FORMAT(to + 6 * pixels, tvmtiny_load4(from + 12), pixels);             \
      from += 16;                                                                                  \
      to += 8 * pixels;                                                                            \
    }                                                                                              \
    if ((bytes & 8) != 0) {                                                                        \
      tvmtiny_expand_word_##FORMAT(to, tvmtiny_load4(from), pixels);                               \
      tvmtiny_expand_word_##FORMAT(to + 2 * pixels, tvmtiny_load4(from + 4), pixels);              \
      from += 8;                                                                                   \
      to += 4 * pixels;                                                                            \
    }                                                                                              \
    if ((bytes & 4) != 0) {                                                                        \
      tvmtiny_expand_word_##FORMAT(to, tvmtiny_load4(from), pixels);                               \
      from += 4;                                                                                   \
      to += 2 * pixels;                                                                            \
    }                                                                                              \
    if ((bytes & 3) != 0) {                                                                        \
      tvmtiny_expand_word_##FORMAT(to, tvmtiny_load_tail(from, bytes & 3), pixels);                \
      to += 2 * pixels;                                                                            \
    }                                                                                              \
    return to;                                                                                     \
  }
TVMTINY_EXPAND(w16)
TVMTINY_EXPAND(w8)

/* As tvmtiny_expand_any, in wider steps for a single pixel. Without the attribute, GCC would count the
 * assembly that most calls do not have, and not inline them. */
#if TVMTINY_DSP
#define TVMTINY_EXPAND_BY_PIXELS(FORMAT)                                                           \
  static inline TVMTINY_UNUSED __attribute__((always_inline)) uint32_t *tvmtiny_expand_##FORMAT(   \
      uint32_t *to, const int8_t *from, int32_t bytes, int32_t pixels)                             \
  {                                                                                                \
    if (pixels == 1 && bytes >= 32) {                                                              \
      to = tvmtiny_expand_row_##FORMAT(to, from, from + (bytes & ~31));                            \
      from += bytes & ~31;                                                                         \
      bytes &= 31;                                                                                 \
    }                                                                                              \
    return tvmtiny_expand_any_##FORMAT(to, from, bytes, pixels);                                   \
  }
TVMTINY_EXPAND_BY_PIXELS(w16)
TVMTINY_EXPAND_BY_PIXELS(w8)
#else
#define tvmtiny_expand_w16 tvmtiny_expand_any_w16
#define tvmtiny_expand_w8 tvmtiny_expand_any_w8
#endif

/* As tvmtiny_expand, with `value` in place of every input; `bytes` is a multiple of 4. */
#define TVMTINY_FILL(FORMAT)                                                                       \
  TVMTINY_INLINE uint32_t *tvmtiny_fill_##FORMAT(uint32_t *to, int32_t value, int32_t bytes,       \
                                                 int32_t pixels)                                   \
  {                                                                                                \
    const uint32_t word = ((uint32_t)value & 0xffu) * 0x01010101u;                                 \
    for (; bytes > 0; bytes -= 4) {                                                                \
      tvmtiny_expand_word_##FORMAT(to, word, pixels);                                              \
      to += 2 * pixels;                                                                            \
    }                                                                                              \
    return to;                                                                                     \
  }
TVMTINY_FILL(w16)
TVMTINY_FILL(w8)

/* Defines NAME(x, row, column, to), which expands the patch whose top left corner is at (row,
 * column) of an input of HEIGHT x WIDTH x CHANNELS. Inputs outside the tensor are PAD.
 */
#define TVMTINY_GATHER(NAME, FORMAT, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, PAD, PIXELS)          \
  static void NAME(const int8_t *x, int32_t row, int32_t column, uint32_t *to)                     \
  {                                                                                                \
    const int8_t *from = x + (row * (WIDTH) + column) * (CHANNELS);                                \
    const int32_t inside = column >= 0 && column + (COLUMNS) <= (WIDTH);                           \
    int32_t ky;                                                                                    \
    int32_t kx;                                                                                    \
    if (inside && row >= 0 && row + (ROWS) <= (HEIGHT)) {                                          \
      for (ky = 0; ky < (ROWS); ++ky) {                                                            \
        to = tvmtiny_expand_##FORMAT(to, from, (COLUMNS) * (CHANNELS), (PIXELS));                  \
        from += (WIDTH) * (CHANNELS);                                                              \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    for (ky = 0; ky < (ROWS); ++ky, ++row) {                                                       \
      if (row < 0 || row >= (HEIGHT)) {                                                            \
        to = tvmtiny_fill_##FORMAT(to, (PAD), (COLUMNS) * (CHANNELS), (PIXELS));                   \
      } else if ((CHANNELS) % 4 == 0) {                                                            \
        for (kx = column; kx < column + (COLUMNS); ++kx) {                                         \
          to = kx < 0 || kx >= (WIDTH)                                                             \
                   ? tvmtiny_fill_##FORMAT(to, (PAD), (CHANNELS), (PIXELS))                        \
                   : tvmtiny_expand_##FORMAT(to, x + (row * (WIDTH) + kx) * (CHANNELS),            \
                                             (CHANNELS), (PIXELS));                                \
        }                                                                                          \
      } else if ((WIDTH) * (CHANNELS) >= 4) {                                                      \
        const uint32_t pad = ((uint32_t)(PAD)&0xffu) * 0x01010101u;                                \
        const int32_t end = (column + (COLUMNS)) * (CHANNELS);                                     \
        for (kx = column * (CHANNELS); kx < end; kx += 4) {                                        \
          tvmtiny_expand_word_##FORMAT(                                                            \
              to, tvmtiny_load_edge(x + row * ((WIDTH) * (CHANNELS)), kx, (WIDTH) * (CHANNELS), pad),\
              (PIXELS));                                                                           \
          to += 2 * (PIXELS);                                                                      \
        }                                                                                          \
      } else {                                                                                     \
        int8_t bytes[(COLUMNS) * (CHANNELS)];                                                      \
        tvmtiny_patch_row(bytes, x + row * ((WIDTH) * (CHANNELS)), column * (CHANNELS),            \
                          (WIDTH) * (CHANNELS), (COLUMNS) * (CHANNELS), (PAD));                    \
        to = tvmtiny_expand_##FORMAT(to, bytes, (COLUMNS) * (CHANNELS), (PIXELS));                 \
      }                                                                                            \
    }                                                                                              \
  }

/* As TVMTINY_GATHER, for rows of a patch that are not a multiple of four bytes; the rows are joined
 * first. */
#define TVMTINY_GATHER_BYTES(NAME, FORMAT, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, PAD, PIXELS)    \
  static void NAME(const int8_t *x, int32_t row, int32_t column, uint32_t *to)                     \
  {                                                                                                \
    int8_t bytes[((ROWS) * (COLUMNS) * (CHANNELS) + 3) & ~3];                                      \
    int32_t ky;                                                                                    \
    if (column >= 0 && column + (COLUMNS) <= (WIDTH) && row >= 0 && row + (ROWS) <= (HEIGHT)) {    \
      const int8_t *from = x + (row * (WIDTH) + column) * (CHANNELS);                              \
      for (ky = 0; ky < (ROWS); ++ky) {                                                            \
        tvmtiny_copy_bytes(bytes + ky * ((COLUMNS) * (CHANNELS)), from, (COLUMNS) * (CHANNELS));   \
        from += (WIDTH) * (CHANNELS);                                                              \
      }                                                                                            \
    } else {                                                                                       \
      const int32_t top = row < 0 ? -row : 0;                                                      \
      const int32_t left = column < 0 ? -column : 0;                                               \
      const int32_t rows = (row + (ROWS) > (HEIGHT) ? (HEIGHT)-row : (ROWS)) - top;                \
      const int32_t taps = (column + (COLUMNS) > (WIDTH) ? (WIDTH)-column : (COLUMNS)) - left;     \
      tvmtiny_set_bytes(bytes, (PAD), ((ROWS) * (COLUMNS) * (CHANNELS) + 3) / 4);                  \
      if (rows > 0 && taps > 0 && (HEIGHT) * (WIDTH) * (CHANNELS) == 1) {                          \
        bytes[top * (COLUMNS) + left] = *x;                                                        \
      } else if (rows > 0 && taps > 0) {                                                           \
        tvmtiny_copy_rows(bytes + (top * (COLUMNS) + left) * (CHANNELS),                           \
                          x + ((row + top) * (WIDTH) + column + left) * (CHANNELS), rows,          \
                          taps * (CHANNELS), (COLUMNS) * (CHANNELS), (WIDTH) * (CHANNELS));        \
      }                                                                                            \
    }                                                                                              \
    (void)tvmtiny_expand_##FORMAT(to, bytes, (ROWS) * (COLUMNS) * (CHANNELS), (PIXELS));           \
  }

/* As TVMTINY_GATHER_BYTES, for DEPTH channels from the one at x on, and for taps that are DOWN rows
 * and ACROSS columns apart. */
#define TVMTINY_GATHER_SPREAD(NAME, FORMAT, HEIGHT, WIDTH, CHANNELS, DEPTH, ROWS, COLUMNS, DOWN,   \
                              ACROSS, PAD, PIXELS)                                                 \
  static void NAME(const int8_t *x, int32_t row, int32_t column, uint32_t *to)                     \
  {                                                                                                \
    const int32_t across = column >= 0 && column + ((COLUMNS)-1) * (ACROSS) < (WIDTH);             \
    int8_t bytes[(DEPTH) % 4 == 0 ? 1 : (ROWS) * (COLUMNS) * (DEPTH)];                             \
    int8_t *next = bytes;                                                                          \
    int32_t ky;                                                                                    \
    int32_t kx;                                                                                    \
    for (ky = 0; ky < (ROWS); ++ky, row += (DOWN)) {                                               \
      const int32_t down = row >= 0 && row < (HEIGHT);                                             \
      const int8_t *from = down ? x + row * ((WIDTH) * (CHANNELS)) : x;                            \
      for (kx = column; kx < column + (COLUMNS) * (ACROSS); kx += (ACROSS)) {                      \
        const int32_t inside = down && (across || (kx >= 0 && kx < (WIDTH)));                      \
        if ((DEPTH) % 4 != 0) {                                                                    \
          int32_t c;                                                                               \
          for (c = 0; c < (DEPTH); ++c) {                                                          \
            next[c] = inside ? from[kx * (CHANNELS) + c] : (int8_t)(PAD);                          \
          }                                                                                        \
          next += (DEPTH);                                                                         \
        } else if (inside) {                                                                       \
          to = tvmtiny_expand_##FORMAT(to, from + kx * (CHANNELS), (DEPTH), (PIXELS));             \
        } else {                                                                                   \
          to = tvmtiny_fill_##FORMAT(to, (PAD), (DEPTH), (PIXELS));                                \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
    if ((DEPTH) % 4 != 0) {                                                                        \
      (void)tvmtiny_expand_##FORMAT(to, bytes, (ROWS) * (COLUMNS) * (DEPTH), (PIXELS));            \
    }                                                                                              \
  }

/* Copies `bytes` bytes of a row of `width` bytes, from `first` on; bytes outside the row are
 * `pad`. */
TVMTINY_INLINE void tvmtiny_patch_row(int8_t *to, const int8_t *row, int32_t first, int32_t width,
                                      int32_t bytes, int32_t pad)
{
  int32_t i;
  for (i = 0; i < bytes; ++i) {
    to[i] = (int8_t)(first + i >= 0 && first + i < width ? row[first + i] : (int8_t)pad);
  }
}

/* Copies a constant number of bytes, word by word. */
TVMTINY_INLINE void tvmtiny_copy_bytes(int8_t *to, const int8_t *from, int32_t bytes)
{
  int32_t i = 0;
#if TVMTINY_DSP
  for (; i + 4 <= bytes; i += 4) {
    const uint32_t word = tvmtiny_load4(from + i);
    __asm__("str %1, %0" : "=m"(*(uint8_t(*)[4])(to + i)) : "r"(word));
  }
#endif
  for (; i < bytes; ++i) {
    to[i] = from[i];
  }
}

/* Stores a word at any address. */
TVMTINY_INLINE void tvmtiny_set_word(int8_t *to, uint32_t word)
{
#if TVMTINY_DSP
  __asm__("str %1, %0" : "=m"(*(uint8_t(*)[4])to) : "r"(word));
#else
  to[0] = to[1] = to[2] = to[3] = (int8_t)(uint8_t)(word & 0xffu);
#endif
}

/* Sets a constant number of words to bytes of one value. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_set_bytes(int8_t *to, int32_t value,
                                                                   int32_t words)
{
  const uint32_t word = ((uint32_t)value & 0xffu) * 0x01010101u;
  const int8_t *const end = to + 4 * (words & ~3);
  while (to != end) {
    tvmtiny_set_word(to, word);
    tvmtiny_set_word(to + 4, word);
    tvmtiny_set_word(to + 8, word);
    tvmtiny_set_word(to + 12, word);
    to += 16;
  }
  if ((words & 2) != 0) {
    tvmtiny_set_word(to, word);
    tvmtiny_set_word(to + 4, word);
    to += 8;
  }
  if ((words & 1) != 0) {
    tvmtiny_set_word(to, word);
  }
}

/* Copies `rows` rows of `bytes` bytes, both at least 1, that are so many bytes apart. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_copy_rows(int8_t *to, const int8_t *from,
                                                                   int32_t rows, int32_t bytes,
                                                                   int32_t to_pitch,
                                                                   int32_t from_pitch)
{
#if TVMTINY_DSP
  int32_t left;
  uint32_t word;
  __asm__ volatile("1:\n subs %[left], %[bytes], #4\n blt 3f\n"
                   "2:\n ldr %[word], [%[from]], #4\n subs %[left], %[left], #4\n"
                   " str %[word], [%[to]], #4\n bge 2b\n"
                   "3:\n adds %[left], %[left], #4\n beq 5f\n"
                   "4:\n ldrb %[word], [%[from]], #1\n subs %[left], %[left], #1\n"
                   " strb %[word], [%[to]], #1\n bne 4b\n"
                   "5:\n add %[from], %[from], %[from_step]\n add %[to], %[to], %[to_step]\n"
                   " subs %[rows], %[rows], #1\n bne 1b"
                   : [to] "+r"(to), [from] "+r"(from), [rows] "+r"(rows), [left] "=&r"(left),
                     [word] "=&r"(word)
                   : [bytes] "r"(bytes), [to_step] "r"(to_pitch - bytes),
                     [from_step] "r"(from_pitch - bytes)
                   : "cc", "memory");
#else
  for (; rows > 0; --rows) {
    int32_t i;
    for (i = 0; i < bytes; ++i) {
      to[i] = from[i];
    }
    to += to_pitch;
    from += from_pitch;
  }
#endif
}

#endif /* TVMTINY_DSP_PATCH_H */
