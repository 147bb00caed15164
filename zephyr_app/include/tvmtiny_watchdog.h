/* A watchdog that monitors each step of an inference. */
#ifndef TVMTINY_WATCHDOG_H
#define TVMTINY_WATCHDOG_H

/* Start and stop the watchdog; it must be fed in between. */
void tvmtiny_watchdog_begin(void);
void tvmtiny_watchdog_end(void);

/* Called between two steps: feeds the watchdog, and lets other threads run. */
void tvmtiny_watchdog_pause(void);

#endif
