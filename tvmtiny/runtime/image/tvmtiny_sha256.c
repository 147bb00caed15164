/* SHA-256, with the variable names of FIPS 180-4. */
#include "tvmtiny_sha256.h"

static const uint32_t constants[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
    0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
    0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
    0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
    0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
    0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
    0xc67178f2u};

static uint32_t rotated(uint32_t x, uint32_t count)
{
    return (x >> count) | (x << (32u - count));
}

static void add_block(uint32_t *words, const uint8_t *block)
{
    /* The most recent 16 words of the message schedule. */
    uint32_t w[16];
    uint32_t v[8];
    uint32_t t;
    uint32_t i;

    for (i = 0; i < 8u; ++i) {
        v[i] = words[i];
    }
    for (t = 0; t < 64u; ++t) {
        uint32_t first;
        uint32_t second;

        if (t < 16u) {
            const uint8_t *const from = block + 4u * t;

            w[t] = (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
                   (uint32_t)from[3];
        } else {
            const uint32_t early = w[(t + 1u) & 15u];
            const uint32_t late = w[(t + 14u) & 15u];

            w[t & 15u] += (rotated(early, 7) ^ rotated(early, 18) ^ (early >> 3)) +
                          w[(t + 9u) & 15u] +
                          (rotated(late, 17) ^ rotated(late, 19) ^ (late >> 10));
        }
        first = v[7] + (rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25)) +
                ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[t] + w[t & 15u];
        second = (rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)) +
                 ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (i = 7; i > 0u; --i) {
            v[i] = v[i - 1u];
        }
        v[4] += first;
        v[0] = first + second;
    }
    for (i = 0; i < 8u; ++i) {
        words[i] += v[i];
    }
}

void tvmtiny_sha256_begin(struct tvmtiny_sha256 *hash)
{
    static const uint32_t initial[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                        0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    uint32_t i;

    for (i = 0; i < 8u; ++i) {
        hash->words[i] = initial[i];
    }
    hash->bytes = 0;
}

void tvmtiny_sha256_add(struct tvmtiny_sha256 *hash, const uint8_t *data, uint32_t bytes)
{
    uint32_t i;

    for (i = 0; i < bytes; ++i) {
        hash->block[hash->bytes & 63u] = data[i];
        ++hash->bytes;
        if ((hash->bytes & 63u) == 0u) {
            add_block(hash->words, hash->block);
        }
    }
}

void tvmtiny_sha256_end(struct tvmtiny_sha256 *hash, uint8_t digest[TVMTINY_SHA256_BYTES])
{
    static const uint8_t one = 0x80u;
    static const uint8_t zero = 0u;
    const uint64_t bits = (uint64_t)hash->bytes << 3;
    uint8_t length[8];
    uint32_t i;

    for (i = 0; i < 8u; ++i) {
        length[i] = (uint8_t)(bits >> (56u - 8u * i));
    }
    tvmtiny_sha256_add(hash, &one, 1u);
    while ((hash->bytes & 63u) != 56u) {
        tvmtiny_sha256_add(hash, &zero, 1u);
    }
    tvmtiny_sha256_add(hash, length, 8u);
    for (i = 0; i < TVMTINY_SHA256_BYTES; ++i) {
        digest[i] = (uint8_t)(hash->words[i >> 2] >> (24u - 8u * (i & 3u)));
    }
}
