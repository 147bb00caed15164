#include <stdint.h>

#include "device.h"

/* The memory for what a host allocates, with the symbols that bare-metal firmware has from its
 * linker script. */
uint8_t device_heap_start[CONFIG_TVMTINY_APP_RPC_HEAP_BYTES] __attribute__((aligned(16)));

#define TEXT_OF(value) #value
#define EXPANDED_TEXT_OF(value) TEXT_OF(value)
__asm__(".global device_heap_end\n"
        ".set device_heap_end, device_heap_start + " EXPANDED_TEXT_OF(
            CONFIG_TVMTINY_APP_RPC_HEAP_BYTES));

int main(void)
{
  device_main();
  return 0;
}
