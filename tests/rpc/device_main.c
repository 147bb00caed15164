/* The RPC server as a program of the host: a device for tests of both sides.
 *
 *     device_main            serves standard input and output until the input ends
 *     device_main tcp        prints the port it chose on 127.0.0.1 and serves one connection after the
 *                            other; state is lost with a connection
 *     device_main pty        prints the path of the pseudo-terminal that it serves
 *
 * Its model doubles eight bytes and then adds one to each: input.0 -> layer.0 -> layer.1 = output.0. */
#define _XOPEN_SOURCE 600
#include "tvmtiny_rpc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { TENSOR_BYTES = 8, LAYERS = 2, HEAP_BYTES = 1 << 20 };

static int input_file = STDIN_FILENO;
static int output_file = STDOUT_FILENO;
static uint8_t received[4096];
static uint32_t received_from, received_to;
static uint8_t heap[HEAP_BYTES] __attribute__((aligned(64)));
static uint8_t input[TENSOR_BYTES], layers[LAYERS][TENSOR_BYTES];
static uint32_t last_layer = LAYERS;

uint32_t tvmtiny_rpc_received(const uint8_t **bytes)
{
  if (received_from == received_to) {
    ssize_t count;

    do {
      count = read(input_file, received, sizeof received);
    } while (count < 0 && errno == EINTR);
    received_from = 0;
    received_to = count > 0 ? (uint32_t)count : 0u;
  }
  *bytes = received + received_from;
  return received_to - received_from;
}

void tvmtiny_rpc_release(uint32_t count)
{
  received_from += count;
}

void tvmtiny_rpc_send(const uint8_t *bytes, uint32_t count)
{
  /* One write a frame: it ends with a zero after something else. */
  static uint8_t collected[2u * TVMTINY_RPC_PAYLOAD_BYTES + 64u];
  static uint32_t used;
  uint32_t done = 0;

  memcpy(collected + used, bytes, count);
  used += count;
  if (used < 2u || collected[used - 1u] != 0u) {
    return;
  }
  while (done < used) {
    const ssize_t written = write(output_file, collected + done, used - done);

    if (written < 0 && errno != EINTR) {
      break;
    }
    done += written > 0 ? (uint32_t)written : 0u;
  }
  used = 0;
}

static int32_t run_layer_at(uint32_t layer)
{
  uint32_t i;

  for (i = 0; i < TENSOR_BYTES; ++i) {
    layers[layer][i] = (uint8_t)(layer == 0u ? 2u * input[i] : layers[0][i] + 1u);
  }
  last_layer = layer;
  return 0;
}

static int32_t run(struct tvmtiny_rpc_call *call)
{
  if (call->count != 0u) {
    call->error = "tvmtiny.run takes no argument";
    return 1;
  }
  (void)run_layer_at(0);
  return run_layer_at(1);
}

static int32_t run_layer(struct tvmtiny_rpc_call *call)
{
  if (call->count != 1u || call->arguments[0].type != TVMTINY_RPC_INT ||
      (uint64_t)call->arguments[0].as.integer >= LAYERS) {
    call->error = "tvmtiny.run_layer takes the index of a layer";
    return 1;
  }
  return run_layer_at((uint32_t)call->arguments[0].as.integer);
}

static int32_t metadata(struct tvmtiny_rpc_call *call)
{
  static char text[] = "{\"model\": \"test\", \"board\": \"host\"}";

  call->result.type = TVMTINY_RPC_STRING;
  call->result.bytes = sizeof text - 1u;
  call->result.as.data = (uint8_t *)text;
  return 0;
}

/* (milliseconds): a call that takes long. */
static int32_t wait_for(struct tvmtiny_rpc_call *call)
{
  const int64_t milliseconds = call->count == 1u ? call->arguments[0].as.integer : -1;
  const struct timespec time = {(time_t)(milliseconds / 1000),
                                (long)(milliseconds % 1000) * 1000000L};

  if (milliseconds < 0) {
    return 1;
  }
  (void)nanosleep(&time, NULL);
  return 0;
}

/* (tensor) -> the sum of its bytes. */
static int32_t sum(struct tvmtiny_rpc_call *call)
{
  const struct tvmtiny_rpc_value *tensor = call->arguments;
  uint32_t i;

  if (call->count != 1u || tensor->type != TVMTINY_RPC_TENSOR) {
    call->error = "test.sum takes a tensor";
    return 1;
  }
  call->result.type = TVMTINY_RPC_INT;
  for (i = 0; i < tensor->bytes; ++i) {
    call->result.as.integer += tensor->as.data[i];
  }
  return 0;
}

static int32_t fail(struct tvmtiny_rpc_call *call)
{
  (void)call;
  return -3;
}

static int32_t find_input(uint32_t index, struct tvmtiny_rpc_range *range)
{
  (void)index;
  range->data = input;
  range->bytes = TENSOR_BYTES;
  return 0;
}

static int32_t find_output(uint32_t index, struct tvmtiny_rpc_range *range)
{
  (void)index;
  range->data = layers[LAYERS - 1];
  range->bytes = TENSOR_BYTES;
  return 0;
}

static int32_t find_layer(uint32_t index, struct tvmtiny_rpc_range *range)
{
  range->data = layers[index];
  range->bytes = TENSOR_BYTES;
  return index == last_layer ? 0 : 1;
}

static const struct tvmtiny_rpc_entry functions[] = {
    {"tvmtiny.run", run},         {"tvmtiny.run_layer", run_layer},
    {"tvmtiny.metadata", metadata}, {"test.wait", wait_for},
    {"test.sum", sum},            {"test.fail", fail},
};

static const struct tvmtiny_rpc_slots slots[] = {
    {"input", 1, find_input}, {"output", 1, find_output}, {"layer", LAYERS, find_layer}};

static const struct tvmtiny_rpc_application application = {
    "host",
    {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
    functions,
    sizeof functions / sizeof functions[0],
    slots,
    sizeof slots / sizeof slots[0],
};

static void serve(void)
{
  received_from = received_to = 0;
  tvmtiny_rpc_serve(&application, heap, sizeof heap);
}

static int serve_tcp(void)
{
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;

  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
    perror("listen");
    return 1;
  }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    input_file = output_file = accept(listener, NULL, NULL);
    if (input_file < 0) {
      return 1;
    }
    (void)setsockopt(input_file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    serve();
    (void)close(input_file);
  }
}

static int serve_pty(void)
{
  struct termios mode;
  int slave;
  const int master = posix_openpt(O_RDWR | O_NOCTTY);

  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
    perror("pty");
    return 1;
  }
  /* Held open, so that reading waits for the next host instead of failing. */
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0 || tcgetattr(slave, &mode) != 0) {
    return 1;
  }
  mode.c_iflag = 0;
  mode.c_oflag = 0;
  mode.c_lflag = 0;
  mode.c_cflag |= CS8;
  (void)tcsetattr(slave, TCSANOW, &mode);
  puts(ptsname(master));
  fflush(stdout);
  input_file = output_file = master;
  serve();
  return 0;
}

int main(int argc, char **argv)
{
  /* A host may leave while something is sent to it. */
  (void)signal(SIGPIPE, SIG_IGN);
  if (argc > 1 && strcmp(argv[1], "tcp") == 0) {
    return serve_tcp();
  }
  if (argc > 1 && strcmp(argv[1], "pty") == 0) {
    return serve_pty();
  }
  serve();
  return 0;
}
