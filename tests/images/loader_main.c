/* Firmware of the tests of the loader: does the jobs of jobs.bin with images that lie in memory. */
#include "device.h"
#include "measure.h"
#include "semihosting.h"
#include "platform.h"
#include "tvmtiny_image.h"
#ifdef WITH_PSA
#include "psa_device.h"
#endif

enum { RUN = 0, MUTANTS = 1, SWAP = 2, IN_PLACE = -1 };

struct job {
    uint32_t kind;
    uint32_t address;
    uint32_t first;
    uint32_t second;
};

/* Where the processor has caches there is more to do before code that was written is run. */
static uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(16)));
static uint8_t memory[MEMORY_BYTES] __attribute__((aligned(16)));
static struct tvmtiny_image image;
static const void *inputs[4];
static void *outputs[4];
static struct device_measurement measured;
static int32_t results_file;
static uint32_t runs;

void device_measured_long(void)
{
}

static int32_t empty(void)
{
    return 0;
}

static int32_t run(void)
{
    return tvmtiny_image_run(&image, memory, inputs, outputs);
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    uint32_t i;

    for (i = 0; i < bytes; ++i) {
        to[i] = from[i];
    }
}

static void bind(void)
{
    struct tvmtiny_image_tensor tensor;
    uint32_t i;

    for (i = 0; i < image.inputs + image.outputs; ++i) {
        tvmtiny_image_tensor(&image, i, &tensor);
        if (i < image.inputs) {
            inputs[i] = memory + tensor.offset;
        } else {
            outputs[i - image.inputs] = memory + tensor.offset;
        }
    }
}

static void read_inputs(void)
{
    const int32_t file = device_open_read("input.bin");
    struct tvmtiny_image_tensor tensor;
    uint32_t i;

    for (i = 0; i < image.inputs; ++i) {
        tvmtiny_image_tensor(&image, i, &tensor);
        device_read(file, memory + tensor.offset, tensor.bytes);
    }
    device_close(file);
}

static void write_measurement(const struct device_measurement *result)
{
    device_write(results_file, result, (uint32_t)sizeof *result);
}

static void do_run(const struct job *job)
{
    const uint8_t *data = (const uint8_t *)(uintptr_t)job->address;
    struct tvmtiny_image_tensor tensor;
    int32_t file;
    uint32_t i;

    if (job->first != (uint32_t)IN_PLACE) {
        copy(buffer + job->first, data, job->second);
        data = buffer + job->first;
    }
    measured.status = tvmtiny_image_check(data, job->second, &platform, &image);
    if (measured.status != TVMTINY_IMAGE_OK) {
        write_measurement(&measured);
        return;
    }
    bind();
    measured.status = tvmtiny_image_selftest(&image, memory, (uint8_t *)0);
    if (measured.status != TVMTINY_IMAGE_OK) {
        write_measurement(&measured);
        return;
    }
    read_inputs();
    device_measure(run, &measured);
    file = device_open_write("output.bin");
    for (i = 0; i < image.outputs; ++i) {
        tvmtiny_image_tensor(&image, image.inputs + i, &tensor);
        device_write(file, outputs[i], tensor.bytes);
    }
    device_close(file);
    write_measurement(&measured);
}

/* Each is as long as it says, and the rest of the buffer is what the one before has left there. */
static void do_mutants(const struct job *job)
{
    const int32_t file = device_open_read("mutants.bin");
    uint32_t bytes;
    uint32_t i;

    for (i = 0; i < job->first; ++i) {
        device_read(file, &bytes, 4u);
        if (bytes != 0u) {
            device_read(file, buffer, bytes);
        }
        measured.status = tvmtiny_image_check(buffer, bytes, &platform, &image);
        if (measured.status == TVMTINY_IMAGE_OK) {
            ++runs;
            (void)tvmtiny_image_selftest(&image, memory, (uint8_t *)0);
        }
        device_write(results_file, &measured.status, 4u);
    }
    device_close(file);
    device_write(results_file, &runs, 4u);
}

static int32_t check_and_test(const uint8_t *data, uint32_t bytes)
{
    int32_t status = tvmtiny_image_check(data, bytes, &platform, &image);

    if (status == TVMTINY_IMAGE_OK) {
        status = tvmtiny_image_selftest(&image, memory, (uint8_t *)0);
    }
    return status;
}

/* Two models take turns in one memory; both are verified and tested each time. */
static void do_swap(const struct job *job)
{
    const uint8_t *const places[2] = {(const uint8_t *)(uintptr_t)job->address,
                                      (const uint8_t *)(uintptr_t)job->first};
    uint32_t deepest[2];
    uint32_t right = 0;
    uint32_t i;

    for (i = 0; i < job->second; ++i) {
        device_paint_stack();
        right += check_and_test(places[i & 1u], PLACE_BYTES) == TVMTINY_IMAGE_OK ? 1u : 0u;
        deepest[i < 2u ? 0 : 1] = device_painted_bytes();
        if (i < 2u && i != 0u) {
            device_write(results_file, &deepest[0], 4u);
        }
    }
    device_write(results_file, &deepest[1], 4u);
    device_write(results_file, &right, 4u);
}

void device_main(void)
{
    const int32_t file = device_open_read("jobs.bin");
    static struct job job;
    uint32_t count;

#ifdef WITH_PSA
    if (psa_device_start() != 0) {
        device_exit(DEVICE_EXIT_STATUS);
    }
#endif
    results_file = device_open_write("results.bin");
    device_measure(empty, &measured);
    write_measurement(&measured);
    device_read(file, &count, 4u);
    while (count-- != 0u) {
        device_read(file, &job, (uint32_t)sizeof job);
        if (job.kind == (uint32_t)RUN) {
            do_run(&job);
        } else if (job.kind == (uint32_t)MUTANTS) {
            do_mutants(&job);
        } else {
            do_swap(&job);
        }
    }
    device_exit(DEVICE_EXIT_OK);
}
