/* What TVM's RPC server does, on memory that the host has declared: docs/rpc.md. */
#include "rpc_heap.h"
#include "rpc_link.h"
#include "rpc_memory.h"
#include "rpc_packet.h"
#include "rpc_values.h"

enum {
  ATTRIBUTE_EXISTS = 0,
  /* Handles of functions are multiples of this; those of allocations and slots are not. */
  FUNCTION_STEP = 4
};

#define LARGEST_PACKET 0x7fffffffu

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

static int32_t echo(struct tvmtiny_rpc_call *call)
{
  /* What a tensor stands for is an address here. */
  if (call->count != 1u || call->arguments[0].type == TVMTINY_RPC_TENSOR) {
    call->error = tvmtiny_rpc_bad_arguments;
    return 1;
  }
  call->result.type = call->arguments[0].type;
  call->result.bytes = call->arguments[0].bytes;
  if (call->result.type == TVMTINY_RPC_STRING || call->result.type == TVMTINY_RPC_BYTES) {
    call->result.as.data = call->arguments[0].as.data;
  } else {
    call->result.as.integer = call->arguments[0].as.integer;
  }
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
  if (tvmtiny_rpc_equal(given, version) == 0) {
    tvmtiny_rpc_fail("a board speaks version 0.8.0 of TVM's RPC protocol");
    return;
  }
  if (tvmtiny_rpc_values_are("") == 0) {
    return;
  }
  if (initialized != 0u) {
    tvmtiny_rpc_fail("the server was initialized before");
    return;
  }
  initialized = 1;
  tvmtiny_rpc_return_none();
}

static void serve_get_global_func(void)
{
  const struct tvmtiny_rpc_entry *entry;
  uint32_t index;

  if (tvmtiny_rpc_values_are("s") == 0) {
    return;
  }
  for (index = 0; (entry = function_at(index)) != NULL; ++index) {
    if (tvmtiny_rpc_equal(entry->name, (const char *)packet.values[0].as.data) != 0) {
      tvmtiny_rpc_return_number(TVMTINY_RPC_HANDLE, (index + 1u) * FUNCTION_STEP);
      return;
    }
  }
  tvmtiny_rpc_return_number(TVMTINY_RPC_HANDLE, 0);
}

static void serve_free_handle(void)
{
  if (tvmtiny_rpc_values_are("h") == 0) {
    return;
  }
  if (function_of(tvmtiny_rpc_number(0)) == NULL) {
    tvmtiny_rpc_fail(tvmtiny_rpc_bad_handle);
    return;
  }
  tvmtiny_rpc_return_none();
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
    tvmtiny_rpc_fail(tvmtiny_rpc_bad_handle);
    return;
  }
  for (i = 0; i < packet.count; ++i) {
    struct tvmtiny_rpc_value *value = &packet.values[i];

    if (value->type == TVMTINY_RPC_TENSOR) {
      uint8_t *data = tvmtiny_rpc_memory_of(value, value->bytes);

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

static void serve_set_device(void)
{
  if (tvmtiny_rpc_values_are("d") != 0 && tvmtiny_rpc_check_device(0) != 0) {
    tvmtiny_rpc_return_none();
  }
}

static void serve_get_attr(void)
{
  if (tvmtiny_rpc_values_are("di") == 0) {
    return;
  }
  if (tvmtiny_rpc_number(1) == ATTRIBUTE_EXISTS) {
    tvmtiny_rpc_return_number(TVMTINY_RPC_INT, (uint32_t)tvmtiny_rpc_is_this_device(0));
  } else {
    tvmtiny_rpc_return_none();
  }
}

static void serve_stream_sync(void)
{
  if (tvmtiny_rpc_values_are("dh") != 0 && tvmtiny_rpc_check_device(0) != 0) {
    tvmtiny_rpc_return_none();
  }
}

typedef void (*handler)(void);

static const handler handlers[TVMTINY_RPC_CODES] = {
    [TVMTINY_RPC_SHUTDOWN] = serve_shutdown,
    [TVMTINY_RPC_INIT_SERVER] = serve_init_server,
    [TVMTINY_RPC_CALL_FUNC] = serve_call_func,
    [TVMTINY_RPC_COPY_FROM_REMOTE] = tvmtiny_rpc_serve_copy_from_remote,
    [TVMTINY_RPC_COPY_TO_REMOTE] = tvmtiny_rpc_serve_copy_to_remote,
    [TVMTINY_RPC_GET_GLOBAL_FUNC] = serve_get_global_func,
    [TVMTINY_RPC_FREE_HANDLE] = serve_free_handle,
    [TVMTINY_RPC_DEV_SET_DEVICE] = serve_set_device,
    [TVMTINY_RPC_DEV_GET_ATTR] = serve_get_attr,
    [TVMTINY_RPC_DEV_ALLOC_DATA] = tvmtiny_rpc_serve_alloc_data,
    [TVMTINY_RPC_DEV_FREE_DATA] = tvmtiny_rpc_serve_free_data,
    [TVMTINY_RPC_DEV_STREAM_SYNC] = serve_stream_sync,
    [TVMTINY_RPC_COPY_AMONG_REMOTE] = tvmtiny_rpc_serve_copy_among_remote,
    [TVMTINY_RPC_DEV_ALLOC_DATA_WITH_SCOPE] = tvmtiny_rpc_serve_alloc_data_with_scope,
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
  tvmtiny_rpc_memory_start(served);
  tvmtiny_rpc_link_start(served->board, served->identity);
  while (tvmtiny_rpc_link_open() != 0) {
    tvmtiny_rpc_heap_start(heap, heap_bytes);
    initialized = 0;
    while (tvmtiny_rpc_link_alive() != 0) {
      serve_packet();
    }
  }
}
