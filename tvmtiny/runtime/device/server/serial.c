/* Byte I/O of the RPC server on the board's UART. */
#include "serial.h"
#include "arch.h"
#include "board.h"
#include "interrupts.h"
#include "protect.h"
#include "tvmtiny_rpc.h"

#define RING_BYTES 256u
#define RING_MASK (RING_BYTES - 1u)

static uint8_t ring[RING_BYTES];
/* Total numbers of bytes put into the ring and taken out of it. */
static volatile uint32_t put_count;
static volatile uint32_t taken_count;
static volatile uint32_t is_stopped;

void device_serial_hold(void)
{
    disable_uart_interrupt();
}

void device_serial_release(void)
{
    enable_uart_interrupt();
}

void device_serial_start(void)
{
    uart_start();
    device_serial_release();
}

uint32_t device_uart_receive(void)
{
    static const uint8_t abort_bytes[] = TVMTINY_RPC_ABORT_BYTES;
    static uint32_t matched;
    const uint32_t guarded = device_is_guarded();
    const uint32_t put = put_count;
    const uint32_t is_full = put - taken_count == RING_BYTES;
    uint8_t byte;

    uart_acknowledge();
    if (uart_has_byte() == 0u) {
        return 0;
    }
    /* If the ring is full, bytes wait on the line, unless a function is running: that may never
     * end, so an ABORT must get through. */
    if (is_full != 0u && guarded == 0u) {
        is_stopped = 1;
        device_serial_hold();
        return 0;
    }
    byte = uart_take();
    if (is_full == 0u) {
        ring[put & RING_MASK] = byte;
        put_count = put + 1u;
    }
    if (byte != abort_bytes[matched]) {
        matched = byte == 0u ? 1u : 0u;
        return 0;
    }
    if (++matched < sizeof abort_bytes) {
        return 0;
    }
    matched = 0;
    return guarded;
}

uint32_t device_serial_waiting(void)
{
    return put_count - taken_count;
}

uint32_t tvmtiny_rpc_received(const uint8_t **bytes)
{
    const uint32_t taken = taken_count;
    const uint32_t room = RING_BYTES - (taken & RING_MASK);
    uint32_t count;

    while ((count = put_count - taken) == 0u) {
        /* An interrupt that occurs between the check and wait_for_interrupt ends the wait, too. */
        disable_interrupts();
        if (put_count == taken) {
            wait_for_interrupt();
        }
        enable_interrupts();
    }
    *bytes = ring + (taken & RING_MASK);
    return count < room ? count : room;
}

void tvmtiny_rpc_release(uint32_t count)
{
    taken_count += count;
    if (is_stopped != 0u) {
        is_stopped = 0;
        repeat_uart_interrupt();
        device_serial_release();
    }
}

void tvmtiny_rpc_send(const uint8_t *bytes, uint32_t count)
{
    const uint8_t *const end = bytes + count;

    while (bytes != end) {
        uart_put(*bytes++);
    }
}
