/* Planes of depthwise convolutions. A plane holds the inputs of one channel that some rows of
 * outputs need, one byte each, with padding. */
#ifndef TVMTINY_PLANE_H
#define TVMTINY_PLANE_H

#include "tvmtiny.h"

/* Defines NAME(x, row, plane), which copies ROWS rows of a channel of an input of HEIGHT x WIDTH x
 * CHANNELS, from `row` on, into a plane of COLUMNS columns, LEFT of which are to the left of the
 * input. Rows outside the input are filled with PAD. In rows inside the input, the padding columns
 * are not written. */
#define TVMTINY_PLANE(NAME, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, LEFT, PAD)                 \
  static void NAME(const int8_t *x, int32_t row, int8_t *plane)                                      \
  {                                                                                                  \
    const int32_t used = (COLUMNS) - (LEFT) < (WIDTH) ? (COLUMNS) - (LEFT) : (WIDTH);                \
    int8_t *const end = plane + (ROWS) * (COLUMNS);                                                  \
    for (; plane != end; plane += (COLUMNS), ++row) {                                                \
      if (row >= 0 && row < (HEIGHT)) {                                                              \
        const int8_t *from = x + row * ((WIDTH) * (CHANNELS));                                       \
        int8_t *to = plane + (LEFT);                                                                 \
        int8_t *stop = to + used / 4 * 4;                                                            \
        while (to != stop) {                                                                         \
          to[0] = from[0];                                                                           \
          to[1] = from[CHANNELS];                                                                    \
          to[2] = from[2 * (CHANNELS)];                                                              \
          to[3] = from[3 * (CHANNELS)];                                                              \
          to += 4;                                                                                   \
          from += 4 * (CHANNELS);                                                                    \
        }                                                                                            \
        for (stop += used % 4; to != stop; from += (CHANNELS)) {                                     \
          *to++ = *from;                                                                             \
        }                                                                                            \
      } else {                                                                                       \
        int32_t column;                                                                              \
        for (column = 0; column < (COLUMNS); ++column) {                                             \
          plane[column] = (PAD);                                                                     \
        }                                                                                            \
      }                                                                                              \
    }                                                                                                \
  }

static void TVMTINY_UNUSED tvmtiny_plane_fill(int8_t *to, int32_t count, int32_t value)
{
  int32_t i;
  for (i = 0; i < count; ++i) {
    to[i] = (int8_t)value;
  }
}

#endif /* TVMTINY_PLANE_H */
