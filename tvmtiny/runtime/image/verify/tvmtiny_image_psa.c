/* ECDSA-P256 with PSA Crypto. */
#include <psa/crypto.h>

#include "tvmtiny_image_verify.h"

int32_t tvmtiny_image_psa(const uint8_t *public_key, const uint8_t *digest, const uint8_t *signature)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_key_id_t key = 0;
    psa_status_t status;
    /* An uncompressed point as specified by SEC 1. */
    uint8_t point[65];
    uint32_t i;

    point[0] = 4u;
    for (i = 0; i < 64u; ++i) {
        point[1u + i] = public_key[i];
    }
    psa_set_key_type(&attributes, PSA_KEY_TYPE_ECC_PUBLIC_KEY(PSA_ECC_FAMILY_SECP_R1));
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_VERIFY_HASH);
    psa_set_key_algorithm(&attributes, PSA_ALG_ECDSA(PSA_ALG_SHA_256));
    status = psa_import_key(&attributes, point, sizeof point, &key);
    if (status == PSA_SUCCESS) {
        status = psa_verify_hash(key, PSA_ALG_ECDSA(PSA_ALG_SHA_256), digest, 32u, signature, 64u);
        (void)psa_destroy_key(key);
    }
    return (int32_t)status;
}
