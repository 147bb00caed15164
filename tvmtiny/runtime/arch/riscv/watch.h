/* A timer that monitors long measurements. Programs without a server have none; there, the host
 * stops the emulator. */
#ifndef TVMTINY_RISCV_WATCH_H
#define TVMTINY_RISCV_WATCH_H

/* Calls device_measured_long from an interrupt at regular intervals, until stopped. */
void device_watch_start(void);
void device_watch_stop(void);

#endif
