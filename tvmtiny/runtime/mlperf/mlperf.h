/* The device's side of MLPerf Tiny's runner: commands that end in '%' come in, lines go out. */
#ifndef TVMTINY_MLPERF_H
#define TVMTINY_MLPERF_H

#include <stdint.h>

/* Of a command. */
#define MLPERF_LINE_BYTES 128u

/* A model that listens to samples, such as a wake word's. */
struct mlperf_listener {
    /* Forgets all samples; later ones are heard. */
    void (*start)(void);
    /* Takes the next samples, and decides if there are enough. */
    void (*listen)(void);
    /* The scores of all decisions since the start, and their number. */
    const int8_t *scores;
    const uint32_t *decisions;
};

struct mlperf_model {
    /* What the runner calls the benchmark, such as kws01. */
    const char *benchmark;
    /* Memory for an input as the runner sends it, and its size; it is not changed by an inference. */
    uint8_t *input;
    uint32_t input_bytes;
    /* Numbers of a result. */
    uint32_t results;
    /* Does so many inferences of the input; 0, or a status of the model. */
    int32_t (*infer)(uint32_t count);
    /* A number of the result of the last inference. */
    float (*result)(uint32_t place);
    /* NULL for a model that does not listen; all members above but the first are unused for others. */
    const struct mlperf_listener *listener;
};

struct mlperf_application {
    const struct mlperf_model *const *models;
    uint32_t model_count;
    /* Microseconds since the start. */
    uint64_t (*microseconds)(void);
    /* Where energy is measured: a falling edge at the pin of timestamps; nothing is sent then. Else NULL. */
    void (*pulse)(void);
    void (*send)(const char *text, uint32_t bytes);
};

/* Says that the device is ready. */
void mlperf_start(const struct mlperf_application *application);

/* Takes the next byte from the runner. */
void mlperf_take(const struct mlperf_application *application, char byte);

/* Lets the model take samples, if it listens: returns whether it does. */
uint32_t mlperf_poll(void);

/* For models that listen: calls a function, and returns the microseconds that its instructions take at the stated clock. */
uint32_t mlperf_measure(int32_t (*call)(void), int32_t *status);

/* Calls a function, so that the application's microseconds contain its time; returns the status. */
int32_t mlperf_spend(int32_t (*call)(void));

#endif
