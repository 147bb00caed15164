/* Fault reports. */
#ifndef TVMTINY_DEVICE_FAULT_H
#define TVMTINY_DEVICE_FAULT_H

#include <stdint.h>

/* Upper limit for all architectures. */
enum { DEVICE_FAULT_WORDS = 13 };

struct device_fault_words {
    uint32_t count;
    const char *names[DEVICE_FAULT_WORDS];
    uint32_t values[DEVICE_FAULT_WORDS];
};

static inline void device_add_fault_word(struct device_fault_words *words, const char *name,
                                         uint32_t value)
{
    words->names[words->count] = name;
    words->values[words->count] = value;
    ++words->count;
}

/* Implemented by the architecture: collects the registers of the fault with this frame, including
 * the words layer, stage, sp and stack_bottom, and clears the fault status. */
void device_describe_fault(const uint32_t *frame, struct device_fault_words *words);

/* Implemented by the program: called on a separate stack. The architecture needs `cause` to return
 * from the exception. */
__attribute__((noreturn)) void device_fault(const uint32_t *frame, uint32_t cause);

#endif
