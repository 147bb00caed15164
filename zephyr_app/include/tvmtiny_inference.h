/* One inference under Zephyr with what it took. */
#ifndef TVMTINY_INFERENCE_H
#define TVMTINY_INFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "tvmtiny_models.h"

struct tvmtiny_inference {
  const struct tvmtiny_model *model;
  uint32_t sample;
  int32_t status;
  /* Of k_cycle_get_32, and microseconds. */
  uint32_t cycles;
  uint32_t microseconds;
  /* Of the calling thread since it began. */
  uint32_t stack_used;
  uint32_t stack_size;
};

/* Runs the model on what is in its inputs; `sample` says what that is. */
struct tvmtiny_inference tvmtiny_infer(const struct tvmtiny_model *model, uint32_t sample);

/* The same in steps, with a call in front of the first one and after each; a model that was not
 * compiled for steps runs as a whole. */
struct tvmtiny_inference tvmtiny_infer_in_steps(const struct tvmtiny_model *model, uint32_t sample,
                                                void (*pause)(void));

/* How the outputs compare with the sample's: "exact", "WRONG" or "not checked". */
const char *tvmtiny_inference_verdict(const struct tvmtiny_inference *inference);

#endif
