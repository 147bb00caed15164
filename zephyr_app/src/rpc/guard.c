/* Runs functions in a separate thread, so that one that faults or never returns can be abandoned.
 */
#include <zephyr/fatal.h>
#include <zephyr/kernel.h>
#if __has_include(<zephyr/version.h>)
#include <zephyr/version.h>
#else
#include <version.h>
#endif

#include "device.h"
#include "guard.h"
#include "tvmtiny_rpc.h"

/* Below the server's priority, so that the server learns of the end of a call at once. */
#define WORKER_PRIORITY K_PRIO_PREEMPT(CONFIG_MAIN_THREAD_PRIORITY + 1)
#define FAULT_WORDS 8u
#if defined(CONFIG_FPU) && defined(CONFIG_FPU_SHARING)
#define WORKER_OPTIONS K_FP_REGS
#else
#define WORKER_OPTIONS 0
#endif

enum outcome { RUNNING, FINISHED, FAULTED, ABORTED };

volatile uint32_t device_layer = DEVICE_NO_LAYER;
volatile uint32_t device_stage;

static K_THREAD_STACK_DEFINE(worker_stack, CONFIG_TVMTINY_APP_RPC_STACK_SIZE);
static struct k_thread worker;
static K_SEM_DEFINE(ended, 0, 1);
static volatile bool is_active;
static volatile enum outcome outcome;
static int32_t result;
static struct tvmtiny_rpc_word fault[FAULT_WORDS];
static uint32_t fault_count;

bool guard_is_active(void)
{
  /* Once the call is abandoned, received bytes are for the server again. */
  return is_active && outcome == RUNNING;
}

void guard_abort(void)
{
  if (guard_is_active()) {
    outcome = ABORTED;
    k_sem_give(&ended);
  }
}

static void work(void *function, void *call, void *unused)
{
  const int32_t status = ((tvmtiny_rpc_function)function)((struct tvmtiny_rpc_call *)call);
  const unsigned int key = irq_lock();

  ARG_UNUSED(unused);
  if (outcome == RUNNING) {
    result = status;
    outcome = FINISHED;
  }
  irq_unlock(key);
  k_sem_give(&ended);
}

int32_t tvmtiny_rpc_protect(tvmtiny_rpc_function function, struct tvmtiny_rpc_call *call)
{
  k_sem_reset(&ended);
  outcome = RUNNING;
  is_active = true;
  k_thread_create(&worker, worker_stack, K_THREAD_STACK_SIZEOF(worker_stack), work,
                  (void *)function, call, NULL, WORKER_PRIORITY, WORKER_OPTIONS, K_NO_WAIT);
  (void)k_sem_take(&ended, K_FOREVER);
  is_active = false;
  k_thread_abort(&worker);
  if (outcome == FINISHED) {
    return result;
  }
  device_layer = DEVICE_NO_LAYER;
  return outcome == FAULTED ? TVMTINY_RPC_FAULTED : TVMTINY_RPC_ABORTED;
}

uint32_t tvmtiny_rpc_fault(const struct tvmtiny_rpc_word **words)
{
  *words = fault;
  return fault_count;
}

static void add(const char *name, uint32_t value)
{
  fault[fault_count].name = name;
  fault[fault_count].value = value;
  ++fault_count;
}

#if ZEPHYR_VERSION_CODE >= ZEPHYR_VERSION(3, 7, 0)
typedef struct arch_esf saved_registers;
#else
typedef z_arch_esf_t saved_registers;
#endif

void k_sys_fatal_error_handler(unsigned int reason, const saved_registers *registers)
{
  if (!guard_is_active() || k_current_get() != &worker) {
    /* The fault is not that of a guarded function, so there is nothing to continue with. */
    k_fatal_halt(reason);
  }
  fault_count = 0;
#ifdef CONFIG_CPU_CORTEX_M
  uint32_t exception;

  __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
  add("exception", exception);
#endif
  add("layer", device_layer);
  add("stage", device_stage);
  add("sp", (uint32_t)(uintptr_t)registers);
  add("stack_bottom",
      reason == K_ERR_STACK_CHK_FAIL ? UINT32_MAX : (uint32_t)(uintptr_t)worker.stack_info.start);
#ifdef CONFIG_CPU_CORTEX_M
  if (registers != NULL && reason != K_ERR_STACK_CHK_FAIL) {
    add("lr", registers->basic.lr);
    add("pc", registers->basic.pc);
  }
#elif defined(CONFIG_RISCV)
  unsigned long value;

  __asm__ volatile("csrr %0, mcause" : "=r"(value));
  add("mcause", (uint32_t)value);
  __asm__ volatile("csrr %0, mtval" : "=r"(value));
  add("mtval", (uint32_t)value);
  if (registers != NULL && reason != K_ERR_STACK_CHK_FAIL) {
    add("lr", (uint32_t)registers->ra);
    add("pc", (uint32_t)registers->mepc);
  }
#endif
  outcome = FAULTED;
  /* Zephyr aborts the thread when this returns. */
  k_sem_give(&ended);
}
