/* What the model's functions for a host ask of the device, as bare-metal firmware has it. */
#ifndef TVMTINY_ZEPHYR_DEVICE_H
#define TVMTINY_ZEPHYR_DEVICE_H

#include <stdint.h>

#define DEVICE_NO_LAYER 0xffffffffu

enum device_stage { DEVICE_SERVING = 4 };

/* Where the program is, for the report of a fault. */
extern volatile uint32_t device_layer;
extern volatile uint32_t device_stage;

/* Serves for ever. */
void device_main(void);

#endif
