/* Two slots and a log; see tvmtiny_slots.h.
 *
 * The log is a page of 16-byte records, each with a CRC, so that a record torn by a power cut is
 * ignored. A full page is replaced by the other page, which starts with everything that is known.
 * The new page becomes valid only once its SEAL is written; until then, the old page remains valid.
 */
#include "tvmtiny_slots.h"

enum { RECORD_BYTES = 16, RECORD_WORDS = 4 };

/* Kind of a record, its first byte; the second byte is the slot. */
enum {
    GENERATION = 1, /* value: number of this page; always the first record */
    WEAR = 2,       /* value: number of times that the slot was written */
    CONFIRMED = 3,  /* the slot is active; value: the least version from now on */
    WRITTEN = 4,    /* the slot contains a complete new image */
    SEAL = 5,       /* the page contains everything that was known */
    BEGIN = 6,      /* the slot is about to be written */
    TRYING = 7,     /* the slot's image is about to be tested */
    FAILED = 8,     /* the slot's image failed its test */
    GOOD = 9        /* the inactive slot holds a model that once passed */
};

#define MARK 0x5a000000u

uint32_t tvmtiny_slots_crc(const uint8_t *data, uint32_t bytes)
{
    uint32_t crc = 0xffffffffu;
    uint32_t i;
    uint32_t bit;

    for (i = 0; i < bytes; ++i) {
        crc ^= data[i];
        for (bit = 0; bit < 8u; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xedb88320u : 0u);
        }
    }
    return crc ^ 0xffffffffu;
}

static uint32_t word(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static void set_word(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    to[2] = (uint8_t)(value >> 16);
    to[3] = (uint8_t)(value >> 24);
}

static uint32_t page_of(const struct tvmtiny_slots *slots, uint32_t page)
{
    return slots->layout.log + page * slots->flash->page_bytes;
}

static const uint8_t *record_at(const struct tvmtiny_slots *slots, uint32_t page, uint32_t index)
{
    return slots->flash->base + page_of(slots, page) + index * (uint32_t)RECORD_BYTES;
}

static uint32_t is_record(const uint8_t *record)
{
    return (word(record) & 0xff000000u) == MARK && record[1] <= TVMTINY_SLOTS_NONE &&
                   word(record + 12) == tvmtiny_slots_crc(record, 12u)
               ? 1u
               : 0u;
}

static uint32_t is_blank(const uint8_t *record)
{
    uint32_t i;

    for (i = 0; i < (uint32_t)RECORD_BYTES; ++i) {
        if (record[i] != 0xffu) {
            return 0;
        }
    }
    return 1;
}

static uint32_t records_of(const struct tvmtiny_slots *slots)
{
    return slots->flash->page_bytes / (uint32_t)RECORD_BYTES;
}

/* The number of a page; 0 if the page is not valid. */
static uint32_t generation_of(const struct tvmtiny_slots *slots, uint32_t page)
{
    const uint8_t *const first = record_at(slots, page, 0);
    uint32_t i;

    if (is_record(first) == 0u || first[0] != GENERATION) {
        return 0;
    }
    for (i = 1; i < records_of(slots); ++i) {
        const uint8_t *const record = record_at(slots, page, i);

        if (is_record(record) != 0u && record[0] == SEAL) {
            return word(first + 4);
        }
    }
    return 0;
}

/* Applies a record to the state. */
static void apply(struct tvmtiny_slots *slots, uint32_t kind, uint32_t slot, uint32_t value)
{
    switch (kind) {
    case GENERATION:
        slots->generation = value;
        break;
    case WEAR:
        slots->wear[slot & 1u] = value;
        break;
    case CONFIRMED:
        slots->active = slot;
        slots->good |= slot < TVMTINY_SLOTS_NONE ? 1u << slot : 0u;
        slots->pending = TVMTINY_SLOTS_NONE;
        if (value > slots->least_version) {
            slots->least_version = value;
        }
        break;
    case WRITTEN:
        slots->pending = slot;
        slots->tries = value;
        break;
    case BEGIN:
        slots->wear[slot & 1u] += 1u;
        slots->good &= ~(1u << (slot & 1u));
        slots->pending = TVMTINY_SLOTS_NONE;
        break;
    case GOOD:
        slots->good |= 1u << (slot & 1u);
        break;
    case TRYING:
        slots->tries += 1u;
        break;
    case FAILED:
        slots->pending = TVMTINY_SLOTS_NONE;
        break;
    default:
        break;
    }
}

int32_t tvmtiny_flash_write(const struct tvmtiny_flash *flash, uint32_t offset, const uint8_t *data,
                            uint32_t bytes)
{
    const uint8_t *const written = flash->base + offset;
    uint32_t i;

    if (flash->write(flash->context, offset, data, bytes) != 0) {
        return TVMTINY_SLOTS_FLASH_FAILED;
    }
    for (i = 0; i < bytes; ++i) {
        if (((const volatile uint8_t *)written)[i] != data[i]) {
            return TVMTINY_SLOTS_FLASH_FAILED;
        }
    }
    return TVMTINY_IMAGE_OK;
}

static int32_t put(struct tvmtiny_slots *slots, uint32_t kind, uint32_t slot, uint32_t value)
{
    uint8_t record[RECORD_BYTES];
    int32_t status;

    set_word(record, MARK | slot << 8 | kind);
    set_word(record + 4, value);
    set_word(record + 8, slots->next);
    set_word(record + 12, tvmtiny_slots_crc(record, 12u));
    status = tvmtiny_flash_write(slots->flash,
                         page_of(slots, slots->page) + slots->next * (uint32_t)RECORD_BYTES, record,
                         (uint32_t)RECORD_BYTES);
    slots->next += 1u;
    return status;
}

/* Continues in the other page, which starts with everything that is known. */
static int32_t turn_page(struct tvmtiny_slots *slots)
{
    const struct tvmtiny_flash *const flash = slots->flash;
    const uint32_t page = slots->page ^ 1u;
    int32_t status;
    uint32_t slot;

    if (flash->erase(flash->context, page_of(slots, page)) != 0) {
        return TVMTINY_SLOTS_FLASH_FAILED;
    }
    slots->page = page;
    slots->next = 0;
    slots->generation += 1u;
    status = put(slots, GENERATION, 0, slots->generation);
    for (slot = 0; slot < 2u && status == TVMTINY_IMAGE_OK; ++slot) {
        status = put(slots, WEAR, slot, slots->wear[slot]);
        if (status == TVMTINY_IMAGE_OK && (slots->good >> slot & 1u) != 0u) {
            status = put(slots, GOOD, slot, 0);
        }
    }
    if (status == TVMTINY_IMAGE_OK) {
        const uint32_t pending = slots->pending;

        status = put(slots, CONFIRMED, slots->active, slots->least_version);
        if (status == TVMTINY_IMAGE_OK && pending != TVMTINY_SLOTS_NONE) {
            status = put(slots, WRITTEN, pending, slots->tries);
        }
    }
    return status == TVMTINY_IMAGE_OK ? put(slots, SEAL, 0, 0) : status;
}

static int32_t append(struct tvmtiny_slots *slots, uint32_t kind, uint32_t slot, uint32_t value)
{
    int32_t status = TVMTINY_IMAGE_OK;

    if (slots->next >= records_of(slots)) {
        status = turn_page(slots);
    }
    if (status == TVMTINY_IMAGE_OK) {
        status = put(slots, kind, slot, value);
    }
    if (status == TVMTINY_IMAGE_OK) {
        apply(slots, kind, slot, value);
    }
    return status;
}

int32_t tvmtiny_slots_open(struct tvmtiny_slots *slots, const struct tvmtiny_flash *flash,
                           const struct tvmtiny_slots_layout *layout)
{
    uint32_t first;
    uint32_t second;
    uint32_t i;

    slots->flash = flash;
    slots->layout = *layout;
    slots->active = TVMTINY_SLOTS_NONE;
    slots->pending = TVMTINY_SLOTS_NONE;
    slots->updating = TVMTINY_SLOTS_NONE;
    slots->tries = 0;
    slots->least_version = 0;
    slots->wear[0] = 0;
    slots->wear[1] = 0;
    slots->good = 0;
    slots->generation = 0;
    slots->page = 1;
    first = generation_of(slots, 0);
    second = generation_of(slots, 1);
    if (first == 0u && second == 0u) {
        return turn_page(slots);
    }
    slots->page = first > second ? 0u : 1u;
    slots->next = 0;
    for (i = 0; i < records_of(slots); ++i) {
        const uint8_t *const record = record_at(slots, slots->page, i);

        if (is_record(record) != 0u) {
            apply(slots, record[0], record[1], word(record + 4));
        }
        /* Skip records torn by a power cut as well. */
        if (is_blank(record) == 0u) {
            slots->next = i + 1u;
        }
    }
    return TVMTINY_IMAGE_OK;
}

const uint8_t *tvmtiny_slots_data(const struct tvmtiny_slots *slots, uint32_t slot)
{
    return slots->flash->base + slots->layout.slots[slot & 1u];
}

static int32_t check(const struct tvmtiny_slots *slots, uint32_t slot,
                     const struct tvmtiny_image_platform *platform, struct tvmtiny_image *image)
{
    struct tvmtiny_image_platform own = *platform;

    if (own.least_version < slots->least_version) {
        own.least_version = slots->least_version;
    }
    return tvmtiny_image_check(tvmtiny_slots_data(slots, slot), slots->layout.slot_bytes, &own,
                               image);
}

int32_t tvmtiny_slots_start(struct tvmtiny_slots *slots,
                            const struct tvmtiny_image_platform *platform, tvmtiny_slots_test test,
                            void *context, struct tvmtiny_image *image)
{
    const uint32_t pending = slots->pending;
    int32_t status;

    if (pending != TVMTINY_SLOTS_NONE) {
        uint32_t passed = 0;

        if (slots->tries < TVMTINY_SLOTS_TRIES) {
            status = append(slots, TRYING, pending, 0);
            if (status != TVMTINY_IMAGE_OK) {
                return status;
            }
            passed = check(slots, pending, platform, image) == TVMTINY_IMAGE_OK &&
                             test(image, context) == TVMTINY_IMAGE_OK
                         ? 1u
                         : 0u;
        }
        status = append(slots, passed != 0u ? (uint32_t)CONFIRMED : (uint32_t)FAILED, pending,
                        passed != 0u ? image->version : 0u);
        if (status != TVMTINY_IMAGE_OK) {
            return status;
        }
    }
    if (slots->active == TVMTINY_SLOTS_NONE) {
        return TVMTINY_SLOTS_NO_MODEL;
    }
    status = check(slots, slots->active, platform, image);
    if (status != TVMTINY_IMAGE_OK && (slots->good >> (slots->active ^ 1u) & 1u) != 0u &&
        check(slots, slots->active ^ 1u, platform, image) == TVMTINY_IMAGE_OK) {
        /* The flash has lost the newer image. Log the other slot as the active one, because updates
         * are written to the slot that is not active. */
        const uint32_t other = slots->active ^ 1u;

        slots->good &= ~(1u << slots->active);
        (void)append(slots, CONFIRMED, other, slots->least_version);
        slots->active = other;
        return TVMTINY_IMAGE_OK;
    }
    return status;
}

int32_t tvmtiny_slots_selftest(const struct tvmtiny_image *image, void *context)
{
    const struct tvmtiny_slots_memory *const own = (const struct tvmtiny_slots_memory *)context;
    const int32_t status = tvmtiny_image_selftest(image, own->memory, own->external);

    return status == TVMTINY_IMAGE_NO_SELFTEST ? TVMTINY_IMAGE_OK : status;
}

int32_t tvmtiny_slots_begin(struct tvmtiny_slots *slots, uint32_t bytes)
{
    const uint32_t slot = slots->active == 0u ? 1u : 0u;
    int32_t status;

    if (bytes > slots->layout.slot_bytes) {
        return TVMTINY_SLOTS_TOO_LARGE;
    }
    if (slots->updating != TVMTINY_SLOTS_NONE) {
        /* The link was interrupted, but the board was not reset. */
        return TVMTINY_IMAGE_OK;
    }
    status = append(slots, BEGIN, slot, bytes);
    if (status == TVMTINY_IMAGE_OK) {
        slots->updating = slot;
    }
    return status;
}

int32_t tvmtiny_slots_write(struct tvmtiny_slots *slots, uint32_t offset, const uint8_t *data,
                            uint32_t bytes)
{
    const struct tvmtiny_flash *const flash = slots->flash;
    const uint32_t page = flash->page_bytes;

    if (slots->updating == TVMTINY_SLOTS_NONE) {
        return TVMTINY_SLOTS_NOT_BEGUN;
    }
    if ((offset & 3u) != 0u || offset > slots->layout.slot_bytes ||
        bytes > slots->layout.slot_bytes - offset) {
        return TVMTINY_SLOTS_TOO_LARGE;
    }
    while (bytes != 0u) {
        const uint32_t place = slots->layout.slots[slots->updating] + offset;
        const uint32_t room = page - offset % page;
        const uint32_t part = bytes < room ? bytes : room;
        const uint32_t whole = part & ~3u;
        int32_t status = TVMTINY_IMAGE_OK;

        if (offset % page == 0u && flash->erase(flash->context, place) != 0) {
            return TVMTINY_SLOTS_FLASH_FAILED;
        }
        if (whole != 0u) {
            status = tvmtiny_flash_write(flash, place, data, whole);
        }
        if (status == TVMTINY_IMAGE_OK && part != whole) {
            /* The last bytes of an image whose size is not a multiple of a word. */
            uint8_t rest[4] = {0xffu, 0xffu, 0xffu, 0xffu};
            uint32_t i;

            for (i = whole; i < part; ++i) {
                rest[i - whole] = data[i];
            }
            status = tvmtiny_flash_write(flash, place + whole, rest, 4u);
        }
        if (status != TVMTINY_IMAGE_OK) {
            return status;
        }
        offset += part;
        data += part;
        bytes -= part;
    }
    return TVMTINY_IMAGE_OK;
}

int32_t tvmtiny_slots_finish(struct tvmtiny_slots *slots,
                             const struct tvmtiny_image_platform *platform)
{
    const uint32_t slot = slots->updating;
    struct tvmtiny_image image;
    int32_t status;

    if (slot == TVMTINY_SLOTS_NONE) {
        return TVMTINY_SLOTS_NOT_BEGUN;
    }
    slots->updating = TVMTINY_SLOTS_NONE;
    status = check(slots, slot, platform, &image);
    return status == TVMTINY_IMAGE_OK ? append(slots, WRITTEN, slot, 0) : status;
}
