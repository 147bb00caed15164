/* The serial line, which receives and sends by interrupt. */
#ifndef TVMTINY_ZEPHYR_SERIAL_H
#define TVMTINY_ZEPHYR_SERIAL_H

#include <stdint.h>

void device_serial_start(void);

/* Between hold and release, received bytes raise no interrupts, as in bare-metal firmware. Only a
 * tuner needs this: elsewhere a few instructions do not matter, and a UART without a FIFO would
 * lose bytes. */
#ifdef CONFIG_TVMTINY_APP_RUNNER
void device_serial_hold(void);
void device_serial_release(void);
#else
static inline void device_serial_hold(void)
{
}

static inline void device_serial_release(void)
{
}
#endif

#endif
