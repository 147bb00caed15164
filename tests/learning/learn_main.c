/* Trains the last layer of eight_digits with the samples of samples.bin, and writes what came of it:
 * classes of the held-out images before and after, and checksums of each step. */
#include "device.h"
#include "measure.h"
#include "semihosting.h"
#include "eight_digits.h"
#if CHECKPOINTS
#include "tvmtiny_checkpoint.h"
#include "tvmtiny_flash_nrf51.h"
#endif

enum { IMAGE = 64 };

static struct tvmtiny_eight_digits_inputs inputs;
static struct tvmtiny_eight_digits_outputs outputs;
static struct tvmtiny_eight_digits_training training;
static uint8_t sample[IMAGE + 1];
static int32_t results;

void device_measured_long(void)
{
}

static uint32_t checksum(uint32_t crc, const void *data, uint32_t bytes)
{
    const uint8_t *const from = (const uint8_t *)data;
    uint32_t i;
    uint32_t bit;

    crc = ~crc;
    for (i = 0; i < bytes; ++i) {
        crc ^= from[i];
        for (bit = 0; bit < 8u; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0u ? 0xedb88320u : 0u);
        }
    }
    return ~crc;
}

/* The next sample of a file, in the input; its label. */
static uint32_t infer(int32_t file)
{
    int8_t *const input = tvmtiny_eight_digits_input_image();
    uint32_t i;

    device_read(file, sample, sizeof sample);
    for (i = 0; i < (uint32_t)IMAGE; ++i) {
        input[i] = (int8_t)sample[i];
    }
    if (tvmtiny_eight_digits_run(&inputs, &outputs) != 0) {
        device_exit(DEVICE_EXIT_STATUS);
    }
    return sample[IMAGE];
}

static void classify(void)
{
    const int32_t file = device_open_read("held_out.bin");
    uint32_t n;

    for (n = 0; n < HELD_OUT; ++n) {
        uint8_t best = 0;
        uint8_t o;

        (void)infer(file);
        for (o = 1; o < 10u; ++o) {
            best = outputs.logits[o] > outputs.logits[best] ? o : best;
        }
        device_write(results, &best, 1u);
    }
    device_close(file);
}

static float held_out_loss(void)
{
    const int32_t file = device_open_read("held_out.bin");
    float loss = 0.0f;
    uint32_t n;

    for (n = 0; n < 20u; ++n) {
        loss += tvmtiny_eight_digits_train_loss(infer(file));
    }
    device_close(file);
    return loss;
}

static void train(uint32_t wrong)
{
    const int32_t file = device_open_read("samples.bin");
    uint32_t n;

    for (n = 0; n < SAMPLES; ++n) {
        const uint32_t label = infer(file);
        uint32_t crc = checksum(0, outputs.logits, 10u);

        if (tvmtiny_eight_digits_train_class(&training, wrong != 0u ? 9u - label : label) != 0) {
            device_exit(DEVICE_EXIT_STATUS);
        }
        crc = checksum(crc, training.floats, sizeof training.floats);
        device_write(results, &crc, 4u);
    }
    device_close(file);
}

static void keep(void)
{
    const float loss = held_out_loss();
    const int32_t status = tvmtiny_eight_digits_train_keep(&training, loss);

    device_write(results, &loss, 4u);
    device_write(results, &status, 4u);
}

#if CHECKPOINTS
/* Saves what was learned, forgets it, and goes on from the checkpoint. */
static void go_on(const struct tvmtiny_train_rule *rule)
{
    struct tvmtiny_checkpoint checkpoint;
    uint32_t id = TVMTINY_EIGHT_DIGITS_TRAINING_ID;

    tvmtiny_checkpoint_open(&checkpoint, &tvmtiny_flash_nrf51, 0x30000u, 0x1000u);
    if (tvmtiny_checkpoint_save(&checkpoint, id, training.floats, sizeof training.floats) != 0) {
        device_exit(DEVICE_EXIT_STATUS);
    }
    tvmtiny_eight_digits_reset();
    tvmtiny_eight_digits_train_begin(&training, rule);
    tvmtiny_checkpoint_open(&checkpoint, &tvmtiny_flash_nrf51, 0x30000u, 0x1000u);
    if (tvmtiny_checkpoint_load(&checkpoint, id, training.floats, sizeof training.floats) != 0) {
        device_exit(DEVICE_EXIT_STATUS);
    }
    tvmtiny_eight_digits_train_refresh(&training);
    classify();
    train(0);
}
#endif

void device_main(void)
{
    const struct tvmtiny_train_rule rule = {RATE, MOMENTUM, CLIP};
    const float wanted[10] = {0.5f, -0.5f};
    uint32_t pass;
    uint32_t crc;

    results = device_open_write("results.bin");
    tvmtiny_eight_digits_bind(&inputs, &outputs);
    classify();
    tvmtiny_eight_digits_train_begin(&training, &rule);
    for (pass = 0; pass < PASSES; ++pass) {
        train(0);
        keep();
    }
    classify();
    /* Labels that are wrong, and the way back. */
    train(1);
    keep();
    classify();
    /* One step on the squared error. */
    tvmtiny_eight_digits_train_values(&training, wanted);
    crc = checksum(0, training.floats, sizeof training.floats);
    device_write(results, &crc, 4u);
#if CHECKPOINTS
    go_on(&rule);
#endif
    device_exit(DEVICE_EXIT_OK);
}
