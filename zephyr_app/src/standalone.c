/* An application structured like a product: a thread that simulates a sensor fills the input, the
 * main thread runs the model and passes the result to a callback, and the core sleeps between
 * samples. In the mode for steps, the model runs in steps that a watchdog monitors. */
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

static void infer_forever(result_callback callback)
{
  for (;;) {
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
    callback(&result);
  }
}

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
