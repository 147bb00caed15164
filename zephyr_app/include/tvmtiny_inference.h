/* Runs one inference under Zephyr and measures it. */
#ifndef TVMTINY_INFERENCE_H
#define TVMTINY_INFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "tvmtiny_models.h"

struct tvmtiny_inference {
  const struct tvmtiny_model *model;
  uint32_t sample;
  int32_t status;
  /* Duration in cycles of k_cycle_get_32, and in microseconds. */
  uint32_t cycles;
  uint32_t microseconds;
  /* Stack of the calling thread: largest use since the thread started, and size. */
  uint32_t stack_used;
  uint32_t stack_size;
};

/* Runs the model on the current content of its inputs; `sample` is the sample number of that
 * content. */
struct tvmtiny_inference tvmtiny_infer(const struct tvmtiny_model *model, uint32_t sample);

/* Runs the model in steps, calling `pause` before the first step and after each one. A model that
 * was not compiled for steps runs as a whole. */
struct tvmtiny_inference tvmtiny_infer_in_steps(const struct tvmtiny_model *model, uint32_t sample,
                                                void (*pause)(void));

/* Describes how the outputs compare with those expected for the sample: "exact", "WRONG" or "not
 * checked". */
const char *tvmtiny_inference_verdict(const struct tvmtiny_inference *inference);

#endif
