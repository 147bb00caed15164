/* What the vector table holds. */
#ifndef TVMTINY_ARM_EXCEPTIONS_H
#define TVMTINY_ARM_EXCEPTIONS_H

/* Armv6-M has no registers that say what a fault was. */
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define DEVICE_HAS_FAULT_STATUS 1
#else
#define DEVICE_HAS_FAULT_STATUS 0
#endif

/* Goes on in device_fault, on a stack of its own. */
void device_fault_entry(void);

void device_systick(void);

#endif
