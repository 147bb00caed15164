/* Checkpoints in flash, such as weights that were learned on the device. Two areas are written in
 * turn: a checkpoint becomes valid when its header is written, which comes last, so a power cut at
 * any operation leaves the previous checkpoint or the new one. */
#ifndef TVMTINY_CHECKPOINT_H
#define TVMTINY_CHECKPOINT_H

#include "tvmtiny_slots.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Results besides TVMTINY_IMAGE_OK, TVMTINY_SLOTS_FLASH_FAILED and TVMTINY_SLOTS_TOO_LARGE. */
enum tvmtiny_checkpoint_status {
    TVMTINY_CHECKPOINT_NONE = 96 /* no valid checkpoint of this owner and size exists */
};

/* Bytes of an area that the header takes. */
#define TVMTINY_CHECKPOINT_HEADER_BYTES 32u

struct tvmtiny_checkpoint {
    const struct tvmtiny_flash *flash;
    /* Offset of the first area, which the second one follows, and the size of an area: multiples of
     * the flash's page size. */
    uint32_t base;
    uint32_t area_bytes;
    /* Area of the newest checkpoint, or TVMTINY_SLOTS_NONE. */
    uint32_t current;
    /* Number of checkpoints that were written; each one erases the pages of one area. */
    uint32_t generation;
};

/* Finds the newest valid checkpoint. */
void tvmtiny_checkpoint_open(struct tvmtiny_checkpoint *checkpoint,
                             const struct tvmtiny_flash *flash, uint32_t base, uint32_t area_bytes);

/* Writes a checkpoint, a multiple of 4 bytes. `owner` identifies the data, for example
 * TVMTINY_<MODEL>_TRAINING_ID. */
int32_t tvmtiny_checkpoint_save(struct tvmtiny_checkpoint *checkpoint, uint32_t owner,
                                const void *data, uint32_t bytes);

/* Reads the newest checkpoint; `data` is unchanged if it has another owner or size. */
int32_t tvmtiny_checkpoint_load(const struct tvmtiny_checkpoint *checkpoint, uint32_t owner,
                                void *data, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
