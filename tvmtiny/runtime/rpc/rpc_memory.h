/* The host's memory: allocations and slots, and what copies between them and the host. Internal to the
 * RPC server. */
#ifndef TVMTINY_RPC_MEMORY_H
#define TVMTINY_RPC_MEMORY_H

#include "tvmtiny_rpc.h"

void tvmtiny_rpc_memory_start(const struct tvmtiny_rpc_application *application);

/* Gives the memory of a tensor of which so many bytes are used; fails the packet if it has less. */
uint8_t *tvmtiny_rpc_memory_of(const struct tvmtiny_rpc_value *tensor, uint32_t bytes);

/* Requests. */
void tvmtiny_rpc_serve_copy_from_remote(void);
void tvmtiny_rpc_serve_copy_to_remote(void);
void tvmtiny_rpc_serve_copy_among_remote(void);
void tvmtiny_rpc_serve_alloc_data(void);
void tvmtiny_rpc_serve_alloc_data_with_scope(void);
void tvmtiny_rpc_serve_free_data(void);

#endif
