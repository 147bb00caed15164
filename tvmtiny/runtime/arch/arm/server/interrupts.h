/* The receive interrupt of the UART. */
#ifndef TVMTINY_ARM_INTERRUPTS_H
#define TVMTINY_ARM_INTERRUPTS_H

#include "board.h"

#define NVIC_WORD(base) (*(volatile uint32_t *)((base) + 4u * (DEVICE_UART_IRQ / 32u)))
#define NVIC_ENABLE NVIC_WORD(0xE000E100u)
#define NVIC_DISABLE NVIC_WORD(0xE000E180u)
#define NVIC_SET_PENDING NVIC_WORD(0xE000E200u)
#define UART_IRQ_BIT (1u << (DEVICE_UART_IRQ % 32u))

static inline void enable_uart_interrupt(void)
{
    NVIC_ENABLE = UART_IRQ_BIT;
}

/* No receive interrupt occurs after this has returned. */
static inline void disable_uart_interrupt(void)
{
    NVIC_DISABLE = UART_IRQ_BIT;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
}

/* Requests the interrupt again, so that it occurs once it is enabled. */
static inline void repeat_uart_interrupt(void)
{
    NVIC_SET_PENDING = UART_IRQ_BIT;
}

#endif
