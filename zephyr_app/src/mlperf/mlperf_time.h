/* The board's clock for MLPerf Tiny's runner. */
#ifndef TVMTINY_ZEPHYR_MLPERF_TIME_H
#define TVMTINY_ZEPHYR_MLPERF_TIME_H

#include <stdint.h>

/* Starts the clock at 0. */
void mlperf_time_start(void);

/* Returns the microseconds since the start. */
uint64_t mlperf_time(void);

#endif
