/* Verifies and runs model images; see tvmtiny_image.h. */
#include "tvmtiny_image.h"
#include "tvmtiny_sha256.h"

/* Offsets of fields in the header. */
enum {
    AT_FORMAT = 4,
    AT_ABI = 6,
    AT_TOTAL = 8,
    AT_HEADER = 12,
    AT_CODE = 16,
    AT_SIGNATURE = 20,
    AT_SELFTEST = 21,
    AT_CODE_BIT = 22,
    AT_RESERVED = 23,
    AT_VERSION = 24,
    AT_FIRMWARE = 28,
    AT_ARENA = 32,
    AT_STATE = 36,
    AT_STACK = 40,
    AT_FEATURES = 44,
    AT_RUN = 48,
    AT_CONSTANTS = 52,
    AT_INPUTS = 56,
    AT_OUTPUTS = 58,
    AT_SEED = 60,
    AT_EXPECTED = 64,
    AT_CPU = 96,
    AT_NAME = 120,
    AT_KEY = 152,
    AT_UNUSED = 160
};

enum { CPU_BYTES = 24, UNUSED_BYTES = 16, MOST_TENSORS = 64, MOST_RANK = 6 };

/* Offsets of fields in a tensor's record. */
enum {
    OF_BYTES = 0,
    OF_OFFSET = 4,
    OF_SCALE = 8,
    OF_ZERO_POINT = 12,
    OF_DTYPE = 16,
    OF_RANK = 17,
    OF_QUANTIZED = 18,
    OF_SHAPE = 20,
    OF_NAME = 44
};

static const uint8_t element_bytes[TVMTINY_IMAGE_DTYPES] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 1, 2};

static uint32_t half(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8;
}

static uint32_t word(const uint8_t *from)
{
    return half(from) | half(from + 2) << 16;
}

static uint32_t aligned(uint32_t bytes)
{
    return (bytes + TVMTINY_IMAGE_ALIGNMENT - 1u) & ~(TVMTINY_IMAGE_ALIGNMENT - 1u);
}

static uint32_t is_same(const uint8_t *first, const uint8_t *second, uint32_t bytes)
{
    uint32_t difference = 0;
    uint32_t i;

    for (i = 0; i < bytes; ++i) {
        difference |= (uint32_t)(first[i] ^ second[i]);
    }
    return difference == 0u ? 1u : 0u;
}

/* Whether a text field is non-empty and terminated within its size. */
static uint32_t is_text(const uint8_t *text, uint32_t bytes)
{
    uint32_t i;

    for (i = 0; i < bytes; ++i) {
        if (text[i] == 0u) {
            return i != 0u ? 1u : 0u;
        }
    }
    return 0;
}

static uint32_t is_cpu(const uint8_t *text, const char *cpu)
{
    uint32_t i;

    for (i = 0; i < (uint32_t)CPU_BYTES; ++i) {
        if (text[i] != (uint8_t)cpu[i]) {
            return 0;
        }
        if (text[i] == 0u) {
            return 1;
        }
    }
    return 0;
}

static uint32_t is_tensor(const uint8_t *record, uint32_t arena)
{
    const uint32_t bytes = word(record + OF_BYTES);
    const uint32_t offset = word(record + OF_OFFSET);
    const uint32_t rank = record[OF_RANK];
    uint32_t left = bytes;
    uint32_t i;

    if (record[OF_DTYPE] >= TVMTINY_IMAGE_DTYPES || rank > (uint32_t)MOST_RANK ||
        record[OF_QUANTIZED] > 1u || record[OF_QUANTIZED + 1] != 0u ||
        is_text(record + OF_NAME, TVMTINY_IMAGE_TENSOR_BYTES - (uint32_t)OF_NAME) == 0u) {
        return 0;
    }
    if (offset != TVMTINY_IMAGE_EXTERNAL && (offset > arena || bytes > arena - offset)) {
        return 0;
    }
    /* Divide instead of multiplying, so that no product overflows. */
    for (i = 0; i < rank; ++i) {
        const uint32_t size = word(record + OF_SHAPE + 4u * i);

        if (size == 0u || left % size != 0u) {
            return 0;
        }
        left /= size;
    }
    return left == element_bytes[record[OF_DTYPE]] ? 1u : 0u;
}

/* Whether the parts of an image of known size are consistent. */
static uint32_t is_laid_out(const uint8_t *data)
{
    const uint32_t total = word(data + AT_TOTAL);
    const uint32_t header = word(data + AT_HEADER);
    const uint32_t code = word(data + AT_CODE);
    const uint32_t inputs = half(data + AT_INPUTS);
    const uint32_t tensors = inputs + half(data + AT_OUTPUTS);
    const uint32_t entry = word(data + AT_RUN);
    const uint32_t signature = data[AT_SIGNATURE];
    const uint32_t tail =
        TVMTINY_IMAGE_DIGEST_BYTES +
        (signature != TVMTINY_IMAGE_NOT_SIGNED ? TVMTINY_IMAGE_SIGNATURE_BYTES : 0u);
    uint32_t i;

    if (signature > TVMTINY_IMAGE_ECDSA_P256 || data[AT_SELFTEST] > 1u || data[AT_CODE_BIT] > 1u ||
        data[AT_RESERVED] != 0u || tensors > (uint32_t)MOST_TENSORS ||
        header != TVMTINY_IMAGE_HEADER_BYTES + tensors * TVMTINY_IMAGE_TENSOR_BYTES) {
        return 0;
    }
    if (total < header + tail || code != total - header - tail || (code & 3u) != 0u ||
        word(data + AT_CONSTANTS) > code) {
        return 0;
    }
    if (entry < header || entry >= header + code || (entry & 1u) != 0u ||
        is_text(data + AT_CPU, CPU_BYTES) == 0u ||
        is_text(data + AT_NAME, TVMTINY_IMAGE_NAME_BYTES) == 0u) {
        return 0;
    }
    for (i = 0; i < (uint32_t)UNUSED_BYTES; ++i) {
        if (data[(uint32_t)AT_UNUSED + i] != 0u) {
            return 0;
        }
    }
    for (i = 0; i < tensors; ++i) {
        if (is_tensor(data + TVMTINY_IMAGE_HEADER_BYTES + i * TVMTINY_IMAGE_TENSOR_BYTES,
                      word(data + AT_ARENA)) == 0u) {
            return 0;
        }
    }
    return 1;
}

static int32_t check_platform(const uint8_t *data, const struct tvmtiny_image_platform *platform)
{
    const uint32_t arena = word(data + AT_ARENA);
    const uint32_t state = word(data + AT_STATE);

    if (is_cpu(data + AT_CPU, platform->cpu) == 0u) {
        return TVMTINY_IMAGE_OTHER_CPU;
    }
    if ((word(data + AT_FEATURES) & ~platform->features) != 0u) {
        return TVMTINY_IMAGE_NO_FEATURE;
    }
    if (word(data + AT_FIRMWARE) > platform->firmware_version) {
        return TVMTINY_IMAGE_OLD_FIRMWARE;
    }
    if (word(data + AT_VERSION) < platform->least_version) {
        return TVMTINY_IMAGE_ROLLBACK;
    }
    if (arena > platform->memory_bytes || aligned(arena) > platform->memory_bytes ||
        state > platform->memory_bytes - aligned(arena)) {
        return TVMTINY_IMAGE_NO_MEMORY;
    }
    return word(data + AT_STACK) > platform->stack_bytes ? TVMTINY_IMAGE_NO_STACK
                                                         : TVMTINY_IMAGE_OK;
}

static int32_t check_signature(const uint8_t *data, const uint8_t *digest,
                               const struct tvmtiny_image_platform *platform)
{
    const uint32_t kind = data[AT_SIGNATURE];
    uint32_t i;

    if (platform->key_count == 0u) {
        return TVMTINY_IMAGE_OK;
    }
    if (kind == TVMTINY_IMAGE_NOT_SIGNED) {
        return TVMTINY_IMAGE_UNSIGNED;
    }
    for (i = 0; i < platform->key_count; ++i) {
        const struct tvmtiny_image_key *const key = &platform->keys[i];

        if (key->kind == kind &&
            is_same(key->id, data + AT_KEY, TVMTINY_IMAGE_KEY_ID_BYTES) != 0u) {
            return key->verify(key->public_key, digest, digest + TVMTINY_IMAGE_DIGEST_BYTES) == 0
                       ? TVMTINY_IMAGE_OK
                       : TVMTINY_IMAGE_BAD_SIGNATURE;
        }
    }
    return TVMTINY_IMAGE_UNKNOWN_KEY;
}

static void set_image(const uint8_t *data, uint32_t is_signed, struct tvmtiny_image *image)
{
    const uintptr_t entry = (uintptr_t)data + word(data + AT_RUN) + data[AT_CODE_BIT];

    image->data = data;
    image->bytes = word(data + AT_TOTAL);
    image->version = word(data + AT_VERSION);
    image->arena_bytes = word(data + AT_ARENA);
    image->state_bytes = word(data + AT_STATE);
    image->stack_bytes = word(data + AT_STACK);
    image->inputs = half(data + AT_INPUTS);
    image->outputs = half(data + AT_OUTPUTS);
    image->is_signed = is_signed;
    image->name = (const char *)(data + AT_NAME);
    image->run = (tvmtiny_image_function)entry;
}

int32_t tvmtiny_image_check(const uint8_t *data, uint32_t bytes,
                            const struct tvmtiny_image_platform *platform,
                            struct tvmtiny_image *image)
{
    static const uint8_t magic[4] = {'T', 'V', 'M', 'I'};
    struct tvmtiny_sha256 hash;
    uint8_t digest[TVMTINY_IMAGE_DIGEST_BYTES];
    uint32_t hashed;
    int32_t status;

    if (((uintptr_t)data & (TVMTINY_IMAGE_ALIGNMENT - 1u)) != 0u) {
        return TVMTINY_IMAGE_ALIGNMENT_WRONG;
    }
    if (bytes < 4u || is_same(data, magic, 4u) == 0u) {
        return TVMTINY_IMAGE_NO_IMAGE;
    }
    if (bytes < TVMTINY_IMAGE_HEADER_BYTES) {
        return TVMTINY_IMAGE_TRUNCATED;
    }
    if (half(data + AT_FORMAT) != TVMTINY_IMAGE_FORMAT) {
        return TVMTINY_IMAGE_OTHER_FORMAT;
    }
    if (half(data + AT_ABI) != TVMTINY_IMAGE_ABI) {
        return TVMTINY_IMAGE_OTHER_ABI;
    }
    if (word(data + AT_TOTAL) > bytes) {
        return TVMTINY_IMAGE_TRUNCATED;
    }
    if (word(data + AT_TOTAL) < TVMTINY_IMAGE_HEADER_BYTES || is_laid_out(data) == 0u) {
        return TVMTINY_IMAGE_BAD_LAYOUT;
    }
    status = check_platform(data, platform);
    if (status != TVMTINY_IMAGE_OK) {
        return status;
    }
    hashed = word(data + AT_HEADER) + word(data + AT_CODE);
    tvmtiny_sha256_begin(&hash);
    tvmtiny_sha256_add(&hash, data, hashed);
    tvmtiny_sha256_end(&hash, digest);
    if (is_same(digest, data + hashed, TVMTINY_IMAGE_DIGEST_BYTES) == 0u) {
        return TVMTINY_IMAGE_BAD_HASH;
    }
    status = check_signature(data, data + hashed, platform);
    if (status == TVMTINY_IMAGE_OK) {
        set_image(data, platform->key_count != 0u ? 1u : 0u, image);
    }
    return status;
}

uint32_t tvmtiny_image_memory_bytes(const struct tvmtiny_image *image)
{
    return aligned(image->arena_bytes) + image->state_bytes;
}

void tvmtiny_image_reset(const struct tvmtiny_image *image, uint8_t *memory)
{
    /* Generated code initializes its state before a run if this byte is zero. */
    if (image->state_bytes != 0u) {
        memory[tvmtiny_image_memory_bytes(image) - 1u] = 0;
    }
}

void tvmtiny_image_tensor(const struct tvmtiny_image *image, uint32_t index,
                          struct tvmtiny_image_tensor *tensor)
{
    const uint8_t *const record =
        image->data + TVMTINY_IMAGE_HEADER_BYTES + index * TVMTINY_IMAGE_TENSOR_BYTES;
    union {
        uint32_t bits;
        float value;
    } scale;
    uint32_t i;

    scale.bits = word(record + OF_SCALE);
    tensor->bytes = word(record + OF_BYTES);
    tensor->offset = word(record + OF_OFFSET);
    tensor->scale = scale.value;
    tensor->zero_point = (int32_t)word(record + OF_ZERO_POINT);
    tensor->dtype = record[OF_DTYPE];
    tensor->rank = record[OF_RANK];
    tensor->quantized = record[OF_QUANTIZED];
    for (i = 0; i < (uint32_t)MOST_RANK; ++i) {
        tensor->shape[i] = word(record + OF_SHAPE + 4u * i);
    }
    tensor->name = (const char *)(record + OF_NAME);
}

int32_t tvmtiny_image_run(const struct tvmtiny_image *image, uint8_t *memory,
                          const void *const *inputs, void *const *outputs)
{
    return image->run(memory, inputs, outputs);
}

uint32_t tvmtiny_image_external_bytes(const struct tvmtiny_image *image)
{
    struct tvmtiny_image_tensor tensor;
    uint32_t bytes = 0;
    uint32_t i;

    for (i = 0; i < image->inputs + image->outputs; ++i) {
        tvmtiny_image_tensor(image, i, &tensor);
        if (tensor.offset == TVMTINY_IMAGE_EXTERNAL) {
            bytes += aligned(tensor.bytes);
        }
    }
    return bytes;
}

/* Fills an input with pseudo-random numbers from a linear congruential generator (constants from
 * Numerical Recipes): bytes, floats from -2 to -1 and from 1 to 2, and zeros for wide integers, which
 * may be indices. */
static void fill(uint8_t *to, const struct tvmtiny_image_tensor *tensor, uint32_t *seed)
{
    const uint32_t dtype = tensor->dtype;
    const uint32_t element = element_bytes[dtype];
    uint32_t i;

    for (i = 0; i < tensor->bytes; ++i) {
        uint32_t byte = 0;

        if (dtype == TVMTINY_IMAGE_FLOAT32) {
            /* The two lowest bytes are 0; sign and fraction are random. */
            if ((i & 3u) == 2u) {
                *seed = *seed * 1664525u + 1013904223u;
                byte = 0x80u | *seed >> 25;
            } else if ((i & 3u) == 3u) {
                byte = 0x3fu | (*seed >> 24 & 1u) << 7;
            }
        } else if (element <= 2u && dtype != TVMTINY_IMAGE_FLOAT16) {
            *seed = *seed * 1664525u + 1013904223u;
            byte = *seed >> 24;
            if (dtype == TVMTINY_IMAGE_BOOL) {
                byte &= 1u;
            }
        }
        to[i] = (uint8_t)byte;
    }
}

int32_t tvmtiny_image_selftest(const struct tvmtiny_image *image, uint8_t *memory, uint8_t *external)
{
    const void *inputs[MOST_TENSORS];
    void *outputs[MOST_TENSORS];
    struct tvmtiny_image_tensor tensor;
    struct tvmtiny_sha256 hash;
    uint8_t digest[TVMTINY_IMAGE_DIGEST_BYTES];
    uint32_t seed = word(image->data + AT_SEED);
    uint32_t i;

    if (image->data[AT_SELFTEST] == 0u) {
        return TVMTINY_IMAGE_NO_SELFTEST;
    }
    for (i = 0; i < image->inputs + image->outputs; ++i) {
        uint8_t *place;

        tvmtiny_image_tensor(image, i, &tensor);
        if (tensor.offset == TVMTINY_IMAGE_EXTERNAL) {
            place = external;
            external += aligned(tensor.bytes);
        } else {
            place = memory + tensor.offset;
        }
        if (i < image->inputs) {
            fill(place, &tensor, &seed);
            inputs[i] = place;
        } else {
            outputs[i - image->inputs] = place;
        }
    }
    tvmtiny_image_reset(image, memory);
    if (tvmtiny_image_run(image, memory, inputs, outputs) != 0) {
        return TVMTINY_IMAGE_BAD_SELFTEST;
    }
    tvmtiny_sha256_begin(&hash);
    for (i = 0; i < image->outputs; ++i) {
        tvmtiny_image_tensor(image, image->inputs + i, &tensor);
        tvmtiny_sha256_add(&hash, (const uint8_t *)outputs[i], tensor.bytes);
    }
    tvmtiny_sha256_end(&hash, digest);
    tvmtiny_image_reset(image, memory);
    return is_same(digest, image->data + AT_EXPECTED, TVMTINY_IMAGE_DIGEST_BYTES) != 0u
               ? TVMTINY_IMAGE_OK
               : TVMTINY_IMAGE_BAD_SELFTEST;
}

const char *tvmtiny_image_reason(int32_t status)
{
    switch (status) {
    case TVMTINY_IMAGE_OK:
        return "valid";
    case TVMTINY_IMAGE_ALIGNMENT_WRONG:
        return "not aligned to 16 bytes";
    case TVMTINY_IMAGE_TRUNCATED:
        return "truncated";
    case TVMTINY_IMAGE_NO_IMAGE:
        return "not an image";
    case TVMTINY_IMAGE_OTHER_FORMAT:
        return "has another format version";
    case TVMTINY_IMAGE_OTHER_ABI:
        return "has another ABI";
    case TVMTINY_IMAGE_BAD_LAYOUT:
        return "its parts are inconsistent";
    case TVMTINY_IMAGE_OTHER_CPU:
        return "built for another CPU";
    case TVMTINY_IMAGE_NO_FEATURE:
        return "uses instructions that the CPU lacks";
    case TVMTINY_IMAGE_OLD_FIRMWARE:
        return "requires a later firmware";
    case TVMTINY_IMAGE_ROLLBACK:
        return "older than a version that has run";
    case TVMTINY_IMAGE_NO_MEMORY:
        return "needs more memory";
    case TVMTINY_IMAGE_NO_STACK:
        return "needs more stack";
    case TVMTINY_IMAGE_BAD_HASH:
        return "its hash does not match";
    case TVMTINY_IMAGE_UNSIGNED:
        return "not signed";
    case TVMTINY_IMAGE_UNKNOWN_KEY:
        return "signed with an unknown key";
    case TVMTINY_IMAGE_BAD_SIGNATURE:
        return "its signature is invalid";
    case TVMTINY_IMAGE_BAD_SELFTEST:
        return "its self-test computes different outputs";
    case TVMTINY_IMAGE_NO_SELFTEST:
        return "has no self-test";
    default:
        return "unknown status";
    }
}
