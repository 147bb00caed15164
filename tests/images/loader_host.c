/* The loader on this machine: reads images from stdin, each with its size before it, and writes a status for
 * each. Each lies in memory of exactly its size, so that a sanitizer sees every byte too far. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WITH_PSA
#include <psa/crypto.h>
#endif

#include "platform.h"
#include "tvmtiny_image.h"

int main(void)
{
    uint32_t bytes;

#ifdef WITH_PSA
    if (psa_crypto_init() != PSA_SUCCESS) {
        return 4;
    }
#endif
    while (fread(&bytes, 1, 4, stdin) == 4) {
        /* The end of the memory is the end of the image; its beginning stays aligned. */
        uint8_t *const whole = aligned_alloc(16, (bytes + 31u) & ~15u);
        uint8_t *const data = bytes != 0u ? realloc(whole, bytes) : whole;
        struct tvmtiny_image image;
        int32_t status;

        if (data == NULL || fread(data, 1, bytes, stdin) != bytes) {
            return 2;
        }
        memset(&image, 0xa5, sizeof image);
        status = tvmtiny_image_check(data, bytes, &platform, &image);
        if (status != 0 && (image.bytes != 0xa5a5a5a5u || tvmtiny_image_reason(status) == NULL)) {
            return 3;
        }
        fwrite(&status, 1, 4, stdout);
        free(data);
    }
    return 0;
}
