/* Shell commands: tvmtiny info, tvmtiny run MODEL [SAMPLE], tvmtiny bench MODEL [COUNT]. */
#include <stdlib.h>
#include <zephyr/kernel.h>
#include <zephyr/shell/shell.h>

#include "tvmtiny_inference.h"
#include "tvmtiny_sample.h"

#define DEFAULT_COUNT 10u

static const struct tvmtiny_model *find_model(const struct shell *shell, const char *name)
{
  const struct tvmtiny_model *model = tvmtiny_model_find(name);

  if (model == NULL) {
    shell_error(shell, "there is no model %s; tvmtiny info lists them", name);
  }
  return model;
}

/* Parses a number on the command line, keeping the default if there is none; returns false if the
 * text is not a number. */
static bool parse(const struct shell *shell, size_t argc, char **argv, uint32_t *value)
{
  char *end;

  if (argc < 3) {
    return true;
  }
  *value = (uint32_t)strtoul(argv[2], &end, 10);
  if (end == argv[2] || *end != '\0') {
    shell_error(shell, "%s is not a number", argv[2]);
    return false;
  }
  return true;
}

static void print_tensors(const struct shell *shell, const char *what,
                          const struct tvmtiny_tensor *tensors, uint32_t count)
{
  for (uint32_t i = 0; i < count; ++i) {
    shell_print(shell, "  %s %u: %s, %s, %u bytes", what, i, tensors[i].name, tensors[i].dtype,
                tensors[i].bytes);
  }
}

static int command_info(const struct shell *shell, size_t argc, char **argv)
{
  ARG_UNUSED(argc);
  ARG_UNUSED(argv);
  for (uint32_t m = 0; m < tvmtiny_model_count; ++m) {
    const struct tvmtiny_model *model = &tvmtiny_models[m];

    shell_print(shell, "%s: arena %u bytes, constants %u bytes, stack %u bytes, %u layers, %u MACs",
                model->name, model->arena_bytes, model->constants_bytes, model->stack_bytes,
                model->layer_count, model->macs);
    print_tensors(shell, "input", model->inputs, model->input_count);
    print_tensors(shell, "output", model->outputs, model->output_count);
  }
  return 0;
}

static void print_output(const struct shell *shell, const struct tvmtiny_tensor *tensor,
                         const uint8_t *data)
{
  shell_print(shell, "%s, %s:", tensor->name, tensor->dtype);
  shell_hexdump(shell, data, tensor->bytes);
}

static int command_run(const struct shell *shell, size_t argc, char **argv)
{
  const struct tvmtiny_model *model = find_model(shell, argv[1]);
  struct tvmtiny_inference result;
  uint32_t sample = 0;

  if (model == NULL || !parse(shell, argc, argv, &sample)) {
    return -EINVAL;
  }
  tvmtiny_sample_fill(model, sample);
  result = tvmtiny_infer(model, sample);
  if (result.status != 0) {
    shell_error(shell, "%s returned %d", model->name, result.status);
    return -EIO;
  }
  for (uint32_t i = 0; i < model->output_count; ++i) {
    print_output(shell, &model->outputs[i], (const uint8_t *)model->output(i));
  }
  shell_print(shell, "%s: sample %u %s, crc %08x, %u cycles, %u us, stack %u of %u bytes",
              model->name, sample, tvmtiny_inference_verdict(&result), tvmtiny_sample_crc(model),
              result.cycles, result.microseconds, result.stack_used, result.stack_size);
  return 0;
}

static int command_bench(const struct shell *shell, size_t argc, char **argv)
{
  const struct tvmtiny_model *model = find_model(shell, argv[1]);
  uint32_t count = DEFAULT_COUNT;
  uint32_t least = UINT32_MAX;
  uint32_t most = 0;
  uint64_t sum = 0;

  if (model == NULL || !parse(shell, argc, argv, &count)) {
    return -EINVAL;
  }
  if (count == 0u) {
    shell_error(shell, "nothing to run: give a count of 1 or more");
    return -EINVAL;
  }
  for (uint32_t i = 0; i < count; ++i) {
    struct tvmtiny_inference result;

    tvmtiny_sample_fill(model, 0u);
    result = tvmtiny_infer(model, 0u);
    if (result.status != 0) {
      shell_error(shell, "%s returned %d", model->name, result.status);
      return -EIO;
    }
    least = MIN(least, result.cycles);
    most = MAX(most, result.cycles);
    sum += result.cycles;
  }
  shell_print(shell, "%s: %u inferences, %u cycles on average, %u to %u, at %u Hz", model->name,
              count, (uint32_t)(sum / count), least, most, sys_clock_hw_cycles_per_sec());
  return 0;
}

SHELL_STATIC_SUBCMD_SET_CREATE(
    tvmtiny_commands,
    SHELL_CMD_ARG(info, NULL, "Models, their sizes and tensors", command_info, 1, 0),
    SHELL_CMD_ARG(run, NULL, "MODEL [SAMPLE]: one inference", command_run, 2, 1),
    SHELL_CMD_ARG(bench, NULL, "MODEL [COUNT]: many inferences", command_bench, 2, 1),
    SHELL_SUBCMD_SET_END);
SHELL_CMD_REGISTER(tvmtiny, &tvmtiny_commands, "Neural networks", NULL);
