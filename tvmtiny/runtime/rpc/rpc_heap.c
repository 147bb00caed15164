/* Allocations in a table, so that a program that overwrites its memory cannot break the allocator. */
#include "rpc_heap.h"

enum { ALIGNMENT = 16, INDEX_BITS = 8, KIND_BITS = 2, ALLOCATIONS = TVMTINY_RPC_ALLOCATIONS };

#if TVMTINY_RPC_ALLOCATIONS > 255
#error "TVMTINY_RPC_ALLOCATIONS must be at most 255: an index must fit a handle."
#endif

struct allocation {
  uint32_t handle; /* TVMTINY_RPC_NO_HANDLE: the entry is unused */
  uint32_t offset;
  uint32_t bytes;
};

static struct {
  uint8_t *base;
  uint32_t bytes;
  uint32_t count; /* of allocations so far, for handles that differ */
  struct allocation allocations[ALLOCATIONS];
} heap;

static uint32_t is_temporary(const struct allocation *allocation)
{
  return allocation->handle & 1u;
}

/* An offset of that alignment at or behind another. */
static uint32_t align(uint32_t offset, uint32_t alignment)
{
  const uint32_t address = (uint32_t)(uintptr_t)heap.base + offset;

  return offset + ((0u - address) & (alignment - 1u));
}

/* Where the allocation that begins first at or behind an offset begins. */
static uint32_t next_begin(uint32_t offset)
{
  uint32_t begin = heap.bytes;
  uint32_t i;

  for (i = 0; i < ALLOCATIONS; ++i) {
    const struct allocation *other = &heap.allocations[i];

    if (other->handle != TVMTINY_RPC_NO_HANDLE && other->offset >= offset &&
        other->offset < begin) {
      begin = other->offset;
    }
  }
  return begin;
}

/* The room between an offset and what lies behind it; 0 inside of an allocation. */
static uint32_t room_at(uint32_t offset)
{
  uint32_t i;

  if (offset > heap.bytes) {
    return 0;
  }
  for (i = 0; i < ALLOCATIONS; ++i) {
    const struct allocation *other = &heap.allocations[i];

    if (other->handle != TVMTINY_RPC_NO_HANDLE && offset >= other->offset &&
        offset - other->offset < other->bytes) {
      return 0;
    }
  }
  return next_begin(offset) - offset;
}

void tvmtiny_rpc_heap_start(void *base, uint32_t bytes)
{
  uint32_t i;

  heap.base = (uint8_t *)base;
  heap.bytes = bytes;
  for (i = 0; i < ALLOCATIONS; ++i) {
    heap.allocations[i].handle = TVMTINY_RPC_NO_HANDLE;
  }
}

static struct allocation *allocate(uint32_t bytes, uint32_t alignment, uint32_t temporary)
{
  struct allocation *unused = NULL;
  uint32_t best = UINT32_MAX;
  uint32_t best_room = UINT32_MAX;
  uint32_t i;

  if (bytes > heap.bytes) {
    return NULL;
  }
  /* One byte at the least, so that no two allocations begin at the same place. */
  bytes = bytes == 0u ? 1u : bytes;
  for (i = 0; i <= ALLOCATIONS; ++i) {
    uint32_t offset = 0;
    uint32_t room;

    if (i < ALLOCATIONS) {
      struct allocation *other = &heap.allocations[i];

      if (other->handle == TVMTINY_RPC_NO_HANDLE) {
        unused = other;
        continue;
      }
      offset = other->offset + other->bytes;
    }
    offset = align(offset, alignment);
    room = room_at(offset);
    if (room >= bytes && room < best_room) {
      best = offset;
      best_room = room;
    }
  }
  if (unused == NULL || best == UINT32_MAX) {
    return NULL;
  }
  ++heap.count;
  unused->handle = (heap.count << (INDEX_BITS + KIND_BITS) & INT32_MAX) |
                   (uint32_t)(unused - heap.allocations) << KIND_BITS | 2u | temporary;
  unused->offset = best;
  unused->bytes = bytes;
  return unused;
}

uint32_t tvmtiny_rpc_heap_allocate(uint32_t bytes, uint32_t alignment)
{
  const struct allocation *made =
      allocate(bytes, alignment < ALIGNMENT ? ALIGNMENT : alignment, 0);

  return made == NULL ? TVMTINY_RPC_NO_HANDLE : made->handle;
}

void *tvmtiny_rpc_heap_allocate_temporary(uint32_t bytes)
{
  const struct allocation *made = allocate(bytes, ALIGNMENT, 1);

  return made == NULL ? NULL : heap.base + made->offset;
}

void tvmtiny_rpc_heap_free_temporary(void)
{
  uint32_t i;

  for (i = 0; i < ALLOCATIONS; ++i) {
    if (is_temporary(&heap.allocations[i]) != 0u) {
      heap.allocations[i].handle = TVMTINY_RPC_NO_HANDLE;
    }
  }
}

static struct allocation *find(uint32_t handle)
{
  const uint32_t index = handle >> KIND_BITS & ((UINT32_C(1) << INDEX_BITS) - 1u);
  struct allocation *found = &heap.allocations[index < ALLOCATIONS ? index : 0u];

  return found->handle == handle && handle != TVMTINY_RPC_NO_HANDLE && is_temporary(found) == 0u
             ? found
             : NULL;
}

int32_t tvmtiny_rpc_heap_free(uint32_t handle)
{
  struct allocation *found = find(handle);

  if (found == NULL) {
    return 0;
  }
  found->handle = TVMTINY_RPC_NO_HANDLE;
  return 1;
}

int32_t tvmtiny_rpc_heap_find(uint32_t handle, struct tvmtiny_rpc_range *range)
{
  const struct allocation *found = find(handle);

  if (found == NULL) {
    return 0;
  }
  range->data = heap.base + found->offset;
  range->bytes = found->bytes;
  return 1;
}

void tvmtiny_rpc_heap_state(struct tvmtiny_rpc_heap_state *state)
{
  uint32_t i;

  state->bytes = heap.bytes;
  state->free_bytes = heap.bytes;
  state->largest_free_bytes = room_at(0);
  for (i = 0; i < ALLOCATIONS; ++i) {
    const struct allocation *allocation = &heap.allocations[i];

    if (allocation->handle != TVMTINY_RPC_NO_HANDLE) {
      const uint32_t room = room_at(allocation->offset + allocation->bytes);

      state->free_bytes -= allocation->bytes;
      state->largest_free_bytes =
          room > state->largest_free_bytes ? room : state->largest_free_bytes;
    }
  }
}
