/* Stack usage of calls that are not otherwise measured. */
#include "stack.h"
#include "measure.h"

__attribute__((noinline)) void device_paint_stack(void)
{
    paint(stack_pointer());
}

__attribute__((noinline)) uint32_t device_painted_bytes(void)
{
    return painted_bytes(stack_pointer());
}
