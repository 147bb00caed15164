/* The serial line: received by interrupt into a ring, sent by waiting. */
#ifndef TVMTINY_QEMU_SERIAL_H
#define TVMTINY_QEMU_SERIAL_H

void device_serial_start(void);

/* No interrupt between these: received bytes wait in the UART and behind it. */
void device_serial_hold(void);
void device_serial_release(void);

#endif
