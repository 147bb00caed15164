/* Models as images, which are verified and then run in place, in flash or in RAM. C99,
 * freestanding, no heap, no static state, so that any number of images can be open. docs/image-format.md
 * describes the format.
 *
 * No byte of an image is executed before tvmtiny_image_check has accepted the whole image. Anyone
 * who can write to the image's memory afterwards can change the code that runs. */
#ifndef TVMTINY_IMAGE_H
#define TVMTINY_IMAGE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TVMTINY_IMAGE_FORMAT 1u
/* The contract between image and firmware: registers of a call, and that an image calls no function
 * of the firmware. */
#define TVMTINY_IMAGE_ABI 1u

/* Alignment of an image in memory, and of its working memory. */
#define TVMTINY_IMAGE_ALIGNMENT 16u

#define TVMTINY_IMAGE_HEADER_BYTES 176u
#define TVMTINY_IMAGE_TENSOR_BYTES 80u
#define TVMTINY_IMAGE_DIGEST_BYTES 32u
#define TVMTINY_IMAGE_SIGNATURE_BYTES 64u
#define TVMTINY_IMAGE_KEY_ID_BYTES 8u
#define TVMTINY_IMAGE_NAME_BYTES 32u

/* Reasons for rejecting an image. */
enum tvmtiny_image_status {
    TVMTINY_IMAGE_OK = 0,
    TVMTINY_IMAGE_ALIGNMENT_WRONG = 1, /* it does not start at a multiple of 16 bytes */
    TVMTINY_IMAGE_TRUNCATED = 2,       /* it is longer than the available data */
    TVMTINY_IMAGE_NO_IMAGE = 3,        /* it does not start like an image */
    TVMTINY_IMAGE_OTHER_FORMAT = 4,    /* it has another version of the format */
    TVMTINY_IMAGE_OTHER_ABI = 5,       /* it is for firmware with another calling convention */
    TVMTINY_IMAGE_BAD_LAYOUT = 6,      /* its parts are inconsistent */
    TVMTINY_IMAGE_OTHER_CPU = 7,       /* it is for another processor */
    TVMTINY_IMAGE_NO_FEATURE = 8,      /* it uses instructions that this processor lacks */
    TVMTINY_IMAGE_OLD_FIRMWARE = 9,    /* it requires a later firmware */
    TVMTINY_IMAGE_ROLLBACK = 10,       /* it is older than a model that has run here */
    TVMTINY_IMAGE_NO_MEMORY = 11,      /* it needs more memory than the firmware provides */
    TVMTINY_IMAGE_NO_STACK = 12,       /* it needs more stack than the firmware provides */
    TVMTINY_IMAGE_BAD_HASH = 13,       /* its content does not match its hash */
    TVMTINY_IMAGE_UNSIGNED = 14,       /* it is unsigned, and the firmware requires a signature */
    TVMTINY_IMAGE_UNKNOWN_KEY = 15,    /* it is signed with a key that the firmware does not know */
    TVMTINY_IMAGE_BAD_SIGNATURE = 16,  /* its signature was not made with this key */
    TVMTINY_IMAGE_BAD_SELFTEST = 17,   /* the outputs for a known input are wrong */
    TVMTINY_IMAGE_NO_SELFTEST = 18     /* it has no self-test */
};

/* Kinds of signature; both algorithms sign the SHA-256 of the image. */
enum tvmtiny_image_signature {
    TVMTINY_IMAGE_NOT_SIGNED = 0,
    TVMTINY_IMAGE_ED25519 = 1,
    TVMTINY_IMAGE_ECDSA_P256 = 2
};

/* A public key of the firmware: 32 bytes for Ed25519, 64 (x, y) for ECDSA-P256. `verify` adapts a
 * library, for example tvmtiny_image_monocypher; it returns 0 if the signature is valid. */
struct tvmtiny_image_key {
    uint8_t kind;
    uint8_t id[TVMTINY_IMAGE_KEY_ID_BYTES];
    const uint8_t *public_key;
    int32_t (*verify)(const uint8_t *public_key, const uint8_t *digest, const uint8_t *signature);
};

/* Properties and policy of the firmware. Without keys, only the hash of an image is checked, which
 * protects against damage but not against attackers. */
struct tvmtiny_image_platform {
    const char *cpu;
    uint32_t features;
    uint32_t firmware_version;
    /* Least version of a model; older ones are rejected. */
    uint32_t least_version;
    uint32_t memory_bytes;
    uint32_t stack_bytes;
    const struct tvmtiny_image_key *keys;
    uint32_t key_count;
};

/* An input or output. */
struct tvmtiny_image_tensor {
    uint32_t bytes;
    /* Offset in the image's memory; TVMTINY_IMAGE_EXTERNAL if the caller provides the memory. */
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

/* Inputs and outputs are passed as arrays of pointers, in order. */
typedef int32_t (*tvmtiny_image_function)(uint8_t *memory, const void *const *inputs,
                                          void *const *outputs);

/* An image that has been accepted. */
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

/* Checks an image of at most `bytes` bytes. Returns TVMTINY_IMAGE_OK or the reason for rejection;
 * `image` is set only if the image is accepted. If the image was written to memory as data, a
 * processor with an instruction cache must synchronize it before the image runs. */
int32_t tvmtiny_image_check(const uint8_t *data, uint32_t bytes,
                            const struct tvmtiny_image_platform *platform,
                            struct tvmtiny_image *image);

/* Returns the memory that an image needs besides the stack, aligned to TVMTINY_IMAGE_ALIGNMENT: its
 * arena, followed by the state that it keeps from one run to the next. */
uint32_t tvmtiny_image_memory_bytes(const struct tvmtiny_image *image);

/* Resets the model's state; required once before its first run in this memory. */
void tvmtiny_image_reset(const struct tvmtiny_image *image, uint8_t *memory);

/* Describes the input or output with number `index`; the inputs come first. */
void tvmtiny_image_tensor(const struct tvmtiny_image *image, uint32_t index,
                          struct tvmtiny_image_tensor *tensor);

/* Runs one inference and returns the status, like <model>_run_arena. */
int32_t tvmtiny_image_run(const struct tvmtiny_image *image, uint8_t *memory,
                          const void *const *inputs, void *const *outputs);

/* Runs the image's self-test and compares the hash of the outputs. Inputs and outputs lie in the
 * image's memory or, if the caller provides memory for them, in `external`, one after the other,
 * each aligned to 16 bytes. */
int32_t tvmtiny_image_selftest(const struct tvmtiny_image *image, uint8_t *memory,
                               uint8_t *external);

/* Returns the required size of `external` in bytes. */
uint32_t tvmtiny_image_external_bytes(const struct tvmtiny_image *image);

/* Describes a status in a few words. */
const char *tvmtiny_image_reason(int32_t status);

#ifdef __cplusplus
}
#endif

#endif
