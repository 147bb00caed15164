/* Ed25519 (RFC 8032) with Monocypher's building blocks for EdDSA, which leave the hash to the
 * caller: SHA-512 of the signature's first half, the public key and the message. */
#include "monocypher.h"
#include "tvmtiny_image_verify.h"
#include "tvmtiny_sha512.h"

int32_t tvmtiny_image_monocypher(const uint8_t *public_key, const uint8_t *digest,
                                 const uint8_t *signature)
{
    struct tvmtiny_sha512 hash;
    uint8_t expanded[TVMTINY_SHA512_BYTES];
    uint8_t reduced[32];

    tvmtiny_sha512_begin(&hash);
    tvmtiny_sha512_add(&hash, signature, 32u);
    tvmtiny_sha512_add(&hash, public_key, 32u);
    tvmtiny_sha512_add(&hash, digest, 32u);
    tvmtiny_sha512_end(&hash, expanded);
    crypto_eddsa_reduce(reduced, expanded);
    return (int32_t)crypto_eddsa_check_equation(signature, public_key, reduced);
}
