/* Calls of functions that may fault or never end. */
#ifndef TVMTINY_QEMU_PROTECT_H
#define TVMTINY_QEMU_PROTECT_H

#include <stdint.h>

/* Whether such a function runs. */
uint32_t device_is_guarded(void);

/* Ends the exception whose EXC_RETURN this is, and the function that it interrupted: it returns `status`.
 * To be branched to from an exception handler, with a stack pointer that does not matter. */
__attribute__((noreturn)) void device_leave(int32_t status, uint32_t exc_return);

#endif
