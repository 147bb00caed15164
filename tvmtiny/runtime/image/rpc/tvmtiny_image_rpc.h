/* Functions with which a host updates a model over the board link, as entries for an application of
 * tvmtiny_rpc.h. `tvmtiny update` calls them. */
#ifndef TVMTINY_IMAGE_RPC_H
#define TVMTINY_IMAGE_RPC_H

#include "tvmtiny_delta.h"
#include "tvmtiny_rpc.h"
#include "tvmtiny_slots.h"

/* Size of a write by the host: a multiple of 4, and a divisor of the flash's page size. */
#ifndef TVMTINY_IMAGE_PIECE_BYTES
#define TVMTINY_IMAGE_PIECE_BYTES 256u
#endif

/* Entries for the application's list of functions. */
#define TVMTINY_IMAGE_RPC_FUNCTIONS                                                                \
    {"tvmtiny.image.begin", tvmtiny_image_rpc_begin}, {"tvmtiny.image.crc", tvmtiny_image_rpc_crc},  \
        {"tvmtiny.image.finish", tvmtiny_image_rpc_finish},                                        \
        {"tvmtiny.image.patch", tvmtiny_image_rpc_patch},                                          \
        {"tvmtiny.image.start", tvmtiny_image_rpc_start},                                          \
        {"tvmtiny.image.state", tvmtiny_image_rpc_state},                                          \
        {"tvmtiny.image.write", tvmtiny_image_rpc_write}

/* Entry for the application's list of memory slots. */
#define TVMTINY_IMAGE_RPC_SLOTS                                                                    \
    {                                                                                              \
        "piece", 1u, tvmtiny_image_rpc_find_piece                                                  \
    }

/* State of the functions, owned by the application. `image` is the running image if `status` is
 * TVMTINY_IMAGE_OK. */
struct tvmtiny_image_server {
    struct tvmtiny_slots *slots;
    const struct tvmtiny_image_platform *platform;
    tvmtiny_slots_test test;
    void *context;
    int32_t status;
    struct tvmtiny_image image;
};

/* Starts the model that the log names. `server` must remain valid. */
void tvmtiny_image_rpc_setup(struct tvmtiny_image_server *server);

int32_t tvmtiny_image_rpc_begin(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_crc(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_finish(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_patch(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_start(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_state(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_write(struct tvmtiny_rpc_call *call);
int32_t tvmtiny_image_rpc_find_piece(uint32_t index, struct tvmtiny_rpc_range *range);

#endif
