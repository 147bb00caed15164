/* Input data that host and device can both generate, and checks of the outputs for it. */
#ifndef TVMTINY_SAMPLE_H
#define TVMTINY_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "tvmtiny_models.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Resets the model's state and writes sample `index` into all of its inputs: element i has the bits
 * (37 * i + 101 * index + 11) & 0xff as int8 or uint8; float32 is that int8 divided by 128. */
void tvmtiny_sample_fill(const struct tvmtiny_model *model, uint32_t index);

/* Computes the CRC-32 (that of zlib) over all outputs in order. */
uint32_t tvmtiny_sample_crc(const struct tvmtiny_model *model);

/* Whether the expected outputs for sample `index` are known. */
bool tvmtiny_sample_known(const struct tvmtiny_model *model, uint32_t index);

/* Whether the outputs match those expected for sample `index`; true if they are unknown. */
bool tvmtiny_sample_matches(const struct tvmtiny_model *model, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
