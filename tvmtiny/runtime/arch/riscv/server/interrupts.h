/* The receive interrupt of the UART, through SiFive's interrupt controller (PLIC). */
#ifndef TVMTINY_RISCV_INTERRUPTS_H
#define TVMTINY_RISCV_INTERRUPTS_H

#include "arch.h"
#include "board.h"

/* SiFive Interrupt Cookbook 1.2, and the memory map of QEMU's virt and sifive_e: registers of context 0, which is
 * machine mode of the first core. */
#define PLIC_BASE 0x0c000000u
#define PLIC_PRIORITY (*(volatile uint32_t *)(PLIC_BASE + 4u * DEVICE_UART_IRQ))
#define PLIC_ENABLE (*(volatile uint32_t *)(PLIC_BASE + 0x2000u + 4u * (DEVICE_UART_IRQ / 32u)))
#define PLIC_THRESHOLD (*(volatile uint32_t *)(PLIC_BASE + 0x200000u))
#define PLIC_CLAIM (*(volatile uint32_t *)(PLIC_BASE + 0x200004u))

static inline void enable_uart_interrupt(void)
{
    /* QEMU looks for requests that wait when a priority is written, not when a source is enabled. */
    PLIC_ENABLE = 1u << (DEVICE_UART_IRQ % 32u);
    PLIC_PRIORITY = 1u;
    PLIC_THRESHOLD = 0u;
    SET_CSR(mie, MIE_EXTERNAL);
    enable_interrupts();
}

/* The interrupt does not come once this has returned. */
static inline void disable_uart_interrupt(void)
{
    CLEAR_CSR(mie, MIE_EXTERNAL);
}

/* The interrupt comes (again) as soon as it is enabled, where the UART has a byte: a request that was claimed
 * without taking the byte is made anew. */
static inline void repeat_uart_interrupt(void)
{
    uart_request_again();
}

#endif
