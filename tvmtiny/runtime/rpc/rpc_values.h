/* Checks of arguments, and the answers that several requests share. Internal to the RPC server. */
#ifndef TVMTINY_RPC_VALUES_H
#define TVMTINY_RPC_VALUES_H

#include "tvmtiny_rpc.h"

extern const char tvmtiny_rpc_bad_arguments[];
extern const char tvmtiny_rpc_bad_handle[];

int32_t tvmtiny_rpc_equal(const char *a, const char *b);

/* Reads the packet's values, and says whether they are these and the packet is complete; fails it if
 * not. Types are letters, one a value: 'i' INT or BOOL, 'h' HANDLE or NONE, 'd' DEVICE, 't' TENSOR,
 * 's' STRING, 'o' STRING or NONE, 'y' DTYPE. */
int32_t tvmtiny_rpc_values_are(const char *types);

/* The integer or handle at an index, if it has at most 32 bits; UINT32_MAX for all others. */
uint32_t tvmtiny_rpc_number(uint32_t index);

/* Whether the device at an index is cpu(0); the second fails the packet if not. */
int32_t tvmtiny_rpc_is_this_device(uint32_t index);
int32_t tvmtiny_rpc_check_device(uint32_t index);

void tvmtiny_rpc_return_none(void);

#endif
