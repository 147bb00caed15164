/* Reset handler, trap vectors and stack guard of RISC-V in machine mode. */
#include "arch.h"
#include "device.h"
#include "traps.h"

/* PMP entry that is locked, so that it also applies in machine mode: the range from the previous
 * entry's address to this one's can be read and executed, but not written. */
#define PMP_LOCKED_RANGE_WITHOUT_WRITE (0x80u | 1u << 3 | 4u | 1u)
#define MSTATUS_FS_VS_INITIAL (1u << 13 | 1u << 9)

/* Defined by the linker script. */
extern uint32_t device_stack_guard[];

/* Thread-local data for the C library's errno, if a model uses functions that set it; the linker
 * script checks the size. */
uint32_t device_thread_data[4];

/* Vectors of exceptions, and of machine mode's timer and external interrupt; some cores require
 * this alignment. */
__attribute__((naked, used, section(".vectors.interrupts"), aligned(64))) static void vectors(void)
{
    __asm__ volatile(".option push\n\t"
                     ".option norvc\n\t"
                     ".rept 7\n\t"
                     "j device_fault_entry\n\t"
                     ".endr\n\t"
                     "j device_timer_entry\n\t"
                     ".rept 3\n\t"
                     "j device_fault_entry\n\t"
                     ".endr\n\t"
                     "j device_external_entry\n\t"
                     ".option pop");
}

/* Prevents writes below the stack. A core without memory protection traps and continues behind the
 * attempt. */
static void guard_stack(void)
{
    uint32_t behind;

    __asm__ volatile(CSR("la %[behind], 1f\n\t"
                         "csrw mtvec, %[behind]\n\t"
                         "csrw pmpaddr0, %[from]\n\t"
                         "csrw pmpaddr1, %[to]\n\t"
                         "csrw pmpcfg0, %[entries]\n\t"
                         ".balign 4\n"
                         "1:")
                     : [behind] "=&r"(behind)
                     : [from] "r"((uint32_t)(uintptr_t)device_stack_guard >> 2),
                       [to] "r"((uint32_t)(uintptr_t)device_stack_bottom >> 2),
                       [entries] "r"(PMP_LOCKED_RANGE_WITHOUT_WRITE << 8)
                     : "memory");
}

__attribute__((noreturn, used)) static void start(void)
{
    guard_stack();
    WRITE_CSR(mtvec, (uint32_t)(uintptr_t)vectors | 1u);
#if defined(__riscv_flen) || defined(TVMTINY_RISCV_VECTORS)
    SET_CSR(mstatus, MSTATUS_FS_VS_INITIAL);
#endif
    device_begin();
}

/* The program's first code, at which boards start. */
__attribute__((naked, section(".vectors"), used)) void device_reset(void)
{
    __asm__ volatile(CSR("csrw mie, zero\n\t"
                         "csrci mstatus, 8\n\t"
                         "la sp, device_stack_top\n\t"
                         "la tp, device_thread_data\n\t"
                         "j start"));
}
