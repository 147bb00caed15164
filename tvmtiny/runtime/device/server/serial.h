/* The serial line, which receives into a ring buffer by interrupt and sends by polling. */
#ifndef TVMTINY_DEVICE_SERIAL_H
#define TVMTINY_DEVICE_SERIAL_H

#include <stdint.h>

void device_serial_start(void);

/* Called from the receive interrupt: takes a byte, and returns whether the running function must be
 * left with TVMTINY_RPC_ABORTED; see device_leave. */
uint32_t device_uart_receive(void);

/* Returns the number of bytes that tvmtiny_rpc_received has not returned yet. */
uint32_t device_serial_waiting(void);

/* No interrupts occur between hold and release; received bytes wait in the UART and on the line. */
void device_serial_hold(void);
void device_serial_release(void);

#endif
