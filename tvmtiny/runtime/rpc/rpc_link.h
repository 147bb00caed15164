/* The link: a reliable stream of bytes in both directions over a line that may lose, change and repeat
 * bytes. Internal to the RPC server. */
#ifndef TVMTINY_RPC_LINK_H
#define TVMTINY_RPC_LINK_H

#include "tvmtiny_rpc.h"

#define TVMTINY_RPC_LINK_VERSION 1u

struct tvmtiny_rpc_link_counters {
  uint32_t frames;   /* received whole, of this session */
  uint32_t dropped;  /* damaged, too long or of another session */
  uint32_t repeated; /* DATA received again, and DATA sent again */
};

extern struct tvmtiny_rpc_link_counters tvmtiny_rpc_link_counters;

/* Forgets everything, and answers the next RESET with this HELLO. */
void tvmtiny_rpc_link_start(const char *board, const uint8_t identity[8]);

/* Waits for a RESET, unless one came since the stream broke. Returns 0 if the line is closed. */
int32_t tvmtiny_rpc_link_open(void);

/* Whether the stream goes on. Once it does not, because of a RESET, a closed line or
 * tvmtiny_rpc_link_break, reading gives zeros and writing does nothing. */
int32_t tvmtiny_rpc_link_alive(void);

/* Ends the stream; all but a RESET is ignored from now on. What was sent is still repeated. */
void tvmtiny_rpc_link_break(void);

void tvmtiny_rpc_link_read(void *to, uint32_t bytes);
void tvmtiny_rpc_link_skip(uint32_t bytes);
void tvmtiny_rpc_link_write(const void *from, uint32_t bytes);
/* Sends what was written. */
void tvmtiny_rpc_link_flush(void);
/* Acknowledges what was received; for when the next reading or sending may be long in coming. */
void tvmtiny_rpc_link_acknowledge(void);

/* zlib's CRC-32, without the inversions at both ends. */
uint32_t tvmtiny_rpc_crc(uint32_t crc, const uint8_t *bytes, uint32_t count);

#endif
