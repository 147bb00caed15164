/* The serial line: received by interrupt into a ring, sent by waiting. */
#ifndef TVMTINY_DEVICE_SERIAL_H
#define TVMTINY_DEVICE_SERIAL_H

#include <stdint.h>

void device_serial_start(void);

/* Called in the receive interrupt: takes a byte, and returns whether the function that runs is to be left with
 * TVMTINY_RPC_ABORTED; see device_leave. */
uint32_t device_uart_receive(void);

/* No interrupt between these: received bytes wait in the UART and behind it. */
void device_serial_hold(void);
void device_serial_release(void);

#endif
