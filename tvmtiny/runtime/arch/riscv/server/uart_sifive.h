/* The UART of SiFive's FE310. */
#ifndef TVMTINY_DEVICE_UART_H
#define TVMTINY_DEVICE_UART_H

#include <stdint.h>

#define UART_REGISTER(offset) (*(volatile uint32_t *)(DEVICE_UART_BASE + (offset)))
#define UART_SEND UART_REGISTER(0x00u)
#define UART_RECEIVE UART_REGISTER(0x04u)
#define UART_SENDER UART_REGISTER(0x08u)
#define UART_RECEIVER UART_REGISTER(0x0cu)
#define UART_INTERRUPTS UART_REGISTER(0x10u)
#define UART_PENDING UART_REGISTER(0x14u)

#define UART_ON 1u
#define UART_FULL (1u << 31)
#define UART_RECEIVED 2u

static inline void uart_start(void)
{
    UART_SENDER = UART_ON;
    UART_RECEIVER = UART_ON;
    UART_INTERRUPTS = UART_RECEIVED;
}

/* Taking the byte withdraws the request. */
static inline void uart_acknowledge(void)
{
}

static inline void uart_request_again(void)
{
    UART_INTERRUPTS = 0u;
    UART_INTERRUPTS = UART_RECEIVED;
}

static inline uint32_t uart_has_byte(void)
{
    return UART_PENDING & UART_RECEIVED;
}

static inline uint8_t uart_take(void)
{
    return (uint8_t)UART_RECEIVE;
}

static inline void uart_put(uint8_t byte)
{
    while ((UART_SEND & UART_FULL) != 0u) {
    }
    UART_SEND = byte;
}

#endif
