/* What all programs for an emulated board share. Nothing here may need a library function: library code
 * that the linker pulls in counts as the model's. */
#ifndef TVMTINY_QEMU_DEVICE_H
#define TVMTINY_QEMU_DEVICE_H

#include <stdint.h>

#define DEVICE_NO_LAYER 0xffffffffu

enum device_stage {
    DEVICE_START = 0,
    DEVICE_LAYERS = 1,
    DEVICE_MEASURED = 2,
    DEVICE_RESULTS = 3,
    DEVICE_SERVING = 4
};

/* Where the program is, for the fault report. */
extern volatile uint32_t device_layer;
extern volatile uint32_t device_stage;

/* Ends of the stack, set by the linker script. */
extern uint32_t device_stack_bottom[];
extern uint32_t device_stack_top[];

/* Entered by the processor; in the vector table. */
__attribute__((noreturn)) void device_reset(void);
void device_systick(void);

/* The program proper. */
__attribute__((noreturn)) void device_main(void);

#endif
