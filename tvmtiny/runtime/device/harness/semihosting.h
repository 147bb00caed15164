/* Access to files of the host by semihosting. If the host reports an error, the functions end the
 * program with DEVICE_EXIT_FILE. */
#ifndef TVMTINY_DEVICE_SEMIHOSTING_H
#define TVMTINY_DEVICE_SEMIHOSTING_H

#include <stdint.h>

enum device_exit_code {
    DEVICE_EXIT_OK = 0,
    DEVICE_EXIT_FAULT = 10,
    DEVICE_EXIT_FILE = 11,
    DEVICE_EXIT_STATUS = 12
};

int32_t device_open_read(const char *name);
int32_t device_open_write(const char *name);
void device_read(int32_t handle, void *data, uint32_t bytes);
void device_write(int32_t handle, const void *data, uint32_t bytes);
void device_close(int32_t handle);

/* Writes a line "key value" with the value as eight hexadecimal digits. */
void device_write_entry(int32_t handle, const char *key, uint32_t value);

__attribute__((noreturn)) void device_exit(uint32_t code);

#endif
