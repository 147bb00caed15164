/* Two slots for images of a model, and a log that says which of them runs: an update is written to the slot
 * that does not run, verified, tested, and only then switched to. Whatever power cut comes at whatever
 * operation of the flash, the old or the new model is there, whole. C99, freestanding, no heap.
 * docs/images.md has the states. */
#ifndef TVMTINY_SLOTS_H
#define TVMTINY_SLOTS_H

#include <stdint.h>

#include "tvmtiny_image.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TVMTINY_SLOTS_NONE 2u

/* How often a new image may be tried: a test that does not come back, since the board resets, counts. */
#define TVMTINY_SLOTS_TRIES 3u

/* Beside those of tvmtiny_image.h. */
enum tvmtiny_slots_status {
    TVMTINY_SLOTS_FLASH_FAILED = 64, /* the flash does not hold what was written */
    TVMTINY_SLOTS_NO_MODEL = 65,     /* no slot has an image that may run */
    TVMTINY_SLOTS_TOO_LARGE = 66,    /* the image does not fit a slot */
    TVMTINY_SLOTS_NOT_BEGUN = 67     /* there is no update that this could belong to */
};

/* A flash that is read as memory. Erased bytes are 0xff, and writing words of 4 bytes clears bits. Offsets
 * are from `base`, which is aligned to 16 bytes. Both functions return 0 or another number. */
struct tvmtiny_flash {
    const uint8_t *base;
    uint32_t page_bytes;
    int32_t (*erase)(void *context, uint32_t offset);
    int32_t (*write)(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes);
    void *context;
};

/* Where slots and log lie: all multiples of a page, the log two pages. */
struct tvmtiny_slots_layout {
    uint32_t slots[2];
    uint32_t slot_bytes;
    uint32_t log;
};

/* What the log says. */
struct tvmtiny_slots {
    const struct tvmtiny_flash *flash;
    struct tvmtiny_slots_layout layout;
    /* The slot that runs, and the one that waits for its test, or TVMTINY_SLOTS_NONE. */
    uint32_t active;
    uint32_t pending;
    uint32_t tries;
    /* Of the newest model that passed its test: no older one runs. */
    uint32_t least_version;
    /* How often each slot was written, and how often a page of the log was erased. */
    uint32_t wear[2];
    uint32_t generation;
    /* A bit for each slot: whether it holds a model that has passed its test. */
    uint32_t good;
    /* Of the log: its page, and where the next record goes. */
    uint32_t page;
    uint32_t next;
    /* The slot that an update is written to, or TVMTINY_SLOTS_NONE. */
    uint32_t updating;
};

/* Decides whether a new image may run: 0, or why not. Firmware that knows more than
 * tvmtiny_slots_selftest can have its own. */
typedef int32_t (*tvmtiny_slots_test)(const struct tvmtiny_image *image, void *context);

/* The image's own test, in the memory that `context` points to; an image without one passes. */
struct tvmtiny_slots_memory {
    uint8_t *memory;
    uint8_t *external;
};
int32_t tvmtiny_slots_selftest(const struct tvmtiny_image *image, void *context);

/* Reads the log; makes one where there is none. */
int32_t tvmtiny_slots_open(struct tvmtiny_slots *slots, const struct tvmtiny_flash *flash,
                           const struct tvmtiny_slots_layout *layout);

/* Gives the image to run, verified anew: after a reset, and between two inferences after an update. Tests a
 * new one first, and goes on with the old one if it fails. */
int32_t tvmtiny_slots_start(struct tvmtiny_slots *slots,
                            const struct tvmtiny_image_platform *platform, tvmtiny_slots_test test,
                            void *context, struct tvmtiny_image *image);

/* Begins an update of so many bytes, also one that was broken off: what is in the slot stays. */
int32_t tvmtiny_slots_begin(struct tvmtiny_slots *slots, uint32_t bytes);

/* Writes a piece of the new image; offset and size are multiples of 4 bytes, but for the last piece. Where a
 * page begins, it is erased, so that pieces come in order within a page. */
int32_t tvmtiny_slots_write(struct tvmtiny_slots *slots, uint32_t offset, const uint8_t *data,
                            uint32_t bytes);

/* Verifies the new image; it is tested by the next tvmtiny_slots_start. */
int32_t tvmtiny_slots_finish(struct tvmtiny_slots *slots,
                             const struct tvmtiny_image_platform *platform);

/* The memory of a slot. */
const uint8_t *tvmtiny_slots_data(const struct tvmtiny_slots *slots, uint32_t slot);

/* The CRC-32 of zlib, by which a host finds what an update that was broken off has left. */
uint32_t tvmtiny_slots_crc(const uint8_t *data, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
