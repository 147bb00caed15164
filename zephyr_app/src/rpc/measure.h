/* Measures cycles and stack of a call. Cycles are reported as changes of a 24-bit down-counter, as
 * in bare-metal firmware. In QEMU, the host converts them to instructions. */
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

/* Unit of a tuner's measurements: "cycles", "instructions" in QEMU, or "ticks" of a clock other
 * than the processor's. */
const char *device_measures(void);

void device_measure(int32_t (*call)(void), struct device_measurement *result);

/* Return the deepest stack, in bytes, of calls that the same function makes between painting and
 * asking. */
void device_paint_stack(void);
uint32_t device_painted_bytes(void);

/* Implemented by the program: called during a long measurement, to undo device_serial_hold. */
void device_measured_long(void);

#endif
