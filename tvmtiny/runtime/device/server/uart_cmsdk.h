/* The APB UART of Arm's Cortex-M System Design Kit, as on the MPS boards. */
#ifndef TVMTINY_DEVICE_UART_H
#define TVMTINY_DEVICE_UART_H

#include <stdint.h>

#define UART_DATA (*(volatile uint32_t *)(DEVICE_UART_BASE + 0x00u))
#define UART_STATE (*(volatile uint32_t *)(DEVICE_UART_BASE + 0x04u))
#define UART_CTRL (*(volatile uint32_t *)(DEVICE_UART_BASE + 0x08u))
#define UART_INTCLEAR (*(volatile uint32_t *)(DEVICE_UART_BASE + 0x0cu))
#define UART_BAUDDIV (*(volatile uint32_t *)(DEVICE_UART_BASE + 0x10u))

#define UART_STATE_SENDING 1u
#define UART_STATE_RECEIVED 2u
/* Enables transmitter, receiver and receive interrupt. */
#define UART_CTRL_ON (1u | 2u | 8u)
#define UART_INT_RECEIVED 2u
#define UART_SMALLEST_BAUDDIV 16u

static inline void uart_start(void)
{
    UART_BAUDDIV = UART_SMALLEST_BAUDDIV;
    UART_CTRL = UART_CTRL_ON;
}

/* Called in the interrupt before bytes are taken, so that a later byte interrupts again. */
static inline void uart_acknowledge(void)
{
    UART_INTCLEAR = UART_INT_RECEIVED;
}

static inline uint32_t uart_has_byte(void)
{
    return UART_STATE & UART_STATE_RECEIVED;
}

static inline uint8_t uart_take(void)
{
    return (uint8_t)UART_DATA;
}

static inline void uart_put(uint8_t byte)
{
    while ((UART_STATE & UART_STATE_SENDING) != 0u) {
    }
    UART_DATA = byte;
}

#endif
