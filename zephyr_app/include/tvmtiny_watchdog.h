/* A watchdog that waits for each step of an inference. */
#ifndef TVMTINY_WATCHDOG_H
#define TVMTINY_WATCHDOG_H

/* From here on it has to be fed; until the end. */
void tvmtiny_watchdog_begin(void);
void tvmtiny_watchdog_end(void);

/* Between two steps: feeds the watchdog, and lets other threads run. */
void tvmtiny_watchdog_pause(void);

#endif
