/* Operations on RISC-V in machine mode that C cannot express. */
#ifndef TVMTINY_RISCV_ARCH_H
#define TVMTINY_RISCV_ARCH_H

#include <stdint.h>

/* Accesses to control and status registers by name. Compilers are given only the extensions that
 * the model's code needs. */
#define CSR(instruction) ".option push\n\t.option arch, +zicsr\n\t" instruction "\n\t.option pop"
#define WRITE_CSR(name, value) __asm__ volatile(CSR("csrw " #name ", %0") : : "r"(value) : "memory")
#define SET_CSR(name, bits) __asm__ volatile(CSR("csrs " #name ", %0") : : "r"(bits) : "memory")
#define CLEAR_CSR(name, bits) __asm__ volatile(CSR("csrc " #name ", %0") : : "r"(bits) : "memory")
#define READ_CSR(name, variable) __asm__ volatile(CSR("csrr %0, " #name) : "=r"(variable) : : "memory")

/* Instructions on registers that RV32E lacks. */
#if defined(__riscv_32e) || defined(__riscv_e)
#define UPPER_REGISTERS(instructions)
#else
#define UPPER_REGISTERS(instructions) instructions
#endif

/* Bits of mstatus, and of mie and mip. */
#define MSTATUS_MIE 8u
#define MIE_TIMER (1u << 7)
#define MIE_EXTERNAL (1u << 11)

static inline uint32_t stack_pointer(void)
{
    uint32_t sp;

    __asm__ volatile("mv %0, sp" : "=r"(sp));
    return sp;
}

/* Calls the host with an operation of the Arm semihosting specification and its parameters. The
 * host recognizes the call by these three instructions, which must be 32 bits wide and in one page.
 */
static inline int32_t semihost(uint32_t operation, const void *block)
{
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = block;

    __asm__ volatile(".option push\n\t"
                     ".option norvc\n\t"
                     ".balign 16\n\t"
                     "slli x0, x0, 0x1f\n\t"
                     "ebreak\n\t"
                     "srai x0, x0, 7\n\t"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return (int32_t)a0;
}

static inline void disable_interrupts(void)
{
    CLEAR_CSR(mstatus, MSTATUS_MIE);
}

static inline void enable_interrupts(void)
{
    SET_CSR(mstatus, MSTATUS_MIE);
}

/* Returns when an interrupt that is enabled in mie is pending, even if mstatus disables interrupts.
 */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("wfi" : : : "memory");
}

#endif
