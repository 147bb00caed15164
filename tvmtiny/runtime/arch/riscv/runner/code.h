/* Support for executing code that was written to memory as data. */
#ifndef TVMTINY_RISCV_CODE_H
#define TVMTINY_RISCV_CODE_H

#include <stdint.h>

/* Whether a function pointer can have this value. */
static inline uint32_t is_code_address(uint32_t address)
{
    return (address & 1u) == 0u ? 1u : 0u;
}

/* Makes code written to [start, end) visible to instruction fetches. */
static inline void synchronize_code(const uint8_t *start, const uint8_t *end)
{
    (void)start;
    (void)end;
    __asm__ volatile(".option push\n\t.option arch, +zifencei\n\tfence.i\n\t.option pop" : : : "memory");
}

#endif
