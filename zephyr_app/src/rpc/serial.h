/* The serial line: received and sent by interrupt. */
#ifndef TVMTINY_ZEPHYR_SERIAL_H
#define TVMTINY_ZEPHYR_SERIAL_H

#include <stdint.h>

void device_serial_start(void);

/* Bare-metal firmware holds interrupts during a measurement; a few instructions of them do not
 * matter here, and a UART without a FIFO would lose bytes. */
static inline void device_serial_hold(void)
{
}

static inline void device_serial_release(void)
{
}

#endif
