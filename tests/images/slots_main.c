/* Updates of a model in the flash of a micro:bit, with resets in the midst of them. What is to be done next
 * lies in a file of the host, which a reset leaves as it is. */
#include "device.h"
#include "measure.h"
#include "semihosting.h"
#include "platform.h"
#include "tvmtiny_flash_nrf51.h"

enum { FIRST = 0, CUT = 1, AFTER = 2, PIECE = 256, PAGE = 1024 };

struct state {
    uint32_t phase;
    uint32_t cut;
    uint32_t step;
    uint32_t end;
    /* How often the old and the new model were there, and how often none was or no update went through. */
    uint32_t old;
    uint32_t new;
    uint32_t wrong;
    uint32_t target;
};

static const uint8_t *const places[2] = {(const uint8_t *)FIRST_PLACE,
                                         (const uint8_t *)SECOND_PLACE};
static const uint32_t sizes[2] = {FIRST_BYTES, SECOND_BYTES};
static const struct tvmtiny_slots_layout layout = {{0x30000u, 0x34000u}, 0x4000u, 0x38000u};

static uint8_t memory[MEMORY_BYTES] __attribute__((aligned(16)));
static struct tvmtiny_slots_memory test_memory = {memory, (uint8_t *)0};
static struct tvmtiny_slots slots;
static struct state state;
static uint32_t operations;
static uint32_t cut_at = 0xffffffffu;

void device_measured_long(void)
{
}

static void count(void)
{
    if (operations++ == cut_at) {
        *(volatile uint32_t *)0xE000ED0Cu = 0x05FA0004u; /* AIRCR.SYSRESETREQ */
        for (;;) {
        }
    }
}

static int32_t erase(void *context, uint32_t offset)
{
    count();
    return tvmtiny_flash_nrf51.erase(context, offset);
}

static int32_t write(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes)
{
    uint32_t i;
    int32_t status = 0;

    for (i = 0; i < bytes && status == 0; i += 4u) {
        count();
        status = tvmtiny_flash_nrf51.write(context, offset + i, data + i, 4u);
    }
    return status;
}

static const struct tvmtiny_flash flash = {(const uint8_t *)0, PAGE, erase, write, (void *)0};

static void transfer_state(uint32_t save)
{
    const int32_t file = save != 0u ? device_open_write("state.bin") : device_open_read("state.bin");

    if (save != 0u) {
        device_write(file, &state, (uint32_t)sizeof state);
    } else {
        device_read(file, &state, (uint32_t)sizeof state);
    }
    device_close(file);
}

/* Which of the two models runs; 2 if none does. */
static uint32_t start(void)
{
    struct tvmtiny_image image;
    uint32_t which;
    uint32_t i;

    if (tvmtiny_slots_open(&slots, &flash, &layout) != 0 ||
        tvmtiny_slots_start(&slots, &platform, tvmtiny_slots_selftest, &test_memory, &image) != 0) {
        return 2;
    }
    for (which = 0; which < 2u; ++which) {
        for (i = 0; i < sizes[which] && image.data[i] == places[which][i]; ++i) {
        }
        if (i == sizes[which]) {
            return which;
        }
    }
    return 2;
}

/* The slot may hold this very model from the update before the last one: `all` of it is written anew. */
static void update(uint32_t which, uint32_t all)
{
    uint32_t page;
    uint32_t piece;

    (void)tvmtiny_slots_begin(&slots, sizes[which]);
    for (page = 0; page < sizes[which]; page += (uint32_t)PAGE) {
        const uint32_t left = sizes[which] - page;
        const uint32_t part = left < (uint32_t)PAGE ? left : (uint32_t)PAGE;
        const uint8_t *const there = tvmtiny_slots_data(&slots, slots.updating) + page;

        if (all == 0u &&
            tvmtiny_slots_crc(there, part) == tvmtiny_slots_crc(places[which] + page, part)) {
            continue;
        }
        for (piece = 0; piece < part; piece += (uint32_t)PIECE) {
            const uint32_t rest = part - piece;

            (void)tvmtiny_slots_write(&slots, page + piece, places[which] + page + piece,
                                      rest < (uint32_t)PIECE ? rest : (uint32_t)PIECE);
        }
    }
    (void)tvmtiny_slots_finish(&slots, &platform);
}

void device_main(void)
{
    uint32_t found;

    transfer_state(0);
    found = start();
    if (state.phase == (uint32_t)AFTER) {
        state.old += found == (state.target ^ 1u) ? 1u : 0u;
        state.new += found == state.target ? 1u : 0u;
        state.wrong += found > 1u ? 1u : 0u;
        update(state.target, 0);
        state.wrong += start() != state.target ? 1u : 0u;
        state.cut += state.step;
        state.target ^= 1u;
    } else {
        update(0, 1);
        state.wrong += start() != 0u ? 1u : 0u;
        state.target = 1;
    }
    state.phase = AFTER;
    if (state.cut >= state.end) {
        cut_at = 0xffffffffu;
    } else {
        transfer_state(1);
        cut_at = state.cut;
    }
    operations = 0;
    if (cut_at != 0xffffffffu) {
        update(state.target, 1);
        (void)start();
    }
    /* Nothing was cut: there are no more operations. */
    transfer_state(1);
    device_exit(DEVICE_EXIT_OK);
}
