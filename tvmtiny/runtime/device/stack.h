/* Measures stack usage by painting the stack. */
#ifndef TVMTINY_DEVICE_STACK_H
#define TVMTINY_DEVICE_STACK_H

#include "arch.h"
#include "device.h"

#define STACK_PAINT 0xa5c35a3cu

/* Inlined, so that only the measured call is below `sp`. */
static inline void paint(uint32_t sp)
{
    volatile uint32_t *word;

    for (word = device_stack_bottom; (uint32_t)(uintptr_t)word < sp; ++word) {
        *word = STACK_PAINT;
    }
}

static inline uint32_t painted_bytes(uint32_t sp)
{
    volatile uint32_t *word;

    for (word = device_stack_bottom; (uint32_t)(uintptr_t)word < sp; ++word) {
        if (*word != STACK_PAINT) {
            break;
        }
    }
    return sp - (uint32_t)(uintptr_t)word;
}

#endif
