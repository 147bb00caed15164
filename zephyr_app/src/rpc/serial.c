/* Byte I/O of the RPC server, or for MLPerf Tiny's runner, on a Zephyr UART. */
#include <zephyr/device.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>

#include "guard.h"
#include "serial.h"
#include "tvmtiny_rpc.h"

#if DT_HAS_CHOSEN(tvmtiny_rpc_uart)
#define UART_NODE DT_CHOSEN(tvmtiny_rpc_uart)
#else
#define UART_NODE DT_CHOSEN(zephyr_console)
#endif

BUILD_ASSERT(
    !IS_ENABLED(CONFIG_UART_CONSOLE) || !DT_SAME_NODE(UART_NODE, DT_CHOSEN(zephyr_console)),
    "the console and the host would share a UART: set CONFIG_UART_CONSOLE=n, or choose another "
    "one in the devicetree, tvmtiny,rpc-uart");

#define RING_BYTES 256u
#define RING_MASK (RING_BYTES - 1u)

static const struct device *const uart = DEVICE_DT_GET(UART_NODE);

static uint8_t ring[RING_BYTES];
/* Total numbers of bytes put into the ring and taken out of it. */
static volatile uint32_t put_count;
static volatile uint32_t taken_count;
static volatile bool is_stopped;
static K_SEM_DEFINE(received, 0, 1);

static const uint8_t *volatile send_next;
static const uint8_t *send_end;
static K_SEM_DEFINE(sent, 0, 1);

/* Detects the frame that aborts a call. */
static void watch(uint8_t byte)
{
  static const uint8_t abort_bytes[] = TVMTINY_RPC_ABORT_BYTES;
  static uint32_t matched;

  if (byte == abort_bytes[matched]) {
    ++matched;
  } else {
    matched = byte == 0u ? 1u : 0u;
  }
  if (matched == sizeof abort_bytes) {
    matched = 0;
    guard_abort();
  }
}

static void receive(void)
{
  uint8_t byte;

  for (;;) {
    const bool is_full = put_count - taken_count == RING_BYTES;

    /* If the ring is full, bytes wait on the line, unless a function is running: that may never
     * end, so an ABORT must get through. */
    if (is_full && !guard_is_active()) {
      is_stopped = true;
      uart_irq_rx_disable(uart);
      break;
    }
    if (uart_fifo_read(uart, &byte, 1) != 1) {
      break;
    }
    if (!is_full) {
      ring[put_count & RING_MASK] = byte;
      ++put_count;
    }
    watch(byte);
  }
  k_sem_give(&received);
}

static void transmit(void)
{
  if (send_next != send_end) {
    const int count = uart_fifo_fill(uart, send_next, (int)(send_end - send_next));

    if (count > 0) {
      send_next += count;
    }
  } else {
    uart_irq_tx_disable(uart);
    k_sem_give(&sent);
  }
}

/* Handles each event once per interrupt, and does not loop until none is pending: the CMSDK UART
 * driver raises its interrupt for free space before the last byte is out, and a loop would report
 * the end of the transmission too early. */
static void on_interrupt(const struct device *device, void *data)
{
  ARG_UNUSED(device);
  ARG_UNUSED(data);
  uart_irq_update(uart);
  if (uart_irq_rx_ready(uart)) {
    receive();
  }
  if (uart_irq_tx_ready(uart)) {
    transmit();
  }
}

/* Some UARTs raise no interrupt for bytes that arrived before it was enabled. */
static void start_receiving(void)
{
  uart_irq_rx_enable(uart);
  receive();
}

void device_serial_start(void)
{
  const unsigned int key = irq_lock();

  uart_irq_callback_user_data_set(uart, on_interrupt, NULL);
  start_receiving();
  irq_unlock(key);
}

uint32_t tvmtiny_rpc_received(const uint8_t **bytes)
{
  const uint32_t taken = taken_count;
  const uint32_t room = RING_BYTES - (taken & RING_MASK);
  uint32_t count;

  while ((count = put_count - taken) == 0u) {
    (void)k_sem_take(&received, K_FOREVER);
  }
  *bytes = ring + (taken & RING_MASK);
  return MIN(count, room);
}

void tvmtiny_rpc_release(uint32_t count)
{
  const unsigned int key = irq_lock();

  taken_count += count;
  if (is_stopped) {
    is_stopped = false;
    start_receiving();
  }
  irq_unlock(key);
}

void tvmtiny_rpc_send(const uint8_t *bytes, uint32_t count)
{
  if (count == 0u) {
    return;
  }
  send_end = bytes + count;
  send_next = bytes;
  uart_irq_tx_enable(uart);
  (void)k_sem_take(&sent, K_FOREVER);
}

#ifdef CONFIG_TVMTINY_APP_RUNNER
void device_serial_hold(void)
{
  uart_irq_rx_disable(uart);
}

void device_serial_release(void)
{
  const unsigned int key = irq_lock();

  if (!is_stopped) {
    start_receiving();
  }
  irq_unlock(key);
}
#endif
