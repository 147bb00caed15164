/* Entry points for the trap vectors. */
#ifndef TVMTINY_RISCV_TRAPS_H
#define TVMTINY_RISCV_TRAPS_H

/* Places entries in one section within reach of the vectors' jumps. */
#define TRAP_ENTRY __attribute__((naked, section(".vectors.interrupts"), aligned(4)))

/* Continues in device_fault, on a separate stack. */
void device_fault_entry(void);

/* Treated as faults in a program without a server. */
void device_timer_entry(void);
void device_external_entry(void);

#endif
