/* Files of the host, program exit, and the fault report in a file. */
#include "semihosting.h"
#include "arch.h"
#include "fault.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20,
    ADP_STOPPED_APPLICATION_EXIT = 0x20026,
    MODE_READ_BINARY = 1,
    MODE_WRITE_BINARY = 5
};

static __attribute__((noinline)) int32_t call_host(uint32_t operation, const void *block)
{
    return semihost(operation, block);
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
    const int32_t handle = call_host(SYS_OPEN, block);

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

/* SYS_READ and SYS_WRITE return the number of bytes that were not transferred, which may be a part.
 */
static void transfer(uint32_t operation, int32_t handle, uint32_t address, uint32_t bytes)
{
    while (bytes != 0u) {
        const uint32_t block[3] = {(uint32_t)handle, address, bytes};
        const uint32_t left = (uint32_t)call_host(operation, block);

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

    if (call_host(SYS_CLOSE, block) != 0) {
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
        (void)call_host(SYS_EXIT_EXTENDED, block);
    }
}

void device_fault(const uint32_t *frame, uint32_t cause)
{
    static struct device_fault_words words;
    const int32_t file = device_open_write("fault.txt");
    uint32_t i;

    (void)cause;
    device_describe_fault(frame, &words);
    for (i = 0; i < words.count; ++i) {
        device_write_entry(file, words.names[i], words.values[i]);
    }
    device_close(file);
    device_exit(DEVICE_EXIT_FAULT);
}
