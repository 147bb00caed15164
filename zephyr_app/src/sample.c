#include <stddef.h>

#include "tvmtiny_sample.h"

/* Compares C strings; string.h is not there in freestanding builds. */
static bool same_text(const char *a, const char *b)
{
  while (*a == *b && *a != '\0') {
    ++a;
    ++b;
  }
  return *a == *b;
}

const struct tvmtiny_model *tvmtiny_model_find(const char *name)
{
  for (uint32_t i = 0; i < tvmtiny_model_count; ++i) {
    if (same_text(tvmtiny_models[i].name, name)) {
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

static void fill(const struct tvmtiny_tensor *tensor, void *data, uint32_t sample)
{
  if (same_text(tensor->dtype, "float32")) {
    float *to = (float *)data;

    for (uint32_t i = 0; i < tensor->bytes / sizeof(float); ++i) {
      to[i] = (float)element(i, sample) / 128.0f;
    }
  } else if (same_text(tensor->dtype, "int32")) {
    int32_t *to = (int32_t *)data;

    for (uint32_t i = 0; i < tensor->bytes / sizeof(int32_t); ++i) {
      to[i] = element(i, sample);
    }
  } else if (same_text(tensor->dtype, "int16")) {
    int16_t *to = (int16_t *)data;

    for (uint32_t i = 0; i < tensor->bytes / sizeof(int16_t); ++i) {
      to[i] = (int16_t)element(i, sample);
    }
  } else {
    uint8_t *to = (uint8_t *)data;

    for (uint32_t i = 0; i < tensor->bytes; ++i) {
      to[i] = (uint8_t)element(i, sample);
    }
  }
}

void tvmtiny_sample_fill(const struct tvmtiny_model *model, uint32_t index)
{
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
