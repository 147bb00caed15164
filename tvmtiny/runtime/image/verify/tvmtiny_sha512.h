/* SHA-512 as specified by FIPS 180-4, for Ed25519. C99, freestanding, no heap. */
#ifndef TVMTINY_SHA512_H
#define TVMTINY_SHA512_H

#include <stdint.h>

#define TVMTINY_SHA512_BYTES 64u

struct tvmtiny_sha512 {
    uint64_t words[8];
    uint8_t block[128];
    uint32_t bytes;
};

void tvmtiny_sha512_begin(struct tvmtiny_sha512 *hash);
void tvmtiny_sha512_add(struct tvmtiny_sha512 *hash, const uint8_t *data, uint32_t bytes);
void tvmtiny_sha512_end(struct tvmtiny_sha512 *hash, uint8_t digest[TVMTINY_SHA512_BYTES]);

#endif
