/* Operations on Cortex-M that C cannot express. */
#ifndef TVMTINY_ARM_ARCH_H
#define TVMTINY_ARM_ARCH_H

#include <stdint.h>

static inline uint32_t stack_pointer(void)
{
    uint32_t sp;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

/* Calls the host with an operation of the Arm semihosting specification and its parameters. */
static inline int32_t semihost(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static inline void disable_interrupts(void)
{
    __asm__ volatile("cpsid i" : : : "memory");
}

static inline void enable_interrupts(void)
{
    __asm__ volatile("cpsie i" : : : "memory");
}

/* Returns when an interrupt is pending, even if interrupts are disabled. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("wfi" : : : "memory");
}

#endif
