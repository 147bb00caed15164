/* Model updates over the board link; see tvmtiny_image_rpc.h. */
#include "tvmtiny_image_rpc.h"

/* Result of tvmtiny.image.state, which tvmtiny/rpc/updating.py parses. */
struct state {
    uint32_t format;
    int32_t status;
    uint32_t active;
    uint32_t pending;
    uint32_t version;
    uint32_t least_version;
    uint32_t wear[2];
    uint32_t generation;
    uint32_t slot_bytes;
    uint32_t page_bytes;
    uint32_t piece_bytes;
    uint32_t features;
    uint32_t firmware_version;
    uint32_t keys;
    uint32_t image_bytes;
    uint8_t tail[TVMTINY_IMAGE_DIGEST_BYTES];
    char name[TVMTINY_IMAGE_NAME_BYTES];
    char cpu[24];
};

static struct tvmtiny_image_server *server;
static uint8_t piece[TVMTINY_IMAGE_PIECE_BYTES];

static int32_t refuse(struct tvmtiny_rpc_call *call, const char *why)
{
    call->error = why;
    return 1;
}

/* Whether there are exactly `count` arguments, all of them words. */
static uint32_t are_words(const struct tvmtiny_rpc_call *call, uint32_t count)
{
    uint32_t i;

    for (i = 0; i < call->count; ++i) {
        if (call->arguments[i].type != TVMTINY_RPC_INT ||
            (uint64_t)call->arguments[i].as.integer > 0xffffffffu) {
            return 0;
        }
    }
    return call->count == count ? 1u : 0u;
}

static uint32_t number(const struct tvmtiny_rpc_call *call, uint32_t position)
{
    return (uint32_t)call->arguments[position].as.integer;
}

static int32_t answer(struct tvmtiny_rpc_call *call, int64_t value)
{
    call->result.type = TVMTINY_RPC_INT;
    call->result.as.integer = value;
    return 0;
}

static void start(void)
{
    server->status = tvmtiny_slots_start(server->slots, server->platform, server->test,
                                         server->context, &server->image);
}

void tvmtiny_image_rpc_setup(struct tvmtiny_image_server *own)
{
    server = own;
    start();
}

static void copy_text(char *to, const char *from, uint32_t bytes)
{
    uint32_t i;

    for (i = 0; i + 1u < bytes && from[i] != '\0'; ++i) {
        to[i] = from[i];
    }
    for (; i < bytes; ++i) {
        to[i] = '\0';
    }
}

int32_t tvmtiny_image_rpc_state(struct tvmtiny_rpc_call *call)
{
    static struct state state;
    const struct tvmtiny_slots *const slots = server->slots;
    const uint32_t runs = server->status == TVMTINY_IMAGE_OK ? 1u : 0u;

    if (call->count != 0u) {
        return refuse(call, "tvmtiny.image.state takes no arguments");
    }
    state.format = 1;
    state.status = server->status;
    state.active = slots->active;
    state.pending = slots->pending;
    state.version = runs != 0u ? server->image.version : 0u;
    state.least_version = slots->least_version;
    state.wear[0] = slots->wear[0];
    state.wear[1] = slots->wear[1];
    state.generation = slots->generation;
    state.slot_bytes = slots->layout.slot_bytes;
    state.page_bytes = slots->flash->page_bytes;
    state.piece_bytes = TVMTINY_IMAGE_PIECE_BYTES;
    state.features = server->platform->features;
    state.firmware_version = server->platform->firmware_version;
    state.keys = server->platform->key_count;
    state.image_bytes = runs != 0u ? server->image.bytes : 0u;
    if (runs != 0u) {
        /* An image ends with its hash or its signature, either of which identifies it. */
        tvmtiny_rpc_copy(state.tail,
                         server->image.data + server->image.bytes - TVMTINY_IMAGE_DIGEST_BYTES,
                         TVMTINY_IMAGE_DIGEST_BYTES);
    }
    copy_text(state.name, runs != 0u ? server->image.name : "", TVMTINY_IMAGE_NAME_BYTES);
    copy_text(state.cpu, server->platform->cpu, sizeof state.cpu);
    call->result.type = TVMTINY_RPC_BYTES;
    call->result.bytes = sizeof state;
    call->result.as.data = (uint8_t *)&state;
    return 0;
}

/* (bytes): begins an update, or resumes one. */
int32_t tvmtiny_image_rpc_begin(struct tvmtiny_rpc_call *call)
{
    if (are_words(call, 1) == 0u) {
        return refuse(call, "tvmtiny.image.begin takes a size");
    }
    return answer(call, tvmtiny_slots_begin(server->slots, number(call, 0)));
}

/* (offset, bytes): returns the CRC-32 of data in the slot that is being updated. */
int32_t tvmtiny_image_rpc_crc(struct tvmtiny_rpc_call *call)
{
    const struct tvmtiny_slots *const slots = server->slots;

    if (are_words(call, 2) == 0u || slots->updating == TVMTINY_SLOTS_NONE ||
        number(call, 0) > slots->layout.slot_bytes ||
        number(call, 1) > slots->layout.slot_bytes - number(call, 0)) {
        return refuse(call, "tvmtiny.image.crc takes an offset and a size within the slot that is "
                            "updated");
    }
    return answer(call, (int64_t)tvmtiny_slots_crc(
                            tvmtiny_slots_data(slots, slots->updating) + number(call, 0),
                            number(call, 1)));
}

int32_t tvmtiny_image_rpc_find_piece(uint32_t index, struct tvmtiny_rpc_range *range)
{
    (void)index;
    range->data = piece;
    range->bytes = sizeof piece;
    return 0;
}

/* (offset, bytes): writes the data that the host has put into the memory piece.0. */
int32_t tvmtiny_image_rpc_write(struct tvmtiny_rpc_call *call)
{
    if (are_words(call, 2) == 0u || number(call, 1) > TVMTINY_IMAGE_PIECE_BYTES) {
        return refuse(call, "tvmtiny.image.write takes an offset, and a size of a piece at the most");
    }
    return answer(call,
                  tvmtiny_slots_write(server->slots, number(call, 0), piece, number(call, 1)));
}

/* (offset, bytes): writes a piece of a difference from the running image. */
int32_t tvmtiny_image_rpc_patch(struct tvmtiny_rpc_call *call)
{
    const struct tvmtiny_rpc_value *const given = call->arguments;

    if (call->count != 2u || given[0].type != TVMTINY_RPC_INT ||
        (uint64_t)given[0].as.integer > 0xffffffffu || given[1].type != TVMTINY_RPC_BYTES) {
        return refuse(call, "tvmtiny.image.patch takes an offset and bytes");
    }
    return answer(call, tvmtiny_delta_write(server->slots, number(call, 0), given[1].as.data,
                                            given[1].bytes));
}

int32_t tvmtiny_image_rpc_finish(struct tvmtiny_rpc_call *call)
{
    if (call->count != 0u) {
        return refuse(call, "tvmtiny.image.finish takes no arguments");
    }
    return answer(call, tvmtiny_slots_finish(server->slots, server->platform));
}

/* Tests the new model and switches to it; the result tells whether any model runs. */
int32_t tvmtiny_image_rpc_start(struct tvmtiny_rpc_call *call)
{
    if (call->count != 0u) {
        return refuse(call, "tvmtiny.image.start takes no arguments");
    }
    start();
    return answer(call, server->status);
}
