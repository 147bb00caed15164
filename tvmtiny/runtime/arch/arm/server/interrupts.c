/* Entry point of the receive interrupt. */
#include "interrupts.h"
#include "protect.h"
#include "serial.h"
#include "tvmtiny_rpc.h"

__attribute__((naked)) static void uart_entry(void)
{
    __asm__ volatile("push {r4, lr}\n\t"
                     "bl device_uart_receive\n\t"
                     "cmp r0, #0\n\t"
                     "bne 1f\n\t"
                     "pop {r4, pc}\n"
                     "1:\n\t"
                     "ldr r1, [sp, #4]\n\t"
                     "ldr r0, =%c[aborted]\n\t"
                     "bl device_leave\n\t"
                     ".ltorg"
                     :
                     : [aborted] "i"(TVMTINY_RPC_ABORTED));
}

/* Continues the vector table behind the processor's own exceptions. */
__attribute__((section(".vectors.interrupts"), used)) static void (
    *const interrupts[DEVICE_UART_IRQ + 1u])(void) = {[DEVICE_UART_IRQ] = uart_entry};
