/* The memory that the host allocates. Handles are numbers, never addresses, and one that was freed is
 * not given again soon. Internal to the RPC server. */
#ifndef TVMTINY_RPC_HEAP_H
#define TVMTINY_RPC_HEAP_H

#include "tvmtiny_rpc.h"

#define TVMTINY_RPC_NO_HANDLE 0u

struct tvmtiny_rpc_heap_state {
  uint32_t bytes;
  uint32_t free_bytes;
  uint32_t largest_free_bytes;
};

/* Frees everything. */
void tvmtiny_rpc_heap_start(void *heap, uint32_t bytes);
/* The alignment is a power of two. Returns TVMTINY_RPC_NO_HANDLE if there is no room. */
uint32_t tvmtiny_rpc_heap_allocate(uint32_t bytes, uint32_t alignment);
/* Returns 0 if there is no such allocation. */
int32_t tvmtiny_rpc_heap_free(uint32_t handle);
int32_t tvmtiny_rpc_heap_find(uint32_t handle, struct tvmtiny_rpc_range *range);
/* Memory without a handle, and how all of it is freed together. */
void *tvmtiny_rpc_heap_allocate_temporary(uint32_t bytes);
void tvmtiny_rpc_heap_free_temporary(void);
void tvmtiny_rpc_heap_state(struct tvmtiny_rpc_heap_state *state);

#endif
