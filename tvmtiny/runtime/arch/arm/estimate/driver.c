/* Runs a candidate once under an emulator, writes its status and outputs to the host, and exits.
 * The compiler's command line defines the addresses. */
#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CPACR_CP10_CP11_FULL (0xfu << 20)

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20 };
enum { MODE_WB = 5, EXIT_OK = 0, EXIT_FAULT = 3, EXIT_FILE = 4 };
#define APPLICATION_EXIT 0x20026u

void driver_reset(void);
void driver_fault(void);

static const uint32_t outputs[][2] = { DRIVER_OUTPUTS };

static uint32_t call_host(uint32_t operation, const uint32_t *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const uint32_t *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void end(uint32_t code)
{
    const uint32_t arguments[2] = { APPLICATION_EXIT, code };
    for (;;) {
        (void)call_host(SYS_EXIT_EXTENDED, arguments);
    }
}

static void write(uint32_t file, uint32_t address, uint32_t bytes)
{
    const uint32_t arguments[3] = { file, address, bytes };
    if (call_host(SYS_WRITE, arguments) != 0u) {
        end(EXIT_FILE);
    }
}

void driver_fault(void)
{
    end(EXIT_FAULT);
}

void driver_reset(void)
{
    static const char name[] = "output.bin";
    const uint32_t opened[3] = { (uint32_t)(uintptr_t)name, MODE_WB, sizeof(name) - 1u };
    uint32_t status;
    uint32_t file;
    uint32_t i;

#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= CPACR_CP10_CP11_FULL;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
#endif
    ((void (*)(uint32_t))(uintptr_t)(DRIVER_PREPARE))(DRIVER_PATTERN);
    status = ((uint32_t(*)(void))(uintptr_t)(DRIVER_RUN))();
    file = call_host(SYS_OPEN, opened);
    if (file == 0xffffffffu) {
        end(EXIT_FILE);
    }
    write(file, (uint32_t)(uintptr_t)&status, sizeof(status));
    for (i = 0; i < sizeof(outputs) / sizeof(outputs[0]); ++i) {
        write(file, outputs[i][0], outputs[i][1]);
    }
    (void)call_host(SYS_CLOSE, &file);
    end(EXIT_OK);
}

struct vector_table {
    uint32_t initial_sp;
    void (*handlers[15])(void);
};

__attribute__((section(".vectors"), used)) static const struct vector_table vectors = {
    DRIVER_STACK,
    { driver_reset, driver_fault, driver_fault, driver_fault, driver_fault, driver_fault,
      driver_fault, driver_fault, driver_fault, driver_fault, driver_fault, driver_fault,
      driver_fault, driver_fault, driver_fault }
};
