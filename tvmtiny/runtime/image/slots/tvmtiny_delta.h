/* Updates by differences: a host sends what to copy from the running image and what to insert, and
 * the new image is written to the other slot. The result is verified like any other image, by
 * tvmtiny_slots_finish. docs/image-format.md describes the bytes. */
#ifndef TVMTINY_DELTA_H
#define TVMTINY_DELTA_H

#include "tvmtiny_slots.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the part of the new image at `offset` that a piece of the difference describes, like
 * tvmtiny_slots_write. Returns TVMTINY_SLOTS_BAD_DELTA if the piece is invalid, and
 * TVMTINY_SLOTS_NO_MODEL if there is no image to copy from. */
int32_t tvmtiny_delta_write(struct tvmtiny_slots *slots, uint32_t offset, const uint8_t *data,
                            uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
