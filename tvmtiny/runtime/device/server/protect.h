/* Guarded calls of functions that may fault or never return. The architecture implements all of
 * these. */
#ifndef TVMTINY_DEVICE_PROTECT_H
#define TVMTINY_DEVICE_PROTECT_H

#include "tvmtiny_rpc.h"

/* Calls a function, guarded until it returns or is left, and returns its status. */
int32_t device_call_guarded(struct tvmtiny_rpc_call *call, tvmtiny_rpc_function function);

/* Whether a guarded function is running. */
uint32_t device_is_guarded(void);

/* Whether the exception with this cause (see device_fault) has interrupted a guarded function. */
uint32_t device_may_leave(uint32_t cause);

/* Ends the exception with this cause and the guarded function that it interrupted, which returns
 * `status`. An exception handler branches here; its stack pointer does not matter. */
__attribute__((noreturn)) void device_leave(int32_t status, uint32_t cause);

/* Restarts the firmware. */
__attribute__((noreturn)) void device_restart(void);

#endif
