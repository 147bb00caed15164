/* Models as images: verified, then run where they lie, in flash or in RAM. C99, freestanding, no heap, no
 * state of its own, so that any number of images can be open. docs/images.md describes the format.
 *
 * No byte of an image is executed before tvmtiny_image_check has found all of it in order. Whoever can
 * write to the memory of an image afterwards can change what runs. */
#ifndef TVMTINY_IMAGE_H
#define TVMTINY_IMAGE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TVMTINY_IMAGE_FORMAT 1u
/* What image and firmware agree on: registers of a call, and that an image calls nothing of the firmware. */
#define TVMTINY_IMAGE_ABI 1u

/* Of the image in memory, and of the memory that it works in. */
#define TVMTINY_IMAGE_ALIGNMENT 16u

#define TVMTINY_IMAGE_HEADER_BYTES 176u
#define TVMTINY_IMAGE_TENSOR_BYTES 80u
#define TVMTINY_IMAGE_DIGEST_BYTES 32u
#define TVMTINY_IMAGE_SIGNATURE_BYTES 64u
#define TVMTINY_IMAGE_KEY_ID_BYTES 8u
#define TVMTINY_IMAGE_NAME_BYTES 32u

/* Why an image is refused. */
enum tvmtiny_image_status {
    TVMTINY_IMAGE_OK = 0,
    TVMTINY_IMAGE_ALIGNMENT_WRONG = 1, /* it does not begin at a multiple of 16 bytes */
    TVMTINY_IMAGE_TRUNCATED = 2,       /* it is longer than what is there */
    TVMTINY_IMAGE_NO_IMAGE = 3,        /* it does not begin as one */
    TVMTINY_IMAGE_OTHER_FORMAT = 4,    /* of another version of the format */
    TVMTINY_IMAGE_OTHER_ABI = 5,       /* for firmware that calls images in another way */
    TVMTINY_IMAGE_BAD_LAYOUT = 6,      /* its parts do not fit each other */
    TVMTINY_IMAGE_OTHER_CPU = 7,       /* for another processor */
    TVMTINY_IMAGE_NO_FEATURE = 8,      /* uses instructions that this processor does not have */
    TVMTINY_IMAGE_OLD_FIRMWARE = 9,    /* for a later firmware */
    TVMTINY_IMAGE_ROLLBACK = 10,       /* older than what has run here */
    TVMTINY_IMAGE_NO_MEMORY = 11,      /* needs more memory than the firmware has for it */
    TVMTINY_IMAGE_NO_STACK = 12,       /* needs more stack than the firmware has for it */
    TVMTINY_IMAGE_BAD_HASH = 13,       /* its bytes are not those that were hashed */
    TVMTINY_IMAGE_UNSIGNED = 14,       /* has no signature, and the firmware wants one */
    TVMTINY_IMAGE_UNKNOWN_KEY = 15,    /* signed with a key that the firmware does not know */
    TVMTINY_IMAGE_BAD_SIGNATURE = 16,  /* its signature is not of this key */
    TVMTINY_IMAGE_BAD_SELFTEST = 17,   /* a known input gives other outputs */
    TVMTINY_IMAGE_NO_SELFTEST = 18     /* it has none */
};

/* How an image is signed; both sign its SHA-256. */
enum tvmtiny_image_signature {
    TVMTINY_IMAGE_NOT_SIGNED = 0,
    TVMTINY_IMAGE_ED25519 = 1,
    TVMTINY_IMAGE_ECDSA_P256 = 2
};

/* A public key of the firmware: 32 bytes for Ed25519, 64 (x, y) for ECDSA-P256. `verify` is a library's,
 * such as tvmtiny_image_monocypher; it returns 0 where the signature is right. */
struct tvmtiny_image_key {
    uint8_t kind;
    uint8_t id[TVMTINY_IMAGE_KEY_ID_BYTES];
    const uint8_t *public_key;
    int32_t (*verify)(const uint8_t *public_key, const uint8_t *digest, const uint8_t *signature);
};

/* What the firmware is, and what it allows. Without keys, images are checked by their hash alone, which
 * protects from damage and not from an attacker. */
struct tvmtiny_image_platform {
    const char *cpu;
    uint32_t features;
    uint32_t firmware_version;
    /* Of the model: older ones are refused. */
    uint32_t least_version;
    uint32_t memory_bytes;
    uint32_t stack_bytes;
    const struct tvmtiny_image_key *keys;
    uint32_t key_count;
};

/* An input or output. */
struct tvmtiny_image_tensor {
    uint32_t bytes;
    /* In the memory of the image; TVMTINY_IMAGE_EXTERNAL where the caller has memory for it. */
    uint32_t offset;
    float scale;
    int32_t zero_point;
    uint8_t dtype;
    uint8_t rank;
    uint8_t quantized;
    uint32_t shape[6];
    const char *name;
};

#define TVMTINY_IMAGE_EXTERNAL 0xffffffffu

/* Numbers of dtypes. */
enum tvmtiny_image_dtype {
    TVMTINY_IMAGE_INT8 = 0,
    TVMTINY_IMAGE_UINT8 = 1,
    TVMTINY_IMAGE_INT16 = 2,
    TVMTINY_IMAGE_UINT16 = 3,
    TVMTINY_IMAGE_INT32 = 4,
    TVMTINY_IMAGE_UINT32 = 5,
    TVMTINY_IMAGE_INT64 = 6,
    TVMTINY_IMAGE_UINT64 = 7,
    TVMTINY_IMAGE_FLOAT32 = 8,
    TVMTINY_IMAGE_FLOAT64 = 9,
    TVMTINY_IMAGE_BOOL = 10,
    TVMTINY_IMAGE_FLOAT16 = 11,
    TVMTINY_IMAGE_DTYPES = 12
};

/* Inputs and outputs come as arrays of pointers, in their order. */
typedef int32_t (*tvmtiny_image_function)(uint8_t *memory, const void *const *inputs,
                                          void *const *outputs);

/* An image that was found to be in order. */
struct tvmtiny_image {
    const uint8_t *data;
    uint32_t bytes;
    uint32_t version;
    uint32_t arena_bytes;
    uint32_t state_bytes;
    uint32_t stack_bytes;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t is_signed;
    const char *name;
    tvmtiny_image_function run;
};

/* Checks an image of at most `bytes` bytes. Returns TVMTINY_IMAGE_OK or why it is refused; `image` is set
 * only where it is in order. Processors with caches for instructions have to be told before it runs, if it
 * was written to memory as data. */
int32_t tvmtiny_image_check(const uint8_t *data, uint32_t bytes,
                            const struct tvmtiny_image_platform *platform,
                            struct tvmtiny_image *image);

/* What an image needs beside the stack, aligned to TVMTINY_IMAGE_ALIGNMENT: its arena, and behind that what
 * it remembers from one run to the next. */
uint32_t tvmtiny_image_memory_bytes(const struct tvmtiny_image *image);

/* Makes a model forget what it has seen; needed once before its first run in this memory. */
void tvmtiny_image_reset(const struct tvmtiny_image *image, uint8_t *memory);

/* Input or output number `index`; the inputs come first. */
void tvmtiny_image_tensor(const struct tvmtiny_image *image, uint32_t index,
                          struct tvmtiny_image_tensor *tensor);

/* Runs one inference, as <model>_run_arena does, and returns what that returns. */
int32_t tvmtiny_image_run(const struct tvmtiny_image *image, uint8_t *memory,
                          const void *const *inputs, void *const *outputs);

/* Runs the input that the image's own hash of the outputs is for. Inputs and outputs lie in the memory of
 * the image or, where the caller has memory for them, in `external`, one behind the other, each aligned to
 * 16 bytes. */
int32_t tvmtiny_image_selftest(const struct tvmtiny_image *image, uint8_t *memory,
                               uint8_t *external);

/* Bytes of `external`. */
uint32_t tvmtiny_image_external_bytes(const struct tvmtiny_image *image);

/* A few words for each status. */
const char *tvmtiny_image_reason(int32_t status);

#ifdef __cplusplus
}
#endif

#endif
