/* Collects the registers of a trap. */
#include "fault.h"
#include "arch.h"
#include "device.h"
#include "traps.h"

/* The fault may be a stack overflow, so the report uses a separate stack. */
#define FAULT_STACK_BYTES 512
uint32_t device_fault_stack[FAULT_STACK_BYTES / 4] __attribute__((aligned(16)));

void device_describe_fault(const uint32_t *frame, struct device_fault_words *words)
{
    uint32_t cause;
    uint32_t value;
    uint32_t pc;

    READ_CSR(mcause, cause);
    READ_CSR(mtval, value);
    READ_CSR(mepc, pc);
    words->count = 0;
    device_add_fault_word(words, "mcause", cause);
    device_add_fault_word(words, "mtval", value);
    device_add_fault_word(words, "layer", device_layer);
    device_add_fault_word(words, "stage", device_stage);
    device_add_fault_word(words, "sp", frame[0]);
    device_add_fault_word(words, "stack_bottom", (uint32_t)(uintptr_t)device_stack_bottom);
    device_add_fault_word(words, "lr", frame[1]);
    device_add_fault_word(words, "pc", pc);
}

/* The frame consists of stack pointer and return address of the interrupted function. */
TRAP_ENTRY void device_fault_entry(void)
{
    __asm__ volatile(CSR("csrw mscratch, sp\n\t"
                         "la sp, device_fault_stack + %[bytes]\n\t"
                         "addi sp, sp, -16\n\t"
                         "sw ra, 4(sp)\n\t"
                         "csrr a0, mscratch\n\t"
                         "sw a0, 0(sp)\n\t"
                         "mv a0, sp\n\t"
                         "csrr a1, mcause\n\t"
                         "tail device_fault")
                     :
                     : [bytes] "i"(FAULT_STACK_BYTES));
}

__attribute__((weak, alias("device_fault_entry"))) void device_timer_entry(void);
__attribute__((weak, alias("device_fault_entry"))) void device_external_entry(void);
