/* Counts instructions with SysTick. With -icount shift=0, SysTick changes only once per several
 * instructions, so both ends of a measurement wait for a change. */
#include "measure.h"
#include "exceptions.h"
#include "stack.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_CSR_RUN 7u
#define SYST_LARGEST 0x00ffffffu

static volatile uint32_t wraps;

void device_systick(void)
{
    ++wraps;
    device_measured_long();
}

static __attribute__((noinline)) void next_edge(struct device_edge *edge)
{
    const uint32_t wraps_before = wraps;
    uint32_t spins = 0;
    uint32_t first;
    uint32_t now;

    __asm__ volatile("ldr %[first], [%[cvr]]\n"
                     "1:\n\t"
                     "adds %[spins], #1\n\t"
                     "ldr %[now], [%[cvr]]\n\t"
                     "cmp %[now], %[first]\n\t"
                     "beq 1b"
                     : [first] "=&l"(first), [now] "=&l"(now), [spins] "+&l"(spins)
                     : [cvr] "l"(&SYST_CVR)
                     : "cc", "memory");
    /* SysTick counts down: a small value was read before a wrap, and a large one after it. */
    edge->wraps = now > SYST_LARGEST / 2u ? wraps : wraps_before;
    edge->value = now;
    edge->spins = spins;
}

__attribute__((noinline)) void device_measure(int32_t (*call)(void),
                                              struct device_measurement *result)
{
    const uint32_t sp = stack_pointer();

    paint(sp);
    SYST_CSR = 0;
    SYST_RVR = SYST_LARGEST;
    SYST_CVR = 0;
    wraps = 0;
    SYST_CSR = SYST_CSR_RUN;
    next_edge(&result->begin); /* passes the reload after zero */
    next_edge(&result->begin);
    result->status = call();
    next_edge(&result->end);
    SYST_CSR = 0;
    result->stack_bytes = painted_bytes(sp);
}

void device_measure_stop(void)
{
    SYST_CSR = 0;
}
