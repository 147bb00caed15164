/* SHA-256 as specified by FIPS 180-4. C99, freestanding, no heap. */
#ifndef TVMTINY_SHA256_H
#define TVMTINY_SHA256_H

#include <stdint.h>

#define TVMTINY_SHA256_BYTES 32u

struct tvmtiny_sha256 {
    uint32_t words[8];
    uint8_t block[64];
    uint32_t bytes;
};

void tvmtiny_sha256_begin(struct tvmtiny_sha256 *hash);
void tvmtiny_sha256_add(struct tvmtiny_sha256 *hash, const uint8_t *data, uint32_t bytes);
void tvmtiny_sha256_end(struct tvmtiny_sha256 *hash, uint8_t digest[TVMTINY_SHA256_BYTES]);

#endif
