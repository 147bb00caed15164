/* The device interface of bare-metal firmware, for the model's functions that a host calls. */
#ifndef TVMTINY_ZEPHYR_DEVICE_H
#define TVMTINY_ZEPHYR_DEVICE_H

#include <stdint.h>

#define DEVICE_NO_LAYER 0xffffffffu

enum device_stage { DEVICE_SERVING = 4 };

/* Progress of the program, for the fault report. */
extern volatile uint32_t device_layer;
extern volatile uint32_t device_stage;

/* Serves a host; never returns. */
void device_main(void);

#endif
