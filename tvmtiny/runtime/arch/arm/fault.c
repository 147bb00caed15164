/* Collects the registers of a fault. */
#include "fault.h"
#include "device.h"
#include "exceptions.h"

#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define BFAR (*(volatile uint32_t *)0xE000ED38u)

enum { FRAME_WORDS = 8, FRAME_LR = 5, FRAME_PC = 6, FRAME_XPSR = 7 };

/* The fault may be a stack overflow, so the report uses a separate stack. */
#define FAULT_STACK_BYTES 320
uint32_t device_fault_stack[FAULT_STACK_BYTES / 4] __attribute__((aligned(8)));

void device_describe_fault(const uint32_t *frame, struct device_fault_words *words)
{
    const uint32_t address = (uint32_t)(uintptr_t)frame;
    const uint32_t bottom = (uint32_t)(uintptr_t)device_stack_bottom;
    const uint32_t top = (uint32_t)(uintptr_t)device_stack_top;
    uint32_t exception;

    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    words->count = 0;
    device_add_fault_word(words, "exception", exception);
    device_add_fault_word(words, "layer", device_layer);
    device_add_fault_word(words, "stage", device_stage);
    device_add_fault_word(words, "sp", address);
    device_add_fault_word(words, "stack_bottom", bottom);
#if DEVICE_HAS_FAULT_STATUS
    device_add_fault_word(words, "cfsr", CFSR);
    device_add_fault_word(words, "hfsr", HFSR);
    device_add_fault_word(words, "mmfar", MMFAR);
    device_add_fault_word(words, "bfar", BFAR);
    /* Fault status bits are cleared by writing ones. */
    CFSR = CFSR;
    HFSR = HFSR;
#endif
    /* A frame outside the stack was never written, and reading it would fault again. */
    if (address >= bottom && address <= top - 4u * FRAME_WORDS && (address & 3u) == 0u) {
        device_add_fault_word(words, "lr", frame[FRAME_LR]);
        device_add_fault_word(words, "pc", frame[FRAME_PC]);
        device_add_fault_word(words, "xpsr", frame[FRAME_XPSR]);
    }
}

#define TEXT_OF(value) #value
#define EXPANDED_TEXT_OF(value) TEXT_OF(value)

__attribute__((naked)) void device_fault_entry(void)
{
    __asm__ volatile("mov r0, sp\n\t"
                     "mov r1, lr\n\t"
                     "ldr r2, =device_fault_stack + " EXPANDED_TEXT_OF(FAULT_STACK_BYTES) "\n\t"
                     "mov sp, r2\n\t"
                     "bl device_fault\n\t"
                     ".ltorg");
}
