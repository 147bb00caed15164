/* What checks signatures of images: adapters to libraries, each in a file of its own. Take the file of the
 * library that the firmware has; nothing else of this folder is needed. All return 0 where the signature of
 * the digest is right. */
#ifndef TVMTINY_IMAGE_VERIFY_H
#define TVMTINY_IMAGE_VERIFY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ed25519 with Monocypher 4: monocypher.c and monocypher.h. About 2.5 KB of stack. */
int32_t tvmtiny_image_monocypher(const uint8_t *public_key, const uint8_t *digest,
                                 const uint8_t *signature);

/* ECDSA-P256 with PSA Crypto, such as mbedTLS's and Zephyr's; psa_crypto_init has been called. */
int32_t tvmtiny_image_psa(const uint8_t *public_key, const uint8_t *digest,
                          const uint8_t *signature);

#ifdef __cplusplus
}
#endif

#endif
