/* What all firmware without an operating system shares. Nothing here may need a library function: library
 * code that the linker pulls in counts as the model's. */
#ifndef TVMTINY_DEVICE_H
#define TVMTINY_DEVICE_H

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

/* The architecture's: the entry point of the program. Sets up the stack and what guards it, and goes on in
 * device_begin. */
__attribute__((noreturn)) void device_reset(void);

/* Fills data and runs the program proper. */
__attribute__((noreturn)) void device_begin(void);

/* The program proper. */
__attribute__((noreturn)) void device_main(void);

#endif
