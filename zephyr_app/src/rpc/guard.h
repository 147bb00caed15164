/* Guarded calls of functions that may fault or never return. */
#ifndef TVMTINY_ZEPHYR_GUARD_H
#define TVMTINY_ZEPHYR_GUARD_H

#include <stdbool.h>

/* Whether a guarded call is running. */
bool guard_is_active(void);

/* Ends the guarded call; may be called from an interrupt. */
void guard_abort(void);

#endif
