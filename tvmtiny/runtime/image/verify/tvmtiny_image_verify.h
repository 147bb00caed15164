/* Signature verification: adapters for libraries, each in its own file. Use the file for the
 * library that the firmware has; the other files in this folder are not needed. All functions
 * return 0 if the signature of the digest is valid. */
#ifndef TVMTINY_IMAGE_VERIFY_H
#define TVMTINY_IMAGE_VERIFY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ed25519 with Monocypher 4: monocypher.c and monocypher.h. About 2.5 KB of stack. */
int32_t tvmtiny_image_monocypher(const uint8_t *public_key, const uint8_t *digest,
                                 const uint8_t *signature);

/* ECDSA-P256 with PSA Crypto, for example that of Mbed TLS or Zephyr; call psa_crypto_init first.
 */
int32_t tvmtiny_image_psa(const uint8_t *public_key, const uint8_t *digest,
                          const uint8_t *signature);

#ifdef __cplusplus
}
#endif

#endif
