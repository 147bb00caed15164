/* Serves TVM's RPC protocol 0.8.0 to one host over a byte stream. C99, freestanding, static memory.
 *
 * An application fills a struct tvmtiny_rpc_application with its functions and memory, implements the
 * three functions of byte I/O, and calls tvmtiny_rpc_serve. docs/rpc.md describes the protocol. */
#ifndef TVMTINY_RPC_H
#define TVMTINY_RPC_H

#include <stddef.h>
#include <stdint.h>

/* The largest payload of a frame; two buffers of this size are static. */
#ifndef TVMTINY_RPC_PAYLOAD_BYTES
#define TVMTINY_RPC_PAYLOAD_BYTES 1024u
#endif

/* Allocations that can exist at the same time. */
#ifndef TVMTINY_RPC_ALLOCATIONS
#define TVMTINY_RPC_ALLOCATIONS 24u
#endif

/* Arguments that a call can have. */
#ifndef TVMTINY_RPC_ARGUMENTS
#define TVMTINY_RPC_ARGUMENTS 12u
#endif

/* What a value can be; numbers as in TVM's TVMFFITypeIndex. */
enum tvmtiny_rpc_type {
  TVMTINY_RPC_NONE = 0,
  TVMTINY_RPC_INT = 1,
  TVMTINY_RPC_BOOL = 2,
  TVMTINY_RPC_FLOAT = 3,
  TVMTINY_RPC_HANDLE = 4,
  TVMTINY_RPC_DTYPE = 5,
  TVMTINY_RPC_DEVICE = 6,
  TVMTINY_RPC_TENSOR = 7,
  TVMTINY_RPC_STRING = 65,
  TVMTINY_RPC_BYTES = 66
};

/* INT, HANDLE, BOOL and the bits of FLOAT, DTYPE and DEVICE are in `integer`; STRING, BYTES and TENSOR are at
 * `data`. A STRING is terminated by a zero, which `bytes` does not count. A TENSOR can
 * be an argument, but no result. */
struct tvmtiny_rpc_value {
  uint32_t type;
  uint32_t bytes;
  union {
    int64_t integer;
    double real;
    uint8_t *data;
    /* Of a TENSOR before it is known to exist. */
    struct {
      uint32_t handle;
      uint32_t offset;
    } place;
  } as;
};

/* A name and a number, for the text of an exception: "name=0123abcd". */
struct tvmtiny_rpc_word {
  const char *name;
  uint32_t value;
};

/* A call of a function: its arguments, and where its result or the reason of its failure goes. What
 * the result points to is sent after the function returned. */
struct tvmtiny_rpc_call {
  const struct tvmtiny_rpc_value *arguments;
  uint32_t count;
  struct tvmtiny_rpc_value result;
  const char *error;
};

/* Returns 0, or a status that the host is given with `error` as an exception. */
typedef int32_t (*tvmtiny_rpc_function)(struct tvmtiny_rpc_call *call);

struct tvmtiny_rpc_entry {
  const char *name;
  tvmtiny_rpc_function function;
};

struct tvmtiny_rpc_range {
  uint8_t *data;
  uint32_t bytes;
};

/* Memory of the application that the host reaches under the scopes "kind.0" to "kind.<count - 1>".
 * `find` gives the range of one of them, and 0; or another status while it is not valid. It is asked
 * anew for each access. */
struct tvmtiny_rpc_slots {
  const char *kind;
  uint32_t count;
  int32_t (*find)(uint32_t index, struct tvmtiny_rpc_range *range);
};

struct tvmtiny_rpc_application {
  const char *board;
  uint8_t identity[8];
  const struct tvmtiny_rpc_entry *functions;
  uint32_t function_count;
  const struct tvmtiny_rpc_slots *slots;
  uint32_t slot_count;
};

/* Serves until the line is closed. The heap is what the host can allocate. */
void tvmtiny_rpc_serve(const struct tvmtiny_rpc_application *application, void *heap,
                       uint32_t heap_bytes);

/* For functions: memory of the heap that is freed after the result was sent, 16-byte aligned. NULL if
 * there is not enough. */
void *tvmtiny_rpc_temporary(uint32_t bytes);

/* Copies; the ranges may overlap. */
void tvmtiny_rpc_copy(void *to, const void *from, uint32_t bytes);

/* Byte I/O, to be implemented by the platform; the weak defaults are those of a closed line. */

/* Waits until there are received bytes, says where they are and how many; 0 if the line is closed.
 * They stay there until they are released. */
uint32_t tvmtiny_rpc_received(const uint8_t **bytes);
void tvmtiny_rpc_release(uint32_t count);
/* Sends, waiting as long as it takes. */
void tvmtiny_rpc_send(const uint8_t *bytes, uint32_t count);

/* What else a platform can implement. */

/* Calls the function and returns its status, or one of these. The weak default only calls. */
#define TVMTINY_RPC_FAULTED (-0x7fff0001)
#define TVMTINY_RPC_ABORTED (-0x7fff0002)
int32_t tvmtiny_rpc_protect(tvmtiny_rpc_function function, struct tvmtiny_rpc_call *call);
/* The registers of the last fault, and how many. */
uint32_t tvmtiny_rpc_fault(const struct tvmtiny_rpc_word **words);
/* The deepest stack of the last run in bytes; 0 where it is not measured. */
uint32_t tvmtiny_rpc_stack_bytes(void);

/* An ABORT frame, whose bytes never change, with the zero before it: what a platform's receive interrupt
 * looks for while a function runs. */
#define TVMTINY_RPC_ABORT_BYTES                                                                    \
  {                                                                                                \
    0x00, 0x04, 0x06, 0xff, 0xff, 0x01, 0x05, 0xa1, 0x30, 0xff, 0x29, 0x00                         \
  }

#endif
