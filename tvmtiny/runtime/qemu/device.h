/* What start-up code and test harness share on an emulated board. Files are the host's, reached by
 * semihosting. Nothing here may need a library function: library code that the linker pulls in
 * counts as the model's. */
#ifndef TVMTINY_QEMU_DEVICE_H
#define TVMTINY_QEMU_DEVICE_H

#include <stdint.h>

#define DEVICE_NO_LAYER 0xffffffffu

enum device_exit_code {
    DEVICE_EXIT_OK = 0,
    DEVICE_EXIT_FAULT = 10,
    DEVICE_EXIT_FILE = 11,
    DEVICE_EXIT_STATUS = 12
};

enum device_stage { DEVICE_START = 0, DEVICE_LAYERS = 1, DEVICE_MEASURED = 2, DEVICE_RESULTS = 3 };

/* Where the program is, for the fault report. */
extern volatile uint32_t device_layer;
extern volatile uint32_t device_stage;

/* Ends of the stack, set by the linker script. */
extern uint32_t device_stack_bottom[];
extern uint32_t device_stack_top[];

/* All of these end the program with DEVICE_EXIT_FILE when the host refuses. */
int32_t device_open_read(const char *name);
int32_t device_open_write(const char *name);
void device_read(int32_t handle, void *data, uint32_t bytes);
void device_write(int32_t handle, const void *data, uint32_t bytes);
void device_close(int32_t handle);

/* Writes one line "key value", the value as eight hexadecimal digits. */
void device_write_entry(int32_t handle, const char *key, uint32_t value);

__attribute__((noreturn)) void device_exit(uint32_t code);

/* Entered by the processor; all three are in the vector table or called from there. */
__attribute__((noreturn)) void device_reset(void);
__attribute__((noreturn)) void device_fault(const uint32_t *frame);
void device_systick(void);

/* The program proper; returning from it ends the program with DEVICE_EXIT_OK. */
void device_main(void);

#endif
