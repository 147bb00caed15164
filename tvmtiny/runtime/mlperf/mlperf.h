/* The device's side of MLPerf Tiny's runner: commands that end in '%' come in, lines go out. */
#ifndef TVMTINY_MLPERF_H
#define TVMTINY_MLPERF_H

#include <stdint.h>

/* Of a command. */
#define MLPERF_LINE_BYTES 128u

struct mlperf_application {
    /* What the runner calls the benchmark, such as kws01. */
    const char *model;
    /* Memory for an input as the runner sends it, and its size; it is not changed by an inference. */
    uint8_t *input;
    uint32_t input_bytes;
    /* Numbers of a result. */
    uint32_t results;
    /* Does so many inferences of the input; 0, or a status of the model. */
    int32_t (*infer)(uint32_t count);
    /* A number of the result of the last inference. */
    float (*result)(uint32_t place);
    /* Microseconds since the start. */
    uint32_t (*microseconds)(void);
    /* Where energy is measured: a falling edge at the pin of timestamps; nothing is sent then. Else NULL. */
    void (*pulse)(void);
    void (*send)(const char *text, uint32_t bytes);
};

/* Says that the device is ready. */
void mlperf_start(const struct mlperf_application *application);

/* Takes the next byte from the runner. */
void mlperf_take(const struct mlperf_application *application, char byte);

#endif
