#include <stdint.h>
#include <zephyr/kernel.h>

#include "device.h"

/* Memory for a host's allocations, with the symbols that the linker script defines in bare-metal
 * firmware. */
uint8_t device_heap_start[CONFIG_TVMTINY_APP_RPC_HEAP_BYTES] __attribute__((aligned(16)));

#define TEXT_OF(value) #value
#define EXPANDED_TEXT_OF(value) TEXT_OF(value)
__asm__(".global device_heap_end\n"
        ".set device_heap_end, device_heap_start + " EXPANDED_TEXT_OF(
            CONFIG_TVMTINY_APP_RPC_HEAP_BYTES));

#ifdef CONFIG_TVMTINY_APP_RUNNER
BUILD_ASSERT(CONFIG_TVMTINY_APP_RUNNER_BYTES % 64 == 0, "the host writes blocks of 64 bytes");

/* Emulators translate code in pages, so candidates get pages of their own if there is enough room.
 */
#if CONFIG_TVMTINY_APP_RUNNER_BYTES >= 262144
#define CANDIDATES_ALIGNMENT 4096
#else
#define CANDIDATES_ALIGNMENT 64
#endif

/* Memory into which tuning candidates are loaded. */
__noinit uint8_t device_candidates_start[CONFIG_TVMTINY_APP_RUNNER_BYTES]
    __attribute__((aligned(CANDIDATES_ALIGNMENT)));
__asm__(".global device_candidates_end\n"
        ".set device_candidates_end, device_candidates_start + " EXPANDED_TEXT_OF(
            CONFIG_TVMTINY_APP_RUNNER_BYTES));
#endif

int main(void)
{
  device_main();
  return 0;
}
