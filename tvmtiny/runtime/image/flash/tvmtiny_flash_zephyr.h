/* A flash that Zephyr drives and that is read as memory. */
#ifndef TVMTINY_FLASH_ZEPHYR_H
#define TVMTINY_FLASH_ZEPHYR_H

#include <zephyr/device.h>

#include "tvmtiny_slots.h"

/* Fills `flash` for a device: DEVICE_DT_GET(DT_CHOSEN(zephyr_flash_controller)), the address that
 * it is read at, and the size of its pages. Returns 0, or -EINVAL where it writes units of more than 4 bytes. */
int32_t tvmtiny_flash_zephyr(struct tvmtiny_flash *flash, const struct device *device,
                             const uint8_t *base, uint32_t page_bytes);

#endif
