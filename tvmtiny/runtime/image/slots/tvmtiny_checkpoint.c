/* Checkpoints in flash; see tvmtiny_checkpoint.h. */
#include "tvmtiny_checkpoint.h"

enum { MARK, GENERATION, OWNER, BYTES, DATA_CRC, HEADER_CRC, UNUSED, WORDS = 8 };

#define CHECKPOINT_MARK 0x4b434d54u

/* The header as words in the byte order of the device, which alone reads them. */
struct header {
    uint32_t words[WORDS];
};

static const uint8_t *area(const struct tvmtiny_checkpoint *checkpoint, uint32_t which)
{
    return checkpoint->flash->base + checkpoint->base + which * checkpoint->area_bytes;
}

static struct header header_of(const struct tvmtiny_checkpoint *checkpoint, uint32_t which)
{
    return *(const struct header *)(const void *)area(checkpoint, which);
}

static uint32_t header_crc(const struct header *header)
{
    return tvmtiny_slots_crc((const uint8_t *)header->words, HEADER_CRC * 4u);
}

static uint32_t is_valid(const struct tvmtiny_checkpoint *checkpoint, uint32_t which)
{
    const struct header header = header_of(checkpoint, which);

    return header.words[MARK] == CHECKPOINT_MARK && header.words[HEADER_CRC] == header_crc(&header) &&
                   header.words[BYTES] <=
                       checkpoint->area_bytes - TVMTINY_CHECKPOINT_HEADER_BYTES &&
                   header.words[DATA_CRC] ==
                       tvmtiny_slots_crc(area(checkpoint, which) + TVMTINY_CHECKPOINT_HEADER_BYTES,
                                         header.words[BYTES])
               ? 1u
               : 0u;
}

void tvmtiny_checkpoint_open(struct tvmtiny_checkpoint *checkpoint,
                             const struct tvmtiny_flash *flash, uint32_t base, uint32_t area_bytes)
{
    uint32_t which;

    checkpoint->flash = flash;
    checkpoint->base = base;
    checkpoint->area_bytes = area_bytes;
    checkpoint->current = TVMTINY_SLOTS_NONE;
    checkpoint->generation = 0;
    for (which = 0; which < 2u; ++which) {
        if (is_valid(checkpoint, which) != 0u) {
            const struct header header = header_of(checkpoint, which);

            if (header.words[GENERATION] > checkpoint->generation) {
                checkpoint->generation = header.words[GENERATION];
                checkpoint->current = which;
            }
        }
    }
}

int32_t tvmtiny_checkpoint_save(struct tvmtiny_checkpoint *checkpoint, uint32_t owner,
                                const void *data, uint32_t bytes)
{
    const struct tvmtiny_flash *const flash = checkpoint->flash;
    const uint32_t which = checkpoint->current == 0u ? 1u : 0u;
    const uint32_t place = checkpoint->base + which * checkpoint->area_bytes;
    struct header header;
    uint32_t page;
    int32_t status;

    if ((bytes & 3u) != 0u || bytes > checkpoint->area_bytes - TVMTINY_CHECKPOINT_HEADER_BYTES) {
        return TVMTINY_SLOTS_TOO_LARGE;
    }
    for (page = 0; page < TVMTINY_CHECKPOINT_HEADER_BYTES + bytes; page += flash->page_bytes) {
        if (flash->erase(flash->context, place + page) != 0) {
            return TVMTINY_SLOTS_FLASH_FAILED;
        }
    }
    header.words[MARK] = CHECKPOINT_MARK;
    header.words[GENERATION] = checkpoint->generation + 1u;
    header.words[OWNER] = owner;
    header.words[BYTES] = bytes;
    header.words[DATA_CRC] = tvmtiny_slots_crc((const uint8_t *)data, bytes);
    header.words[HEADER_CRC] = header_crc(&header);
    header.words[UNUSED] = 0xffffffffu;
    header.words[UNUSED + 1] = 0xffffffffu;
    status = tvmtiny_flash_write(flash, place + TVMTINY_CHECKPOINT_HEADER_BYTES,
                                 (const uint8_t *)data, bytes);
    if (status == TVMTINY_IMAGE_OK) {
        status = tvmtiny_flash_write(flash, place, (const uint8_t *)header.words, sizeof header);
    }
    if (status == TVMTINY_IMAGE_OK) {
        checkpoint->current = which;
        checkpoint->generation += 1u;
    }
    return status;
}

int32_t tvmtiny_checkpoint_load(const struct tvmtiny_checkpoint *checkpoint, uint32_t owner,
                                void *data, uint32_t bytes)
{
    const uint8_t *from;
    struct header header;
    uint32_t i;

    if (checkpoint->current == TVMTINY_SLOTS_NONE) {
        return TVMTINY_CHECKPOINT_NONE;
    }
    header = header_of(checkpoint, checkpoint->current);
    if (header.words[OWNER] != owner || header.words[BYTES] != bytes) {
        return TVMTINY_CHECKPOINT_NONE;
    }
    from = area(checkpoint, checkpoint->current) + TVMTINY_CHECKPOINT_HEADER_BYTES;
    for (i = 0; i < bytes; ++i) {
        ((uint8_t *)data)[i] = from[i];
    }
    return TVMTINY_IMAGE_OK;
}
