/* Monitors the thread that runs the models with Zephyr's task watchdog. Without hardware, the task
 * watchdog is a kernel timer. With CONFIG_WATCHDOG and the devicetree alias watchdog0, it also
 * works while interrupts are locked. */
#include <zephyr/device.h>
#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>
#include <zephyr/task_wdt/task_wdt.h>

#include "tvmtiny_watchdog.h"

LOG_MODULE_REGISTER(tvmtiny_watchdog, LOG_LEVEL_INF);

static int channel = -1;

void tvmtiny_watchdog_begin(void)
{
  static bool ready;

  if (!ready) {
#ifdef CONFIG_WATCHDOG
    const struct device *const hardware = DEVICE_DT_GET_OR_NULL(DT_ALIAS(watchdog0));
#else
    /* The devicetree may name a watchdog for which no driver is built. */
    const struct device *const hardware = NULL;
#endif
    const int status = task_wdt_init(hardware);

    if (status != 0) {
      LOG_ERR("no watchdog: %d", status);
      return;
    }
    ready = true;
  }
  /* Without a callback, the watchdog resets the processor. */
  channel = task_wdt_add(CONFIG_TVMTINY_APP_WATCHDOG_MS, NULL, NULL);
  if (channel < 0) {
    LOG_ERR("no channel of the watchdog: %d", channel);
  }
}

void tvmtiny_watchdog_pause(void)
{
  if (channel >= 0) {
    (void)task_wdt_feed(channel);
  }
  k_yield();
}

void tvmtiny_watchdog_end(void)
{
  if (channel >= 0) {
    (void)task_wdt_delete(channel);
    channel = -1;
  }
}
