/* Exception handlers in the vector table. */
#ifndef TVMTINY_ARM_EXCEPTIONS_H
#define TVMTINY_ARM_EXCEPTIONS_H

/* Armv6-M has no fault status registers. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define DEVICE_HAS_FAULT_STATUS 1
#else
#define DEVICE_HAS_FAULT_STATUS 0
#endif

/* Continues in device_fault, on a separate stack. */
void device_fault_entry(void);

void device_systick(void);

#endif
