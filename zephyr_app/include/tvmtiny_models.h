/* The models of this application, as a table. Each model's own header, such as kws.h, offers the
 * same without the indirection. */
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
  /* One inference on what is in the inputs; TVMTINY_OK or one of TVMTINY_ERROR_*. */
  int32_t (*run)(void);
  /* The same in steps, where the model was compiled for that; NULL otherwise. `begin` gives up one
   * that is not done; `step` returns 1 while there are more steps, and 2 with the last one. */
  int32_t (*begin)(void);
  int32_t (*step)(void);
  /* Memory of input or output `index`. That of an input is free for other data during a run, so
   * that it has to be filled anew before each. */
  void *(*input)(uint32_t index);
  void *(*output)(uint32_t index);
  /* Makes it forget what it remembers from one run to the next; NULL where it remembers nothing. */
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
  /* Deepest stack of a run below its caller; 0 where it is not known. */
  uint32_t stack_bytes;
  /* CRC-32 of all outputs for the samples 0, 1, ... of tvmtiny_sample_fill, as the reference
   * kernels compute them; none for models whose outputs are floats. */
  const uint32_t *expected;
  uint32_t expected_count;
};

extern const struct tvmtiny_model tvmtiny_models[];
extern const uint32_t tvmtiny_model_count;

/* The model of that name, or NULL. */
const struct tvmtiny_model *tvmtiny_model_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
