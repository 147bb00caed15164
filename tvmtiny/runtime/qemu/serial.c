/* Byte I/O of the RPC server on the board's UART. */
#include "serial.h"
#include "board.h"
#include "protect.h"
#include "tvmtiny_rpc.h"

#define NVIC_WORD(base) (*(volatile uint32_t *)((base) + 4u * (DEVICE_UART_IRQ / 32u)))
#define NVIC_ENABLE NVIC_WORD(0xE000E100u)
#define NVIC_DISABLE NVIC_WORD(0xE000E180u)
#define NVIC_SET_PENDING NVIC_WORD(0xE000E200u)
#define UART_IRQ_BIT (1u << (DEVICE_UART_IRQ % 32u))

#define RING_BYTES 256u
#define RING_MASK (RING_BYTES - 1u)

static uint8_t ring[RING_BYTES];
/* How many bytes were put in and taken out. */
static volatile uint32_t put_count;
static volatile uint32_t taken_count;
static volatile uint32_t is_stopped;

void device_serial_hold(void)
{
    NVIC_DISABLE = UART_IRQ_BIT;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
}

void device_serial_release(void)
{
    NVIC_ENABLE = UART_IRQ_BIT;
}

void device_serial_start(void)
{
    uart_start();
    device_serial_release();
}

/* Takes a byte; returns whether the function that runs is to be left. */
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
    /* The line waits, unless a function runs: it may never end, and an ABORT must get through. */
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

__attribute__((naked)) static void uart_entry(void)
{
    __asm__ volatile("push {r4, lr}\n\t"
                     "bl device_uart_receive\n\t"
                     "cmp r0, #0\n\t"
                     "bne 1f\n\t"
                     "pop {r4, pc}\n"
                     "1:\n\t"
                     "ldr r1, [sp, #4]\n\t"
                     "ldr r0, =%c[aborted]\n\t"
                     "bl device_leave\n\t"
                     ".ltorg"
                     :
                     : [aborted] "i"(TVMTINY_RPC_ABORTED));
}

/* Follows the vectors of the processor. */
__attribute__((section(".vectors.interrupts"), used)) static void (
    *const interrupts[DEVICE_UART_IRQ + 1u])(void) = {[DEVICE_UART_IRQ] = uart_entry};

uint32_t tvmtiny_rpc_received(const uint8_t **bytes)
{
    const uint32_t taken = taken_count;
    const uint32_t room = RING_BYTES - (taken & RING_MASK);
    uint32_t count;

    while ((count = put_count - taken) == 0u) {
        /* An interrupt between the question and the sleep ends the sleep, too. */
        __asm__ volatile("cpsid i" : : : "memory");
        if (put_count == taken) {
            __asm__ volatile("wfi" : : : "memory");
        }
        __asm__ volatile("cpsie i" : : : "memory");
    }
    *bytes = ring + (taken & RING_MASK);
    return count < room ? count : room;
}

void tvmtiny_rpc_release(uint32_t count)
{
    taken_count += count;
    if (is_stopped != 0u) {
        is_stopped = 0;
        NVIC_SET_PENDING = UART_IRQ_BIT;
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
