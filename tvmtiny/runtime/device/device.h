/* Declarations shared by all firmware without an operating system. This code must not call library
 * functions, because library code that the linker pulls in counts as the model's. */
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

/* Progress of the program, for the fault report. */
extern volatile uint32_t device_layer;
extern volatile uint32_t device_stage;

/* Ends of the stack, defined by the linker script. */
extern uint32_t device_stack_bottom[];
extern uint32_t device_stack_top[];

/* Entry point of the program, implemented by the architecture. Sets up the stack and its guard, and
 * continues in device_begin. */
__attribute__((noreturn)) void device_reset(void);

/* Initializes data and runs device_main. */
__attribute__((noreturn)) void device_begin(void);

/* The main function of the program. */
__attribute__((noreturn)) void device_main(void);

#endif
