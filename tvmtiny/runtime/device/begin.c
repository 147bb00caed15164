/* Initializes the C environment: data, weights in RAM, and zeroed variables. */
#include "device.h"

volatile uint32_t device_layer = DEVICE_NO_LAYER;
volatile uint32_t device_stage = DEVICE_START;

/* Defined by the linker script. */
extern const uint32_t device_data_load[];
extern uint32_t device_data_start[];
extern uint32_t device_data_end[];
extern const uint32_t device_weights_load[];
extern uint32_t device_weights_start[];
extern uint32_t device_weights_end[];
extern uint32_t device_bss_start[];
extern uint32_t device_bss_end[];

void device_begin(void)
{
    const uint32_t *from = device_data_load;
    volatile uint32_t *to;

    for (to = device_data_start; to < device_data_end; ++to) {
        *to = *from++;
    }
    from = device_weights_load;
    if (from != device_weights_start) {
        for (to = device_weights_start; to < device_weights_end; ++to) {
            *to = *from++;
        }
    }
    for (to = device_bss_start; to < device_bss_end; ++to) {
        *to = 0;
    }
    device_main();
}
