/* The models of this application as a table. Each model's own header, such as kws.h, declares the
 * same functions without the indirection. */
#ifndef TVMTINY_MODELS_H
#define TVMTINY_MODELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An input or an output. */
struct tvmtiny_tensor {
  const char *name;
  const char *dtype;
  uint32_t bytes;
  uint32_t elements;
};

struct tvmtiny_model {
  const char *name;
  /* Runs one inference on the content of the inputs; returns TVMTINY_OK or one of TVMTINY_ERROR_*.
   */
  int32_t (*run)(void);
  /* Run the inference in steps if the model was compiled for that; NULL otherwise. `begin` abandons
   * an unfinished inference; `step` returns 1 while more steps remain, and 2 with the last one. */
  int32_t (*begin)(void);
  int32_t (*step)(void);
  /* Return the memory of input or output `index`. A run may reuse the memory of an input for other
   * data, so each input must be filled again before each run. */
  void *(*input)(uint32_t index);
  void *(*output)(uint32_t index);
  /* Resets the state that the model keeps between runs; NULL for a stateless model. */
  void (*reset)(void);
  const struct tvmtiny_tensor *inputs;
  const struct tvmtiny_tensor *outputs;
  uint32_t input_count;
  uint32_t output_count;
  uint32_t arena_bytes;
  uint32_t state_bytes;
  uint32_t constants_bytes;
  uint32_t layer_count;
  uint32_t macs;
  /* Deepest stack of a run, counted from its caller's frame, in bytes; 0 if unknown. */
  uint32_t stack_bytes;
  /* CRC-32 of all outputs for the samples 0, 1, ... of tvmtiny_sample_fill, according to the
   * reference kernels; none for a model with float outputs. */
  const uint32_t *expected;
  uint32_t expected_count;
};

extern const struct tvmtiny_model tvmtiny_models[];
extern const uint32_t tvmtiny_model_count;

/* Returns the model of that name, or NULL. */
const struct tvmtiny_model *tvmtiny_model_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
