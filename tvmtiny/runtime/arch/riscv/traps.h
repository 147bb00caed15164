/* What the trap vectors lead to. */
#ifndef TVMTINY_RISCV_TRAPS_H
#define TVMTINY_RISCV_TRAPS_H

/* All entries lie here, in reach of the vectors' jumps. */
#define TRAP_ENTRY __attribute__((naked, section(".vectors.interrupts"), aligned(4)))

/* Goes on in device_fault, on a stack of its own. */
void device_fault_entry(void);

/* Without a server they are faults. */
void device_timer_entry(void);
void device_external_entry(void);

#endif
