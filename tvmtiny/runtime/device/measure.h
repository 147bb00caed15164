/* Instructions and stack of a call. Instructions are stated as values of a counter of 24 bits that counts
 * down; the host makes one number of them (tvmtiny/project/measurement.py). */
#ifndef TVMTINY_DEVICE_MEASURE_H
#define TVMTINY_DEVICE_MEASURE_H

#include <stdint.h>

/* A value of the counter, and how often it had wrapped. Where the counter is slower than the processor, the value is
 * one that has just changed, and `spins` says how many passes of a loop it took until it did. */
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

/* The architecture's. */
void device_measure(int32_t (*call)(void), struct device_measurement *result);

/* The architecture's: stops the counter, where a measurement was left by a fault. */
void device_measure_stop(void);

/* The deepest stack of calls by the same function between painting and asking, in bytes. */
void device_paint_stack(void);
uint32_t device_painted_bytes(void);

/* The program's: called from an interrupt when a measurement takes long, about every 2 to the power of 24
 * ticks. */
void device_measured_long(void);

#endif
