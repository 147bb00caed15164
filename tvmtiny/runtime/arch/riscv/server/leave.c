/* Leaves a function from a trap: drops its frames, and continues at the end of the guarded call. */
#include "arch.h"
#include "device.h"
#include "interrupts.h"
#include "protect.h"

/* Stack pointer of the guarded call; 0 outside of one. */
uint32_t *volatile device_guarded_sp;

uint32_t device_is_guarded(void)
{
    return device_guarded_sp != (uint32_t *)0;
}

uint32_t device_may_leave(uint32_t cause)
{
    (void)cause;
    return device_is_guarded();
}

void device_restart(void)
{
    device_guarded_sp = (uint32_t *)0;
    device_reset();
}

__attribute__((naked)) int32_t device_call_guarded(__attribute__((unused)) struct tvmtiny_rpc_call *call,
                                                   __attribute__((unused)) tvmtiny_rpc_function function)
{
    __asm__ volatile(CSR("addi sp, sp, -64\n\t"
                         "sw ra, 0(sp)\n\tsw s0, 4(sp)\n\tsw s1, 8(sp)\n\t"
                         UPPER_REGISTERS(
                             "sw s2, 12(sp)\n\tsw s3, 16(sp)\n\tsw s4, 20(sp)\n\tsw s5, 24(sp)\n\t"
                             "sw s6, 28(sp)\n\tsw s7, 32(sp)\n\tsw s8, 36(sp)\n\tsw s9, 40(sp)\n\t"
                             "sw s10, 44(sp)\n\tsw s11, 48(sp)\n\t")
                         "la t0, device_guarded_sp\n\t"
                         "sw sp, 0(t0)\n\t"
                         "jalr a1\n"
                         "device_guarded_end:\n\t"
                         "la t0, device_guarded_sp\n\t"
                         "sw zero, 0(t0)\n\t"
                         "csrsi mstatus, 8\n\t"
                         "lw ra, 0(sp)\n\tlw s0, 4(sp)\n\tlw s1, 8(sp)\n\t"
                         UPPER_REGISTERS(
                             "lw s2, 12(sp)\n\tlw s3, 16(sp)\n\tlw s4, 20(sp)\n\tlw s5, 24(sp)\n\t"
                             "lw s6, 28(sp)\n\tlw s7, 32(sp)\n\tlw s8, 36(sp)\n\tlw s9, 40(sp)\n\t"
                             "lw s10, 44(sp)\n\tlw s11, 48(sp)\n\t")
                         "addi sp, sp, 64\n\t"
                         "ret"));
}

/* The trap may have been left before the interrupt controller was told that the interrupt is
 * complete. */
__attribute__((used)) static void serve_again(void)
{
    PLIC_CLAIM = DEVICE_UART_IRQ;
    uart_request_again();
}

/* Interrupts are disabled in a trap, and remain so until the end of the guarded call. */
__attribute__((naked)) void device_leave(__attribute__((unused)) int32_t status,
                                         __attribute__((unused)) uint32_t cause)
{
    __asm__ volatile("lw sp, device_guarded_sp\n\t"
                     "addi sp, sp, -16\n\t"
                     "sw a0, 0(sp)\n\t"
                     "call serve_again\n\t"
                     "lw a0, 0(sp)\n\t"
                     "addi sp, sp, 16\n\t"
                     "j device_guarded_end");
}
