#include <zephyr/kernel.h>

#include "tvmtiny_inference.h"
#include "tvmtiny_sample.h"

static int32_t run_in_steps(const struct tvmtiny_model *model, void (*pause)(void))
{
  int32_t status = model->begin();

  /* Values of TVMTINY_MORE and TVMTINY_DONE in the models' own headers. */
  while (status == 0 || status == 1) {
    pause();
    status = model->step();
  }
  pause();
  return status == 2 ? 0 : status;
}

struct tvmtiny_inference tvmtiny_infer(const struct tvmtiny_model *model, uint32_t sample)
{
  return tvmtiny_infer_in_steps(model, sample, NULL);
}

struct tvmtiny_inference tvmtiny_infer_in_steps(const struct tvmtiny_model *model, uint32_t sample,
                                                void (*pause)(void))
{
  struct tvmtiny_inference inference = {.model = model, .sample = sample};
  const uint32_t begin = k_cycle_get_32();

  if (pause != NULL && model->step != NULL) {
    inference.status = run_in_steps(model, pause);
  } else {
    inference.status = model->run();
  }
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
