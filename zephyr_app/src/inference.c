#include <zephyr/kernel.h>

#include "tvmtiny_inference.h"
#include "tvmtiny_sample.h"

struct tvmtiny_inference tvmtiny_infer(const struct tvmtiny_model *model, uint32_t sample)
{
  struct tvmtiny_inference inference = {.model = model, .sample = sample};
  const uint32_t begin = k_cycle_get_32();

  inference.status = model->run();
  inference.cycles = k_cycle_get_32() - begin;
  inference.microseconds = k_cyc_to_us_floor32(inference.cycles);
#if defined(CONFIG_INIT_STACKS) && defined(CONFIG_THREAD_STACK_INFO)
  size_t unused;

  if (k_thread_stack_space_get(k_current_get(), &unused) == 0) {
    inference.stack_size = (uint32_t)k_current_get()->stack_info.size;
    inference.stack_used = inference.stack_size - (uint32_t)unused;
  }
#endif
  return inference;
}

const char *tvmtiny_inference_verdict(const struct tvmtiny_inference *inference)
{
  if (inference->status != 0) {
    return "FAILED";
  }
  if (!tvmtiny_sample_known(inference->model, inference->sample)) {
    return "not checked";
  }
  return tvmtiny_sample_matches(inference->model, inference->sample) ? "exact" : "WRONG";
}
