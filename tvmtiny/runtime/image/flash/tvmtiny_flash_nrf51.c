/* See nRF51 Series Reference Manual, "Non-Volatile Memory Controller (NVMC)". */
#include "tvmtiny_flash_nrf51.h"

#define READY (*(volatile uint32_t *)0x4001E400u)
#define CONFIG (*(volatile uint32_t *)0x4001E504u)
#define ERASEPAGE (*(volatile uint32_t *)0x4001E508u)

enum { READ_ONLY = 0, WRITE = 1, ERASE = 2 };

static void enable(uint32_t what)
{
    CONFIG = what;
    while (READY == 0u) {
    }
}

static int32_t erase(void *context, uint32_t offset)
{
    (void)context;
    enable(ERASE);
    ERASEPAGE = offset;
    while (READY == 0u) {
    }
    enable(READ_ONLY);
    return 0;
}

static int32_t write(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes)
{
    uint32_t i;

    (void)context;
    enable(WRITE);
    for (i = 0; i < bytes; i += 4u) {
        *(volatile uint32_t *)(uintptr_t)(offset + i) =
            (uint32_t)data[i] | (uint32_t)data[i + 1u] << 8 | (uint32_t)data[i + 2u] << 16 |
            (uint32_t)data[i + 3u] << 24;
        while (READY == 0u) {
        }
    }
    enable(READ_ONLY);
    return 0;
}

/* Offsets are relative to address 0. */
const struct tvmtiny_flash tvmtiny_flash_nrf51 = {(const uint8_t *)0, 1024u, erase, write,
                                                  (void *)0};
