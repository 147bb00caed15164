/* Start-up, semihosting and the fault report for the Arm boards of QEMU. */
#include "device.h"

#define SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define BFAR (*(volatile uint32_t *)0xE000ED38u)
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)

#define SHCSR_FAULTS_ENABLED (0xfu << 16)
#define CPACR_CP10_CP11_FULL (0xfu << 20)
#define MPU_CTRL_ENABLE_WITH_DEFAULT_MAP 5u
/* 1 MB (2 to the power of 19 + 1), no access at all, no execution. */
#define MPU_RASR_GUARD (1u << 28 | 19u << 1 | 1u)

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB >= 2
#define HAS_FAULT_STATUS 1
#else
#define HAS_FAULT_STATUS 0
#endif

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20,
    ADP_STOPPED_APPLICATION_EXIT = 0x20026,
    MODE_READ_BINARY = 1,
    MODE_WRITE_BINARY = 5,
    FRAME_WORDS = 8,
    FRAME_LR = 5,
    FRAME_PC = 6,
    FRAME_XPSR = 7
};

volatile uint32_t device_layer = DEVICE_NO_LAYER;
volatile uint32_t device_stage = DEVICE_START;

extern uint32_t device_stack_guard[];
extern const uint32_t device_data_load[];
extern uint32_t device_data_start[];
extern uint32_t device_data_end[];
extern const uint32_t device_weights_load[];
extern uint32_t device_weights_start[];
extern uint32_t device_weights_end[];
extern uint32_t device_bss_start[];
extern uint32_t device_bss_end[];

/* A fault may be a stack overflow, so the report needs a stack of its own. */
#define FAULT_STACK_BYTES 320
uint32_t device_fault_stack[FAULT_STACK_BYTES / 4] __attribute__((aligned(8)));

static int32_t semihost(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static uint32_t text_length(const char *text)
{
    uint32_t length = 0;

    while (text[length] != '\0') {
        ++length;
    }
    return length;
}

static int32_t open_file(const char *name, uint32_t mode)
{
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, mode, text_length(name)};
    const int32_t handle = semihost(SYS_OPEN, block);

    if (handle < 0) {
        device_exit(DEVICE_EXIT_FILE);
    }
    return handle;
}

int32_t device_open_read(const char *name)
{
    return open_file(name, MODE_READ_BINARY);
}

int32_t device_open_write(const char *name)
{
    return open_file(name, MODE_WRITE_BINARY);
}

/* SYS_READ and SYS_WRITE answer with the number of bytes not done, which may be some of them. */
static void transfer(uint32_t operation, int32_t handle, uint32_t address, uint32_t bytes)
{
    while (bytes != 0u) {
        const uint32_t block[3] = {(uint32_t)handle, address, bytes};
        const uint32_t left = (uint32_t)semihost(operation, block);

        if (left >= bytes) {
            device_exit(DEVICE_EXIT_FILE);
        }
        address += bytes - left;
        bytes = left;
    }
}

void device_read(int32_t handle, void *data, uint32_t bytes)
{
    transfer(SYS_READ, handle, (uint32_t)(uintptr_t)data, bytes);
}

void device_write(int32_t handle, const void *data, uint32_t bytes)
{
    transfer(SYS_WRITE, handle, (uint32_t)(uintptr_t)data, bytes);
}

void device_close(int32_t handle)
{
    const uint32_t block[1] = {(uint32_t)handle};

    if (semihost(SYS_CLOSE, block) != 0) {
        device_exit(DEVICE_EXIT_FILE);
    }
}

void device_write_entry(int32_t handle, const char *key, uint32_t value)
{
    char tail[10];
    uint32_t digit;

    tail[0] = ' ';
    for (digit = 0; digit < 8u; ++digit) {
        const uint32_t nibble = (value >> (28u - 4u * digit)) & 15u;

        tail[1u + digit] = (char)(nibble < 10u ? '0' + nibble : 'a' + (nibble - 10u));
    }
    tail[9] = '\n';
    device_write(handle, key, text_length(key));
    device_write(handle, tail, sizeof tail);
}

void device_exit(uint32_t code)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, code};

    for (;;) {
        (void)semihost(SYS_EXIT_EXTENDED, block);
    }
}

void device_fault(const uint32_t *frame)
{
    const uint32_t address = (uint32_t)(uintptr_t)frame;
    const uint32_t bottom = (uint32_t)(uintptr_t)device_stack_bottom;
    const uint32_t top = (uint32_t)(uintptr_t)device_stack_top;
    const int32_t file = device_open_write("fault.txt");
    uint32_t exception;

    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    device_write_entry(file, "exception", exception);
    device_write_entry(file, "layer", device_layer);
    device_write_entry(file, "stage", device_stage);
    device_write_entry(file, "sp", address);
    device_write_entry(file, "stack_bottom", bottom);
#if HAS_FAULT_STATUS
    device_write_entry(file, "cfsr", CFSR);
    device_write_entry(file, "hfsr", HFSR);
    device_write_entry(file, "mmfar", MMFAR);
    device_write_entry(file, "bfar", BFAR);
#endif
    /* Outside of the stack the frame was never written, and reading it would be a second fault. */
    if (address >= bottom && address <= top - 4u * FRAME_WORDS && (address & 3u) == 0u) {
        device_write_entry(file, "lr", frame[FRAME_LR]);
        device_write_entry(file, "pc", frame[FRAME_PC]);
        device_write_entry(file, "xpsr", frame[FRAME_XPSR]);
    }
    device_close(file);
    device_exit(DEVICE_EXIT_FAULT);
}

#define TEXT_OF(value) #value
#define EXPANDED_TEXT_OF(value) TEXT_OF(value)

__attribute__((naked)) static void fault_entry(void)
{
    __asm__ volatile("mov r0, sp\n\t"
                     "ldr r1, =device_fault_stack + " EXPANDED_TEXT_OF(FAULT_STACK_BYTES) "\n\t"
                     "mov sp, r1\n\t"
                     "bl device_fault\n\t"
                     ".ltorg");
}

/* Some boards have memory, or addresses that take every write, below their RAM. On Armv6-M there is
 * neither a limit register nor, on these boards, anything below. */
static void guard_stack(void)
{
#if defined(__ARM_ARCH) && __ARM_ARCH >= 8 && HAS_FAULT_STATUS
    __asm__ volatile("msr msplim, %0" : : "r"(device_stack_bottom));
#elif HAS_FAULT_STATUS
    MPU_RNR = 0;
    MPU_RBAR = (uint32_t)(uintptr_t)device_stack_guard;
    MPU_RASR = MPU_RASR_GUARD;
    MPU_CTRL = MPU_CTRL_ENABLE_WITH_DEFAULT_MAP;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
#endif
}

void device_reset(void)
{
    const uint32_t *from = device_data_load;
    volatile uint32_t *to;

    guard_stack();
#if HAS_FAULT_STATUS
    SHCSR |= SHCSR_FAULTS_ENABLED;
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_CP10_CP11_FULL;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
#endif
    for (to = device_data_start; to < device_data_end; ++to) {
        *to = *from++;
    }
    from = device_weights_load;
    if (from != device_weights_start) {
        for (to = device_weights_start; to < device_weights_end; ++to) {
            *to = *from++;
        }
    }
    for (to = device_bss_start; to < device_bss_end; ++to) {
        *to = 0;
    }
    device_main();
    device_exit(DEVICE_EXIT_OK);
}

struct vector_table {
    const uint32_t *initial_sp;
    void (*handlers[15])(void);
};

__attribute__((section(".vectors"), used)) static const struct vector_table vectors = {
    device_stack_top,
    {device_reset, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry,
     fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry, fault_entry,
     device_systick}};
