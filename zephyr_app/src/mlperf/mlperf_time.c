#include <zephyr/kernel.h>

#include "mlperf_time.h"

#define MICROSECONDS 1000000u

#ifdef CONFIG_TIMER_HAS_64BIT_CYCLE_COUNTER
static uint64_t first;

static uint64_t cycles(void)
{
  return k_cycle_get_64() - first;
}

void mlperf_time_start(void)
{
  first = k_cycle_get_64();
}
#else
static uint64_t counted;
static uint32_t last;

static uint64_t cycles(void)
{
  const unsigned int key = irq_lock();
  const uint32_t now = k_cycle_get_32();
  uint64_t sum;

  counted += now - last;
  last = now;
  sum = counted;
  irq_unlock(key);
  return sum;
}

static void on_second(struct k_timer *timer)
{
  ARG_UNUSED(timer);
  (void)cycles();
}

/* At 480 MHz, 32 bits of cycles are 9 seconds, but a window of the runner is 10 seconds or more. */
static K_TIMER_DEFINE(seconds, on_second, NULL);

void mlperf_time_start(void)
{
  last = k_cycle_get_32();
  k_timer_start(&seconds, K_SECONDS(1), K_SECONDS(1));
}
#endif

uint64_t mlperf_time(void)
{
  const uint64_t sum = cycles();
  const uint32_t hz = (uint32_t)sys_clock_hw_cycles_per_sec();

  return sum / hz * MICROSECONDS + sum % hz * MICROSECONDS / hz;
}
