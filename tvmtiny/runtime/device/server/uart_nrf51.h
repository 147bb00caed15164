/* The UART of Nordic's nRF51. */
#ifndef TVMTINY_DEVICE_UART_H
#define TVMTINY_DEVICE_UART_H

#include <stdint.h>

#define UART_REGISTER(offset) (*(volatile uint32_t *)(DEVICE_UART_BASE + (offset)))
#define UART_STARTRX UART_REGISTER(0x000u)
#define UART_STARTTX UART_REGISTER(0x008u)
#define UART_RXDRDY UART_REGISTER(0x108u)
#define UART_TXDRDY UART_REGISTER(0x11cu)
#define UART_INTENSET UART_REGISTER(0x304u)
#define UART_ENABLE UART_REGISTER(0x500u)
#define UART_PSELTXD UART_REGISTER(0x50cu)
#define UART_PSELRXD UART_REGISTER(0x514u)
#define UART_RXD UART_REGISTER(0x518u)
#define UART_TXD UART_REGISTER(0x51cu)
#define UART_BAUDRATE UART_REGISTER(0x524u)

#define UART_ENABLE_ON 4u
#define UART_INT_RXDRDY (1u << 2)
#define UART_BAUD1M 0x10000000u
/* Pins of the micro:bit's USB interface. */
#define UART_PIN_TX 24u
#define UART_PIN_RX 25u

static inline void uart_start(void)
{
    UART_PSELTXD = UART_PIN_TX;
    UART_PSELRXD = UART_PIN_RX;
    UART_BAUDRATE = UART_BAUD1M;
    UART_ENABLE = UART_ENABLE_ON;
    UART_TXDRDY = 0;
    UART_RXDRDY = 0;
    UART_STARTTX = 1;
    UART_STARTRX = 1;
    UART_INTENSET = UART_INT_RXDRDY;
}

/* Nothing to do: the event that raises the interrupt also indicates the byte. */
static inline void uart_acknowledge(void)
{
}

static inline uint32_t uart_has_byte(void)
{
    return UART_RXDRDY;
}

static inline uint8_t uart_take(void)
{
    /* Clear before reading: reading sets the event again if there is another byte. */
    UART_RXDRDY = 0;
    return (uint8_t)UART_RXD;
}

static inline void uart_put(uint8_t byte)
{
    UART_TXDRDY = 0;
    UART_TXD = byte;
    while (UART_TXDRDY == 0u) {
    }
}

#endif
