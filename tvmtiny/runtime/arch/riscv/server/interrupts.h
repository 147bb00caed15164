/* The UART's receive interrupt, through SiFive's platform-level interrupt controller (PLIC). */
#ifndef TVMTINY_RISCV_INTERRUPTS_H
#define TVMTINY_RISCV_INTERRUPTS_H

#include "arch.h"
#include "board.h"

/* See SiFive Interrupt Cookbook 1.2, and the memory map of QEMU's virt and sifive_e. The registers
 * are those of context 0, machine mode of the first core. */
#define PLIC_BASE 0x0c000000u
#define PLIC_PRIORITY (*(volatile uint32_t *)(PLIC_BASE + 4u * DEVICE_UART_IRQ))
#define PLIC_ENABLE (*(volatile uint32_t *)(PLIC_BASE + 0x2000u + 4u * (DEVICE_UART_IRQ / 32u)))
#define PLIC_THRESHOLD (*(volatile uint32_t *)(PLIC_BASE + 0x200000u))
#define PLIC_CLAIM (*(volatile uint32_t *)(PLIC_BASE + 0x200004u))

static inline void enable_uart_interrupt(void)
{
    /* QEMU checks for pending requests when a priority is written, not when a source is enabled. */
    PLIC_ENABLE = 1u << (DEVICE_UART_IRQ % 32u);
    PLIC_PRIORITY = 1u;
    PLIC_THRESHOLD = 0u;
    SET_CSR(mie, MIE_EXTERNAL);
    enable_interrupts();
}

/* No receive interrupt occurs after this has returned. */
static inline void disable_uart_interrupt(void)
{
    CLEAR_CSR(mie, MIE_EXTERNAL);
}

/* Requests the interrupt again, so that it occurs once it is enabled: a request that was claimed
 * without taking the byte must be renewed. */
static inline void repeat_uart_interrupt(void)
{
    uart_request_again();
}

#endif
