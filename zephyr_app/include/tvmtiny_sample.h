/* Input data that can be made anywhere, and what a model should give for it. */
#ifndef TVMTINY_SAMPLE_H
#define TVMTINY_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "tvmtiny_models.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a model forget earlier runs and writes sample `index` into all of its inputs: element i has
 * the bits (37 * i + 101 * index + 11) & 0xff as int8 or uint8, which float32 divides by 128. */
void tvmtiny_sample_fill(const struct tvmtiny_model *model, uint32_t index);

/* CRC-32 (that of zlib) of all outputs, one after the other. */
uint32_t tvmtiny_sample_crc(const struct tvmtiny_model *model);

/* Whether what sample `index` should give is known. */
bool tvmtiny_sample_known(const struct tvmtiny_model *model, uint32_t index);

/* Whether the outputs are those of sample `index`; true where that is not known. */
bool tvmtiny_sample_matches(const struct tvmtiny_model *model, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
