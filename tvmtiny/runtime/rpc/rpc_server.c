/* What TVM's RPC server does, on memory that the host has declared: docs/rpc.md. */
#include "rpc_heap.h"
#include "rpc_link.h"
#include "rpc_packet.h"

enum {
  CPU_DEVICE = 1,
  ATTRIBUTE_EXISTS = 0,
  LARGEST_ALIGNMENT = 4096,
  /* Handles of functions are multiples of this; no allocation's is. */
  FUNCTION_STEP = 4,
  SLOT_DIGITS = 5
};

/* The highest bit marks the handle of a slot: 15 bits kind, 16 bits index. */
#define SLOT_MARK 0x80000000u
#define SLOT_INDEX_BITS 16u
#define LARGEST_PACKET 0x7fffffffu

static const char bad_arguments[] = "arguments of the wrong number or type";
static const char bad_handle[] = "no such handle";
static const char bad_range[] = "outside of the memory that the handle stands for";

static const struct tvmtiny_rpc_application *application;
static uint32_t initialized;

#define packet tvmtiny_rpc_packet

int32_t __attribute__((weak)) tvmtiny_rpc_protect(tvmtiny_rpc_function function,
                                                  struct tvmtiny_rpc_call *call)
{
  return function(call);
}

uint32_t __attribute__((weak)) tvmtiny_rpc_fault(const struct tvmtiny_rpc_word **words)
{
  *words = NULL;
  return 0;
}

uint32_t __attribute__((weak)) tvmtiny_rpc_stack_bytes(void)
{
  return 0;
}

void *tvmtiny_rpc_temporary(uint32_t bytes)
{
  return tvmtiny_rpc_heap_allocate_temporary(bytes);
}

static int32_t equal(const char *a, const char *b)
{
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

static int32_t echo(struct tvmtiny_rpc_call *call)
{
  /* What a tensor stands for is an address here. */
  if (call->count != 1u || call->arguments[0].type == TVMTINY_RPC_TENSOR) {
    call->error = bad_arguments;
    return 1;
  }
  call->result = call->arguments[0];
  return 0;
}

static int32_t memory(struct tvmtiny_rpc_call *call)
{
  static uint32_t words[7];
  struct tvmtiny_rpc_heap_state state;

  tvmtiny_rpc_heap_state(&state);
  words[0] = state.bytes;
  words[1] = state.free_bytes;
  words[2] = state.largest_free_bytes;
  words[3] = tvmtiny_rpc_stack_bytes();
  words[4] = tvmtiny_rpc_link_counters.frames;
  words[5] = tvmtiny_rpc_link_counters.dropped;
  words[6] = tvmtiny_rpc_link_counters.repeated;
  call->result.type = TVMTINY_RPC_BYTES;
  call->result.bytes = sizeof words;
  call->result.as.data = (uint8_t *)words;
  return 0;
}

static const struct tvmtiny_rpc_entry own_functions[] = {
    {"tvmtiny.echo", echo},
    {"tvmtiny.memory", memory},
};

enum { OWN_FUNCTIONS = sizeof own_functions / sizeof own_functions[0] };

/* NULL where there is no function of that number. */
static const struct tvmtiny_rpc_entry *function_at(uint32_t index)
{
  if (index < OWN_FUNCTIONS) {
    return &own_functions[index];
  }
  index -= OWN_FUNCTIONS;
  return index < application->function_count ? &application->functions[index] : NULL;
}

static const struct tvmtiny_rpc_entry *function_of(uint32_t handle)
{
  if (handle % FUNCTION_STEP != 0u || handle == 0u) {
    return NULL;
  }
  return function_at(handle / FUNCTION_STEP - 1u);
}

/* Says which memory a handle stands for; fails the packet if none. */
static int32_t find_memory(uint32_t handle, struct tvmtiny_rpc_range *range)
{
  const uint32_t kind = (handle & ~SLOT_MARK) >> SLOT_INDEX_BITS;
  const uint32_t index = handle & ((1u << SLOT_INDEX_BITS) - 1u);

  if ((handle & SLOT_MARK) == 0u) {
    if (tvmtiny_rpc_heap_find(handle, range) != 0) {
      return 1;
    }
    tvmtiny_rpc_fail(bad_handle);
    return 0;
  }
  if (kind >= application->slot_count || index >= application->slots[kind].count) {
    tvmtiny_rpc_fail(bad_handle);
    return 0;
  }
  if (application->slots[kind].find(index, range) != 0) {
    tvmtiny_rpc_fail("this slot has no memory now");
    return 0;
  }
  return 1;
}

/* Gives the memory of a tensor, of which so many bytes are used; fails the packet if there is less. */
static uint8_t *memory_of(const struct tvmtiny_rpc_value *tensor, uint32_t bytes)
{
  const uint32_t offset = tensor->as.place.offset;
  struct tvmtiny_rpc_range range;

  if (find_memory(tensor->as.place.handle, &range) == 0) {
    return NULL;
  }
  if (offset > range.bytes || bytes > range.bytes - offset) {
    tvmtiny_rpc_fail(bad_range);
    return NULL;
  }
  return range.data + offset;
}

/* Whether the packet has these values and is complete. Types are digits and letters, one a value:
 * 'i' INT or BOOL, 'h' HANDLE or NONE, 'd' DEVICE that is this CPU, 't' TENSOR, 's' STRING,
 * 'o' STRING or NONE, 'y' DTYPE. */
static int32_t values_are(const char *types)
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
    tvmtiny_rpc_fail(bad_arguments);
    return 0;
  }
  return 1;
}

/* An integer or a handle of at most 32 bits; UINT32_MAX for all others. */
static uint32_t number(uint32_t index)
{
  const uint64_t value = (uint64_t)packet.values[index].as.integer;

  return value >> 32 == 0u ? (uint32_t)value : UINT32_MAX;
}

static int32_t is_this_device(uint32_t index)
{
  return packet.values[index].as.integer == CPU_DEVICE;
}

static int32_t check_device(uint32_t index)
{
  if (is_this_device(index) == 0) {
    tvmtiny_rpc_fail("a board has one device, cpu(0)");
    return 0;
  }
  return 1;
}

static void return_none(void)
{
  tvmtiny_rpc_return_number(TVMTINY_RPC_NONE, 0);
}

static void serve_shutdown(void)
{
  if (tvmtiny_rpc_packet_complete() != 0) {
    tvmtiny_rpc_link_break();
  }
}

static void serve_init_server(void)
{
  static const char version[] = "0.8.0";
  char given[sizeof version] = {0};
  const uint32_t length = tvmtiny_rpc_read_size();

  if (length == sizeof version - 1u) {
    tvmtiny_rpc_read(given, length);
  }
  if (equal(given, version) == 0) {
    tvmtiny_rpc_fail("a board speaks version 0.8.0 of TVM's RPC protocol");
    return;
  }
  if (values_are("") == 0) {
    return;
  }
  if (initialized != 0u) {
    tvmtiny_rpc_fail("the server was initialized before");
    return;
  }
  initialized = 1;
  return_none();
}

static void serve_get_global_func(void)
{
  const struct tvmtiny_rpc_entry *entry;
  uint32_t index;

  if (values_are("s") == 0) {
    return;
  }
  for (index = 0; (entry = function_at(index)) != NULL; ++index) {
    if (equal(entry->name, (const char *)packet.values[0].as.data) != 0) {
      tvmtiny_rpc_return_number(TVMTINY_RPC_HANDLE, (index + 1u) * FUNCTION_STEP);
      return;
    }
  }
  tvmtiny_rpc_return_number(TVMTINY_RPC_HANDLE, 0);
}

static void serve_free_handle(void)
{
  if (values_are("h") == 0) {
    return;
  }
  if (function_of(number(0)) == NULL) {
    tvmtiny_rpc_fail(bad_handle);
    return;
  }
  return_none();
}

static void serve_call_func(void)
{
  const struct tvmtiny_rpc_entry *entry = function_of(tvmtiny_rpc_read_size());
  const struct tvmtiny_rpc_word *words;
  struct tvmtiny_rpc_call call;
  struct tvmtiny_rpc_word status;
  uint32_t i;

  tvmtiny_rpc_read_values();
  if (tvmtiny_rpc_packet_complete() == 0) {
    return;
  }
  if (entry == NULL) {
    tvmtiny_rpc_fail(bad_handle);
    return;
  }
  for (i = 0; i < packet.count; ++i) {
    struct tvmtiny_rpc_value *value = &packet.values[i];

    if (value->type == TVMTINY_RPC_TENSOR) {
      uint8_t *data = memory_of(value, value->bytes);

      if (data == NULL) {
        return;
      }
      value->as.data = data;
    }
  }
  call.arguments = packet.values;
  call.count = packet.count;
  call.result.type = TVMTINY_RPC_NONE;
  call.result.bytes = 0;
  call.result.as.integer = 0;
  call.error = NULL;
  tvmtiny_rpc_link_acknowledge();
  status.name = "status";
  status.value = (uint32_t)tvmtiny_rpc_protect(entry->function, &call);
  if (status.value == 0u) {
    tvmtiny_rpc_return_value(&call.result);
  } else if (status.value == (uint32_t)TVMTINY_RPC_FAULTED) {
    const uint32_t count = tvmtiny_rpc_fault(&words);

    tvmtiny_rpc_return_exception("tvmtiny-fault", words, count);
  } else if (status.value == (uint32_t)TVMTINY_RPC_ABORTED) {
    tvmtiny_rpc_link_break();
  } else if (call.error != NULL) {
    tvmtiny_rpc_return_exception(call.error, NULL, 0);
  } else {
    tvmtiny_rpc_return_exception("the function failed:", &status, 1);
  }
}

static void serve_copy_from_remote(void)
{
  struct tvmtiny_rpc_value tensor;
  uint32_t bytes;
  const uint8_t *from;

  tvmtiny_rpc_read_tensor(&tensor);
  bytes = tvmtiny_rpc_read_size();
  if (tvmtiny_rpc_packet_complete() == 0) {
    return;
  }
  from = memory_of(&tensor, bytes);
  if (from != NULL) {
    tvmtiny_rpc_write_packet(TVMTINY_RPC_COPY_ACK, bytes);
    tvmtiny_rpc_link_write(from, bytes);
  }
}

static void serve_copy_to_remote(void)
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
  to = memory_of(&tensor, bytes);
  if (to == NULL || packet.error != NULL) {
    return;
  }
  tvmtiny_rpc_read(to, bytes);
  if (tvmtiny_rpc_packet_complete() != 0) {
    return_none();
  }
}

static void serve_copy_among_remote(void)
{
  const uint8_t *from;
  uint8_t *to;

  if (values_are("tth") == 0) {
    return;
  }
  if (packet.values[0].bytes != packet.values[1].bytes) {
    tvmtiny_rpc_fail("tensors of different sizes");
    return;
  }
  from = memory_of(&packet.values[0], packet.values[0].bytes);
  to = memory_of(&packet.values[1], packet.values[1].bytes);
  if (from != NULL && to != NULL) {
    tvmtiny_rpc_copy(to, from, packet.values[0].bytes);
    return_none();
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

static void serve_alloc_data(void)
{
  uint32_t alignment;

  if (values_are("diiy") == 0 || check_device(0) == 0) {
    return;
  }
  alignment = number(2);
  if (alignment == 0u || alignment > LARGEST_ALIGNMENT || (alignment & (alignment - 1u)) != 0u) {
    tvmtiny_rpc_fail("an alignment must be a power of two up to 4096");
    return;
  }
  return_allocation(number(1), alignment);
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

static void serve_alloc_data_with_scope(void)
{
  const struct tvmtiny_rpc_value *scope = &packet.values[1];
  uint32_t handle;

  if (values_are("to") == 0) {
    return;
  }
  if (scope->type == TVMTINY_RPC_NONE || scope->bytes == 0u ||
      equal((const char *)scope->as.data, "global") != 0) {
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

static void serve_free_data(void)
{
  if (values_are("dh") == 0) {
    return;
  }
  /* A slot is not allocated, so that there is nothing to free. */
  if ((number(1) & SLOT_MARK) == 0u && tvmtiny_rpc_heap_free(number(1)) == 0) {
    tvmtiny_rpc_fail(bad_handle);
    return;
  }
  return_none();
}

static void serve_set_device(void)
{
  if (values_are("d") != 0 && check_device(0) != 0) {
    return_none();
  }
}

static void serve_get_attr(void)
{
  if (values_are("di") == 0) {
    return;
  }
  if (number(1) == ATTRIBUTE_EXISTS) {
    tvmtiny_rpc_return_number(TVMTINY_RPC_INT, (uint32_t)is_this_device(0));
  } else {
    return_none();
  }
}

static void serve_stream_sync(void)
{
  if (values_are("dh") != 0 && check_device(0) != 0) {
    return_none();
  }
}

typedef void (*handler)(void);

static const handler handlers[TVMTINY_RPC_CODES] = {
    [TVMTINY_RPC_SHUTDOWN] = serve_shutdown,
    [TVMTINY_RPC_INIT_SERVER] = serve_init_server,
    [TVMTINY_RPC_CALL_FUNC] = serve_call_func,
    [TVMTINY_RPC_COPY_FROM_REMOTE] = serve_copy_from_remote,
    [TVMTINY_RPC_COPY_TO_REMOTE] = serve_copy_to_remote,
    [TVMTINY_RPC_GET_GLOBAL_FUNC] = serve_get_global_func,
    [TVMTINY_RPC_FREE_HANDLE] = serve_free_handle,
    [TVMTINY_RPC_DEV_SET_DEVICE] = serve_set_device,
    [TVMTINY_RPC_DEV_GET_ATTR] = serve_get_attr,
    [TVMTINY_RPC_DEV_ALLOC_DATA] = serve_alloc_data,
    [TVMTINY_RPC_DEV_FREE_DATA] = serve_free_data,
    [TVMTINY_RPC_DEV_STREAM_SYNC] = serve_stream_sync,
    [TVMTINY_RPC_COPY_AMONG_REMOTE] = serve_copy_among_remote,
    [TVMTINY_RPC_DEV_ALLOC_DATA_WITH_SCOPE] = serve_alloc_data_with_scope,
};

static void serve_packet(void)
{
  uint32_t code;

  packet.left = 2u * sizeof(uint32_t);
  packet.error = NULL;
  packet.left = tvmtiny_rpc_read_size();
  if (packet.left == 0u) {
    return;
  }
  if (packet.left > LARGEST_PACKET || packet.left < sizeof code) {
    /* Where the next packet begins cannot be known. */
    tvmtiny_rpc_return_exception("packet of an impossible length", NULL, 0);
    tvmtiny_rpc_link_break();
    return;
  }
  code = tvmtiny_rpc_read_word();
  if (code >= TVMTINY_RPC_CODES || handlers[code] == NULL) {
    tvmtiny_rpc_fail("a request that a board does not serve");
  } else if (initialized == 0u && code != TVMTINY_RPC_INIT_SERVER &&
             code != TVMTINY_RPC_SHUTDOWN) {
    tvmtiny_rpc_fail("the server must be initialized first");
  } else {
    handlers[code]();
  }
  tvmtiny_rpc_link_skip(packet.left);
  if (packet.error != NULL) {
    tvmtiny_rpc_return_exception(packet.error, NULL, 0);
  }
  tvmtiny_rpc_link_flush();
  tvmtiny_rpc_heap_free_temporary();
}

void tvmtiny_rpc_serve(const struct tvmtiny_rpc_application *served, void *heap,
                       uint32_t heap_bytes)
{
  application = served;
  tvmtiny_rpc_link_start(served->board, served->identity);
  while (tvmtiny_rpc_link_open() != 0) {
    tvmtiny_rpc_heap_start(heap, heap_bytes);
    initialized = 0;
    while (tvmtiny_rpc_link_alive() != 0) {
      serve_packet();
    }
  }
}
