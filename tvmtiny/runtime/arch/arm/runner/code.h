/* Support for executing code that was written to memory as data. */
#ifndef TVMTINY_ARM_CODE_H
#define TVMTINY_ARM_CODE_H

#include <stdint.h>

/* Whether a function pointer can have this value. */
static inline uint32_t is_code_address(uint32_t address)
{
    return address & 1u; /* Thumb */
}

/* Makes code written to [start, end) visible to instruction fetches. Processors without caches read
 * CCR.DC and CCR.IC as zero. */
static inline void synchronize_code(const uint8_t *start, const uint8_t *end)
{
    enum { CCR_DC = 1 << 16, CCR_IC = 1 << 17, LINE_BYTES = 32 };
    const uint32_t control = *(volatile uint32_t *)0xE000ED14u;
    const uint8_t *line;

    __asm__ volatile("dsb" : : : "memory");
    if ((control & (uint32_t)CCR_DC) != 0u) {
        for (line = start; line < end; line += LINE_BYTES) {
            *(volatile uint32_t *)0xE000EF68u = (uint32_t)(uintptr_t)line; /* DCCMVAC */
        }
        __asm__ volatile("dsb" : : : "memory");
    }
    if ((control & (uint32_t)CCR_IC) != 0u) {
        *(volatile uint32_t *)0xE000EF50u = 0u; /* ICIALLU */
    }
    __asm__ volatile("dsb\n\tisb" : : : "memory");
}

#endif
