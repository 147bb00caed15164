/* The host's memory: allocations and slots, and what copies between them and the host. */
#include "rpc_memory.h"
#include "rpc_heap.h"
#include "rpc_link.h"
#include "rpc_packet.h"
#include "rpc_values.h"

enum { LARGEST_ALIGNMENT = 4096, SLOT_DIGITS = 5 };

/* The highest bit marks the handle of a slot: 15 bits kind, 16 bits index. */
#define SLOT_MARK 0x80000000u
#define SLOT_INDEX_BITS 16u

#define packet tvmtiny_rpc_packet

static const char outside_of_handle[] = "outside of the memory that the handle stands for";
static const struct tvmtiny_rpc_application *application;

void tvmtiny_rpc_memory_start(const struct tvmtiny_rpc_application *served)
{
  application = served;
}

/* Says which memory a handle stands for; fails the packet if none. */
static int32_t find_memory(uint32_t handle, struct tvmtiny_rpc_range *range)
{
  const uint32_t kind = (handle & ~SLOT_MARK) >> SLOT_INDEX_BITS;
  const uint32_t index = handle & ((UINT32_C(1) << SLOT_INDEX_BITS) - 1u);

  if ((handle & SLOT_MARK) == 0u) {
    if (tvmtiny_rpc_heap_find(handle, range) != 0) {
      return 1;
    }
    tvmtiny_rpc_fail(tvmtiny_rpc_bad_handle);
    return 0;
  }
  if (kind >= application->slot_count || index >= application->slots[kind].count) {
    tvmtiny_rpc_fail(tvmtiny_rpc_bad_handle);
    return 0;
  }
  if (application->slots[kind].find(index, range) != 0) {
    tvmtiny_rpc_fail("this slot has no memory now");
    return 0;
  }
  return 1;
}

uint8_t *tvmtiny_rpc_memory_of(const struct tvmtiny_rpc_value *tensor, uint32_t bytes)
{
  const uint32_t offset = tensor->as.place.offset;
  struct tvmtiny_rpc_range range;

  if (find_memory(tensor->as.place.handle, &range) == 0) {
    return NULL;
  }
  if (offset > range.bytes || bytes > range.bytes - offset) {
    tvmtiny_rpc_fail(outside_of_handle);
    return NULL;
  }
  return range.data + offset;
}

void tvmtiny_rpc_serve_copy_from_remote(void)
{
  struct tvmtiny_rpc_value tensor;
  uint32_t bytes;
  const uint8_t *from;

  tvmtiny_rpc_read_tensor(&tensor);
  bytes = tvmtiny_rpc_read_size();
  if (tvmtiny_rpc_packet_complete() == 0) {
    return;
  }
  from = tvmtiny_rpc_memory_of(&tensor, bytes);
  if (from != NULL) {
    tvmtiny_rpc_write_packet(TVMTINY_RPC_COPY_ACK, bytes);
    tvmtiny_rpc_link_write(from, bytes);
  }
}

void tvmtiny_rpc_serve_copy_to_remote(void)
{
  struct tvmtiny_rpc_value tensor;
  uint32_t bytes;
  uint8_t *to;

  tvmtiny_rpc_read_tensor(&tensor);
  bytes = tvmtiny_rpc_read_size();
  if (bytes != packet.left) {
    tvmtiny_rpc_fail("malformed packet");
    return;
  }
  to = tvmtiny_rpc_memory_of(&tensor, bytes);
  if (to == NULL || packet.error != NULL) {
    return;
  }
  tvmtiny_rpc_read(to, bytes);
  if (tvmtiny_rpc_packet_complete() != 0) {
    tvmtiny_rpc_return_none();
  }
}

void tvmtiny_rpc_serve_copy_among_remote(void)
{
  const uint8_t *from;
  uint8_t *to;

  if (tvmtiny_rpc_values_are("tth") == 0) {
    return;
  }
  if (packet.values[0].bytes != packet.values[1].bytes) {
    tvmtiny_rpc_fail("tensors of different sizes");
    return;
  }
  from = tvmtiny_rpc_memory_of(&packet.values[0], packet.values[0].bytes);
  to = tvmtiny_rpc_memory_of(&packet.values[1], packet.values[1].bytes);
  if (from != NULL && to != NULL) {
    tvmtiny_rpc_copy(to, from, packet.values[0].bytes);
    tvmtiny_rpc_return_none();
  }
}

static void return_allocation(uint32_t bytes, uint32_t alignment)
{
  const uint32_t handle = tvmtiny_rpc_heap_allocate(bytes, alignment);

  if (handle == TVMTINY_RPC_NO_HANDLE) {
    tvmtiny_rpc_fail("out of memory");
    return;
  }
  tvmtiny_rpc_return_number(TVMTINY_RPC_HANDLE, handle);
}

void tvmtiny_rpc_serve_alloc_data(void)
{
  uint32_t alignment;

  if (tvmtiny_rpc_values_are("diiy") == 0 || tvmtiny_rpc_check_device(0) == 0) {
    return;
  }
  alignment = tvmtiny_rpc_number(2);
  if (alignment == 0u || alignment > LARGEST_ALIGNMENT || (alignment & (alignment - 1u)) != 0u) {
    tvmtiny_rpc_fail("an alignment must be a power of two up to 4096");
    return;
  }
  return_allocation(tvmtiny_rpc_number(1), alignment);
}

/* Gives the handle of the slot "kind.index"; TVMTINY_RPC_NO_HANDLE if there is none. */
static uint32_t find_slot(const char *scope)
{
  uint32_t kind;

  for (kind = 0; kind < application->slot_count; ++kind) {
    const struct tvmtiny_rpc_slots *slots = &application->slots[kind];
    const char *at = scope;
    uint32_t index = 0;
    uint32_t digits;
    uint32_t i;

    for (i = 0; slots->kind[i] != '\0' && *at == slots->kind[i]; ++i) {
      ++at;
    }
    if (slots->kind[i] != '\0' || *at++ != '.') {
      continue;
    }
    for (digits = 0; digits < SLOT_DIGITS && *at >= '0' && *at <= '9'; ++digits) {
      index = index * 10u + (uint32_t)(*at++ - '0');
    }
    if (digits != 0u && *at == '\0' && index < slots->count) {
      return SLOT_MARK | kind << SLOT_INDEX_BITS | index;
    }
  }
  return TVMTINY_RPC_NO_HANDLE;
}

void tvmtiny_rpc_serve_alloc_data_with_scope(void)
{
  const struct tvmtiny_rpc_value *scope = &packet.values[1];
  uint32_t handle;

  if (tvmtiny_rpc_values_are("to") == 0) {
    return;
  }
  if (scope->type == TVMTINY_RPC_NONE || scope->bytes == 0u ||
      tvmtiny_rpc_equal((const char *)scope->as.data, "global") != 0) {
    return_allocation(packet.values[0].bytes, 1);
    return;
  }
  handle = find_slot((const char *)scope->as.data);
  if (handle == TVMTINY_RPC_NO_HANDLE) {
    tvmtiny_rpc_fail("no such memory scope");
    return;
  }
  tvmtiny_rpc_return_number(TVMTINY_RPC_HANDLE, handle);
}

void tvmtiny_rpc_serve_free_data(void)
{
  if (tvmtiny_rpc_values_are("dh") == 0) {
    return;
  }
  /* A slot is not allocated, so that there is nothing to free. */
  if ((tvmtiny_rpc_number(1) & SLOT_MARK) == 0u && tvmtiny_rpc_heap_free(tvmtiny_rpc_number(1)) == 0) {
    tvmtiny_rpc_fail(tvmtiny_rpc_bad_handle);
    return;
  }
  tvmtiny_rpc_return_none();
}

