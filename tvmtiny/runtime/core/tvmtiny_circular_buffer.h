/* The most recent frames of a stream. C99, freestanding. */
#ifndef TVMTINY_CIRCULAR_BUFFER_H
#define TVMTINY_CIRCULAR_BUFFER_H

#include "tvmtiny_copy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends `frame` to the most recent frames and drops the oldest one. `frames` is memory of the
 * model that only this operator uses. */
static inline void TVMTINY_UNUSED tvmtiny_circular_buffer(const int8_t *frame, const int8_t *frames, int8_t *out, int32_t size, int32_t bytes)
{
  int8_t *const memory = (int8_t *)(uintptr_t)frames;
  tvmtiny_copy(out, frames + size, bytes - size);
  tvmtiny_copy(out + bytes - size, frame, size);
  tvmtiny_copy(memory, out, bytes);
}

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_CIRCULAR_BUFFER_H */
