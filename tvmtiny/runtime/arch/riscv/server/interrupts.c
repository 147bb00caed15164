/* Entry points of the receive interrupt and of the timer interrupt. */
#include "interrupts.h"
#include "measure.h"
#include "protect.h"
#include "serial.h"
#include "traps.h"
#include "tvmtiny_rpc.h"
#include "watch.h"

/* Timer of SiFive's core-local interruptor (CLINT), as on QEMU's virt and sifive_e. */
#define MTIMECMP ((volatile uint32_t *)0x02004000u)
#define MTIME ((volatile uint32_t *)0x0200bff8u)

/* Instructions after which a measurement counts as long. Most models take fewer, so that no
 * interrupt disturbs their measurement. */
#define LONG_INSTRUCTIONS (1u << 28)

#define SAVE                                                                                       \
    "addi sp, sp, -64\n\t"                                                                         \
    "sw ra, 0(sp)\n\tsw t0, 4(sp)\n\tsw t1, 8(sp)\n\tsw t2, 12(sp)\n\t"                            \
    "sw a0, 16(sp)\n\tsw a1, 20(sp)\n\tsw a2, 24(sp)\n\tsw a3, 28(sp)\n\t"                         \
    "sw a4, 32(sp)\n\tsw a5, 36(sp)\n\t"                                                           \
    UPPER_REGISTERS("sw a6, 40(sp)\n\tsw a7, 44(sp)\n\tsw t3, 48(sp)\n\tsw t4, 52(sp)\n\t"          \
                    "sw t5, 56(sp)\n\tsw t6, 60(sp)\n\t")
#define RESTORE                                                                                    \
    "lw ra, 0(sp)\n\tlw t0, 4(sp)\n\tlw t1, 8(sp)\n\tlw t2, 12(sp)\n\t"                            \
    "lw a0, 16(sp)\n\tlw a1, 20(sp)\n\tlw a2, 24(sp)\n\tlw a3, 28(sp)\n\t"                         \
    "lw a4, 32(sp)\n\tlw a5, 36(sp)\n\t"                                                           \
    UPPER_REGISTERS("lw a6, 40(sp)\n\tlw a7, 44(sp)\n\tlw t3, 48(sp)\n\tlw t4, 52(sp)\n\t"          \
                    "lw t5, 56(sp)\n\tlw t6, 60(sp)\n\t")                                         \
    "addi sp, sp, 64\n\t"                                                                          \
    "mret\n\t"

__attribute__((used)) static uint32_t receive(void)
{
    const uint32_t claimed = PLIC_CLAIM;
    const uint32_t leave = claimed == DEVICE_UART_IRQ ? device_uart_receive() : 0u;

    PLIC_CLAIM = claimed;
    return leave;
}

static void set_timer(uint32_t ticks)
{
    const uint32_t low = MTIME[0] + ticks;
    uint32_t high = MTIME[1];

    if (low < ticks) {
        ++high;
    }
    MTIMECMP[1] = 0xffffffffu;
    MTIMECMP[0] = low;
    MTIMECMP[1] = high;
}

static uint32_t ticks_of_long;

/* Derives the length of a long measurement in ticks from the instructions between two ticks. */
static void measure_tick(void)
{
    uint32_t begin;
    uint32_t end;
    uint32_t tick = MTIME[0];
    uint32_t instructions;

    while (MTIME[0] == tick) {
    }
    READ_CSR(minstret, begin);
    tick = MTIME[0];
    while (MTIME[0] == tick) {
    }
    READ_CSR(minstret, end);
    instructions = end - begin;
    for (ticks_of_long = 1u; instructions < LONG_INSTRUCTIONS; instructions <<= 1) {
        ticks_of_long <<= 1;
    }
}

__attribute__((used)) static void measured_long(void)
{
    set_timer(ticks_of_long);
    device_measured_long();
}

void device_watch_start(void)
{
    if (ticks_of_long == 0u) {
        measure_tick();
    }
    set_timer(ticks_of_long);
    SET_CSR(mie, MIE_TIMER);
}

void device_watch_stop(void)
{
    CLEAR_CSR(mie, MIE_TIMER);
}

TRAP_ENTRY void device_timer_entry(void)
{
    __asm__ volatile(SAVE "call measured_long\n\t" RESTORE);
}

TRAP_ENTRY void device_external_entry(void)
{
    __asm__ volatile(SAVE "call receive\n\t"
                          "bnez a0, 1f\n\t" RESTORE
                          "1:\n\t"
                          "li a0, %[aborted]\n\t"
                          "tail device_leave"
                     :
                     : [aborted] "i"(TVMTINY_RPC_ABORTED));
}
