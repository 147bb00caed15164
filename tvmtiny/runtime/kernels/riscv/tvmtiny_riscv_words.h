/* Dense layers, pixel by pixel on unpacked inputs, for RISC-V, with two channels in one
 * multiplication.
 *
 * A word w0 + 65536 * w1 holds the weights of two channels for one input. Chunks of its products
 * are added up and split as in tvmtiny_riscv_pairs.h. For each tile of eight channels, the stream
 * holds four such words for each input, and then for each channel its number, the initial
 * accumulator, the multiplier and, for ROUNDING = SIGNED, the offset and the step. The accumulator
 * is the initial one plus 256 times the sum. */
#ifndef TVMTINY_RISCV_WORDS_H
#define TVMTINY_RISCV_WORDS_H

#include "tvmtiny_riscv.h"

/* Defines NAME(x, stream, out, end), which computes all channels of one pixel; the stream ends at
 * `end`. The first chunk has BEGIN inputs and the others CHUNK; FIRST chunks are unrolled, followed
 * by LOOPS iterations of UNROLL chunks. */
#if TVMTINY_RV32

/* a0 x, a1 stream, a2 out, a3 end; a4 an input, a6 a word, a7 scratch, ra the end of x, t6 32768.
 * The four words have chunks t0-t3, sums of all chunks s0-s3, and their upper halves s4-s7. */
#define TVMTINY_RISCV_INPUT " lb a4, tvmtiny_x(a0)\n.set tvmtiny_x, tvmtiny_x + 1\n"
#define TVMTINY_RISCV_WORD " lw a6, tvmtiny_weight(a1)\n.set tvmtiny_weight, tvmtiny_weight + 4\n"
#define TVMTINY_RISCV_BEGIN_WORD(A) TVMTINY_RISCV_WORD " mul " A ", a4, a6\n"
#define TVMTINY_RISCV_GO_ON_WORD(A) TVMTINY_RISCV_WORD " mul a7, a4, a6\n add " A ", " A ", a7\n"
#define TVMTINY_RISCV_PRODUCTS(CHUNK, A, B, C, D)                                                     \
  TVMTINY_RISCV_INPUT TVMTINY_RISCV_BEGIN_WORD(A) TVMTINY_RISCV_BEGIN_WORD(B)                         \
  TVMTINY_RISCV_BEGIN_WORD(C) TVMTINY_RISCV_BEGIN_WORD(D) ".rept " CHUNK " - 1\n"                     \
  TVMTINY_RISCV_INPUT TVMTINY_RISCV_GO_ON_WORD(A) TVMTINY_RISCV_GO_ON_WORD(B)                         \
  TVMTINY_RISCV_GO_ON_WORD(C) TVMTINY_RISCV_GO_ON_WORD(D) ".endr\n"
#define TVMTINY_RISCV_OPEN_WORD(HIGH, ALL) " add a7, " ALL ", t6\n srai " HIGH ", a7, 16\n"
#define TVMTINY_RISCV_SPLIT_WORD(HIGH, ALL, CHUNK)                                                    \
  " add a7, " CHUNK ", t6\n srai a7, a7, 16\n add " HIGH ", " HIGH ", a7\n add " ALL ", " ALL ", " CHUNK "\n"
#define TVMTINY_RISCV_WORD_CHUNKS(CHUNK, COUNT)                                                       \
  ".rept " COUNT "\n" TVMTINY_RISCV_PRODUCTS(CHUNK, "t0", "t1", "t2", "t3")                           \
  TVMTINY_RISCV_SPLIT_WORD("s4", "s0", "t0") TVMTINY_RISCV_SPLIT_WORD("s5", "s1", "t1")               \
  TVMTINY_RISCV_SPLIT_WORD("s6", "s2", "t2") TVMTINY_RISCV_SPLIT_WORD("s7", "s3", "t3") ".endr\n"
#define TVMTINY_RISCV_WORDS_PAST                                                                      \
  " addi a0, a0, tvmtiny_x\n" TVMTINY_RISCV_ADD("a1", "tvmtiny_weight", "a7")                         \
  ".set tvmtiny_x, 0\n.set tvmtiny_weight, 0\n"
#define TVMTINY_RISCV_TWO(HIGH, ALL, SHIFT, ROUNDING)                                                 \
  " slli a7, " HIGH ", 16\n sub " ALL ", " ALL ", a7\n" TVMTINY_RISCV_CHANNEL(ALL, SHIFT, ROUNDING)   \
  TVMTINY_RISCV_CHANNEL(HIGH, SHIFT, ROUNDING)

#define TVMTINY_RISCV_WORDS_OF(NAME, BEGIN, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)             \
  TVMTINY_RISCV_WORDS_(NAME, #BEGIN, #CHUNK, #FIRST, #UNROLL, #LOOPS, #SHIFT, ROUNDING,               \
                       "(" #BEGIN " + " #CHUNK " * (" #FIRST " - 1 + " #UNROLL " * " #LOOPS "))")
#define TVMTINY_RISCV_WORDS_(NAME, BEGIN, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING, INPUTS)       \
  TVMTINY_RISCV_FUNCTION(                                                                             \
      NAME,                                                                                           \
      (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                          \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                                \
      ".set tvmtiny_x, 0\n.set tvmtiny_weight, 0\n mv ra, a0\n"                                       \
      TVMTINY_RISCV_ADD("ra", INPUTS, "t0")                                                           \
      "1:\n lui t6, 8\n" TVMTINY_RISCV_PRODUCTS(BEGIN, "s0", "s1", "s2", "s3")                        \
      TVMTINY_RISCV_OPEN_WORD("s4", "s0") TVMTINY_RISCV_OPEN_WORD("s5", "s1")                         \
      TVMTINY_RISCV_OPEN_WORD("s6", "s2") TVMTINY_RISCV_OPEN_WORD("s7", "s3")                         \
      TVMTINY_RISCV_WORD_CHUNKS(CHUNK, FIRST " - 1") TVMTINY_RISCV_WORDS_PAST                         \
      ".if " LOOPS "\n2:\n" TVMTINY_RISCV_WORD_CHUNKS(CHUNK, UNROLL) TVMTINY_RISCV_WORDS_PAST         \
      " bne a0, ra, 2b\n.endif\n" TVMTINY_RISCV_ADD("a0", "-" INPUTS, "t0") TVMTINY_RISCV_LIMIT       \
      TVMTINY_RISCV_TWO("s4", "s0", SHIFT, ROUNDING) TVMTINY_RISCV_TWO("s5", "s1", SHIFT, ROUNDING)   \
      TVMTINY_RISCV_TWO("s6", "s2", SHIFT, ROUNDING) TVMTINY_RISCV_TWO("s7", "s3", SHIFT, ROUNDING)   \
      " bne a1, a3, 1b\n")

#else /* !TVMTINY_RV32 */

static void TVMTINY_UNUSED tvmtiny_riscv_words(const int8_t *x, const int32_t *stream, int8_t *out,
                                               const int32_t *end, int32_t begin, int32_t chunk,
                                               int32_t chunks, int32_t shift, int32_t rounding)
{
  const int32_t inputs = begin + chunk * (chunks - 1);
  while (stream != end) {
    const int32_t *constants = stream + 4 * inputs;
    int32_t pair;
    for (pair = 0; pair < 4; ++pair, constants += 2 * (2 + rounding)) {
      const int32_t *const second = constants + (2 + rounding);
      const int32_t *word = stream + pair;
      const int8_t *input = x;
      uint32_t all = 0;
      int32_t high = 0;
      int32_t left;
      for (left = chunks; left > 0; --left) {
        const int8_t *const stop = input + (left == chunks ? begin : chunk);
        uint32_t sum = 0;
        for (; input != stop; ++input, word += 4) {
          sum = tvmtiny_riscv_add(sum, *word, *input);
        }
        high += (int32_t)(sum + 0x8000u) >> 16;
        all += sum;
      }
      all -= (uint32_t)high << 16;
      out[constants[0]] = tvmtiny_riscv_output((int32_t)((uint32_t)constants[1] + (all << 8)),
                                               constants + 2, rounding, shift);
      out[second[0]] = tvmtiny_riscv_output((int32_t)((uint32_t)second[1] + ((uint32_t)high << 8)),
                                            second + 2, rounding, shift);
    }
    stream = constants;
  }
}

#define TVMTINY_RISCV_WORDS_OF(NAME, BEGIN, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)             \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, const int32_t *end)           \
  {                                                                                                   \
    tvmtiny_riscv_words(x, stream, out, end, BEGIN, CHUNK, (FIRST) + (UNROLL) * (LOOPS), SHIFT,       \
                        TVMTINY_RISCV_##ROUNDING);                                                    \
  }

#endif

#endif /* TVMTINY_RISCV_WORDS_H */
