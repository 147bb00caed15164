/* Cycles and stack of a call. Cycles are stated as changes of a counter of 24 bits that counts
 * down, which is what bare-metal firmware has; in QEMU, the host makes instructions of them. */
#ifndef TVMTINY_ZEPHYR_MEASURE_H
#define TVMTINY_ZEPHYR_MEASURE_H

#include <stdint.h>

struct device_edge {
  uint32_t wraps;
  uint32_t value;
  uint32_t spins;
};

struct device_measurement {
  int32_t status;
  struct device_edge begin;
  struct device_edge end;
  uint32_t stack_bytes;
};

/* What a tuner's measurements count: "cycles", or in QEMU "instructions", or "ticks" of another clock than the
 * processor's. */
const char *device_measures(void);

void device_measure(int32_t (*call)(void), struct device_measurement *result);

/* The deepest stack of calls by the same function between painting and asking, in bytes. */
void device_paint_stack(void);
uint32_t device_painted_bytes(void);

/* The program's; called in a measurement that takes long, to end what device_serial_hold began. */
void device_measured_long(void);

#endif
