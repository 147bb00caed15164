/* Input patches of neighbouring outputs of a row, expanded together: pixels that several patches
 * share are loaded and expanded once. The results equal those of the gathers of
 * tvmtiny_dsp_patch.h. */
#ifndef TVMTINY_DSP_NEAR_H
#define TVMTINY_DSP_NEAR_H

#include "tvmtiny_dsp_patch.h"

TVMTINY_INLINE void tvmtiny_expand_word_h16(uint32_t *to, const int16_t *from, int32_t pixels)
{
  to[0] = tvmtiny_load4((const int8_t *)from);
  to[pixels] = tvmtiny_load4((const int8_t *)(from + 2));
}

/* The types of four inputs that are expanded. */
#define TVMTINY_NEAR_INPUT_W8 int8_t
#define TVMTINY_NEAR_INPUT_W16 int8_t
#define TVMTINY_NEAR_INPUT_H16 int16_t

#if TVMTINY_DSP

#define TVMTINY_NEAR_FUNCTION(NAME, INPUT, BODY)                                                   \
  static __attribute__((naked, noinline)) void NAME(const INPUT *from TVMTINY_UNUSED,              \
                                                    uint32_t *to TVMTINY_UNUSED)                   \
  {                                                                                                \
    /* The clobbers are for GCC's -fipa-ra, which trusts what it sees of a local function. */      \
    __asm__ volatile(".syntax unified\n push {r4-r11, lr}\n" BODY "pop {r4-r11, pc}\n" ::          \
                         : "r0", "r1", "r2", "r3", "r12", "lr", "cc", "memory");                   \
  }

/* Registers: r0 from, r1 to, r12 a mask. The words of column n are in r(2 + n) and r(7 + n). */
#define TVMTINY_NEAR_ENTER_W8 "mov r12, #0xff00ff00\n"
#define TVMTINY_NEAR_ENTER_W16
#define TVMTINY_NEAR_ENTER_H16
#define TVMTINY_NEAR_LOAD_W8(A, B, ADDRESS)                                                        \
  "ldr lr, " ADDRESS "\n sxtb16 " A ", lr, ror #8\n and " B ", r12, lr, lsl #8\n"                  \
  "orr " B ", " B ", #0x007f007f\n ssub16 " B ", " B ", " A "\n"
#define TVMTINY_NEAR_LOAD_W16(A, B, ADDRESS)                                                       \
  "ldr lr, " ADDRESS "\n sxtb16 " A ", lr\n sxtb16 " B ", lr, ror #8\n"
#define TVMTINY_NEAR_LOAD_H16(A, B, ADDRESS) "ldrd " A ", " B ", " ADDRESS "\n"

/* Loads the words of some columns, which are STEP bytes apart, and advances `from` by ADVANCE. */
#define TVMTINY_NEAR_LOADS_2(LOAD, STEP, ADVANCE)                                                  \
  LOAD("r3", "r8", "[r0, #(" STEP ")]") LOAD("r2", "r7", "[r0], #" ADVANCE)
#define TVMTINY_NEAR_LOADS_3(LOAD, STEP, ADVANCE)                                                  \
  LOAD("r4", "r9", "[r0, #2 * (" STEP ")]") TVMTINY_NEAR_LOADS_2(LOAD, STEP, ADVANCE)
#define TVMTINY_NEAR_LOADS_4(LOAD, STEP, ADVANCE)                                                  \
  LOAD("r5", "r10", "[r0, #3 * (" STEP ")]") TVMTINY_NEAR_LOADS_3(LOAD, STEP, ADVANCE)
#define TVMTINY_NEAR_LOADS_5(LOAD, STEP, ADVANCE)                                                  \
  LOAD("r6", "r11", "[r0, #4 * (" STEP ")]") TVMTINY_NEAR_LOADS_4(LOAD, STEP, ADVANCE)

/* The registers to store for a number of pixels, from a column on. */
#define TVMTINY_NEAR_STORE_2_0 "{r2, r3, r7, r8}\n"
#define TVMTINY_NEAR_STORE_2_1 "{r3, r4, r8, r9}\n"
#define TVMTINY_NEAR_STORE_2_2 "{r4, r5, r9, r10}\n"
#define TVMTINY_NEAR_STORE_3_0 "{r2, r3, r4, r7, r8, r9}\n"
#define TVMTINY_NEAR_STORE_3_1 "{r3, r4, r5, r8, r9, r10}\n"
#define TVMTINY_NEAR_STORE_3_2 "{r4, r5, r6, r9, r10, r11}\n"

/* Defines NAME(from, to), which expands one row of patches that have three columns and are one
 * column apart. COLUMNS is PIXELS + 2. */
#define TVMTINY_NEAR_TAPS(NAME, FORMAT, CHANNELS, PIXELS, COLUMNS)                                 \
  TVMTINY_NEAR_TAPS_(NAME, FORMAT, TVMTINY_STRING(CHANNELS),                                       \
                     TVMTINY_NEAR_WIDTH_##FORMAT " * " TVMTINY_STRING(CHANNELS),                   \
                     "2 * " TVMTINY_STRING(PIXELS) " * " TVMTINY_STRING(CHANNELS), PIXELS, COLUMNS)
#define TVMTINY_NEAR_WIDTH_W8 "1"
#define TVMTINY_NEAR_WIDTH_W16 "1"
#define TVMTINY_NEAR_WIDTH_H16 "2"
#define TVMTINY_NEAR_TAPS_(NAME, FORMAT, CHANNELS, STEP, TAP, PIXELS, COLUMNS)                     \
  TVMTINY_NEAR_FUNCTION(                                                                           \
      NAME, TVMTINY_NEAR_INPUT_##FORMAT,                                                           \
      TVMTINY_NEAR_ENTER_##FORMAT "add lr, r0, #" STEP "\n push {lr}\n1:\n"                        \
          TVMTINY_NEAR_LOADS_##COLUMNS(TVMTINY_NEAR_LOAD_##FORMAT, STEP,                           \
                                       TVMTINY_NEAR_WIDTH_##FORMAT " * 4")                         \
      "add lr, r1, #" TAP "\n stm lr, " TVMTINY_NEAR_STORE_##PIXELS##_1                            \
      "add lr, lr, #" TAP "\n stm lr, " TVMTINY_NEAR_STORE_##PIXELS##_2                            \
      "stm r1!, " TVMTINY_NEAR_STORE_##PIXELS##_0                                                  \
      "ldr lr, [sp]\n cmp r0, lr\n bne 1b\n add sp, sp, #4\n")

/* Defines NAME(from, to), which expands GROUPS whole groups of each of ROWS rows of PITCH bytes;
 * pixels are STEP bytes apart. */
#define TVMTINY_NEAR_ROWS(NAME, FORMAT, ROWS, PITCH, GROUPS, STEP, PIXELS)                         \
  TVMTINY_NEAR_FUNCTION(                                                                           \
      NAME, TVMTINY_NEAR_INPUT_##FORMAT,                                                           \
      TVMTINY_NEAR_ENTER_##FORMAT TVMTINY_NEAR_ALL_ROWS(FORMAT, TVMTINY_STRING(ROWS),              \
                                                        TVMTINY_STRING(PITCH),                     \
                                                        TVMTINY_STRING(GROUPS),                    \
                                                        TVMTINY_STRING(STEP), PIXELS))
#define TVMTINY_NEAR_ALL_ROWS(FORMAT, ROWS, PITCH, GROUPS, STEP, PIXELS)                           \
  "add r6, r1, #(" ROWS ") * (" GROUPS ") * 8 * " #PIXELS "\n1:\n"                                 \
  ".rept " GROUPS "\n" TVMTINY_NEAR_LOADS_##PIXELS(TVMTINY_NEAR_LOAD_##FORMAT, STEP, "4")          \
  "stm r1!, " TVMTINY_NEAR_STORE_##PIXELS##_0 ".endr\n"                                            \
  "add r0, r0, #(" PITCH ") - 4 * (" GROUPS ")\n cmp r1, r6\n bne 1b\n"

/* As TVMTINY_NEAR_ROWS for groups in pairs and pixels that are two bytes apart: the second group of
 * a patch is the first group of the patch after the next. COLUMNS is PIXELS + 2. */
#define TVMTINY_NEAR_PAIRS(NAME, FORMAT, ROWS, PITCH, GROUPS, PIXELS, COLUMNS)                     \
  TVMTINY_NEAR_FUNCTION(                                                                           \
      NAME, TVMTINY_NEAR_INPUT_##FORMAT,                                                           \
      TVMTINY_NEAR_ENTER_##FORMAT TVMTINY_NEAR_ALL_PAIRS(FORMAT, TVMTINY_STRING(ROWS),             \
                                                         TVMTINY_STRING(PITCH),                    \
                                                         TVMTINY_STRING(GROUPS), PIXELS, COLUMNS))
#define TVMTINY_NEAR_ALL_PAIRS(FORMAT, ROWS, PITCH, GROUPS, PIXELS, COLUMNS)                       \
  "add lr, r1, #(" ROWS ") * (" GROUPS ") * 8 * " #PIXELS "\n push {lr}\n1:\n"                     \
  ".rept (" GROUPS ") / 2\n" TVMTINY_NEAR_LOADS_##COLUMNS(TVMTINY_NEAR_LOAD_##FORMAT, "2", "8")    \
  "stm r1!, " TVMTINY_NEAR_STORE_##PIXELS##_0 "stm r1!, " TVMTINY_NEAR_STORE_##PIXELS##_2          \
  ".endr\n"                                                                                        \
  "add r0, r0, #(" PITCH ") - 4 * (" GROUPS ")\n ldr lr, [sp]\n cmp r1, lr\n bne 1b\n"             \
  "add sp, sp, #4\n"

/* Defines NAME(from, to), which expands three rows of PITCH bytes: eight bytes of each row in two
 * groups, and the ninth bytes in a group with a zero. */
#define TVMTINY_NEAR_NINES(NAME, FORMAT, PITCH, STEP, PIXELS)                                      \
  TVMTINY_NEAR_FUNCTION(                                                                           \
      NAME, TVMTINY_NEAR_INPUT_##FORMAT,                                                           \
      TVMTINY_NEAR_ENTER_##FORMAT TVMTINY_NEAR_ALL_ROWS(FORMAT, "3", TVMTINY_STRING(PITCH), "2",   \
                                                        TVMTINY_STRING(STEP), PIXELS)              \
      "sub r0, r0, #2 * " TVMTINY_STRING(PITCH) "\n"                                               \
      TVMTINY_NEAR_NINTHS_##PIXELS(TVMTINY_NEAR_NINTH_##FORMAT, TVMTINY_STRING(PITCH),             \
                                   TVMTINY_STRING(STEP))                                           \
      "stm r1!, " TVMTINY_NEAR_STORE_##PIXELS##_0)
#define TVMTINY_NEAR_NINTHS_2(NINTH, PITCH, STEP)                                                  \
  NINTH("r2", "r7", "8", PITCH) NINTH("r3", "r8", "8 + " STEP, PITCH)
#define TVMTINY_NEAR_NINTHS_3(NINTH, PITCH, STEP)                                                  \
  TVMTINY_NEAR_NINTHS_2(NINTH, PITCH, STEP) NINTH("r4", "r9", "8 + 2 * " STEP, PITCH)
/* The pointer is at the second row here. */
#define TVMTINY_NEAR_NINE(A, B, AT, PITCH)                                                         \
  "sub lr, r0, #" PITCH "\n ldrb " A ", [lr, #" AT "]\n ldrb " B ", [r0, #" PITCH " + " AT "]\n"   \
  "ldrsb lr, [r0, #" AT "]\n orr " B ", " A ", " B ", lsl #16\n"
#define TVMTINY_NEAR_NINTH_W8(A, B, AT, PITCH)                                                     \
  TVMTINY_NEAR_NINE(A, B, AT, PITCH)                                                               \
  "uxth " A ", lr\n mov lr, #0x007f007f\n orr " B ", lr, " B ", lsl #8\n"                          \
  "ssub16 " B ", " B ", " A "\n"
#define TVMTINY_NEAR_NINTH_W16(A, B, AT, PITCH)                                                    \
  TVMTINY_NEAR_NINE(A, B, AT, PITCH) "sxtb16 " A ", " B "\n uxth " B ", lr\n"

#else

#define TVMTINY_NEAR_TWIN(FORMAT, INPUT, SOURCE)                                                   \
  TVMTINY_INLINE void tvmtiny_near_##FORMAT(const INPUT *from, uint32_t *to, int32_t step,         \
                                            int32_t pixels)                                        \
  {                                                                                                \
    int32_t pixel;                                                                                 \
    for (pixel = 0; pixel < pixels; ++pixel) {                                                     \
      tvmtiny_expand_word_##FORMAT(to + pixel, SOURCE(from + pixel * step), pixels);               \
    }                                                                                              \
  }
#define TVMTINY_NEAR_SAME(SOURCE) (SOURCE)
TVMTINY_NEAR_TWIN(w8, int8_t, tvmtiny_load4)
TVMTINY_NEAR_TWIN(w16, int8_t, tvmtiny_load4)
TVMTINY_NEAR_TWIN(h16, int16_t, TVMTINY_NEAR_SAME)
#define TVMTINY_NEAR_TWIN_W8 tvmtiny_near_w8
#define TVMTINY_NEAR_TWIN_W16 tvmtiny_near_w16
#define TVMTINY_NEAR_TWIN_H16 tvmtiny_near_h16
#define TVMTINY_NEAR_WORD_W8 tvmtiny_expand_word_w8
#define TVMTINY_NEAR_WORD_W16 tvmtiny_expand_word_w16

#define TVMTINY_NEAR_TAPS(NAME, FORMAT, CHANNELS, PIXELS, COLUMNS)                                 \
  static void NAME(const TVMTINY_NEAR_INPUT_##FORMAT *from, uint32_t *to)                          \
  {                                                                                                \
    int32_t group;                                                                                 \
    for (group = 0; group < 3 * (CHANNELS) / 4; ++group) {                                         \
      TVMTINY_NEAR_TWIN_##FORMAT(from + 4 * group, to, CHANNELS, PIXELS);                          \
      to += 2 * (PIXELS);                                                                          \
    }                                                                                              \
  }
#define TVMTINY_NEAR_ROWS(NAME, FORMAT, ROWS, PITCH, GROUPS, STEP, PIXELS)                         \
  static void NAME(const TVMTINY_NEAR_INPUT_##FORMAT *from, uint32_t *to)                          \
  {                                                                                                \
    int32_t row;                                                                                   \
    int32_t group;                                                                                 \
    for (row = 0; row < (ROWS); ++row) {                                                           \
      for (group = 0; group < (GROUPS); ++group) {                                                 \
        TVMTINY_NEAR_TWIN_##FORMAT(from + row * (PITCH) + 4 * group, to, STEP, PIXELS);            \
        to += 2 * (PIXELS);                                                                        \
      }                                                                                            \
    }                                                                                              \
  }
#define TVMTINY_NEAR_PAIRS(NAME, FORMAT, ROWS, PITCH, GROUPS, PIXELS, COLUMNS)                     \
  TVMTINY_NEAR_ROWS(NAME, FORMAT, ROWS, PITCH, GROUPS, 2, PIXELS)
#define TVMTINY_NEAR_NINES(NAME, FORMAT, PITCH, STEP, PIXELS)                                      \
  TVMTINY_NEAR_ROWS(NAME##_rows, FORMAT, 3, PITCH, 2, STEP, PIXELS)                                \
  static void NAME(const TVMTINY_NEAR_INPUT_##FORMAT *from, uint32_t *to)                          \
  {                                                                                                \
    int32_t pixel;                                                                                 \
    NAME##_rows(from, to);                                                                         \
    for (pixel = 0; pixel < (PIXELS); ++pixel) {                                                   \
      const int8_t *const ninth = from + pixel * (STEP) + 8;                                       \
      const int8_t bytes[4] = {ninth[0], ninth[PITCH], ninth[2 * (PITCH)], 0};                     \
      TVMTINY_NEAR_WORD_##FORMAT(to + 12 * (PIXELS) + pixel, tvmtiny_load4(bytes), PIXELS);        \
    }                                                                                              \
  }
#endif

/* Fills `groups` groups of `pixels` patches with the words `a` and `b`. */
TVMTINY_INLINE void tvmtiny_near_fill(uint32_t *to, uint32_t a, uint32_t b, int32_t groups,
                                      int32_t pixels)
{
  const uint32_t *const end = to + 2 * pixels * groups;
  while (to != end) {
    int32_t pixel;
    for (pixel = 0; pixel < pixels; ++pixel) {
      to[pixel] = a;
      to[pixels + pixel] = b;
    }
    to += 2 * pixels;
  }
}
#define TVMTINY_NEAR_PAD_W8(PAD) tvmtiny_lanes(PAD, PAD), tvmtiny_lanes(255 * (PAD) + 127, 255 * (PAD) + 127)
#define TVMTINY_NEAR_PAD_W16(PAD) tvmtiny_lanes(PAD, PAD), tvmtiny_lanes(PAD, PAD)
#define TVMTINY_NEAR_PAD_H16(PAD) 0u, 0u

/* Expands each of PIXELS patches from `position` on by ONE(x, row, column, to). */
#define TVMTINY_NEAR_EACH(ONE, WIDTH, CHANNELS, OUT_COLUMNS, STRIDE_Y, STRIDE_X, LEFT, PIXELS)     \
  for (lane = 0; lane < (PIXELS); ++lane) {                                                        \
    ONE(x, row, column * (STRIDE_X) - (LEFT), to + lane);                                          \
    if (++column == (OUT_COLUMNS)) {                                                               \
      column = 0;                                                                                  \
      row += (STRIDE_Y);                                                                           \
    }                                                                                              \
  }

/* Defines NAME(x, position, to), which expands the patches of PIXELS outputs of one image from
 * `position` on. If the outputs are in one row and their patches within the columns of the input,
 * NEAR expands them, in rows of GROUPS groups; otherwise ONE(x, row, column, to) expands each. */
#define TVMTINY_GATHER_TAPS(NAME, NEAR, ONE, FORMAT, HEIGHT, WIDTH, CHANNELS, ROWS, OUT_COLUMNS,   \
                            STRIDE_Y, TOP, LEFT, PAD, PIXELS)                                      \
  static void NAME(const TVMTINY_NEAR_INPUT_##FORMAT *x, int32_t position, uint32_t *to)           \
  {                                                                                                \
    int32_t column = position % (OUT_COLUMNS);                                                     \
    int32_t row = position / (OUT_COLUMNS) * (STRIDE_Y) - (TOP);                                   \
    const int32_t left = column - (LEFT);                                                          \
    int32_t lane;                                                                                  \
    if (column + (PIXELS) <= (OUT_COLUMNS) && left >= 0 && left + (PIXELS) + 2 <= (WIDTH)) {       \
      const int32_t end = row + (ROWS);                                                            \
      for (; row < end; ++row) {                                                                   \
        if (row >= 0 && row < (HEIGHT)) {                                                          \
          NEAR(x + (row * (WIDTH) + left) * (CHANNELS), to);                                       \
        } else {                                                                                   \
          tvmtiny_near_fill(to, TVMTINY_NEAR_PAD_##FORMAT(PAD), 3 * (CHANNELS) / 4, PIXELS);       \
        }                                                                                          \
        to += 6 * (CHANNELS) / 4 * (PIXELS);                                                       \
      }                                                                                            \
      return;                                                                                      \
    }                                                                                              \
    TVMTINY_NEAR_EACH(ONE, WIDTH, CHANNELS, OUT_COLUMNS, STRIDE_Y, 1, LEFT, PIXELS)                \
  }

/* As TVMTINY_GATHER_TAPS, but NEAR expands patches that are entirely inside the input; they have
 * SPAN columns. */
#define TVMTINY_GATHER_NEAR(NAME, NEAR, ONE, FORMAT, HEIGHT, WIDTH, CHANNELS, ROWS, SPAN,          \
                            OUT_COLUMNS, STRIDE_Y, STRIDE_X, TOP, LEFT, PIXELS)                    \
  static void NAME(const TVMTINY_NEAR_INPUT_##FORMAT *x, int32_t position, uint32_t *to)           \
  {                                                                                                \
    int32_t column = position % (OUT_COLUMNS);                                                     \
    int32_t row = position / (OUT_COLUMNS) * (STRIDE_Y) - (TOP);                                   \
    const int32_t left = column * (STRIDE_X) - (LEFT);                                             \
    int32_t lane;                                                                                  \
    if (column + (PIXELS) <= (OUT_COLUMNS) && left >= 0 && left + (SPAN) <= (WIDTH) && row >= 0 && \
        row + (ROWS) <= (HEIGHT)) {                                                                \
      NEAR(x + (row * (WIDTH) + left) * (CHANNELS), to);                                           \
      return;                                                                                      \
    }                                                                                              \
    TVMTINY_NEAR_EACH(ONE, WIDTH, CHANNELS, OUT_COLUMNS, STRIDE_Y, STRIDE_X, LEFT, PIXELS)         \
  }

/* Defines NAME(x, row, column, to) like TVMTINY_GATHER, for patches of three rows of nine bytes:
 * first eight bytes of each row, and then the ninth bytes. */
#define TVMTINY_GATHER_NINES(NAME, FORMAT, HEIGHT, WIDTH, PAD, PIXELS)                             \
  static void NAME(const int8_t *x, int32_t row, int32_t column, uint32_t *to)                     \
  {                                                                                                \
    int8_t bytes[27];                                                                              \
    int32_t y;                                                                                     \
    for (y = 0; y < 3; ++y, ++row) {                                                               \
      const int32_t valid = row >= 0 && row < (HEIGHT);                                            \
      int8_t line[9];                                                                              \
      tvmtiny_patch_row(line, x + (valid ? row : 0) * (3 * (WIDTH)), 3 * column,                   \
                        valid ? 3 * (WIDTH) : 0, 9, PAD);                                          \
      tvmtiny_copy_bytes(bytes + 8 * y, line, 8);                                                  \
      bytes[24 + y] = line[8];                                                                     \
    }                                                                                              \
    (void)tvmtiny_expand_##FORMAT(to, bytes, 27, (PIXELS));                                        \
  }

/* Defines NAME(x, row, to), which copies ROWS rows of an input of one channel, from `row` on, into
 * lines of PITCH bytes that begin with LEFT columns of padding. */
#define TVMTINY_STRIP(NAME, HEIGHT, WIDTH, ROWS, PITCH, LEFT, PAD)                                 \
  static void NAME(const int8_t *x, int32_t row, int8_t *to)                                       \
  {                                                                                                \
    const int32_t end = row + (ROWS);                                                              \
    for (; row < end; ++row) {                                                                     \
      int8_t *const last = to + (PITCH);                                                           \
      const int32_t valid = row >= 0 && row < (HEIGHT);                                            \
      int32_t i;                                                                                   \
      for (i = 0; i < (valid ? (LEFT) : (PITCH)); ++i) {                                           \
        *to++ = (PAD);                                                                             \
      }                                                                                            \
      if (valid) {                                                                                 \
        tvmtiny_copy_bytes(to, x + row * (WIDTH), WIDTH);                                          \
        to += (WIDTH);                                                                             \
      }                                                                                            \
      while (to != last) {                                                                         \
        *to++ = (PAD);                                                                             \
      }                                                                                            \
    }                                                                                              \
  }

#endif /* TVMTINY_DSP_NEAR_H */
