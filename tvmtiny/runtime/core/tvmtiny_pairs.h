/* Packing of pixels and patches for kernels that multiply two of them at a time. Each input of a
 * patch gives the word x0 + 65536 * x1 of the first two pixels, followed by that of the other two
 * if a step has four pixels. */
#ifndef TVMTINY_PAIRS_H
#define TVMTINY_PAIRS_H

#include "tvmtiny_copy.h"

/* Keeps functions for edges out of the loops around them, so that these have enough registers. */
#if defined(__clang__)
#define TVMTINY_PAIRS_APART __attribute__((noinline))
#elif defined(__GNUC__)
#define TVMTINY_PAIRS_APART __attribute__((noinline, noclone))
#else
#define TVMTINY_PAIRS_APART
#endif

static inline uint32_t TVMTINY_UNUSED tvmtiny_pair(int8_t low, int8_t high)
{
  return (uint32_t)low + ((uint32_t)high << 16);
}

/* Defines NAME(to, low, high, count, step), which packs `count` inputs of two pixels into words
 * that are `step` words apart, UNROLL (4 or 8) of them per iteration. It also defines NAME_2(to, x,
 * depth) and NAME_4(to, x, depth), which pack two or four neighbouring pixels of `depth` inputs. In
 * patches, edges of at most NEAR bytes are copied within the loops around them. */
#define TVMTINY_PAIRS_PACK(NAME, UNROLL, NEAR)                                                       \
  enum { NAME##_near = NEAR };                                                                       \
  static inline TVMTINY_UNUSED uint32_t *NAME(uint32_t *to, const int8_t *low, const int8_t *high,   \
                                              int32_t count, int32_t step)                           \
  {                                                                                                  \
    const int8_t *end = low + (count & ~((UNROLL) - 1));                                             \
    while (low != end) {                                                                             \
      to[0] = tvmtiny_pair(low[0], high[0]);                                                         \
      to[step] = tvmtiny_pair(low[1], high[1]);                                                      \
      to[2 * step] = tvmtiny_pair(low[2], high[2]);                                                  \
      to[3 * step] = tvmtiny_pair(low[3], high[3]);                                                  \
      if ((UNROLL) == 8) {                                                                           \
        to[4 * step] = tvmtiny_pair(low[4], high[4]);                                                \
        to[5 * step] = tvmtiny_pair(low[5], high[5]);                                                \
        to[6 * step] = tvmtiny_pair(low[6], high[6]);                                                \
        to[7 * step] = tvmtiny_pair(low[7], high[7]);                                                \
      }                                                                                              \
      low += (UNROLL);                                                                               \
      high += (UNROLL);                                                                              \
      to += (UNROLL) * step;                                                                         \
    }                                                                                                \
    end = low + (count & ((UNROLL) - 1));                                                            \
    while (low != end) {                                                                             \
      *to = tvmtiny_pair(*low, *high);                                                               \
      ++low;                                                                                         \
      ++high;                                                                                        \
      to += step;                                                                                    \
    }                                                                                                \
    return to;                                                                                       \
  }                                                                                                  \
  static void TVMTINY_UNUSED NAME##_2(uint32_t *to, const int8_t *x, int32_t depth)                  \
  {                                                                                                  \
    (void)NAME(to, x, x + depth, depth, 1);                                                          \
  }                                                                                                  \
  static void TVMTINY_UNUSED NAME##_4(uint32_t *to, const int8_t *x, int32_t depth)                  \
  {                                                                                                  \
    (void)NAME(to, x, x + depth, depth, 2);                                                          \
    (void)NAME(to + 1, x + 2 * depth, x + 3 * depth, depth, 2);                                      \
  }

/* Copies `bytes` inputs of a row of `width` bytes, from `first` on, of which some are outside the
 * row. A row outside the input has no bytes. */
static TVMTINY_PAIRS_APART TVMTINY_UNUSED void tvmtiny_pairs_edge(int8_t *copy, const int8_t *row, int32_t first,
                                                                  int32_t width, int32_t bytes, int32_t pad)
{
  const int32_t begin = first > 0 ? first : 0;
  const int32_t end = first + bytes < width ? first + bytes : width;
  if (begin < end && bytes < 4) {
    /* Branches for words would take longer. */
    for (; bytes > 0; --bytes, ++first) {
      *copy++ = (int8_t)(first >= 0 && first < width ? row[first] : (int8_t)pad);
    }
    return;
  }
  tvmtiny_fill(copy, pad, bytes);
  if (begin < end) {
    tvmtiny_copy(copy + (begin - first), row + begin, end - begin);
  }
}

/* Returns `bytes` inputs of a row of `width` bytes, from `first` on. If some are outside the row,
 * they are padded in `copy`: here if there are at most `near` bytes. */
static inline TVMTINY_UNUSED const int8_t *tvmtiny_pairs_row(const int8_t *x, int32_t row, int32_t height,
                                                             int32_t first, int32_t width, int32_t bytes,
                                                             int32_t pad, int8_t *copy, int32_t near)
{
  const int32_t inside = row >= 0 && row < height;
  if (inside && first >= 0 && first + bytes <= width) {
    return x + (row * width + first);
  }
  if (bytes == 1) {
    copy[0] = (int8_t)pad;
    return copy;
  }
  if (bytes <= near) {
    int32_t i;
    for (i = 0; i < bytes; ++i) {
      copy[i] = (int8_t)(inside && first + i >= 0 && first + i < width ? x[row * width + first + i] : (int8_t)pad);
    }
    return copy;
  }
  tvmtiny_pairs_edge(copy, inside ? x + row * width : x, first, inside ? width : 0, bytes, pad);
  return copy;
}

/* Defines NAME(to, x, position), which packs the patches of PIXELS neighbouring outputs of
 * OUT_HEIGHT x OUT_WIDTH from an input of HEIGHT x WIDTH x CHANNELS. A patch has ROWS rows that are
 * DILATION_Y apart. Each row has PARTS parts of BYTES contiguous inputs; the parts are APART bytes
 * apart. Inputs outside the tensor are PAD. PACK is defined by TVMTINY_PAIRS_PACK. */
#define TVMTINY_PAIRS_GATHER(NAME, PACK, PIXELS, HEIGHT, WIDTH, CHANNELS, OUT_HEIGHT, OUT_WIDTH, ROWS, PARTS, BYTES, \
                             APART, STRIDE_Y, STRIDE_X, DILATION_Y, TOP, LEFT, PAD)                                  \
  static void NAME(uint32_t *to, const int8_t *x, int32_t position)                                  \
  {                                                                                                  \
    int8_t copies[2][BYTES];                                                                         \
    int32_t pair;                                                                                    \
    for (pair = 0; pair < (PIXELS) / 2; ++pair) {                                                    \
      const int8_t *images[2];                                                                       \
      uint32_t *next = to + pair;                                                                    \
      int32_t rows[2];                                                                               \
      int32_t firsts[2];                                                                             \
      int32_t lane;                                                                                  \
      int32_t ky;                                                                                    \
      int32_t part;                                                                                  \
      for (lane = 0; lane < 2; ++lane, ++position) {                                                 \
        const int32_t line = position / (OUT_WIDTH);                                                 \
        rows[lane] = line % (OUT_HEIGHT) * (STRIDE_Y) - (TOP);                                       \
        firsts[lane] = (position % (OUT_WIDTH) * (STRIDE_X) - (LEFT)) * (CHANNELS);                  \
        images[lane] = x + line / (OUT_HEIGHT) * ((HEIGHT) * (WIDTH) * (CHANNELS));                  \
      }                                                                                              \
      for (ky = 0; ky < (ROWS); ++ky) {                                                              \
        for (part = 0; part < (PARTS); ++part) {                                                     \
          const int8_t *const low =                                                                  \
              tvmtiny_pairs_row(images[0], rows[0], HEIGHT, firsts[0] + part * (APART),              \
                                (WIDTH) * (CHANNELS), BYTES, PAD, copies[0], PACK##_near);            \
          const int8_t *const high =                                                                 \
              tvmtiny_pairs_row(images[1], rows[1], HEIGHT, firsts[1] + part * (APART),              \
                                (WIDTH) * (CHANNELS), BYTES, PAD, copies[1], PACK##_near);            \
          next = PACK(next, low, high, BYTES, (PIXELS) / 2);                                         \
        }                                                                                            \
        rows[0] += (DILATION_Y);                                                                     \
        rows[1] += (DILATION_Y);                                                                     \
      }                                                                                              \
    }                                                                                                \
  }

#endif /* TVMTINY_PAIRS_H */
