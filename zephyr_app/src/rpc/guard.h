/* Calls that may fault or never end. */
#ifndef TVMTINY_ZEPHYR_GUARD_H
#define TVMTINY_ZEPHYR_GUARD_H

#include <stdbool.h>

/* Whether such a call runs. */
bool guard_is_active(void);

/* Ends it; from an interrupt. */
void guard_abort(void);

#endif
