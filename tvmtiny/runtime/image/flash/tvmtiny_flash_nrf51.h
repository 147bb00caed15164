/* Flash of Nordic's nRF51 and nRF52, for example on the micro:bit, which QEMU emulates. */
#ifndef TVMTINY_FLASH_NRF51_H
#define TVMTINY_FLASH_NRF51_H

#include "tvmtiny_slots.h"

/* Offsets are addresses. The processor stalls while a page is erased (about 20 ms) or a word is
 * written (about 50 us). */
extern const struct tvmtiny_flash tvmtiny_flash_nrf51;

#endif
