/* Reset handler, stack guard and vector table of Cortex-M. */
#include "device.h"
#include "exceptions.h"

#define SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)

#define SHCSR_FAULTS_ENABLED (0xfu << 16)
#define CPACR_CP10_CP11_FULL (0xfu << 20)
#define MPU_CTRL_ENABLE_WITH_DEFAULT_MAP 5u
/* Region of 1 MB (2 to the power of 19 + 1) with neither access nor execution. */
#define MPU_RASR_GUARD (1u << 28 | 19u << 1 | 1u)

/* Defined by the linker script. */
extern uint32_t device_stack_guard[];

/* Some boards have memory below their RAM, or addresses that accept any write. Armv6-M has no stack
 * limit register, but nothing lies below the RAM of its boards here. */
static void guard_stack(void)
{
#if defined(__ARM_ARCH) && __ARM_ARCH >= 8 && DEVICE_HAS_FAULT_STATUS
    __asm__ volatile("msr msplim, %0" : : "r"(device_stack_bottom));
#elif DEVICE_HAS_FAULT_STATUS
    MPU_RNR = 0;
    MPU_RBAR = (uint32_t)(uintptr_t)device_stack_guard;
    MPU_RASR = MPU_RASR_GUARD;
    MPU_CTRL = MPU_CTRL_ENABLE_WITH_DEFAULT_MAP;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
#endif
}

void device_reset(void)
{
    guard_stack();
#if DEVICE_HAS_FAULT_STATUS
    SHCSR |= SHCSR_FAULTS_ENABLED;
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_CP10_CP11_FULL;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
#endif
    device_begin();
}

struct vector_table {
    const uint32_t *initial_sp;
    void (*handlers[15])(void); /* vectors of interrupts follow in a separate section */
};

__attribute__((section(".vectors"), used)) static const struct vector_table vectors = {
    device_stack_top,
    {device_reset, device_fault_entry, device_fault_entry, device_fault_entry, device_fault_entry,
     device_fault_entry, device_fault_entry, device_fault_entry, device_fault_entry,
     device_fault_entry, device_fault_entry, device_fault_entry, device_fault_entry,
     device_fault_entry, device_systick}};
