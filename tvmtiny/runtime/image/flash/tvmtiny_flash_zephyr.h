/* Memory-mapped flash with a Zephyr driver. */
#ifndef TVMTINY_FLASH_ZEPHYR_H
#define TVMTINY_FLASH_ZEPHYR_H

#include <zephyr/device.h>

#include "tvmtiny_slots.h"

/* Initializes `flash` for a device, DEVICE_DT_GET(DT_CHOSEN(zephyr_flash_controller)), with the
 * address at which it is mapped and the size of its pages. Returns 0, or -EINVAL if its write unit
 * exceeds 4 bytes. */
int32_t tvmtiny_flash_zephyr(struct tvmtiny_flash *flash, const struct device *device,
                             const uint8_t *base, uint32_t page_bytes);

#endif
