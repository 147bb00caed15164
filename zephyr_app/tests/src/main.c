/* Checks that every model must pass on every board. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "tvmtiny_inference.h"
#include "tvmtiny_sample.h"

#define SAMPLES 4u

static uint32_t checks;
static uint32_t failures;

static void check(bool condition, const struct tvmtiny_model *model, const char *what,
                  uint32_t sample)
{
  ++checks;
  if (!condition) {
    ++failures;
    printk("tvmtiny: %s, sample %u: %s\n", model->name, sample, what);
  }
}

static uint32_t infer(const struct tvmtiny_model *model, uint32_t sample)
{
  struct tvmtiny_inference result;

  tvmtiny_sample_fill(model, sample);
  result = tvmtiny_infer(model, sample);
  check(result.status == 0, model, "returned a status", sample);
  check(result.stack_used < result.stack_size, model, "used the whole stack", sample);
  return tvmtiny_sample_crc(model);
}

static void check_model(const struct tvmtiny_model *model)
{
  uint32_t crcs[SAMPLES];

  check(model->input_count > 0u && model->output_count > 0u, model, "has no tensors", 0u);
  check(((uintptr_t)model->input(0) & 3u) == 0u, model, "has an input that is not aligned", 0u);
  check(tvmtiny_model_find(model->name) == model, model, "is not found by its name", 0u);
  for (uint32_t i = 0; i < SAMPLES; ++i) {
    crcs[i] = infer(model, i);
    check(tvmtiny_sample_matches(model, i), model, "gives something else", i);
  }
  /* Run the samples again: earlier inferences must not affect the results. */
  for (uint32_t i = 0; i < SAMPLES; ++i) {
    check(infer(model, i) == crcs[i], model, "gives something else the second time", i);
  }
}

int main(void)
{
  for (uint32_t m = 0; m < tvmtiny_model_count; ++m) {
    check_model(&tvmtiny_models[m]);
  }
  if (failures == 0u) {
    printk("tvmtiny: %u checks passed\n", checks);
  } else {
    printk("tvmtiny: %u of %u checks failed\n", failures, checks);
  }
  return 0;
}
