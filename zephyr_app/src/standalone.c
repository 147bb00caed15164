/* An application structured like a product: a thread that simulates a sensor fills the input, the
 * main thread runs the model and passes the result to a callback, and the core sleeps between
 * samples. In the mode for steps, the model runs in steps that a watchdog monitors. With
 * CONFIG_TVMTINY_APP_DUTY_CYCLE, the main thread determines the period and measures its sleep. */
#include <zephyr/kernel.h>
#include <zephyr/logging/log.h>

#include "tvmtiny_inference.h"
#include "tvmtiny_sample.h"
#ifdef CONFIG_TVMTINY_APP_STEPS
#include "tvmtiny_watchdog.h"
#endif

LOG_MODULE_REGISTER(tvmtiny, LOG_LEVEL_INF);

#define SAMPLES 4u

typedef void (*result_callback)(const struct tvmtiny_inference *result);

static K_SEM_DEFINE(input_free, 0, 1);
static K_SEM_DEFINE(input_ready, 0, 1);
/* A sample is due at the end of the period, or as soon as this semaphore is given. */
static K_SEM_DEFINE(sample_wanted, 0, 1);
static const struct tvmtiny_model *sampled_model;
static uint32_t sample;

static void produce(const struct tvmtiny_model *model, uint32_t index)
{
  /* Write to the model's input directly, without a second buffer. */
  (void)k_sem_take(&input_free, K_FOREVER);
  (void)k_sem_take(&sample_wanted, K_MSEC(CONFIG_TVMTINY_APP_PERIOD_MS));
  sampled_model = model;
  sample = index;
  tvmtiny_sample_fill(model, index);
  k_sem_give(&input_ready);
}

static void sensor(void *a, void *b, void *c)
{
  ARG_UNUSED(a);
  ARG_UNUSED(b);
  ARG_UNUSED(c);
  for (uint32_t i = 0;; i = (i + 1u) % SAMPLES) {
    for (uint32_t m = 0; m < tvmtiny_model_count; ++m) {
      produce(&tvmtiny_models[m], i);
    }
  }
}

K_THREAD_DEFINE(sensor_thread, CONFIG_TVMTINY_APP_SENSOR_STACK_SIZE, sensor, NULL, NULL, NULL,
                K_LOWEST_APPLICATION_THREAD_PRIO, 0, 0);

static void report(const struct tvmtiny_inference *result)
{
  LOG_INF("%s: sample %u %s, crc %08x, %u cycles, %u us, stack %u of %u bytes", result->model->name,
          result->sample, tvmtiny_inference_verdict(result), tvmtiny_sample_crc(result->model),
          result->cycles, result->microseconds, result->stack_used, result->stack_size);
}

static struct tvmtiny_inference infer_next(void)
{
  struct tvmtiny_inference result;

  k_sem_give(&input_free);
  (void)k_sem_take(&input_ready, K_FOREVER);
#ifdef CONFIG_TVMTINY_APP_STEPS
  tvmtiny_watchdog_begin();
  result = tvmtiny_infer_in_steps(sampled_model, sample, tvmtiny_watchdog_pause);
  tvmtiny_watchdog_end();
#else
  result = tvmtiny_infer(sampled_model, sample);
#endif
  return result;
}

#ifdef CONFIG_TVMTINY_APP_DUTY_CYCLE
/* The differences of k_cycle_get_32 would wrap around in a longer period. */
BUILD_ASSERT((uint64_t)CONFIG_TVMTINY_APP_PERIOD_MS * CONFIG_SYS_CLOCK_HW_CYCLES_PER_SEC / 1000u <
                 UINT32_MAX / 2u,
             "TVMTINY_APP_PERIOD_MS is too long for the 32 bits of the cycle counter");

static void report_sleep(const struct tvmtiny_model *model, uint32_t asleep, uint32_t cycles)
{
  const uint32_t share = (uint32_t)((uint64_t)asleep * 10000u / cycles);

  LOG_INF("%s: asleep %u.%02u %% of %u cycles", model->name, share / 100u, share % 100u, cycles);
}

/* The callback and the report print between two periods, so that no period includes the time that
 * the console takes. */
static void infer_forever(result_callback callback)
{
  for (;;) {
    struct tvmtiny_inference result;
    int64_t deadline;
    uint32_t begin, awake, end;

    /* Begin at a tick, like the period's end. */
    (void)k_sleep(K_TICKS(1));
    begin = k_cycle_get_32();
    deadline = k_uptime_ticks() + (int64_t)k_ms_to_ticks_ceil64(CONFIG_TVMTINY_APP_PERIOD_MS);
    k_sem_give(&sample_wanted);
    result = infer_next();
    awake = k_cycle_get_32() - begin;
    if (k_uptime_ticks() < deadline) {
      /* No thread is ready, so the idle thread stops the core until an interrupt (WFI on Arm). */
      (void)k_sleep(K_TIMEOUT_ABS_TICKS(deadline));
      end = k_cycle_get_32();
    } else {
      LOG_WRN("%s: the inference exceeds the period", result.model->name);
      end = begin + awake;
    }
    callback(&result);
    report_sleep(result.model, end - begin - awake, end - begin);
  }
}
#else
static void infer_forever(result_callback callback)
{
  for (;;) {
    const struct tvmtiny_inference result = infer_next();

    callback(&result);
  }
}
#endif

int main(void)
{
  for (uint32_t m = 0; m < tvmtiny_model_count; ++m) {
    const struct tvmtiny_model *model = &tvmtiny_models[m];

    LOG_INF("%s: arena %u bytes, constants %u bytes, %u layers, %u MACs", model->name,
            model->arena_bytes, model->constants_bytes, model->layer_count, model->macs);
  }
  LOG_INF("%u Hz", sys_clock_hw_cycles_per_sec());
  infer_forever(report);
  return 0;
}
