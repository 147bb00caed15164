/* Updates of a model on a simulated flash, with a power cut at every operation of the flash. Arguments: an old
 * and a new image, records in the log at the start, and the seed of what a cut leaves half done. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"
#include "tvmtiny_checkpoint.h"
#include "tvmtiny_delta.h"
#include "tvmtiny_slots.h"

enum { PAGE = 1024, SLOT = 16 * PAGE, FLASH = 2 * SLOT + 2 * PAGE, PIECE = 256 };

static uint8_t flash_memory[FLASH] __attribute__((aligned(16)));
static uint8_t first_state[FLASH];
static uint8_t old_image[SLOT];
static uint8_t new_image[SLOT];
static uint32_t old_bytes;
static uint32_t new_bytes;
/* Checksums of the pages of both images. */
static uint32_t old_crcs[SLOT / PAGE];
static uint32_t new_crcs[SLOT / PAGE];
/* Pieces of the difference: offset, size and bytes of each. */
static uint8_t delta[SLOT];
static uint32_t delta_bytes;
static uint32_t with_delta;
static uint32_t operations;
static uint32_t cut_at = 0xffffffffu;
static uint32_t torn;
static uint32_t seed = 1;
static jmp_buf power;
static int32_t test_result;

static uint32_t number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Whether the power is cut at this operation. */
static int cut(void)
{
    return operations++ == cut_at;
}

static int32_t erase(void *context, uint32_t offset)
{
    uint32_t i;

    (void)context;
    if (offset % PAGE != 0u || offset >= FLASH) {
        abort();
    }
    if (cut()) {
        /* Any of the bits may be erased already. */
        for (i = 0; torn != 0u && i < PAGE; ++i) {
            flash_memory[offset + i] |= (uint8_t)(torn == 1u ? number() : number() & number());
        }
        longjmp(power, 1);
    }
    memset(flash_memory + offset, 0xff, PAGE);
    return 0;
}

static int32_t write(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes)
{
    uint32_t i;
    uint32_t k;

    (void)context;
    if (offset % 4u != 0u || bytes % 4u != 0u || offset + bytes > FLASH) {
        abort();
    }
    for (i = 0; i < bytes; i += 4u) {
        const int now = cut();

        for (k = 0; k < 4u && (!now || torn != 0u); ++k) {
            flash_memory[offset + i + k] &= (uint8_t)(data[i + k] | (now ? number() : 0u));
        }
        if (now) {
            longjmp(power, 1);
        }
    }
    return 0;
}

static const struct tvmtiny_flash flash = {flash_memory, PAGE, erase, write, NULL};
static const struct tvmtiny_slots_layout layout = {{0, SLOT}, SLOT, 2 * SLOT};

static int32_t test(const struct tvmtiny_image *image, void *context)
{
    (void)context;
    return image->bytes == new_bytes && test_result != 0 ? test_result : 0;
}

static uint32_t read_image(const char *name, uint8_t *to)
{
    FILE *const file = fopen(name, "rb");
    const size_t count = file != NULL ? fread(to, 1, SLOT, file) : 0;

    if (file == NULL || fclose(file) != 0) {
        abort();
    }
    return (uint32_t)count;
}

static int runs_old(const struct tvmtiny_slots *slots)
{
    return slots->active < TVMTINY_SLOTS_NONE &&
           memcmp(tvmtiny_slots_data(slots, slots->active), old_image, old_bytes) == 0;
}

static int32_t write_delta(struct tvmtiny_slots *slots)
{
    int32_t status = 0;
    uint32_t at = 0;

    while (at < delta_bytes && status == 0) {
        uint32_t head[2];

        memcpy(head, delta + at, sizeof head);
        status = tvmtiny_delta_write(slots, head[0], delta + at + sizeof head, head[1]);
        at += (uint32_t)sizeof head + head[1];
    }
    return status == 0 ? tvmtiny_slots_finish(slots, &platform) : status;
}

static uint32_t page_bytes(uint32_t page, uint32_t bytes)
{
    return bytes - page < PAGE ? bytes - page : PAGE;
}

static void list_crcs(const uint8_t *data, uint32_t bytes, uint32_t *crcs)
{
    uint32_t page;

    for (page = 0; page < bytes; page += PAGE) {
        crcs[page / PAGE] = tvmtiny_slots_crc(data + page, page_bytes(page, bytes));
    }
}

/* What a host does, again from the start after a reset: it sends the pages that are not there. */
static int32_t update(struct tvmtiny_slots *slots, const uint8_t *data, uint32_t bytes)
{
    const uint32_t *const crcs = data == new_image ? new_crcs : old_crcs;
    int32_t status = tvmtiny_slots_begin(slots, bytes);
    uint32_t page;

    if (with_delta != 0u && data == new_image && runs_old(slots)) {
        return status == 0 ? write_delta(slots) : status;
    }
    for (page = 0; page < bytes && status == 0; page += PAGE) {
        const uint32_t part = page_bytes(page, bytes);
        const uint8_t *const there = tvmtiny_slots_data(slots, slots->updating) + page;
        uint32_t piece;

        if (tvmtiny_slots_crc(there, part) == crcs[page / PAGE]) {
            continue;
        }
        for (piece = 0; piece < part && status == 0; piece += PIECE) {
            const uint32_t size = part - piece < PIECE ? part - piece : PIECE;

            status = tvmtiny_slots_write(slots, page + piece, data + page + piece, size);
        }
    }
    return status == 0 ? tvmtiny_slots_finish(slots, &platform) : status;
}

/* 1 and 2: the old and the new model run, whole. */
static int boot(struct tvmtiny_slots *slots)
{
    struct tvmtiny_image image;

    if (tvmtiny_slots_open(slots, &flash, &layout) != 0 ||
        tvmtiny_slots_start(slots, &platform, test, NULL, &image) != 0) {
        return 0;
    }
    if (image.bytes == old_bytes && memcmp(image.data, old_image, old_bytes) == 0) {
        return 1;
    }
    return image.bytes == new_bytes && memcmp(image.data, new_image, new_bytes) == 0 ? 2 : 0;
}

static int install(struct tvmtiny_slots *slots)
{
    return update(slots, new_image, new_bytes) == 0 ? boot(slots) : 0;
}

static void fail(const char *what, uint32_t at)
{
    printf("%s at operation %u, torn %u\n", what, (unsigned)at, (unsigned)torn);
    exit(1);
}

/* The old model runs, and the log has so many records. */
static void prepare(uint32_t records)
{
    struct tvmtiny_slots slots;

    memset(flash_memory, 0xff, FLASH);
    if (boot(&slots) != 0 || update(&slots, old_image, old_bytes) != 0 || boot(&slots) != 1) {
        fail("no first model", 0);
    }
    while (slots.next < records) {
        slots.updating = TVMTINY_SLOTS_NONE;
        if (tvmtiny_slots_begin(&slots, 0) != 0) {
            fail("no record", 0);
        }
    }
    memcpy(first_state, flash_memory, FLASH);
}

static uint32_t sweep(uint32_t *kept)
{
    /* Not what a jump may leave undefined. */
    static struct tvmtiny_slots slots;
    static uint32_t cuts;
    static uint32_t total;
    static uint32_t at;

    cuts = 0;
    operations = 0;
    cut_at = 0xffffffffu;
    if (boot(&slots) != 1 || install(&slots) != 2) {
        fail("no update", 0);
    }
    total = operations;
    for (at = 0; at < total; ++at) {
        for (torn = 0; torn < 3u; ++torn) {
            int found;

            memcpy(flash_memory, first_state, FLASH);
            operations = 0;
            cut_at = at;
            if (setjmp(power) == 0) {
                (void)boot(&slots);
                (void)install(&slots);
                fail("no cut", at);
            }
            ++cuts;
            /* Every second time another cut comes soon. */
            cut_at = (number() & 1u) != 0u ? operations + number() % 40u : 0xffffffffu;
            if (setjmp(power) == 0) {
                (void)boot(&slots);
                if (cut_at != 0xffffffffu) {
                    (void)install(&slots);
                }
            } else {
                ++cuts;
            }
            cut_at = 0xffffffffu;
            found = boot(&slots);
            if (found == 0) {
                fail("no model", at);
            }
            kept[found - 1] += 1u;
            if (install(&slots) != 2 || boot(&slots) != 2) {
                fail("no update afterwards", at);
            }
        }
    }
    return cuts;
}

/* What is not an update: a model that fails its test, an older one, one that resets the board. */
static void refusals(void)
{
    static struct tvmtiny_slots slots;
    static uint32_t i;

    memcpy(flash_memory, first_state, FLASH);
    test_result = 17;
    if (boot(&slots) != 1 || install(&slots) != 1 || boot(&slots) != 1) {
        fail("a model that fails its test runs", 0);
    }
    test_result = 0;
    if (install(&slots) != 2 || slots.least_version < 3u) {
        fail("no update", 1);
    }
    if (update(&slots, old_image, old_bytes) != TVMTINY_IMAGE_ROLLBACK || boot(&slots) != 2) {
        fail("an older model is taken", 0);
    }
    /* The flash loses a bit of what runs, and no other model may run. */
    flash_memory[layout.slots[slots.active] + 700u] ^= 4u;
    if (boot(&slots) != 0) {
        fail("a damaged model runs", 0);
    }
    /* The flash loses a bit of the running model, and the other slot has the same model. */
    memcpy(flash_memory, first_state, FLASH);
    if (boot(&slots) != 1 || install(&slots) != 2 || install(&slots) != 2) {
        fail("no update", 4);
    }
    flash_memory[layout.slots[slots.active] + 700u] ^= 4u;
    if (boot(&slots) != 2 || tvmtiny_slots_begin(&slots, new_bytes) != 0 ||
        memcmp(tvmtiny_slots_data(&slots, slots.updating ^ 1u), new_image, new_bytes) != 0) {
        fail("the only whole model is overwritten", 0);
    }
    memset(flash_memory + layout.slots[slots.updating], 0, PAGE);
    if (boot(&slots) != 2 || install(&slots) != 2) {
        fail("the only whole model does not run", 0);
    }
    memcpy(flash_memory, first_state, FLASH);
    if (boot(&slots) != 1 || update(&slots, new_image, new_bytes) != 0) {
        fail("no update", 2);
    }
    for (i = 0; i < TVMTINY_SLOTS_TRIES; ++i) {
        /* The power is cut right behind the record that a test begins. */
        operations = 0;
        cut_at = 4;
        if (setjmp(power) == 0) {
            (void)boot(&slots);
            fail("no cut", i);
        }
        cut_at = 0xffffffffu;
    }
    if (boot(&slots) != 1) {
        fail("a model that resets the board is tried for ever", 0);
    }
    /* What was whole when it was written is not when it is to run. */
    if (update(&slots, new_image, new_bytes) != 0) {
        fail("no update", 3);
    }
    flash_memory[layout.slots[slots.pending] + 700u] ^= 4u;
    i = slots.active;
    if (boot(&slots) != 1 || slots.active != i || install(&slots) != 2) {
        fail("a damaged model is switched to", 0);
    }
    if (update(&slots, new_image, new_bytes) != 0 || tvmtiny_slots_begin(&slots, 0) != 0 ||
        slots.pending != TVMTINY_SLOTS_NONE) {
        fail("what is overwritten still waits", 0);
    }
    if (tvmtiny_slots_open(&slots, &flash, &layout) != 0 ||
        tvmtiny_slots_write(&slots, 0, new_image, 4) != TVMTINY_SLOTS_NOT_BEGUN ||
        tvmtiny_slots_begin(&slots, SLOT + 1) != TVMTINY_SLOTS_TOO_LARGE) {
        fail("arguments are taken", 0);
    }
}

/* A damaged piece is refused, or its result is: only the other slot is ever written. */
static void damaged_pieces(void)
{
    static uint8_t piece[256];
    struct tvmtiny_slots slots;
    uint32_t bytes;
    uint32_t i;

    memcpy(flash_memory, first_state, FLASH);
    if (boot(&slots) != 1 || tvmtiny_delta_write(&slots, 0, delta, 1) != TVMTINY_SLOTS_NOT_BEGUN) {
        fail("a piece without an update is taken", 0);
    }
    memcpy(&bytes, delta + 4, sizeof bytes);
    for (i = 0; i < 3000u; ++i) {
        /* Memory that ends with the piece, for the sanitizers. */
        const uint32_t size = (i & 1u) != 0u ? bytes : number() % (bytes + 1u);
        uint8_t *const own = (uint8_t *)malloc(size + 1u);
        uint32_t k;

        memcpy(piece, delta + 8, bytes);
        for (k = number() % 4u; k != 0u; --k) {
            piece[number() % bytes] = (uint8_t)number();
        }
        memcpy(own + 1, piece, size);
        (void)tvmtiny_slots_begin(&slots, new_bytes);
        (void)tvmtiny_delta_write(&slots, number() % 8u == 0u ? number() : 0u, own + 1, size);
        free(own);
    }
    if (tvmtiny_slots_finish(&slots, &platform) == 0 || boot(&slots) != 1 || !runs_old(&slots)) {
        fail("damaged pieces have made a model", 0);
    }
}

/* Which of the checkpoints is loaded; 0 for none. */
static uint32_t loaded(struct tvmtiny_checkpoint *checkpoint)
{
    uint32_t data[300];
    uint32_t i;

    tvmtiny_checkpoint_open(checkpoint, &flash, 0, 2 * PAGE);
    if (tvmtiny_checkpoint_load(checkpoint, 7, data, sizeof data) != 0) {
        return 0;
    }
    for (i = 1; i < 300u; ++i) {
        if (data[i] != data[0] + i) {
            fail("a checkpoint is not whole", i);
        }
    }
    return data[0];
}

static int32_t save(struct tvmtiny_checkpoint *checkpoint, uint32_t which)
{
    uint32_t data[300];
    uint32_t i;

    for (i = 0; i < 300u; ++i) {
        data[i] = which + i;
    }
    return tvmtiny_checkpoint_save(checkpoint, 7, data, sizeof data);
}

/* Checkpoints with a power cut at every operation of the third one. */
static uint32_t checkpoints(void)
{
    static struct tvmtiny_checkpoint checkpoint;
    static uint32_t at;
    static uint32_t total;
    static uint32_t kept[2];
    uint32_t word = 0;

    memset(flash_memory, 0xff, FLASH);
    cut_at = 0xffffffffu;
    if (loaded(&checkpoint) != 0u || save(&checkpoint, 1000) != 0 || loaded(&checkpoint) != 1000u ||
        save(&checkpoint, 2000) != 0 || loaded(&checkpoint) != 2000u ||
        tvmtiny_checkpoint_load(&checkpoint, 8, &word, 4) != TVMTINY_CHECKPOINT_NONE ||
        tvmtiny_checkpoint_load(&checkpoint, 7, &word, 4) != TVMTINY_CHECKPOINT_NONE ||
        tvmtiny_checkpoint_save(&checkpoint, 7, &word, 2 * PAGE) != TVMTINY_SLOTS_TOO_LARGE ||
        tvmtiny_checkpoint_save(&checkpoint, 7, &word, 3) != TVMTINY_SLOTS_TOO_LARGE) {
        fail("no checkpoint", 0);
    }
    memcpy(first_state, flash_memory, FLASH);
    operations = 0;
    if (save(&checkpoint, 3000) != 0 || loaded(&checkpoint) != 3000u || checkpoint.generation != 3u) {
        fail("no checkpoint", 1);
    }
    total = operations;
    for (at = 0; at < total; ++at) {
        for (torn = 0; torn < 3u; ++torn) {
            uint32_t found;

            memcpy(flash_memory, first_state, FLASH);
            (void)loaded(&checkpoint);
            operations = 0;
            cut_at = at;
            if (setjmp(power) == 0) {
                (void)save(&checkpoint, 3000);
                fail("no cut", at);
            }
            cut_at = 0xffffffffu;
            found = loaded(&checkpoint);
            if (found != 2000u && found != 3000u) {
                fail("no checkpoint after a cut", at);
            }
            kept[found / 1000u - 2u] += 1u;
            if (save(&checkpoint, 4000) != 0 || loaded(&checkpoint) != 4000u) {
                fail("no checkpoint afterwards", at);
            }
        }
    }
    return kept[0] > 800u ? 3u * total : 0u;
}

int main(int count, char **arguments)
{
    uint32_t kept[2] = {0, 0};
    uint32_t cuts = 0;
    struct tvmtiny_slots slots;
    int i;

    if (count < 5) {
        return 2;
    }
    old_bytes = read_image(arguments[1], old_image);
    new_bytes = read_image(arguments[2], new_image);
    delta_bytes = read_image(arguments[3], delta);
    list_crcs(old_image, old_bytes, old_crcs);
    list_crcs(new_image, new_bytes, new_crcs);
    for (i = 4; i < count; ++i) {
        prepare((uint32_t)atoi(arguments[i]));
        cuts += sweep(kept);
    }
    with_delta = 1;
    prepare((uint32_t)atoi(arguments[4]));
    cuts += sweep(kept);
    damaged_pieces();
    if (checkpoints() == 0u) {
        fail("few cuts of checkpoints", 0);
    }
    with_delta = 0;
    prepare(0);
    refusals();
    (void)tvmtiny_slots_open(&slots, &flash, &layout);
    printf("%u cuts, %u times the old model, %u times the new one\n", (unsigned)cuts,
           (unsigned)kept[0], (unsigned)kept[1]);
    return 0;
}
