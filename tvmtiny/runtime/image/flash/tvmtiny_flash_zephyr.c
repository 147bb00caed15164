/* Flash access through Zephyr's flash API. */
#include <errno.h>

#include <zephyr/drivers/flash.h>

#include "tvmtiny_flash_zephyr.h"

struct pages {
    const struct device *device;
    uint32_t bytes;
};

/* A single flash holds the slots of all models. */
static struct pages pages;

static int32_t erase(void *context, uint32_t offset)
{
    const struct pages *const own = (const struct pages *)context;

    return (int32_t)flash_erase(own->device, (off_t)offset, own->bytes);
}

static int32_t write(void *context, uint32_t offset, const uint8_t *data, uint32_t bytes)
{
    const struct pages *const own = (const struct pages *)context;

    return (int32_t)flash_write(own->device, (off_t)offset, data, bytes);
}

int32_t tvmtiny_flash_zephyr(struct tvmtiny_flash *flash, const struct device *device,
                             const uint8_t *base, uint32_t page_bytes)
{
    if (flash_get_write_block_size(device) > 4u) {
        return -EINVAL;
    }
    pages.device = device;
    pages.bytes = page_bytes;
    flash->base = base;
    flash->page_bytes = page_bytes;
    flash->erase = erase;
    flash->write = write;
    flash->context = &pages;
    return 0;
}
