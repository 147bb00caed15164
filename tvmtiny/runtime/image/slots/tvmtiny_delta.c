/* Updates by differences; see tvmtiny_delta.h. */
#include "tvmtiny_delta.h"

/* Kinds of records, the two lowest bits of their first number. */
enum { INSERT = 0, COPY = 1, COPY_SHIFTED = 2 };

/* The part that is decoded before it is written; a multiple of 4. */
enum { BLOCK_BYTES = 64 };

struct decoder {
    struct tvmtiny_slots *slots;
    const uint8_t *data;
    uint32_t bytes;
    uint32_t next;
    /* Offset in the new image of the block, and number of its bytes. */
    uint32_t offset;
    uint32_t used;
    uint8_t block[BLOCK_BYTES];
};

/* Reads a number of at most 28 bits, seven in each byte. Returns 0 if it is invalid. */
static uint32_t read_number(struct decoder *decoder, uint32_t *number)
{
    uint32_t place;

    *number = 0;
    for (place = 0; place < 28u && decoder->next < decoder->bytes; place += 7u) {
        const uint32_t byte = decoder->data[decoder->next];

        decoder->next += 1u;
        *number |= (byte & 0x7fu) << place;
        if ((byte & 0x80u) == 0u) {
            return 1;
        }
    }
    return 0;
}

static int32_t flush(struct decoder *decoder)
{
    const uint32_t used = decoder->used;
    const uint32_t offset = decoder->offset;

    decoder->offset += used;
    decoder->used = 0;
    return used == 0u ? (int32_t)TVMTINY_IMAGE_OK
                      : tvmtiny_slots_write(decoder->slots, offset, decoder->block, used);
}

static int32_t add(struct decoder *decoder, const uint8_t *from, uint32_t bytes)
{
    int32_t status = TVMTINY_IMAGE_OK;
    uint32_t i;

    for (i = 0; i < bytes && status == TVMTINY_IMAGE_OK; ++i) {
        decoder->block[decoder->used] = from[i];
        decoder->used += 1u;
        if (decoder->used == (uint32_t)BLOCK_BYTES) {
            status = flush(decoder);
        }
    }
    return status;
}

int32_t tvmtiny_delta_write(struct tvmtiny_slots *slots, uint32_t offset, const uint8_t *data,
                            uint32_t bytes)
{
    const uint32_t old_bytes = slots->layout.slot_bytes;
    const uint8_t *const old = tvmtiny_slots_data(slots, slots->active);
    struct decoder decoder;
    uint32_t shift = 0;
    int32_t status = TVMTINY_IMAGE_OK;

    if (slots->updating == TVMTINY_SLOTS_NONE) {
        return TVMTINY_SLOTS_NOT_BEGUN;
    }
    if (slots->active == TVMTINY_SLOTS_NONE) {
        return TVMTINY_SLOTS_NO_MODEL;
    }
    decoder.slots = slots;
    decoder.data = data;
    decoder.bytes = bytes;
    decoder.next = 0;
    decoder.offset = offset;
    decoder.used = 0;
    while (decoder.next < bytes && status == TVMTINY_IMAGE_OK) {
        uint32_t number;
        uint32_t length;

        if (read_number(&decoder, &number) == 0u || number < 4u) {
            return TVMTINY_SLOTS_BAD_DELTA;
        }
        length = number >> 2;
        if ((number & 3u) == (uint32_t)INSERT) {
            if (length > bytes - decoder.next) {
                return TVMTINY_SLOTS_BAD_DELTA;
            }
            status = add(&decoder, data + decoder.next, length);
            decoder.next += length;
        } else {
            uint32_t place;

            if ((number & 3u) == (uint32_t)COPY_SHIFTED) {
                uint32_t change;

                if (read_number(&decoder, &change) == 0u) {
                    return TVMTINY_SLOTS_BAD_DELTA;
                }
                /* The sign is the lowest bit. Sums are modulo 2^32. */
                shift += (change & 1u) != 0u ? ~(change >> 1) : change >> 1;
            } else if ((number & 3u) != (uint32_t)COPY) {
                return TVMTINY_SLOTS_BAD_DELTA;
            }
            place = decoder.offset + decoder.used + shift;
            if (place > old_bytes || length > old_bytes - place) {
                return TVMTINY_SLOTS_BAD_DELTA;
            }
            status = add(&decoder, old + place, length);
        }
    }
    return status == TVMTINY_IMAGE_OK ? flush(&decoder) : status;
}
