/* What all the other files copy with. */
#include "tvmtiny_rpc.h"

void tvmtiny_rpc_copy(void *to, const void *from, uint32_t bytes)
{
  uint8_t *target = (uint8_t *)to;
  const uint8_t *source = (const uint8_t *)from;
  const uint32_t aligned = (((uintptr_t)target | (uintptr_t)source) & 3u) == 0u;

  if ((uintptr_t)target - (uintptr_t)source >= bytes) {
    if (aligned != 0u) {
      for (; bytes >= 4u; bytes -= 4u) {
        *(uint32_t __attribute__((may_alias)) *)(void *)target =
            *(const uint32_t __attribute__((may_alias)) *)(const void *)source;
        target += 4;
        source += 4;
      }
    }
    while (bytes != 0u) {
      *target++ = *source++;
      --bytes;
    }
  } else {
    while (bytes != 0u) {
      --bytes;
      target[bytes] = source[bytes];
    }
  }
}
