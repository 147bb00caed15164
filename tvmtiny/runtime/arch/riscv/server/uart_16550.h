/* The 16550 UART and compatible ones with byte-wide registers. */
#ifndef TVMTINY_DEVICE_UART_H
#define TVMTINY_DEVICE_UART_H

#include <stdint.h>

#define UART_REGISTER(number) (*(volatile uint8_t *)(DEVICE_UART_BASE + (number)))
#define UART_DATA UART_REGISTER(0u)
#define UART_INTERRUPTS UART_REGISTER(1u)
#define UART_FIFO UART_REGISTER(2u)
#define UART_LINE UART_REGISTER(3u)
#define UART_STATE UART_REGISTER(5u)

#define UART_INTERRUPT_RECEIVED 1u
/* Enables and clears the FIFOs, with an interrupt from the first byte on. */
#define UART_FIFO_ON 7u
#define UART_LINE_8N1 3u
#define UART_STATE_RECEIVED 1u
#define UART_STATE_CAN_SEND 32u

static inline void uart_start(void)
{
    UART_LINE = UART_LINE_8N1;
    UART_FIFO = UART_FIFO_ON;
    UART_INTERRUPTS = UART_INTERRUPT_RECEIVED;
}

/* Taking the byte withdraws the request. */
static inline void uart_acknowledge(void)
{
}

static inline void uart_request_again(void)
{
    UART_INTERRUPTS = 0u;
    UART_INTERRUPTS = UART_INTERRUPT_RECEIVED;
}

static inline uint32_t uart_has_byte(void)
{
    return UART_STATE & UART_STATE_RECEIVED;
}

static inline uint8_t uart_take(void)
{
    return UART_DATA;
}

static inline void uart_put(uint8_t byte)
{
    while ((UART_STATE & UART_STATE_CAN_SEND) == 0u) {
    }
    UART_DATA = byte;
}

#endif
