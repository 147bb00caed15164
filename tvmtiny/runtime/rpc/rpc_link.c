/* Frames: COBS, CRC-32, one unacknowledged frame a direction. See docs/rpc.md. */
#include "rpc_link.h"

enum frame_type { DATA = 1, ACK = 2, POLL = 3, RESET = 4, HELLO = 5 };

enum { HEADER_BYTES = 5, CRC_BYTES = 4, RESET_BYTES = 5, HELLO_BOARD_BYTES = 32, COBS_RUN = 254 };

#define PAYLOAD_BYTES ((uint32_t)TVMTINY_RPC_PAYLOAD_BYTES)
#define FRAME_BYTES (HEADER_BYTES + PAYLOAD_BYTES + CRC_BYTES)
#define NO_SESSION 0xffffu
#define CRC_START 0xffffffffu
/* What is left of the CRC of a frame that ends with its own CRC. */
#define CRC_REMAINDER 0xdebb20e3u

#if TVMTINY_RPC_PAYLOAD_BYTES < 64 || TVMTINY_RPC_PAYLOAD_BYTES > 65535
#error "TVMTINY_RPC_PAYLOAD_BYTES must be from 64 to 65535: a HELLO must fit, and a size 16 bits."
#endif

/* A frame whose payload is aligned, so that it is copied in words. */
struct frame {
  uint8_t padding[8 - HEADER_BYTES];
  uint8_t bytes[FRAME_BYTES];
};

struct decoder {
  uint32_t length;
  uint32_t crc;
  uint32_t block; /* bytes until the next code */
  uint32_t zero;  /* whether a zero comes before the next code's block */
};

/* A stream is LIVE between a RESET and what ends it. BROKEN: only RESET is of interest. RENEWED: RESET
 * came in the middle of a stream. */
enum state { CLOSED, LIVE, BROKEN, RENEWED };

static struct {
  struct frame received __attribute__((aligned(8)));
  struct frame sent __attribute__((aligned(8)));
  struct decoder decoder;
  const char *board;
  const uint8_t *identity;
  uint32_t state;
  uint32_t session;
  uint32_t read_position; /* of the received payload */
  uint32_t read_bytes;
  uint32_t written_bytes; /* of the payload to send */
  uint8_t expected;       /* sequence of the next DATA */
  uint8_t sequence;       /* of the DATA that is or will be sent */
  uint8_t unacknowledged; /* whether it was sent, and is not acknowledged */
  uint8_t owed;           /* whether received DATA is not acknowledged */
} stream;

struct tvmtiny_rpc_link_counters tvmtiny_rpc_link_counters;

uint32_t __attribute__((weak)) tvmtiny_rpc_received(const uint8_t **bytes)
{
  *bytes = NULL;
  return 0;
}

void __attribute__((weak)) tvmtiny_rpc_release(uint32_t count)
{
  (void)count;
}

void __attribute__((weak)) tvmtiny_rpc_send(const uint8_t *bytes, uint32_t count)
{
  (void)bytes;
  (void)count;
}

/* Half a byte at a time: a table of 64 bytes instead of 1 KB. */
static const uint32_t crc_table[16] = {
    0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
    0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
    0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};

static inline uint32_t crc_step(uint32_t crc, uint32_t byte)
{
  crc ^= byte;
  crc = (crc >> 4) ^ crc_table[crc & 15u];
  return (crc >> 4) ^ crc_table[crc & 15u];
}

uint32_t tvmtiny_rpc_crc(uint32_t crc, const uint8_t *bytes, uint32_t count)
{
  const uint8_t *const end = bytes + count;

  while (bytes != end) {
    crc = crc_step(crc, *bytes++);
  }
  return crc;
}

static void send_frame(uint8_t *frame, uint32_t type, uint32_t sequence, uint32_t payload_bytes)
{
  static const uint8_t delimiter = 0;
  uint32_t bytes = HEADER_BYTES + payload_bytes;
  uint32_t crc;
  uint32_t at = 0;
  uint32_t more;

  frame[0] = (uint8_t)type;
  frame[1] = (uint8_t)stream.session;
  frame[2] = (uint8_t)(stream.session >> 8);
  frame[3] = (uint8_t)sequence;
  frame[4] = stream.expected;
  crc = ~tvmtiny_rpc_crc(CRC_START, frame, bytes);
  frame[bytes] = (uint8_t)crc;
  frame[bytes + 1u] = (uint8_t)(crc >> 8);
  frame[bytes + 2u] = (uint8_t)(crc >> 16);
  frame[bytes + 3u] = (uint8_t)(crc >> 24);
  bytes += CRC_BYTES;
  stream.owed = 0;
  /* The end of the frame before may have been lost. */
  tvmtiny_rpc_send(&delimiter, 1);
  do {
    uint32_t run = 0;
    uint8_t code;

    while (run < COBS_RUN && at + run < bytes && frame[at + run] != 0u) {
      ++run;
    }
    code = (uint8_t)(run + 1u);
    tvmtiny_rpc_send(&code, 1);
    tvmtiny_rpc_send(frame + at, run);
    at += run;
    more = at < bytes;
    if (run < COBS_RUN && more != 0u) {
      ++at; /* the zero that the next code stands for */
    }
  } while (more != 0u);
  tvmtiny_rpc_send(&delimiter, 1);
}

static void send_data(void)
{
  stream.unacknowledged = 1;
  send_frame(stream.sent.bytes, DATA, stream.sequence, stream.written_bytes);
}

static void send_acknowledgement(void)
{
  uint8_t frame[HEADER_BYTES + CRC_BYTES];

  send_frame(frame, ACK, 0, 0);
}

static void send_hello(void)
{
  uint8_t *payload = stream.sent.bytes + HEADER_BYTES;
  uint32_t bytes;

  payload[0] = TVMTINY_RPC_LINK_VERSION;
  payload[1] = (uint8_t)(PAYLOAD_BYTES & 0xffu);
  payload[2] = (uint8_t)(PAYLOAD_BYTES >> 8);
  tvmtiny_rpc_copy(payload + 3, stream.identity, 8);
  for (bytes = 0; bytes < HELLO_BOARD_BYTES && stream.board[bytes] != '\0'; ++bytes) {
    payload[12u + bytes] = (uint8_t)stream.board[bytes];
  }
  payload[11] = (uint8_t)bytes;
  send_frame(stream.sent.bytes, HELLO, 0, 12u + bytes);
}

/* Decodes up to the end of a frame; returns how many bytes were used. The frame is longer than what is
 * stored of it if there is no room. */
static uint32_t decode(const uint8_t *from, uint32_t count, uint32_t room, uint32_t *ended)
{
  uint32_t length = stream.decoder.length;
  uint32_t crc = stream.decoder.crc;
  uint32_t block = stream.decoder.block;
  uint8_t *const to = stream.received.bytes;
  const uint8_t *byte = from;
  const uint8_t *const end = from + count;

  *ended = 0;
  while (byte != end) {
    uint32_t value = *byte++;

    if (value == 0u) {
      *ended = 1;
      break;
    }
    if (block == 0u) {
      const uint32_t zero = stream.decoder.zero;

      block = value - 1u;
      stream.decoder.zero = value != COBS_RUN + 1;
      if (zero == 0u) {
        continue;
      }
      value = 0;
    } else {
      --block;
    }
    crc = crc_step(crc, value);
    if (length < room) {
      to[length] = (uint8_t)value;
    }
    ++length;
  }
  stream.decoder.length = length;
  stream.decoder.crc = crc;
  stream.decoder.block = block;
  return (uint32_t)(byte - from);
}

static void renew(uint32_t session)
{
  stream.state = stream.state == LIVE || stream.state == RENEWED ? RENEWED : LIVE;
  stream.session = session;
  stream.read_bytes = stream.read_position = 0;
  stream.written_bytes = 0;
  stream.expected = 0;
  stream.sequence = 0;
  stream.unacknowledged = 0;
  send_hello();
}

/* A host of another link version is answered, too: it finds ours in the HELLO. While a payload is read
 * that of the RESET was not stored. */
static void take_reset(uint32_t session, uint32_t payload_bytes, uint32_t busy)
{
  const uint8_t *payload = stream.received.bytes + HEADER_BYTES;
  const uint32_t right = payload[0] == 'T' && payload[1] == 'V' && payload[2] == 'M' &&
                         payload[3] == 'T';

  if (session != NO_SESSION && payload_bytes == RESET_BYTES && (busy != 0u || right != 0u)) {
    ++tvmtiny_rpc_link_counters.frames;
    renew(session);
  } else {
    ++tvmtiny_rpc_link_counters.dropped;
  }
}

/* Returns whether the DATA was received before, and must be acknowledged again. */
static uint32_t take_data(uint32_t sequence, uint32_t payload_bytes, uint32_t busy)
{
  if (sequence == stream.expected) {
    /* What cannot be taken now is not answered, so that the host sends it again. */
    if (busy == 0u && stream.state == LIVE && payload_bytes != 0u) {
      stream.read_position = 0;
      stream.read_bytes = payload_bytes;
      ++stream.expected;
      stream.owed = 1;
    }
    return 0;
  }
  if (sequence != (uint8_t)(stream.expected - 1u)) {
    return 0;
  }
  ++tvmtiny_rpc_link_counters.repeated;
  return 1;
}

static void take_frame(uint32_t busy)
{
  const uint8_t *frame = stream.received.bytes;
  const uint32_t length = stream.decoder.length;
  const uint32_t block = stream.decoder.block;
  const uint32_t crc = stream.decoder.crc;
  const uint32_t session = frame[1] | (uint32_t)frame[2] << 8;
  uint32_t polled;

  stream.decoder.length = 0;
  stream.decoder.crc = CRC_START;
  stream.decoder.block = 0;
  stream.decoder.zero = 0;
  if (length == 0u && block == 0u) {
    return; /* zeros between frames */
  }
  if (block != 0u || crc != CRC_REMAINDER || length > FRAME_BYTES ||
      length < HEADER_BYTES + CRC_BYTES) {
    ++tvmtiny_rpc_link_counters.dropped;
    return;
  }
  if (frame[0] == RESET) {
    take_reset(session, length - HEADER_BYTES - CRC_BYTES, busy);
    return;
  }
  if (stream.state == CLOSED || session != stream.session || frame[0] > POLL || frame[0] < DATA) {
    ++tvmtiny_rpc_link_counters.dropped;
    return;
  }
  ++tvmtiny_rpc_link_counters.frames;
  if (stream.unacknowledged != 0u && frame[4] == (uint8_t)(stream.sequence + 1u)) {
    stream.unacknowledged = 0;
    stream.written_bytes = 0;
    ++stream.sequence;
  }
  polled = frame[0] == POLL;
  if (frame[0] == DATA) {
    polled = take_data(frame[3], length - HEADER_BYTES - CRC_BYTES, busy);
  }
  if (polled != 0u) {
    if (stream.unacknowledged != 0u) {
      ++tvmtiny_rpc_link_counters.repeated;
      send_data();
    } else {
      send_acknowledgement();
    }
  }
}

/* Waits for a frame and handles it; returns 0 if the line is closed. */
static int32_t receive_frame(void)
{
  /* While a payload is read only headers are stored beside it. */
  const uint32_t busy = stream.read_position != stream.read_bytes;
  uint32_t ended;

  do {
    const uint8_t *bytes;
    const uint32_t count = tvmtiny_rpc_received(&bytes);

    if (count == 0u) {
      stream.state = CLOSED;
      return 0;
    }
    tvmtiny_rpc_release(decode(bytes, count, busy != 0u ? HEADER_BYTES : FRAME_BYTES, &ended));
  } while (ended == 0u);
  take_frame(busy);
  return 1;
}

void tvmtiny_rpc_link_start(const char *board, const uint8_t identity[8])
{
  stream.board = board;
  stream.identity = identity;
  stream.state = CLOSED;
  stream.session = NO_SESSION;
  stream.read_position = stream.read_bytes = 0;
  stream.unacknowledged = stream.owed = 0;
  stream.decoder.length = stream.decoder.block = stream.decoder.zero = 0;
  stream.decoder.crc = CRC_START;
}

int32_t tvmtiny_rpc_link_open(void)
{
  if (stream.state == RENEWED) {
    stream.state = LIVE;
  }
  while (stream.state != LIVE) {
    if (receive_frame() == 0) {
      return 0;
    }
  }
  return 1;
}

int32_t tvmtiny_rpc_link_alive(void)
{
  return stream.state == LIVE;
}

void tvmtiny_rpc_link_break(void)
{
  if (stream.state == LIVE) {
    tvmtiny_rpc_link_flush();
    tvmtiny_rpc_link_acknowledge();
    stream.state = BROKEN;
  }
  stream.read_position = stream.read_bytes = 0;
}

void tvmtiny_rpc_link_acknowledge(void)
{
  if (stream.owed != 0u) {
    send_acknowledgement();
  }
}

/* Gives received payload, at most so many bytes; 0 when the stream has ended. */
static uint32_t payload(const uint8_t **from, uint32_t wanted)
{
  uint32_t available;

  if (stream.read_position == stream.read_bytes) {
    tvmtiny_rpc_link_acknowledge();
    while (stream.state == LIVE && stream.read_position == stream.read_bytes) {
      (void)receive_frame();
    }
  }
  if (stream.state != LIVE) {
    return 0;
  }
  available = stream.read_bytes - stream.read_position;
  *from = stream.received.bytes + HEADER_BYTES + stream.read_position;
  available = available < wanted ? available : wanted;
  stream.read_position += available;
  return available;
}

void tvmtiny_rpc_link_read(void *to, uint32_t bytes)
{
  uint8_t *at = (uint8_t *)to;

  while (bytes != 0u) {
    const uint8_t *from;
    const uint32_t count = payload(&from, bytes);

    if (count == 0u) {
      break;
    }
    tvmtiny_rpc_copy(at, from, count);
    at += count;
    bytes -= count;
  }
  while (bytes != 0u) {
    *at++ = 0;
    --bytes;
  }
}

void tvmtiny_rpc_link_skip(uint32_t bytes)
{
  while (bytes != 0u) {
    const uint8_t *from;
    const uint32_t count = payload(&from, bytes);

    if (count == 0u) {
      break;
    }
    bytes -= count;
  }
}

void tvmtiny_rpc_link_write(const void *from, uint32_t bytes)
{
  const uint8_t *at = (const uint8_t *)from;

  while (bytes != 0u) {
    uint32_t count;

    /* What was sent before must stay until it is acknowledged. */
    while (stream.state == LIVE && stream.unacknowledged != 0u) {
      (void)receive_frame();
    }
    if (stream.state != LIVE) {
      return;
    }
    count = PAYLOAD_BYTES - stream.written_bytes;
    count = count < bytes ? count : bytes;
    tvmtiny_rpc_copy(stream.sent.bytes + HEADER_BYTES + stream.written_bytes, at, count);
    stream.written_bytes += count;
    at += count;
    bytes -= count;
    if (stream.written_bytes == PAYLOAD_BYTES) {
      send_data();
    }
  }
}

void tvmtiny_rpc_link_flush(void)
{
  if (stream.state == LIVE && stream.unacknowledged == 0u && stream.written_bytes != 0u) {
    send_data();
  }
}
