/* TVM's packets: reading one from the link, value by value, and writing one. Nothing that a host sends
 * can be wrong in a way that is not noticed here. Internal to the RPC server. */
#ifndef TVMTINY_RPC_PACKET_H
#define TVMTINY_RPC_PACKET_H

#include "tvmtiny_rpc.h"

/* RPCCode of TVM's src/runtime/rpc/minrpc/rpc_reference.h. */
enum tvmtiny_rpc_code {
  TVMTINY_RPC_SHUTDOWN = 1,
  TVMTINY_RPC_INIT_SERVER = 2,
  TVMTINY_RPC_CALL_FUNC = 3,
  TVMTINY_RPC_RETURN = 4,
  TVMTINY_RPC_EXCEPTION = 5,
  TVMTINY_RPC_COPY_FROM_REMOTE = 6,
  TVMTINY_RPC_COPY_TO_REMOTE = 7,
  TVMTINY_RPC_COPY_ACK = 8,
  TVMTINY_RPC_GET_GLOBAL_FUNC = 9,
  TVMTINY_RPC_FREE_HANDLE = 10,
  TVMTINY_RPC_DEV_SET_DEVICE = 11,
  TVMTINY_RPC_DEV_GET_ATTR = 12,
  TVMTINY_RPC_DEV_ALLOC_DATA = 13,
  TVMTINY_RPC_DEV_FREE_DATA = 14,
  TVMTINY_RPC_DEV_STREAM_SYNC = 15,
  TVMTINY_RPC_COPY_AMONG_REMOTE = 16,
  TVMTINY_RPC_DEV_ALLOC_DATA_WITH_SCOPE = 17,
  TVMTINY_RPC_CODES = 18
};

/* TVMFFITypeIndex of tvm_ffi's c_api.h, as far as values arrive in other forms than they are kept in. */
enum tvmtiny_rpc_wire_type {
  TVMTINY_RPC_WIRE_RAW_STRING = 8,
  TVMTINY_RPC_WIRE_BYTE_ARRAY = 9,
  TVMTINY_RPC_WIRE_SMALL_STRING = 11,
  TVMTINY_RPC_WIRE_SMALL_BYTES = 12
};

/* The packet that is read: how much of it is left, and the first thing that was wrong with it. */
struct tvmtiny_rpc_packet {
  uint32_t left;
  const char *error;
  uint32_t count;
  struct tvmtiny_rpc_value values[TVMTINY_RPC_ARGUMENTS];
};

extern struct tvmtiny_rpc_packet tvmtiny_rpc_packet;

/* Remembers an error, unless there is one already. */
void tvmtiny_rpc_fail(const char *error);
/* Whether the packet was read to its end, nothing was wrong, and the stream goes on. */
int32_t tvmtiny_rpc_packet_complete(void);

void tvmtiny_rpc_read(void *to, uint32_t bytes);
uint32_t tvmtiny_rpc_read_word(void);
/* 64 bits; UINT32_MAX stands for all that is larger. */
uint32_t tvmtiny_rpc_read_size(void);
/* A DLTensor. */
void tvmtiny_rpc_read_tensor(struct tvmtiny_rpc_value *value);
/* Values with their number and types, into tvmtiny_rpc_packet. */
void tvmtiny_rpc_read_values(void);

/* Starts a packet of a code and that many bytes behind it. */
void tvmtiny_rpc_write_packet(uint32_t code, uint32_t bytes);
void tvmtiny_rpc_write_word(uint32_t word);
/* The answer to a system call: one integer, handle or none. */
void tvmtiny_rpc_return_number(uint32_t type, uint32_t number);
/* The answer to a call of a function. */
void tvmtiny_rpc_return_value(const struct tvmtiny_rpc_value *value);
void tvmtiny_rpc_return_exception(const char *text, const struct tvmtiny_rpc_word *words,
                                  uint32_t count);

#endif
