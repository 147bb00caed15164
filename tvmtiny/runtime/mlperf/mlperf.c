/* Commands of MLPerf Tiny's runner, and their answers. */
#include "mlperf.h"

#include <stddef.h>

static char line[MLPERF_LINE_BYTES];
static uint32_t line_bytes;
static uint32_t expected_bytes;
static uint32_t loaded_bytes;
/* The model that commands refer to, and whether it listens. */
static const struct mlperf_model *model;
static uint32_t listening;

static uint32_t length_of(const char *text)
{
    uint32_t length = 0;

    while (text[length] != '\0') {
        ++length;
    }
    return length;
}

static void say(const struct mlperf_application *application, const char *text)
{
    application->send(text, length_of(text));
}

static void say_number(const struct mlperf_application *application, uint64_t number)
{
    char digits[20];
    uint32_t place = (uint32_t)sizeof digits;

    do {
        digits[--place] = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0u);
    application->send(digits + place, (uint32_t)sizeof digits - place);
}

/* Three digits behind the point, as printf rounds them. */
static void say_real(const struct mlperf_application *application, float value)
{
    const double size = (value < 0.0f ? -(double)value : (double)value) * 1000.0;
    uint32_t whole = size < 4294967295.0 ? (uint32_t)size : 4294967295u;
    const double rest = size - (double)whole;

    if (rest > 0.5 || (rest >= 0.5 && (whole & 1u) != 0u)) {
        ++whole;
    }
    if (value < 0.0f) {
        say(application, "-");
    }
    say_number(application, whole / 1000u);
    say(application, ".");
    whole %= 1000u;
    say(application, whole < 10u ? "00" : whole < 100u ? "0" : "");
    say_number(application, whole);
}

/* Cuts the next word off the front of what is left of a command; NULL behind the last one. */
static char *next_word(char **rest)
{
    char *word = *rest;
    char *end;

    while (*word == ' ') {
        ++word;
    }
    for (end = word; *end != ' ' && *end != '\0'; ++end) {
    }
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return *word == '\0' ? NULL : word;
}

static uint32_t is_word(const char *word, const char *wanted)
{
    while (*word == *wanted && *word != '\0') {
        ++word;
        ++wanted;
    }
    return *word == *wanted ? 1u : 0u;
}

/* The number that a word begins with, at most 9 digits of it; a negative one for anything else. */
static int32_t number_of(const char *word)
{
    int32_t number = 0;
    uint32_t digits = 0;

    while (word[digits] >= '0' && word[digits] <= '9' && digits < 9u) {
        number = number * 10 + (word[digits] - '0');
        ++digits;
    }
    return digits == 0u || word[digits] != '\0' ? -1 : number;
}

static int32_t hex_digit(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

static void timestamp(const struct mlperf_application *application)
{
    if (application->pulse != NULL) {
        application->pulse();
        return;
    }
    say(application, "m-lap-us-");
    say_number(application, application->microseconds());
    say(application, "\r\n");
}

static void results(const struct mlperf_application *application)
{
    uint32_t i;

    say(application, "m-results-[");
    for (i = 0; i < model->results; ++i) {
        if (i != 0u) {
            say(application, ",");
        }
        say_real(application, model->result(i));
    }
    say(application, "]\r\n");
}

static void load(const struct mlperf_application *application, char *rest)
{
    const char *const word = next_word(&rest);
    const int32_t bytes = word == NULL ? -1 : number_of(word);

    if (bytes <= 0) {
        say(application, "e-[Command 'db load' must be >0 bytes]\r\n");
        return;
    }
    if ((uint32_t)bytes > model->input_bytes) {
        say(application, "e-[Supplied buffer size exceeds maximum of ");
        say_number(application, model->input_bytes);
        say(application, "]\r\n");
        return;
    }
    expected_bytes = (uint32_t)bytes;
    loaded_bytes = 0;
    say(application, "m-[Expecting ");
    say_number(application, expected_bytes);
    say(application, " bytes]\r\n");
}

static void print_input(const struct mlperf_application *application)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t i;

    for (i = 0; i < loaded_bytes; ++i) {
        const char byte[2] = {digits[model->input[i] >> 4], digits[model->input[i] & 15u]};

        say(application, i % 8u == 0u ? "m-buffer-" : "-");
        application->send(byte, 2u);
        if (i % 8u == 7u || i + 1u == loaded_bytes) {
            say(application, "\r\n");
        }
    }
}

static void take_bytes(const struct mlperf_application *application, const char *word)
{
    const uint32_t digits = length_of(word);
    uint32_t i;

    if ((digits & 1u) != 0u) {
        say(application, "e-[Insufficent number of hex digits]\r\n");
        return;
    }
    for (i = 0; i < digits; i += 2u) {
        const int32_t high = hex_digit(word[i]);
        const int32_t low = hex_digit(word[i + 1u]);

        if (high < 0 || low < 0) {
            say(application, "e-[Invalid hex digit]\r\n");
            return;
        }
        if (loaded_bytes >= expected_bytes) {
            return;
        }
        model->input[loaded_bytes++] = (uint8_t)(high * 16 + low);
        if (loaded_bytes == expected_bytes) {
            say(application, "m-load-done\r\n");
            return;
        }
    }
}

static void buffer(const struct mlperf_application *application, char *rest)
{
    char *const word = next_word(&rest);

    if (word == NULL) {
        say(application, "e-[Command 'db' requires a subcommand]\r\n");
    } else if (is_word(word, "load")) {
        load(application, rest);
    } else if (is_word(word, "print")) {
        print_input(application);
    } else {
        take_bytes(application, word);
    }
}

static int32_t run(const struct mlperf_application *application, uint32_t count)
{
    const int32_t status = count == 0u ? 0 : model->infer(count);

    if (status != 0) {
        say(application, "e-[The model gives an error]\r\n");
    }
    return status;
}

static void infer(const struct mlperf_application *application, char *rest)
{
    const char *const first = next_word(&rest);
    const char *const second = next_word(&rest);
    const int32_t count = first == NULL ? 1 : number_of(first);
    const int32_t warmups = second == NULL ? 10 : number_of(second);

    if (count <= 0) {
        say(application, "e-[Inference iterations must be >0]\r\n");
        return;
    }
    if (warmups < 0) {
        say(application, "e-[Inference warmup must be >=0]\r\n");
        return;
    }
    if (loaded_bytes != model->input_bytes) {
        say(application, "e-[Input has ");
        say_number(application, loaded_bytes);
        say(application, " bytes, expected ");
        say_number(application, model->input_bytes);
        say(application, "]\r\n");
        return;
    }
    say(application, "m-warmup-start-");
    say_number(application, (uint32_t)warmups);
    say(application, "\r\n");
    if (run(application, (uint32_t)warmups) != 0) {
        return;
    }
    say(application, "m-warmup-done\r\nm-infer-start-");
    say_number(application, (uint32_t)count);
    say(application, "\r\n");
    timestamp(application);
    if (run(application, (uint32_t)count) != 0) {
        return;
    }
    timestamp(application);
    say(application, "m-infer-done\r\n");
    results(application);
}

static void say_model(const struct mlperf_application *application)
{
    say(application, "m-model-[");
    say(application, model->benchmark);
    say(application, "]\r\n");
}

/* Chooses the model of a benchmark. */
static void choose(const struct mlperf_application *application, char *rest)
{
    const char *const word = next_word(&rest);
    uint32_t i;

    for (i = 0; word != NULL && i < application->model_count; ++i) {
        if (is_word(word, application->models[i]->benchmark)) {
            model = application->models[i];
            expected_bytes = 0;
            loaded_bytes = 0;
            listening = 0;
            say_model(application);
            return;
        }
    }
    say(application, "e-[Known models:");
    for (i = 0; i < application->model_count; ++i) {
        say(application, " ");
        say(application, application->models[i]->benchmark);
    }
    say(application, "]\r\n");
}

static void start(const struct mlperf_application *application)
{
    if (listening != 0u) {
        say(application, "e-[Samples are being received]\r\n");
        return;
    }
    model->listener->start();
    listening = 1u;
    say(application, "Listening for I2S data ...\r\n");
    timestamp(application);
}

static void stop(const struct mlperf_application *application)
{
    const uint32_t decisions = *model->listener->decisions;
    uint32_t i;

    if (listening == 0u) {
        say(application, "I2S is idle\r\n");
        return;
    }
    listening = 0;
    timestamp(application);
    say(application, "Streaming stopped.\r\n");
    if (decisions == 0u) {
        return;
    }
    say(application, "target activations: \r\n[");
    for (i = 0; i < decisions; ++i) {
        const int32_t score = model->listener->scores[i];

        say(application, i == 0u ? "" : i % 16u == 0u ? ",\r\n" : ", ");
        say(application, score < 0 ? "-" : "");
        say_number(application, (uint32_t)(score < 0 ? -score : score));
    }
    say(application, "]\r\n");
}

static void command(const struct mlperf_application *application, char *rest)
{
    char *const word = next_word(&rest);

    if (word == NULL) {
        say(application, "e-[Unknown command: ]\r\n");
    } else if (is_word(word, "name")) {
        say(application, "m-name-dut-[tvmtiny]\r\n");
    } else if (is_word(word, "timestamp")) {
        timestamp(application);
    } else if (is_word(word, "profile")) {
        say(application, "m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n");
        say_model(application);
    } else if (is_word(word, "model")) {
        choose(application, rest);
    } else if (is_word(word, "help")) {
        say(application, "name, timestamp, profile, db load N, db HH..., db print, infer N W, results, start, stop, "
                         "model NAME\r\n");
    } else if (is_word(word, "start") && model->listener != NULL) {
        start(application);
    } else if (is_word(word, "stop") && model->listener != NULL) {
        stop(application);
    } else if (is_word(word, "db") && model->listener == NULL) {
        buffer(application, rest);
    } else if (is_word(word, "infer") && model->listener == NULL) {
        infer(application, rest);
    } else if (is_word(word, "results") && model->listener == NULL) {
        results(application);
    } else {
        say(application, "e-[Unknown command: ");
        say(application, word);
        say(application, "]\r\n");
    }
}

uint32_t mlperf_poll(void)
{
    if (listening != 0u) {
        model->listener->listen();
    }
    return listening;
}

void mlperf_start(const struct mlperf_application *application)
{
    model = application->models[0];
    say(application, application->pulse != NULL ? "m-timestamp-mode-energy\r\n" : "m-timestamp-mode-performance\r\n");
    timestamp(application);
    say(application, "m-init-done\r\nm-ready\r\n");
}

void mlperf_take(const struct mlperf_application *application, char byte)
{
    if (byte == '\r' || byte == '\n' || byte == '\0') {
        return;
    }
    if (byte != '%') {
        /* A line that is too long is answered as one that is not known. */
        if (line_bytes + 1u < MLPERF_LINE_BYTES) {
            line[line_bytes++] = byte;
        } else {
            line[0] = '?';
        }
        return;
    }
    line[line_bytes] = '\0';
    line_bytes = 0;
    command(application, line);
    say(application, "m-ready\r\n");
}
