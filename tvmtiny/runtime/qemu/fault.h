/* What there is to say about a fault. */
#ifndef TVMTINY_QEMU_FAULT_H
#define TVMTINY_QEMU_FAULT_H

#include <stdint.h>

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define DEVICE_HAS_FAULT_STATUS 1
#else
#define DEVICE_HAS_FAULT_STATUS 0
#endif

enum { DEVICE_FAULT_WORDS = 13 };

struct device_fault_words {
    uint32_t count;
    const char *names[DEVICE_FAULT_WORDS];
    uint32_t values[DEVICE_FAULT_WORDS];
};

/* Collects the registers of the fault whose frame this is, and clears the fault status. */
void device_describe_fault(const uint32_t *frame, struct device_fault_words *words);

/* In the vector table. Goes on in device_fault, on a stack of its own. */
void device_fault_entry(void);

/* The program's. `exc_return` is what the link register held on entry. */
__attribute__((noreturn)) void device_fault(const uint32_t *frame, uint32_t exc_return);

#endif
