/* TVM's packets, as in its src/runtime/rpc/minrpc/rpc_reference.h. */
#include "rpc_packet.h"
#include "rpc_heap.h"
#include "rpc_link.h"

enum { TEXT_BYTES = 64, DIMENSIONS = 8, WORD_DIGITS = 8 };

static const char malformed[] = "malformed packet";

struct tvmtiny_rpc_packet tvmtiny_rpc_packet;

/* Short strings, such as names, do not depend on the heap. */
static uint8_t text[TEXT_BYTES];
static uint32_t text_used;

void tvmtiny_rpc_fail(const char *error)
{
  if (tvmtiny_rpc_packet.error == NULL) {
    tvmtiny_rpc_packet.error = error;
  }
}

int32_t tvmtiny_rpc_packet_complete(void)
{
  if (tvmtiny_rpc_packet.left != 0u) {
    tvmtiny_rpc_fail(malformed);
  }
  return tvmtiny_rpc_packet.error == NULL && tvmtiny_rpc_link_alive() != 0;
}

void tvmtiny_rpc_read(void *to, uint32_t bytes)
{
  if (bytes > tvmtiny_rpc_packet.left) {
    uint8_t *at = (uint8_t *)to;

    tvmtiny_rpc_fail(malformed);
    while (bytes-- != 0u) {
      *at++ = 0;
    }
    return;
  }
  tvmtiny_rpc_packet.left -= bytes;
  tvmtiny_rpc_link_read(to, bytes);
}

uint32_t tvmtiny_rpc_read_word(void)
{
  uint8_t bytes[4];

  tvmtiny_rpc_read(bytes, sizeof bytes);
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint32_t tvmtiny_rpc_read_size(void)
{
  const uint32_t low = tvmtiny_rpc_read_word();
  const uint32_t high = tvmtiny_rpc_read_word();

  return high == 0u ? low : UINT32_MAX;
}

/* The product, at most UINT32_MAX, without a library function for 64 bits. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
  const uint32_t a_high = a >> 16;
  const uint32_t b_high = b >> 16;
  const uint32_t low = (a & 0xffffu) * (b & 0xffffu);
  const uint32_t middle = a_high * (b & 0xffffu) + b_high * (a & 0xffffu);

  if ((a_high != 0u && b_high != 0u) || middle > 0xffffu ||
      (middle << 16) > UINT32_MAX - low) {
    return UINT32_MAX;
  }
  return (middle << 16) + low;
}

void tvmtiny_rpc_read_tensor(struct tvmtiny_rpc_value *value)
{
  uint32_t dimensions;
  uint32_t dtype;
  uint32_t bits;
  uint32_t bytes;

  value->type = TVMTINY_RPC_TENSOR;
  value->as.place.handle = tvmtiny_rpc_read_size();
  (void)tvmtiny_rpc_read_word(); /* device */
  (void)tvmtiny_rpc_read_word();
  dimensions = tvmtiny_rpc_read_word();
  if (dimensions > DIMENSIONS) {
    tvmtiny_rpc_fail("tensor with too many dimensions");
    return;
  }
  dtype = tvmtiny_rpc_read_word();
  bits = multiply(dtype >> 8 & 0xffu, dtype >> 16);
  /* 7 bits of an element that is no whole byte are lost at the most. */
  bytes = bits >= 8u ? (bits + 7u) >> 3 : bits;
  while (dimensions-- != 0u) {
    bytes = multiply(bytes, tvmtiny_rpc_read_size());
  }
  if (bits < 8u) {
    bytes = (bytes >> 3) + ((bytes & 7u) != 0u ? 1u : 0u);
  }
  value->bytes = bytes;
  value->as.place.offset = tvmtiny_rpc_read_size();
}

static void read_data(struct tvmtiny_rpc_value *value, uint32_t type)
{
  const uint32_t bytes = tvmtiny_rpc_read_size();

  value->type = type;
  value->bytes = 0;
  value->as.data = text;
  if (bytes > tvmtiny_rpc_packet.left) {
    tvmtiny_rpc_fail(malformed);
    return;
  }
  if (bytes < TEXT_BYTES - text_used) {
    value->as.data = text + text_used;
    text_used += bytes + 1u;
  } else {
    value->as.data = (uint8_t *)tvmtiny_rpc_heap_allocate_temporary(bytes + 1u);
    if (value->as.data == NULL) {
      tvmtiny_rpc_fail("out of memory for an argument");
      return;
    }
  }
  value->bytes = bytes;
  tvmtiny_rpc_read(value->as.data, bytes);
  value->as.data[bytes] = 0;
}

/* What tvm_ffi calls an Any: a string or bytes object, whose type is written a second time. */
static void read_object(struct tvmtiny_rpc_value *value)
{
  const uint32_t type = tvmtiny_rpc_read_word();

  if (type == TVMTINY_RPC_STRING || type == TVMTINY_RPC_BYTES) {
    read_data(value, type);
  } else {
    tvmtiny_rpc_fail("argument of a type that a board cannot take");
  }
}

static void read_number(struct tvmtiny_rpc_value *value, uint32_t type)
{
  const uint32_t low = tvmtiny_rpc_read_word();
  const uint32_t high = tvmtiny_rpc_read_word();

  value->type = type;
  value->bytes = 8;
  value->as.integer = (int64_t)((uint64_t)high << 32 | low);
}

static void read_value(struct tvmtiny_rpc_value *value)
{
  const uint32_t type = tvmtiny_rpc_read_word();

  if (type == TVMTINY_RPC_NONE) {
    value->type = TVMTINY_RPC_NONE;
    value->bytes = 0;
    value->as.integer = 0;
  } else if (type <= TVMTINY_RPC_DEVICE) {
    read_number(value, type);
  } else if (type == TVMTINY_RPC_TENSOR) {
    tvmtiny_rpc_read_tensor(value);
  } else if (type == TVMTINY_RPC_WIRE_RAW_STRING) {
    read_data(value, TVMTINY_RPC_STRING);
  } else if (type == TVMTINY_RPC_WIRE_BYTE_ARRAY) {
    read_data(value, TVMTINY_RPC_BYTES);
  } else if (type == TVMTINY_RPC_WIRE_SMALL_STRING || type == TVMTINY_RPC_WIRE_SMALL_BYTES ||
             type == TVMTINY_RPC_STRING || type == TVMTINY_RPC_BYTES) {
    read_object(value);
  } else {
    tvmtiny_rpc_fail("argument of a type that a board cannot take");
  }
}

void tvmtiny_rpc_read_values(void)
{
  struct tvmtiny_rpc_packet *packet = &tvmtiny_rpc_packet;
  const uint32_t count = tvmtiny_rpc_read_word();

  text_used = 0;
  packet->count = 0;
  if (count > TVMTINY_RPC_ARGUMENTS) {
    tvmtiny_rpc_fail("too many arguments");
    return;
  }
  while (packet->count < count && packet->error == NULL) {
    read_value(&packet->values[packet->count]);
    ++packet->count;
  }
}

void tvmtiny_rpc_write_word(uint32_t word)
{
  const uint8_t bytes[4] = {(uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16),
                            (uint8_t)(word >> 24)};

  tvmtiny_rpc_link_write(bytes, sizeof bytes);
}

void tvmtiny_rpc_write_packet(uint32_t code, uint32_t bytes)
{
  tvmtiny_rpc_write_word(bytes + 4u);
  tvmtiny_rpc_write_word(0);
  tvmtiny_rpc_write_word(code);
}

void tvmtiny_rpc_return_number(uint32_t type, uint32_t number)
{
  const uint32_t is_none = type == TVMTINY_RPC_NONE;

  tvmtiny_rpc_write_packet(TVMTINY_RPC_RETURN, is_none != 0u ? 8u : 16u);
  tvmtiny_rpc_write_word(1);
  tvmtiny_rpc_write_word(type);
  if (is_none == 0u) {
    tvmtiny_rpc_write_word(number);
    tvmtiny_rpc_write_word(0);
  }
}

/* The value's type as an integer, then the value: see LocalSession::EncodeReturn. */
void tvmtiny_rpc_return_value(const struct tvmtiny_rpc_value *value)
{
  const uint32_t is_data = value->type == TVMTINY_RPC_STRING || value->type == TVMTINY_RPC_BYTES;
  const uint32_t numbers = value->type == TVMTINY_RPC_NONE ? 0u : 8u;
  uint32_t wire = value->type;

  if (is_data != 0u) {
    wire = value->type == TVMTINY_RPC_STRING ? TVMTINY_RPC_WIRE_RAW_STRING
                                             : TVMTINY_RPC_WIRE_BYTE_ARRAY;
  }
  tvmtiny_rpc_write_packet(TVMTINY_RPC_RETURN,
                           20u + numbers + (is_data != 0u ? value->bytes : 0u));
  tvmtiny_rpc_write_word(2);
  tvmtiny_rpc_write_word(TVMTINY_RPC_INT);
  tvmtiny_rpc_write_word(value->type);
  tvmtiny_rpc_write_word(0);
  tvmtiny_rpc_write_word(wire);
  if (is_data != 0u) {
    tvmtiny_rpc_write_word(value->bytes);
    tvmtiny_rpc_write_word(0);
    tvmtiny_rpc_link_write(value->as.data, value->bytes);
  } else if (numbers != 0u) {
    tvmtiny_rpc_write_word((uint32_t)(uint64_t)value->as.integer);
    tvmtiny_rpc_write_word((uint32_t)((uint64_t)value->as.integer >> 32));
  }
}

static uint32_t text_length(const char *string)
{
  uint32_t length = 0;

  while (string[length] != '\0') {
    ++length;
  }
  return length;
}

void tvmtiny_rpc_return_exception(const char *string, const struct tvmtiny_rpc_word *words,
                                  uint32_t count)
{
  const uint32_t length = text_length(string);
  uint32_t total = length;
  uint32_t i;

  for (i = 0; i < count; ++i) {
    total += text_length(words[i].name) + 2u + WORD_DIGITS;
  }
  tvmtiny_rpc_write_packet(TVMTINY_RPC_EXCEPTION, 16u + total);
  tvmtiny_rpc_write_word(1);
  tvmtiny_rpc_write_word(TVMTINY_RPC_WIRE_RAW_STRING);
  tvmtiny_rpc_write_word(total);
  tvmtiny_rpc_write_word(0);
  tvmtiny_rpc_link_write(string, length);
  for (i = 0; i < count; ++i) {
    char digits[1 + WORD_DIGITS];
    uint32_t value = words[i].value;
    uint32_t digit;

    digits[0] = '=';
    for (digit = WORD_DIGITS; digit != 0u; --digit) {
      digits[digit] = "0123456789abcdef"[value & 15u];
      value >>= 4;
    }
    tvmtiny_rpc_link_write(" ", 1);
    tvmtiny_rpc_link_write(words[i].name, text_length(words[i].name));
    tvmtiny_rpc_link_write(digits, sizeof digits);
  }
}
