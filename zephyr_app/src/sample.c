#include <stddef.h>
#include <string.h>

#include "tvmtiny_sample.h"

const struct tvmtiny_model *tvmtiny_model_find(const char *name)
{
  for (uint32_t i = 0; i < tvmtiny_model_count; ++i) {
    if (strcmp(tvmtiny_models[i].name, name) == 0) {
      return &tvmtiny_models[i];
    }
  }
  return NULL;
}

static int32_t element(uint32_t position, uint32_t sample)
{
  const uint32_t bits = (37u * position + 101u * sample + 11u) & 0xffu;

  return bits < 128u ? (int32_t)bits : (int32_t)bits - 256;
}

/* Returns the bits of the float value / 128, for value from -128 to 127, without floating-point
 * code, which an application without an FPU may not otherwise contain. */
static uint32_t float_bits(int32_t value)
{
  const uint32_t magnitude = value < 0 ? (uint32_t)-value : (uint32_t)value;
  uint32_t top = 7u;

  if (magnitude == 0u) {
    return 0u;
  }
  while ((magnitude >> top) == 0u) {
    --top;
  }
  return (value < 0 ? 0x80000000u : 0u) | ((120u + top) << 23) |
         ((magnitude << (23u - top)) & 0x007fffffu);
}

static void fill(const struct tvmtiny_tensor *tensor, void *data, uint32_t sample)
{
  const bool is_float = tensor->dtype[0] == 'f';
  const uint32_t width = tensor->bytes / tensor->elements;
  uint8_t *to = (uint8_t *)data;

  for (uint32_t i = 0; i < tensor->elements; ++i) {
    const int32_t value = element(i, sample);
    uint32_t bits = is_float ? float_bits(value) : (uint32_t)value;

    /* Sign-extend integers; all boards are little-endian. */
    for (uint32_t byte = 0; byte < width; ++byte) {
      *to++ = (uint8_t)bits;
      bits >>= 8;
    }
  }
}

void tvmtiny_sample_fill(const struct tvmtiny_model *model, uint32_t index)
{
  if (model->reset != NULL) {
    model->reset();
  }
  for (uint32_t i = 0; i < model->input_count; ++i) {
    fill(&model->inputs[i], model->input(i), index);
  }
}

uint32_t tvmtiny_sample_crc(const struct tvmtiny_model *model)
{
  uint32_t crc = 0xffffffffu;

  for (uint32_t i = 0; i < model->output_count; ++i) {
    const uint8_t *byte = (const uint8_t *)model->output(i);
    const uint8_t *const end = byte + model->outputs[i].bytes;

    for (; byte != end; ++byte) {
      crc ^= *byte;
      for (uint32_t bit = 0; bit < 8u; ++bit) {
        crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xedb88320u : 0u);
      }
    }
  }
  return ~crc;
}

bool tvmtiny_sample_known(const struct tvmtiny_model *model, uint32_t index)
{
  return index < model->expected_count;
}

bool tvmtiny_sample_matches(const struct tvmtiny_model *model, uint32_t index)
{
  return !tvmtiny_sample_known(model, index) || tvmtiny_sample_crc(model) == model->expected[index];
}
