/* Counting with SysTick, and a painted stack. */
#include "measure.h"
#include "device.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_CSR_RUN 7u
#define SYST_LARGEST 0x00ffffffu
#define STACK_PAINT 0xa5c35a3cu

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
    /* SysTick counts down: a small value was read before a wrap, a large one after it. */
    edge->wraps = now > SYST_LARGEST / 2u ? wraps : wraps_before;
    edge->value = now;
    edge->spins = spins;
}

static inline uint32_t stack_pointer(void)
{
    uint32_t sp;

    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

static inline void paint(uint32_t sp)
{
    volatile uint32_t *word;

    for (word = device_stack_bottom; (uint32_t)(uintptr_t)word < sp; ++word) {
        *word = STACK_PAINT;
    }
}

static inline uint32_t painted_bytes(uint32_t sp)
{
    volatile uint32_t *word;

    for (word = device_stack_bottom; (uint32_t)(uintptr_t)word < sp; ++word) {
        if (*word != STACK_PAINT) {
            break;
        }
    }
    return sp - (uint32_t)(uintptr_t)word;
}

__attribute__((noinline)) void device_paint_stack(void)
{
    paint(stack_pointer());
}

__attribute__((noinline)) uint32_t device_painted_bytes(void)
{
    return painted_bytes(stack_pointer());
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
    next_edge(&result->begin); /* leaves the reload from zero behind */
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
