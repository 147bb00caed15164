/* A timer that looks after measurements. A program without a server has none: its host stops the emulator. */
#ifndef TVMTINY_RISCV_WATCH_H
#define TVMTINY_RISCV_WATCH_H

/* Calls device_measured_long from an interrupt from time to time, until it is stopped. */
void device_watch_start(void);
void device_watch_stop(void);

#endif
