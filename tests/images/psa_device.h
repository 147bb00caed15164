/* PSA Crypto on a board; see psa_device.c. */
#ifndef PSA_DEVICE_H
#define PSA_DEVICE_H

#include <stdint.h>

/* Returns 0 if PSA Crypto is ready. */
int32_t psa_device_start(void);

#endif
