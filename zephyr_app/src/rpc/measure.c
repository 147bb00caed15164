#include <zephyr/kernel.h>

#include "measure.h"

#define COUNTER_BITS 24u
#define PAINT 0xa5c35a3cu
#define LONG_MS 100

/* Skips the word by which Zephyr detects overflows. */
static uint32_t *stack_bottom(void)
{
  return (uint32_t *)ROUND_UP(k_current_get()->stack_info.start, sizeof(uint32_t)) +
         (IS_ENABLED(CONFIG_STACK_SENTINEL) ? 1 : 0);
}

static ALWAYS_INLINE void paint(uint32_t end)
{
  volatile uint32_t *word = stack_bottom();

  for (; (uint32_t)(uintptr_t)word < end; ++word) {
    *word = PAINT;
  }
}

static ALWAYS_INLINE uint32_t painted(uint32_t end)
{
  volatile uint32_t *word = stack_bottom();

  while ((uint32_t)(uintptr_t)word < end && *word == PAINT) {
    ++word;
  }
  return end - (uint32_t)(uintptr_t)word;
}

#if defined(CONFIG_ARM) || defined(CONFIG_RISCV)
static ALWAYS_INLINE uint32_t stack_pointer(void)
{
  uint32_t sp;

#ifdef CONFIG_ARM
  __asm__ volatile("mov %0, sp" : "=r"(sp));
#else
  __asm__ volatile("mv %0, sp" : "=r"(sp));
#endif
  return sp;
}
#else
/* A function's frame is below its caller's, which may begin above the caller's own data. */
static __attribute__((noinline)) uint32_t stack_pointer(void)
{
  return (uint32_t)(uintptr_t)__builtin_frame_address(0);
}
#endif

__attribute__((noinline)) void device_paint_stack(void)
{
  /* Interrupts may use the memory below the stack pointer. */
  const unsigned int key = irq_lock();

  paint(stack_pointer());
  irq_unlock(key);
}

__attribute__((noinline)) uint32_t device_painted_bytes(void)
{
  return painted(stack_pointer());
}

#if defined(CONFIG_TVMTINY_APP_RUNNER) && defined(CONFIG_ARMV7_M_ARMV8_M_MAINLINE)
#define DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)0xE0001FB0u)

enum { DEMCR_TRCENA = 1 << 24, DWT_CYCCNTENA = 1 << 0, DWT_NOCYCCNT = 1 << 25 };

/* The counter is optional in hardware and absent in QEMU, so check that it counts. */
static bool has_cycle_counter(void)
{
  static enum { UNKNOWN, ABSENT, PRESENT } found;

  if (found == UNKNOWN) {
    found = ABSENT;
    DEMCR |= DEMCR_TRCENA;
    if ((DEMCR & DEMCR_TRCENA) != 0u && (DWT_CTRL & DWT_NOCYCCNT) == 0u) {
      DWT_LAR = 0xC5ACCE55u; /* Cortex-M7 locks the counter. */
      DWT_CTRL |= DWT_CYCCNTENA;
      if ((DWT_CTRL & DWT_CYCCNTENA) != 0u) {
        const uint32_t before = DWT_CYCCNT;

        __asm__ volatile("isb\n\tnop\n\tnop\n\tnop\n\tisb" : : : "memory");
        if (DWT_CYCCNT != before) {
          found = PRESENT;
        }
      }
    }
  }
  return found == PRESENT;
}

static ALWAYS_INLINE uint32_t now(bool counts_cycles)
{
  return counts_cycles ? DWT_CYCCNT : k_cycle_get_32();
}
#else
static bool has_cycle_counter(void)
{
  return false;
}

static ALWAYS_INLINE uint32_t now(bool counts_cycles)
{
  ARG_UNUSED(counts_cycles);
  return k_cycle_get_32();
}
#endif

#ifdef CONFIG_TVMTINY_APP_RUNNER
const char *device_measures(void)
{
  if (has_cycle_counter()) {
    return "cycles";
  }
  if (IS_ENABLED(CONFIG_QEMU_TARGET)) {
    return "instructions";
  }
  /* SysTick counts cycles of the processor's clock. */
  return IS_ENABLED(CONFIG_CORTEX_M_SYSTICK) ? "cycles" : "ticks";
}

/* An interrupt hardly affects a call of this length, and a call that never returns must be open to
 * an ABORT. A tickless kernel has no other interrupt in a shorter call. */
static void on_long(struct k_timer *timer)
{
  ARG_UNUSED(timer);
  device_measured_long();
}

static K_TIMER_DEFINE(long_timer, on_long, NULL);
#endif

__attribute__((noinline)) void device_measure(int32_t (*call)(void),
                                              struct device_measurement *result)
{
  const uint32_t sp = stack_pointer();
  const bool counts_cycles = has_cycle_counter();
  unsigned int key;
  uint32_t begin;
  uint32_t cycles;

#ifdef CONFIG_TVMTINY_APP_RUNNER
  k_timer_start(&long_timer, K_MSEC(LONG_MS), K_NO_WAIT);
#endif
  key = irq_lock();
  paint(sp);
  irq_unlock(key);
  begin = now(counts_cycles);
  result->status = call();
  cycles = now(counts_cycles) - begin;
#ifdef CONFIG_TVMTINY_APP_RUNNER
  k_timer_stop(&long_timer);
#endif
  result->stack_bytes = painted(sp);
  result->begin.wraps = 0;
  result->begin.value = cycles & BIT_MASK(COUNTER_BITS);
  result->begin.spins = 0;
  result->end.wraps = cycles >> COUNTER_BITS;
  result->end.value = 0;
  result->end.spins = 0;
}
