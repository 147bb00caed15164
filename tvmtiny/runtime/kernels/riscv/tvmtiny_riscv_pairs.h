/* Convolutions with two products in one multiplication, for RISC-V.
 *
 * A step computes all channels of four pixels, three channels at a time, or of two pixels, six
 * channels at a time, from the words of tvmtiny_pairs.h. The product of such a word and a weight
 * holds two products. They are added up in chunks that keep the sum of the lower ones within 16
 * bits, which was proven for the weights of each channel when the code was generated:
 *
 *   high += (chunk + 32768) >> 16; all += chunk; in the end the lower sum is all - 65536 * high,
 *   modulo 2^32.
 *
 * For each tile of channels, the stream holds the int8 weights of all channels for each input, in
 * whole chunks, with zeros up to whole words, and then for each channel its number, the initial
 * accumulator, the multiplier and, for ROUNDING = SIGNED, the offset and the step. The accumulator
 * is the initial one plus 256 times the sum. */
#ifndef TVMTINY_RISCV_PAIRS_H
#define TVMTINY_RISCV_PAIRS_H

#include "tvmtiny_pairs.h"
#include "tvmtiny_riscv.h"

TVMTINY_PAIRS_PACK(tvmtiny_riscv_pack, 8, 11)

/* Defines NAME(x, stream, out, end), which computes all channels of PIXELS (4 or 2) pixels; the
 * stream ends at `end`.
 *
 * CHUNK inputs are added up at a time; FIRST chunks are unrolled, followed by LOOPS iterations of
 * UNROLL chunks. PITCH is the distance between pixels of `out`. */
#if TVMTINY_RV32

/* a0 x, a1 stream, a2 out, a3 end; a4 a5 words of x, a6 a weight, a7 scratch, ra the end of x, t6
 * 32768. There are three channels of two words, or six of one: t0-t5 their chunks, s0-s5 the sums
 * of all chunks, s6-s11 their upper halves. */
#define TVMTINY_RISCV_WEIGHT " lb a6, tvmtiny_weight(a1)\n.set tvmtiny_weight, tvmtiny_weight + 1\n"
#define TVMTINY_RISCV_WORDS_4                                                                         \
  " lw a4, tvmtiny_x(a0)\n lw a5, tvmtiny_x + 4(a0)\n.set tvmtiny_x, tvmtiny_x + 8\n"
#define TVMTINY_RISCV_WORDS_2 " lw a4, tvmtiny_x(a0)\n.set tvmtiny_x, tvmtiny_x + 4\n"
#define TVMTINY_RISCV_BEGIN_4(A, B) TVMTINY_RISCV_WEIGHT " mul " A ", a4, a6\n mul " B ", a5, a6\n"
#define TVMTINY_RISCV_BEGIN_2(A, B)                                                                   \
  TVMTINY_RISCV_WEIGHT " mul " A ", a4, a6\n" TVMTINY_RISCV_WEIGHT " mul " B ", a4, a6\n"
#define TVMTINY_RISCV_GO_ON_4(A, B)                                                                   \
  TVMTINY_RISCV_WEIGHT " mul a7, a4, a6\n add " A ", " A ", a7\n mul a7, a5, a6\n add " B ", " B ", a7\n"
#define TVMTINY_RISCV_GO_ON_2(A, B)                                                                   \
  TVMTINY_RISCV_WEIGHT " mul a7, a4, a6\n add " A ", " A ", a7\n" TVMTINY_RISCV_WEIGHT               \
  " mul a7, a4, a6\n add " B ", " B ", a7\n"
#define TVMTINY_RISCV_PRODUCTS_OF(PIXELS, CHUNK, A, B, C, D, E, F)                                    \
  TVMTINY_RISCV_WORDS_##PIXELS TVMTINY_RISCV_BEGIN_##PIXELS(A, B) TVMTINY_RISCV_BEGIN_##PIXELS(C, D)  \
  TVMTINY_RISCV_BEGIN_##PIXELS(E, F) ".rept " CHUNK " - 1\n" TVMTINY_RISCV_WORDS_##PIXELS             \
  TVMTINY_RISCV_GO_ON_##PIXELS(A, B) TVMTINY_RISCV_GO_ON_##PIXELS(C, D)                               \
  TVMTINY_RISCV_GO_ON_##PIXELS(E, F) ".endr\n"
#define TVMTINY_RISCV_OPEN(HIGH, ALL) " add a7, " ALL ", t6\n srai " HIGH ", a7, 16\n"
#define TVMTINY_RISCV_SPLIT(HIGH, ALL, CHUNK)                                                         \
  " add a7, " CHUNK ", t6\n srai a7, a7, 16\n add " HIGH ", " HIGH ", a7\n add " ALL ", " ALL ", " CHUNK "\n"
/* The first chunk, which initializes the sums of all chunks; the other chunks; and the step past
 * them. */
#define TVMTINY_RISCV_FIRST_CHUNK(PIXELS, CHUNK)                                                      \
  TVMTINY_RISCV_PRODUCTS_OF(PIXELS, CHUNK, "s0", "s1", "s2", "s3", "s4", "s5")                        \
  TVMTINY_RISCV_OPEN("s6", "s0") TVMTINY_RISCV_OPEN("s7", "s1") TVMTINY_RISCV_OPEN("s8", "s2")        \
  TVMTINY_RISCV_OPEN("s9", "s3") TVMTINY_RISCV_OPEN("s10", "s4") TVMTINY_RISCV_OPEN("s11", "s5")
#define TVMTINY_RISCV_CHUNKS(PIXELS, CHUNK, COUNT)                                                    \
  ".rept " COUNT "\n" TVMTINY_RISCV_PRODUCTS_OF(PIXELS, CHUNK, "t0", "t1", "t2", "t3", "t4", "t5")    \
  TVMTINY_RISCV_SPLIT("s6", "s0", "t0") TVMTINY_RISCV_SPLIT("s7", "s1", "t1")                         \
  TVMTINY_RISCV_SPLIT("s8", "s2", "t2") TVMTINY_RISCV_SPLIT("s9", "s3", "t3")                         \
  TVMTINY_RISCV_SPLIT("s10", "s4", "t4") TVMTINY_RISCV_SPLIT("s11", "s5", "t5") ".endr\n"
#define TVMTINY_RISCV_PAST                                                                            \
  " addi a0, a0, tvmtiny_x\n addi a1, a1, tvmtiny_weight\n.set tvmtiny_x, 0\n.set tvmtiny_weight, 0\n"
/* Splits the sums of the two pixels of a word and turns them into accumulators. */
#define TVMTINY_RISCV_ACCUMULATORS(HIGH, ALL)                                                         \
  " slli a7, " HIGH ", 16\n sub " ALL ", " ALL ", a7\n slli " ALL ", " ALL ", 8\n slli " HIGH ", " HIGH \
  ", 8\n add " ALL ", " ALL ", t0\n add " HIGH ", " HIGH ", t0\n"
#define TVMTINY_RISCV_CHANNEL_4(HIGH0, ALL0, HIGH1, ALL1, SHIFT, PITCH, ROUNDING)                     \
  TVMTINY_RISCV_CONSTANTS_##ROUNDING                                                                  \
  TVMTINY_RISCV_ACCUMULATORS(HIGH0, ALL0) TVMTINY_RISCV_ACCUMULATORS(HIGH1, ALL1)                     \
  TVMTINY_RISCV_OUTPUT(ALL0, SHIFT, ROUNDING, "0(t2)")                                                \
  TVMTINY_RISCV_OUTPUT(HIGH0, SHIFT, ROUNDING, PITCH "(t2)")                                          \
  TVMTINY_RISCV_OUTPUT(ALL1, SHIFT, ROUNDING, "2 * " PITCH "(t2)")                                    \
  TVMTINY_RISCV_OUTPUT(HIGH1, SHIFT, ROUNDING, "3 * " PITCH "(t2)")
#define TVMTINY_RISCV_CHANNEL_2(HIGH, ALL, SHIFT, PITCH, ROUNDING)                                    \
  TVMTINY_RISCV_CONSTANTS_##ROUNDING TVMTINY_RISCV_ACCUMULATORS(HIGH, ALL)                            \
  TVMTINY_RISCV_OUTPUT(ALL, SHIFT, ROUNDING, "0(t2)")                                                 \
  TVMTINY_RISCV_OUTPUT(HIGH, SHIFT, ROUNDING, PITCH "(t2)")
#define TVMTINY_RISCV_CHANNELS_4(SHIFT, PITCH, ROUNDING)                                              \
  TVMTINY_RISCV_CHANNEL_4("s6", "s0", "s7", "s1", SHIFT, PITCH, ROUNDING)                             \
  TVMTINY_RISCV_CHANNEL_4("s8", "s2", "s9", "s3", SHIFT, PITCH, ROUNDING)                             \
  TVMTINY_RISCV_CHANNEL_4("s10", "s4", "s11", "s5", SHIFT, PITCH, ROUNDING)
#define TVMTINY_RISCV_CHANNELS_2(SHIFT, PITCH, ROUNDING)                                              \
  TVMTINY_RISCV_CHANNEL_2("s6", "s0", SHIFT, PITCH, ROUNDING)                                         \
  TVMTINY_RISCV_CHANNEL_2("s7", "s1", SHIFT, PITCH, ROUNDING)                                         \
  TVMTINY_RISCV_CHANNEL_2("s8", "s2", SHIFT, PITCH, ROUNDING)                                         \
  TVMTINY_RISCV_CHANNEL_2("s9", "s3", SHIFT, PITCH, ROUNDING)                                         \
  TVMTINY_RISCV_CHANNEL_2("s10", "s4", SHIFT, PITCH, ROUNDING)                                        \
  TVMTINY_RISCV_CHANNEL_2("s11", "s5", SHIFT, PITCH, ROUNDING)

#define TVMTINY_RISCV_PAIRS(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, PITCH, ROUNDING)        \
  TVMTINY_RISCV_PAIRS_(NAME, PIXELS, #PIXELS, #CHUNK, #FIRST, #UNROLL, #LOOPS, #SHIFT, #PITCH, ROUNDING, \
                       "(" #CHUNK " * (" #FIRST " + " #UNROLL " * " #LOOPS "))")
#define TVMTINY_RISCV_PAIRS_(NAME, PIXELS, COUNT, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, PITCH, ROUNDING, INPUTS) \
  TVMTINY_RISCV_FUNCTION(                                                                             \
      NAME,                                                                                           \
      (const uint32_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                        \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                                \
      ".set tvmtiny_x, 0\n.set tvmtiny_weight, 0\n mv ra, a0\n"                                       \
      TVMTINY_RISCV_ADD("ra", "2 * " COUNT " * " INPUTS, "t0")                                        \
      "1:\n lui t6, 8\n" TVMTINY_RISCV_FIRST_CHUNK(PIXELS, CHUNK)                                     \
      TVMTINY_RISCV_CHUNKS(PIXELS, CHUNK, FIRST " - 1") TVMTINY_RISCV_PAST                            \
      ".if " LOOPS "\n2:\n" TVMTINY_RISCV_CHUNKS(PIXELS, CHUNK, UNROLL) TVMTINY_RISCV_PAST            \
      " bne a0, ra, 2b\n.endif\n" TVMTINY_RISCV_ADD("a0", "-2 * " COUNT " * " INPUTS, "t0")           \
      ".if (-12 / " COUNT " * " INPUTS ") & 3\n addi a1, a1, (-12 / " COUNT " * " INPUTS ") & 3\n.endif\n" \
      TVMTINY_RISCV_LIMIT TVMTINY_RISCV_CHANNELS_##PIXELS(SHIFT, PITCH, ROUNDING) " bne a1, a3, 1b\n")

#else /* !TVMTINY_RV32 */

static void TVMTINY_UNUSED tvmtiny_riscv_pairs(const uint32_t *x, const int32_t *stream, int8_t *out,
                                               const int32_t *end, int32_t chunk, int32_t chunks,
                                               int32_t shift, int32_t pitch, int32_t rounding, int32_t pixels)
{
  const int32_t channels = 12 / pixels;
  while (stream != end) {
    const int32_t *constants = stream + (channels * chunk * chunks + 3) / 4;
    int32_t channel;
    for (channel = 0; channel < channels; ++channel, constants += 2 + rounding) {
      const int8_t *weight = (const int8_t *)stream + channel;
      int8_t *const to = out + constants[0];
      const uint32_t initial = (uint32_t)constants[1];
      int32_t pixel;
      for (pixel = 0; pixel < pixels; pixel += 2) {
        const uint32_t *word = x + pixel / 2;
        const int8_t *factor = weight;
        uint32_t all = 0;
        int32_t high = 0;
        int32_t left;
        for (left = chunks; left > 0; --left) {
          uint32_t sum = 0;
          int32_t i;
          for (i = 0; i < chunk; ++i, word += pixels / 2, factor += channels) {
            if (*factor != 0) {
              sum = tvmtiny_riscv_add(sum, (int32_t)*word, *factor);
            }
          }
          high += (int32_t)(sum + 0x8000u) >> 16;
          all += sum;
        }
        all -= (uint32_t)high << 16;
        to[pixel * pitch] =
            tvmtiny_riscv_output((int32_t)(initial + (all << 8)), constants + 2, rounding, shift);
        to[(pixel + 1) * pitch] = tvmtiny_riscv_output((int32_t)(initial + ((uint32_t)high << 8)),
                                                       constants + 2, rounding, shift);
      }
    }
    stream = constants;
  }
}

#define TVMTINY_RISCV_PAIRS(NAME, PIXELS, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, PITCH, ROUNDING)        \
  static void NAME(const uint32_t *x, const int32_t *stream, int8_t *out, const int32_t *end)         \
  {                                                                                                   \
    tvmtiny_riscv_pairs(x, stream, out, end, CHUNK, (FIRST) + (UNROLL) * (LOOPS), SHIFT, PITCH,       \
                        TVMTINY_RISCV_##ROUNDING, PIXELS);                                            \
  }

#endif

#endif /* TVMTINY_RISCV_PAIRS_H */
