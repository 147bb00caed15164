/* Instructions and stack of a call. Instructions are counted as changes of SysTick; the host makes one
 * number of them (tvmtiny/project/measurement.py). */
#ifndef TVMTINY_QEMU_MEASURE_H
#define TVMTINY_QEMU_MEASURE_H

#include <stdint.h>

/* A change of SysTick's value, and the passes of a loop of four instructions until it came. */
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

/* What is counted. */
static inline const char *device_measures(void)
{
    return "instructions";
}

void device_measure(int32_t (*call)(void), struct device_measurement *result);

/* Stops the counter, where a measurement was left by a fault. */
void device_measure_stop(void);

/* The deepest stack of calls by the same function between painting and asking, in bytes. */
void device_paint_stack(void);
uint32_t device_painted_bytes(void);

/* The program's: called from the interrupt of SysTick, each 2 to the power of 24 ticks. */
void device_measured_long(void);

#endif
