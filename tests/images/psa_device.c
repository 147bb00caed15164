/* PSA Crypto of Mbed TLS on a board: memory for its numbers, and no random numbers, which verifying
 * a signature does not need. */
#include <psa/crypto.h>
#include <stddef.h>

#include "mbedtls/memory_buffer_alloc.h"
#include "psa_device.h"

static unsigned char heap[8192];

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
                                             uint8_t *output, size_t size, size_t *length)
{
    (void)context;
    (void)output;
    (void)size;
    *length = 0;
    return PSA_ERROR_INSUFFICIENT_ENTROPY;
}

/* What Mbed TLS names as its defaults, malloc and printf, would take memory from here. */
void *_sbrk(ptrdiff_t bytes);

void *_sbrk(ptrdiff_t bytes)
{
    (void)bytes;
    return (void *)-1;
}

int32_t psa_device_start(void)
{
    mbedtls_memory_buffer_alloc_init(heap, sizeof heap);
    return (int32_t)psa_crypto_init();
}
