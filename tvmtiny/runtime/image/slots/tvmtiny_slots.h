/* Two slots for images of a model, and a log that records which of them runs. An update is written
 * to the inactive slot, verified and tested, and only then activated. A power cut during any flash
 * operation leaves either the old or the new model intact. C99, freestanding, no heap.
 * docs/images.md describes the states. */
#ifndef TVMTINY_SLOTS_H
#define TVMTINY_SLOTS_H

#include <stdint.h>

#include "tvmtiny_image.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TVMTINY_SLOTS_NONE 2u

/* Limit on the attempts to start a new image. A test that never finishes, because the board resets,
 * counts as one. */
#define TVMTINY_SLOTS_TRIES 3u

/* Status values in addition to those of tvmtiny_image.h. */
enum tvmtiny_slots_status {
    TVMTINY_SLOTS_FLASH_FAILED = 64, /* the flash does not contain what was written */
    TVMTINY_SLOTS_NO_MODEL = 65,     /* no slot has an image that may run */
    TVMTINY_SLOTS_TOO_LARGE = 66,    /* the image does not fit a slot */
    TVMTINY_SLOTS_NOT_BEGUN = 67,    /* no update has been begun */
    TVMTINY_SLOTS_BAD_DELTA = 68     /* a piece of a difference is invalid */
};

/* Memory-mapped flash. Erased bytes are 0xff, and writing words of 4 bytes clears bits. Offsets are
 * relative to `base`, which is aligned to 16 bytes. Both functions return 0 for success. */
struct tvmtiny_flash {
    const uint8_t *base;
    uint32_t page_bytes;
    int32_t (*erase)(void *context, uint32_t offset);
    int32_t (*write)(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes);
    void *context;
};

/* Offsets of slots and log, which are multiples of the page size; the log has two pages. */
struct tvmtiny_slots_layout {
    uint32_t slots[2];
    uint32_t slot_bytes;
    uint32_t log;
};

/* State recorded by the log. */
struct tvmtiny_slots {
    const struct tvmtiny_flash *flash;
    struct tvmtiny_slots_layout layout;
    /* The slot that runs, and the slot that waits for its test, or TVMTINY_SLOTS_NONE. */
    uint32_t active;
    uint32_t pending;
    uint32_t tries;
    /* Version of the newest model that passed its test; older models are rejected. */
    uint32_t least_version;
    /* Number of times that each slot was written, and that a page of the log was erased. */
    uint32_t wear[2];
    uint32_t generation;
    /* Bit mask of slots that hold a model which has passed its test. */
    uint32_t good;
    /* Current page of the log, and index of the next record. */
    uint32_t page;
    uint32_t next;
    /* The slot that is being updated, or TVMTINY_SLOTS_NONE. */
    uint32_t updating;
};

/* Decides whether a new image may run: returns 0, or the reason for its rejection. Firmware may use
 * its own function to check more than tvmtiny_slots_selftest does. */
typedef int32_t (*tvmtiny_slots_test)(const struct tvmtiny_image *image, void *context);

/* Runs the image's self-test in the memory that `context` points to; an image without a self-test
 * passes. */
struct tvmtiny_slots_memory {
    uint8_t *memory;
    uint8_t *external;
};
int32_t tvmtiny_slots_selftest(const struct tvmtiny_image *image, void *context);

/* Reads the log, or creates one if there is none. */
int32_t tvmtiny_slots_open(struct tvmtiny_slots *slots, const struct tvmtiny_flash *flash,
                           const struct tvmtiny_slots_layout *layout);

/* Returns the image to run, verified again; call this after a reset, and between two inferences
 * after an update. Tests a new image first, and keeps the old one if the test fails. */
int32_t tvmtiny_slots_start(struct tvmtiny_slots *slots,
                            const struct tvmtiny_image_platform *platform, tvmtiny_slots_test test,
                            void *context, struct tvmtiny_image *image);

/* Begins or resumes an update of `bytes` bytes; the content of the slot is kept. */
int32_t tvmtiny_slots_begin(struct tvmtiny_slots *slots, uint32_t bytes);

/* Writes a piece of the new image; offset and size are multiples of 4 bytes, except for the size of
 * the last piece. Writing the start of a page erases the page, so pieces within a page must be in
 * order. */
int32_t tvmtiny_slots_write(struct tvmtiny_slots *slots, uint32_t offset, const uint8_t *data,
                            uint32_t bytes);

/* Verifies the new image, which the next tvmtiny_slots_start tests. */
int32_t tvmtiny_slots_finish(struct tvmtiny_slots *slots,
                             const struct tvmtiny_image_platform *platform);

/* Returns the memory of a slot. */
const uint8_t *tvmtiny_slots_data(const struct tvmtiny_slots *slots, uint32_t slot);

/* Writes to the flash and compares what it reads back. */
int32_t tvmtiny_flash_write(const struct tvmtiny_flash *flash, uint32_t offset, const uint8_t *data,
                            uint32_t bytes);

/* Computes zlib's CRC-32, with which a host finds out what an interrupted update has written. */
uint32_t tvmtiny_slots_crc(const uint8_t *data, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
