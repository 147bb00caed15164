/* Pixels of a camera as a model's input. */
#ifndef TVMTINY_CAMERA_H
#define TVMTINY_CAMERA_H

#include "tvmtiny.h"
#include "tvmtiny_spectrum.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The settings of the input; see ImageInput in Python. */
struct tvmtiny_camera_shape {
  /* Pixels of a row of the camera's image. */
  int32_t width;
  int32_t out_height, out_width;
};

/* Adds the channels of a pixel, times a share, to the values. `low` is the byte of RGB565 that is the
 * lower one. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_camera_add(int32_t bytes, int32_t low, int32_t channels, const uint8_t *at, int32_t share, int32_t *values)
{
  int32_t red = at[0];
  int32_t green = 0;
  int32_t blue = 0;
  if (bytes == 2) {
    const int32_t word = at[low] | at[1 - low] << 8;
    green = (word >> 5) & 63;
    blue = word & 31;
    red = (word >> 11) << 3 | word >> 13;
    green = green << 2 | green >> 4;
    blue = blue << 3 | blue >> 2;
  } else if (bytes == 3) {
    green = at[1];
    blue = at[2];
  }
  if (channels == 1 && bytes > 1) {
    red = (77 * red + 150 * green + 29 * blue + 128) >> 8;
  }
  values[0] += red * share;
  if (channels == 3) {
    values[1] += green * share;
    values[2] += blue * share;
  }
}

/* Crops, resizes and quantizes an image. `places` has row and fraction of each output row, then
 * column and fraction of each output column; `factors` has multiplier, both words of the offset, and
 * shift of each channel. */
static TVMTINY_ALWAYS_INLINE void TVMTINY_UNUSED tvmtiny_camera_image(int32_t bytes, int32_t low, int32_t channels, const uint8_t *image, const int16_t *places, const int32_t *factors, const struct tvmtiny_camera_shape *shape, int8_t *out)
{
  const int16_t *const columns = places + 2 * shape->out_height;
  const int32_t row_bytes = shape->width * bytes;
  for (int32_t y = 0; y < shape->out_height; ++y) {
    const uint8_t *const row = image + places[2 * y] * row_bytes;
    const int32_t below = places[2 * y + 1];
    for (int32_t x = 0; x < shape->out_width; ++x) {
      const uint8_t *const at = row + columns[2 * x] * bytes;
      const int32_t right = columns[2 * x + 1];
      int32_t values[3] = { 32, 32, 32 };
      tvmtiny_camera_add(bytes, low, channels, at, (2048 - below) * (2048 - right), values);
      if (right != 0) {
        tvmtiny_camera_add(bytes, low, channels, at + bytes, (2048 - below) * right, values);
      }
      if (below != 0) {
        tvmtiny_camera_add(bytes, low, channels, at + row_bytes, below * (2048 - right), values);
        if (right != 0) {
          tvmtiny_camera_add(bytes, low, channels, at + row_bytes + bytes, below * right, values);
        }
      }
      for (int32_t channel = 0; channel < channels; ++channel) {
        const int32_t *const factor = factors + 4 * channel;
        const int64_t offset = (int64_t)((uint64_t)(uint32_t)factor[2] << 32 | (uint32_t)factor[1]);
        *out++ = tvmtiny_quantized(values[channel] >> 6, factor[0], offset, factor[3]);
      }
    }
  }
}

/* Defines the function NAME for a format and a number of channels. */
#define TVMTINY_CAMERA(NAME, BYTES, LOW, CHANNELS)                                                   \
  static inline void TVMTINY_UNUSED NAME(const uint8_t *image, const int16_t *places, const int32_t *factors, const int32_t *sizes, int8_t *out) \
  {                                                                                                  \
    tvmtiny_camera_image(BYTES, LOW, CHANNELS, image, places, factors, (const struct tvmtiny_camera_shape *)(const void *)sizes, out); \
  }

TVMTINY_CAMERA(tvmtiny_camera_rgb565_3, 2, 0, 3)
TVMTINY_CAMERA(tvmtiny_camera_rgb565_1, 2, 0, 1)
TVMTINY_CAMERA(tvmtiny_camera_rgb565be_3, 2, 1, 3)
TVMTINY_CAMERA(tvmtiny_camera_rgb565be_1, 2, 1, 1)
TVMTINY_CAMERA(tvmtiny_camera_rgb888_3, 3, 0, 3)
TVMTINY_CAMERA(tvmtiny_camera_rgb888_1, 3, 0, 1)
TVMTINY_CAMERA(tvmtiny_camera_grey_1, 1, 0, 1)

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_CAMERA_H */
