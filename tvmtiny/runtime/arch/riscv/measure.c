/* Counts instructions with minstret. */
#include "measure.h"
#include "arch.h"
#include "stack.h"
#include "watch.h"

#define LARGEST 0x00ffffffu

/* Inlined, so that the number of instructions after the first value equals that before the second.
 */
static inline void read_edge(struct device_edge *edge)
{
    uint32_t high;
    uint32_t low;
    uint32_t again;

    __asm__ volatile(CSR("1:\n\t"
                         "csrr %[high], minstreth\n\t"
                         "csrr %[low], minstret\n\t"
                         "csrr %[again], minstreth\n\t"
                         "bne %[high], %[again], 1b")
                     : [high] "=&r"(high), [low] "=&r"(low), [again] "=&r"(again)
                     :
                     : "memory");
    edge->wraps = high << 8 | low >> 24;
    edge->value = LARGEST - (low & LARGEST);
    edge->spins = 0;
}

__attribute__((noinline)) void device_measure(int32_t (*call)(void),
                                              struct device_measurement *result)
{
    const uint32_t sp = stack_pointer();

    paint(sp);
    device_watch_start();
    read_edge(&result->begin);
    result->status = call();
    read_edge(&result->end);
    device_watch_stop();
    result->stack_bytes = painted_bytes(sp);
}

void device_measure_stop(void)
{
    device_watch_stop();
}

__attribute__((weak)) void device_watch_start(void)
{
}

__attribute__((weak)) void device_watch_stop(void)
{
}
