#include <zephyr/kernel.h>

#include "measure.h"

#define COUNTER_BITS 24u
#define PAINT 0xa5c35a3cu

static uint32_t *stack_bottom(void)
{
  return (uint32_t *)ROUND_UP(k_current_get()->stack_info.start, sizeof(uint32_t));
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

static ALWAYS_INLINE uint32_t stack_pointer(void)
{
#ifdef CONFIG_ARM
  uint32_t sp;

  __asm__ volatile("mov %0, sp" : "=r"(sp));
  return sp;
#else
  return (uint32_t)(uintptr_t)__builtin_frame_address(0);
#endif
}

__attribute__((noinline)) void device_paint_stack(void)
{
  /* An interrupt may use what is below. */
  const unsigned int key = irq_lock();

  paint(stack_pointer());
  irq_unlock(key);
}

__attribute__((noinline)) uint32_t device_painted_bytes(void)
{
  return painted(stack_pointer());
}

__attribute__((noinline)) void device_measure(int32_t (*call)(void),
                                              struct device_measurement *result)
{
  const uint32_t sp = stack_pointer();
  unsigned int key = irq_lock();
  uint32_t begin;
  uint32_t cycles;

  paint(sp);
  irq_unlock(key);
  begin = k_cycle_get_32();
  result->status = call();
  cycles = k_cycle_get_32() - begin;
  result->stack_bytes = painted(sp);
  result->begin.wraps = 0;
  result->begin.value = cycles & BIT_MASK(COUNTER_BITS);
  result->begin.spins = 0;
  result->end.wraps = cycles >> COUNTER_BITS;
  result->end.value = 0;
  result->end.spins = 0;
}
