/* Leaves a function from an exception: drops the frame of the interrupted function, and returns
 * from the exception with a new frame to the end of the guarded call. */
#include "protect.h"

#define AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define AIRCR_SYSTEM_RESET 0x05fa0004u
#define EXC_RETURN_TO_THREAD 8u

#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
#define PUSH_FLOATS "vpush {d8-d15}\n\t"
#define POP_FLOATS "vpop {d8-d15}\n\t"
/* Clears FPCCR.LSPACT: floating-point registers must no longer be saved lazily, because their stack
 * space is dropped. */
#define FORGET_FLOATS                                                                              \
    "ldr r2, =0xe000ef34\n\t"                                                                      \
    "ldr r3, [r2]\n\t"                                                                             \
    "bic r3, r3, #1\n\t"                                                                           \
    "str r3, [r2]\n\t"                                                                             \
    "dsb\n\t"
#else
#define PUSH_FLOATS
#define POP_FLOATS
#define FORGET_FLOATS
#endif

/* Stack pointer of the guarded call; 0 outside of one. */
uint32_t *volatile device_guarded_sp;

uint32_t device_is_guarded(void)
{
    return device_guarded_sp != (uint32_t *)0;
}

uint32_t device_may_leave(uint32_t exc_return)
{
    return device_is_guarded() != 0u && (exc_return & EXC_RETURN_TO_THREAD) != 0u;
}

void device_restart(void)
{
    AIRCR = AIRCR_SYSTEM_RESET;
    for (;;) {
    }
}

__attribute__((naked)) int32_t device_call_guarded(__attribute__((unused)) struct tvmtiny_rpc_call *call,
                                                   __attribute__((unused)) tvmtiny_rpc_function function)
{
    __asm__ volatile("push {r3-r7, lr}\n\t"
                     "mov r4, r8\n\t"
                     "mov r5, r9\n\t"
                     "mov r6, r10\n\t"
                     "mov r7, r11\n\t"
                     "push {r4-r7}\n\t" PUSH_FLOATS
                     "ldr r4, =device_guarded_sp\n\t"
                     "mov r2, sp\n\t"
                     "str r2, [r4]\n\t"
                     "blx r1\n\t"
                     "dsb\n" /* attributes a late fault to the function */
                     "device_guarded_end:\n\t"
                     "cpsie i\n\t"
                     "ldr r4, =device_guarded_sp\n\t"
                     "movs r2, #0\n\t"
                     "str r2, [r4]\n\t" POP_FLOATS
                     "pop {r4-r7}\n\t"
                     "mov r8, r4\n\t"
                     "mov r9, r5\n\t"
                     "mov r10, r6\n\t"
                     "mov r11, r7\n\t"
                     "pop {r3-r7, pc}\n\t"
                     ".ltorg");
}

__attribute__((naked)) void device_leave(__attribute__((unused)) int32_t status,
                                         __attribute__((unused)) uint32_t exc_return)
{
    /* Builds the new frame: r0 is the status, the return address has no Thumb bit, and xPSR
     * contains only that bit, so that no partial instruction or IT block is resumed. EXC_RETURN
     * indicates a frame without floating-point registers. The call is no longer guarded from here
     * on, so bytes that follow an ABORT are kept. */
    __asm__ volatile(FORGET_FLOATS "ldr r3, =device_guarded_sp\n\t"
                                   "ldr r2, [r3]\n\t"
                                   "movs r4, #0\n\t"
                                   "str r4, [r3]\n\t"
                                   "subs r2, #32\n\t"
                                   "str r0, [r2]\n\t"
                                   "ldr r3, =device_guarded_end\n\t"
                                   "str r3, [r2, #24]\n\t"
                                   "movs r3, #1\n\t"
                                   "lsls r3, r3, #24\n\t"
                                   "str r3, [r2, #28]\n\t"
                                   "mov sp, r2\n\t"
                                   "movs r3, #16\n\t"
                                   "orrs r1, r3\n\t"
                                   "bx r1\n\t"
                                   ".ltorg");
}
