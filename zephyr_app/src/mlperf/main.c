/* Firmware for MLPerf Tiny's runner. Its times are those of the board's clock. */
#include <zephyr/kernel.h>

#include "mlperf_models.h"
#include "mlperf_time.h"
#include "serial.h"
#include "tvmtiny_rpc.h"

#ifdef CONFIG_TVMTINY_APP_MLPERF_ENERGY
#include <zephyr/drivers/gpio.h>

#define PIN_NODE DT_PATH(zephyr_user)
#if !DT_NODE_HAS_PROP(PIN_NODE, mlperf_gpios)
#error "timestamps need a pin: give the node /zephyr,user of the devicetree a property mlperf-gpios"
#endif

/* The monitor of energy needs to see the low level. */
#define LOW_MICROSECONDS 1000u

static const struct gpio_dt_spec pin = GPIO_DT_SPEC_GET(PIN_NODE, mlperf_gpios);

static void start_pin(void)
{
  (void)gpio_pin_configure_dt(&pin, GPIO_OUTPUT_ACTIVE);
}

static void pulse(void)
{
  (void)gpio_pin_set_dt(&pin, 0);
  k_busy_wait(LOW_MICROSECONDS);
  (void)gpio_pin_set_dt(&pin, 1);
}

#define PULSE pulse
#else
#define PULSE NULL

static void start_pin(void)
{
}
#endif

/* The clock goes on by itself. */
int32_t mlperf_spend(int32_t (*call)(void))
{
  return call();
}

static void send(const char *text, uint32_t bytes)
{
  tvmtiny_rpc_send((const uint8_t *)text, bytes);
}

static const struct mlperf_application application = {
    .models = mlperf_models,
    .model_count = MLPERF_MODELS,
    .microseconds = mlperf_time,
    .pulse = PULSE,
    .send = send,
};

int main(void)
{
  start_pin();
  mlperf_time_start();
  device_serial_start();
  mlperf_start(&application);
  for (;;) {
    const uint8_t *bytes;
    const uint32_t count = tvmtiny_rpc_received(&bytes);

    for (uint32_t i = 0; i < count; ++i) {
      mlperf_take(&application, (char)bytes[i]);
    }
    tvmtiny_rpc_release(count);
  }
  return 0;
}
