/* Checks of arguments, and the answers that several requests share. */
#include "rpc_values.h"
#include "rpc_link.h"
#include "rpc_packet.h"

enum { CPU_DEVICE = 1 };

#define packet tvmtiny_rpc_packet

const char tvmtiny_rpc_bad_arguments[] = "arguments of the wrong number or type";
const char tvmtiny_rpc_bad_handle[] = "no such handle";

int32_t tvmtiny_rpc_equal(const char *a, const char *b)
{
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

int32_t tvmtiny_rpc_values_are(const char *types)
{
  uint32_t i;

  tvmtiny_rpc_read_values();
  if (tvmtiny_rpc_packet_complete() == 0) {
    return 0;
  }
  for (i = 0; i < packet.count && types[i] != '\0'; ++i) {
    const struct tvmtiny_rpc_value *value = &packet.values[i];
    const uint32_t type = value->type;
    uint32_t right = 0;

    if (types[i] == 'i') {
      right = type == TVMTINY_RPC_INT || type == TVMTINY_RPC_BOOL;
    } else if (types[i] == 'h') {
      right = type == TVMTINY_RPC_HANDLE || type == TVMTINY_RPC_NONE;
    } else if (types[i] == 'd') {
      right = type == TVMTINY_RPC_DEVICE;
    } else if (types[i] == 't') {
      right = type == TVMTINY_RPC_TENSOR;
    } else if (types[i] == 'y') {
      right = type == TVMTINY_RPC_DTYPE;
    } else {
      right = type == TVMTINY_RPC_STRING || (types[i] == 'o' && type == TVMTINY_RPC_NONE);
    }
    if (right == 0u) {
      break;
    }
  }
  if (i != packet.count || types[i] != '\0') {
    tvmtiny_rpc_fail(tvmtiny_rpc_bad_arguments);
    return 0;
  }
  return 1;
}

uint32_t tvmtiny_rpc_number(uint32_t index)
{
  const uint64_t value = (uint64_t)packet.values[index].as.integer;

  return value >> 32 == 0u ? (uint32_t)value : UINT32_MAX;
}

int32_t tvmtiny_rpc_is_this_device(uint32_t index)
{
  return packet.values[index].as.integer == CPU_DEVICE;
}

int32_t tvmtiny_rpc_check_device(uint32_t index)
{
  if (tvmtiny_rpc_is_this_device(index) == 0) {
    tvmtiny_rpc_fail("a board has one device, cpu(0)");
    return 0;
  }
  return 1;
}

void tvmtiny_rpc_return_none(void)
{
  tvmtiny_rpc_return_number(TVMTINY_RPC_NONE, 0);
}

