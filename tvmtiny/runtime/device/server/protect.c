/* Calls that can be ended by a fault or by the host. */
#include "protect.h"
#include "device.h"
#include "fault.h"
#include "measure.h"
#include "serial.h"

static struct device_fault_words fault;

void device_fault(const uint32_t *frame, uint32_t cause)
{
    device_describe_fault(frame, &fault);
    if (device_may_leave(cause) == 0u) {
        /* The fault is not that of a guarded function, so there is nothing to return to. */
        device_restart();
    }
    device_leave(TVMTINY_RPC_FAULTED, cause);
}

int32_t tvmtiny_rpc_protect(tvmtiny_rpc_function function, struct tvmtiny_rpc_call *call)
{
    const int32_t status = device_call_guarded(call, function);

    if (status == TVMTINY_RPC_FAULTED || status == TVMTINY_RPC_ABORTED) {
        device_measure_stop();
        device_serial_release();
        device_layer = DEVICE_NO_LAYER;
    }
    return status;
}

uint32_t tvmtiny_rpc_fault(const struct tvmtiny_rpc_word **words)
{
    static struct tvmtiny_rpc_word copied[DEVICE_FAULT_WORDS];
    uint32_t i;

    for (i = 0; i < fault.count; ++i) {
        copied[i].name = fault.names[i];
        copied[i].value = fault.values[i];
    }
    *words = copied;
    return fault.count;
}
