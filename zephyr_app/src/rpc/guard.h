/* Guarded calls of functions that may fault or never return. */
#ifndef TVMTINY_ZEPHYR_GUARD_H
#define TVMTINY_ZEPHYR_GUARD_H

#include <stdbool.h>

#ifdef CONFIG_TVMTINY_APP_MLPERF
/* MLPerf Tiny's runner makes no such calls. */
static inline bool guard_is_active(void)
{
  return false;
}

static inline void guard_abort(void)
{
}
#else
/* Whether a guarded call is running. */
bool guard_is_active(void);

/* Ends the guarded call; may be called from an interrupt. */
void guard_abort(void);
#endif

#endif
