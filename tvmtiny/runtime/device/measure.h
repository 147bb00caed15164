/* Measures instructions and stack of a call. Instructions are reported as values of a 24-bit
 * down-counter, which the host converts to a number (tvmtiny/project/measurement.py). */
#ifndef TVMTINY_DEVICE_MEASURE_H
#define TVMTINY_DEVICE_MEASURE_H

#include <stdint.h>

/* A counter value and the number of counter wraps so far. If the counter is slower than the
 * processor, the value has just changed, and `spins` is the number of loop iterations spent waiting
 * for the change. */
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

/* Unit of the counter. */
static inline const char *device_measures(void)
{
    return "instructions";
}

/* Implemented by the architecture. */
void device_measure(int32_t (*call)(void), struct device_measurement *result);

/* Implemented by the architecture: stops the counter after a fault has ended a measurement. */
void device_measure_stop(void);

/* Return the deepest stack, in bytes, of calls that the same function makes between painting and
 * asking. */
void device_paint_stack(void);
uint32_t device_painted_bytes(void);

/* Implemented by the program: called from an interrupt during a long measurement, about every 2 to
 * the power of 24 ticks. */
void device_measured_long(void);

#endif
