/* Calls of functions that may fault or never end. All of these are the architecture's. */
#ifndef TVMTINY_DEVICE_PROTECT_H
#define TVMTINY_DEVICE_PROTECT_H

#include "tvmtiny_rpc.h"

/* Calls a function, guarded until it returns or is left; gives its status. */
int32_t device_call_guarded(struct tvmtiny_rpc_call *call, tvmtiny_rpc_function function);

/* Whether such a function runs. */
uint32_t device_is_guarded(void);

/* Whether such a function was interrupted by the exception of this cause, see device_fault. */
uint32_t device_may_leave(uint32_t cause);

/* Ends the exception of this cause, and the function that it interrupted, which returns `status`. To be branched
 * to from an exception handler, with a stack pointer that does not matter. */
__attribute__((noreturn)) void device_leave(int32_t status, uint32_t cause);

/* Starts the firmware anew. */
__attribute__((noreturn)) void device_restart(void);

#endif
