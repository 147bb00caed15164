/* Dense layers, pixel by pixel on unpacked inputs, for RISC-V. One multiplication gives products
 * for two channels, and weights take one byte each.
 *
 * A word holds the weights of four channels for one input x, each plus 128: c0 + 2^8 * c1 + 2^16 *
 * c2 + 2^24 * c3. Its odd bytes are 2^8 * odd, with odd = c1 + 2^16 * c3, and MULHSU of 2^24 * x
 * and the odd bytes is x * odd. The word times x, minus 2^8 * x * odd, is x * even, with even = c0
 * + 2^16 * c2. Products are added up in chunks. Each chunk is corrected by 128 * 65537 times the
 * sum of its inputs, and then split as in tvmtiny_riscv_pairs.h.
 *
 * For each tile of 4, 8 or 12 channels, the stream holds one word per four channels for each input,
 * and then for each channel its number, the initial accumulator, the multiplier and, for ROUNDING =
 * SIGNED, the offset and the step. The accumulator is the initial one plus 256 times the sum. For
 * the lower channels of a product, the sum is 32768 too large per chunk. */
#ifndef TVMTINY_RISCV_BYTES_H
#define TVMTINY_RISCV_BYTES_H

#include "tvmtiny_riscv.h"

/* Defines NAME(x, stream, out, end, room), which computes all channels of one pixel in tiles of 4 *
 * QUADS channels; the stream ends at `end`. The first chunk has BEGIN inputs and the others CHUNK;
 * FIRST chunks are unrolled, followed by LOOPS iterations of UNROLL chunks. With ONCE, the
 * corrections of the chunks are computed once for all tiles and kept in `room`, one word per chunk;
 * with EACH, each tile computes them again. */
#if TVMTINY_RV32

/* a0 x, a1 stream, a2 128 * 65537 or an address in `room`, a3 the sum of the inputs of a chunk and
 * then its correction, a4 an input, a5 2^24 times an input, a6 a word, a7 scratch, t6 the mask of
 * odd bytes, ra the end of x; on the stack `out`, `end` and `room`. Four channels have two sums,
 * first of words and of their odd bytes, and then of even and of odd bytes: t0-t5 of a chunk, s0-s5
 * of all chunks, s6-s11 their upper halves. */
#define TVMTINY_RISCV_QUADS_1(DO, A, B, C, D, E, F) DO(A, B)
#define TVMTINY_RISCV_QUADS_2(DO, A, B, C, D, E, F) DO(A, B) DO(C, D)
#define TVMTINY_RISCV_QUADS_3(DO, A, B, C, D, E, F) DO(A, B) DO(C, D) DO(E, F)
#define TVMTINY_RISCV_QUAD " lw a6, tvmtiny_byte(a1)\n and a7, a6, t6\n.set tvmtiny_byte, tvmtiny_byte + 4\n"
#define TVMTINY_RISCV_QUAD_BEGIN(EVEN, ODD) TVMTINY_RISCV_QUAD " mul " EVEN ", a3, a6\n mulhsu " ODD ", a5, a7\n"
#define TVMTINY_RISCV_QUAD_GO_ON(EVEN, ODD)                                                           \
  TVMTINY_RISCV_QUAD " mul a6, a4, a6\n mulhsu a7, a5, a7\n add " EVEN ", " EVEN ", a6\n add " ODD ", " ODD ", a7\n"
#define TVMTINY_RISCV_QUAD_INPUT(X) " lb " X ", tvmtiny_in(a0)\n slli a5, " X ", 24\n.set tvmtiny_in, tvmtiny_in + 1\n"
#define TVMTINY_RISCV_QUAD_EVEN(EVEN, ODD) " slli a7, " ODD ", 8\n sub " EVEN ", " EVEN ", a7\n"
#define TVMTINY_RISCV_CORRECT " mul a3, a3, a2\n lui a4, 8\n sub a3, a4, a3\n"
#define TVMTINY_RISCV_START_EACH " li a2, 0x800080\n"
#define TVMTINY_RISCV_START_ONCE " lw a2, 60(sp)\n"
#define TVMTINY_RISCV_ADD_UP_EACH " add a3, a3, a4\n"
#define TVMTINY_RISCV_ADD_UP_ONCE
#define TVMTINY_RISCV_CORRECT_EACH TVMTINY_RISCV_CORRECT
#define TVMTINY_RISCV_CORRECT_ONCE " lw a3, tvmtiny_room(a2)\n.set tvmtiny_room, tvmtiny_room + 4\n"
#define TVMTINY_RISCV_QUAD_CHUNK(QUADS, INPUTS, SUMS, A, B, C, D, E, F)                               \
  TVMTINY_RISCV_QUAD_INPUT("a3") TVMTINY_RISCV_QUADS_##QUADS(TVMTINY_RISCV_QUAD_BEGIN, A, B, C, D, E, F) \
  ".rept " INPUTS " - 1\n" TVMTINY_RISCV_QUAD_INPUT("a4") TVMTINY_RISCV_ADD_UP_##SUMS                 \
  TVMTINY_RISCV_QUADS_##QUADS(TVMTINY_RISCV_QUAD_GO_ON, A, B, C, D, E, F) ".endr\n" TVMTINY_RISCV_CORRECT_##SUMS \
  TVMTINY_RISCV_QUADS_##QUADS(TVMTINY_RISCV_QUAD_EVEN, A, B, C, D, E, F)
/* The first chunk initializes the sums of all chunks. */
#define TVMTINY_RISCV_SUMS_1(DO) DO("s0", "s6", "t0") DO("s1", "s7", "t1")
#define TVMTINY_RISCV_SUMS_2(DO) TVMTINY_RISCV_SUMS_1(DO) DO("s2", "s8", "t2") DO("s3", "s9", "t3")
#define TVMTINY_RISCV_SUMS_3(DO) TVMTINY_RISCV_SUMS_2(DO) DO("s4", "s10", "t4") DO("s5", "s11", "t5")
#define TVMTINY_RISCV_SUM_OPEN(ALL, HIGH, CHUNK) " add " ALL ", " ALL ", a3\n srai " HIGH ", " ALL ", 16\n"
#define TVMTINY_RISCV_SUM_SPLIT(ALL, HIGH, CHUNK)                                                     \
  " add " CHUNK ", " CHUNK ", a3\n srai a7, " CHUNK ", 16\n add " ALL ", " ALL ", " CHUNK "\n"          \
  " add " HIGH ", " HIGH ", a7\n"
#define TVMTINY_RISCV_SUM_LOW(ALL, HIGH, CHUNK) " slli a7, " HIGH ", 16\n sub " ALL ", " ALL ", a7\n"
#define TVMTINY_RISCV_QUAD_FIRST(QUADS, INPUTS, SUMS)                                                 \
  TVMTINY_RISCV_QUAD_CHUNK(QUADS, INPUTS, SUMS, "s0", "s1", "s2", "s3", "s4", "s5")                         \
  TVMTINY_RISCV_SUMS_##QUADS(TVMTINY_RISCV_SUM_OPEN)
#define TVMTINY_RISCV_QUAD_CHUNKS(QUADS, INPUTS, SUMS, COUNT)                                         \
  ".rept " COUNT "\n" TVMTINY_RISCV_QUAD_CHUNK(QUADS, INPUTS, SUMS, "t0", "t1", "t2", "t3", "t4", "t5")     \
  TVMTINY_RISCV_SUMS_##QUADS(TVMTINY_RISCV_SUM_SPLIT) ".endr\n"
#define TVMTINY_RISCV_QUAD_PAST                                                                       \
  " addi a0, a0, tvmtiny_in\n" TVMTINY_RISCV_ADD("a1", "tvmtiny_byte", "a7")                          \
  ".if tvmtiny_room\n addi a2, a2, tvmtiny_room\n.endif\n"                                            \
  ".set tvmtiny_in, 0\n.set tvmtiny_byte, 0\n.set tvmtiny_room, 0\n"
/* Sums the inputs of the chunks before all tiles. */
#define TVMTINY_RISCV_SUM_INPUTS(INPUTS)                                                              \
  " lb a3, 0(a0)\n.set tvmtiny_in, 1\n.rept " INPUTS " - 1\n lb a6, tvmtiny_in(a0)\n add a3, a3, a6\n" \
  ".set tvmtiny_in, tvmtiny_in + 1\n.endr\n" TVMTINY_RISCV_CORRECT                                    \
  " sw a3, 0(a5)\n addi a0, a0, " INPUTS "\n addi a5, a5, 4\n.set tvmtiny_in, 0\n"
#define TVMTINY_RISCV_SUMS_EACH(BEGIN, CHUNK, INPUTS)
#define TVMTINY_RISCV_SUMS_ONCE(BEGIN, CHUNK, INPUTS)                                                 \
  " sw a4, 60(sp)\n mv a5, a4\n li a2, 0x800080\n" TVMTINY_RISCV_SUM_INPUTS(BEGIN)                    \
  ".if " INPUTS " - " BEGIN "\n1:\n" TVMTINY_RISCV_SUM_INPUTS(CHUNK) " bne a0, ra, 1b\n.endif\n"      \
  TVMTINY_RISCV_ADD("a0", "-" INPUTS, "t0")
#define TVMTINY_RISCV_FOUR(EVEN, ODD, EVEN_HIGH, ODD_HIGH, SHIFT, ROUNDING)                           \
  TVMTINY_RISCV_CHANNEL(EVEN, SHIFT, ROUNDING) TVMTINY_RISCV_CHANNEL(ODD, SHIFT, ROUNDING)            \
  TVMTINY_RISCV_CHANNEL(EVEN_HIGH, SHIFT, ROUNDING) TVMTINY_RISCV_CHANNEL(ODD_HIGH, SHIFT, ROUNDING)
#define TVMTINY_RISCV_FOURS_1(SHIFT, ROUNDING) TVMTINY_RISCV_FOUR("s0", "s1", "s6", "s7", SHIFT, ROUNDING)
#define TVMTINY_RISCV_FOURS_2(SHIFT, ROUNDING)                                                        \
  TVMTINY_RISCV_FOURS_1(SHIFT, ROUNDING) TVMTINY_RISCV_FOUR("s2", "s3", "s8", "s9", SHIFT, ROUNDING)
#define TVMTINY_RISCV_FOURS_3(SHIFT, ROUNDING)                                                        \
  TVMTINY_RISCV_FOURS_2(SHIFT, ROUNDING) TVMTINY_RISCV_FOUR("s4", "s5", "s10", "s11", SHIFT, ROUNDING)

#define TVMTINY_RISCV_BYTES_OF(NAME, QUADS, BEGIN, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING, SUMS) \
  TVMTINY_RISCV_BYTES_(NAME, QUADS, #BEGIN, #CHUNK, #FIRST, #UNROLL, #LOOPS, #SHIFT, ROUNDING, SUMS,  \
                       "(" #BEGIN " + " #CHUNK " * (" #FIRST " - 1 + " #UNROLL " * " #LOOPS "))")
#define TVMTINY_RISCV_BYTES_(NAME, QUADS, BEGIN, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING, SUMS, INPUTS) \
  TVMTINY_RISCV_FUNCTION(                                                                             \
      NAME,                                                                                           \
      (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED, int8_t *out TVMTINY_UNUSED, \
       const int32_t *end TVMTINY_UNUSED, int32_t *room TVMTINY_UNUSED),                              \
      " sw a2, 52(sp)\n sw a3, 56(sp)\n mv ra, a0\n" TVMTINY_RISCV_ADD("ra", INPUTS, "t0") \
      TVMTINY_RISCV_SUMS_##SUMS(BEGIN, CHUNK, INPUTS)                                                 \
      ".set tvmtiny_in, 0\n.set tvmtiny_byte, 0\n.set tvmtiny_room, 0\n1:\n li t6, 0xff00ff00\n"      \
      TVMTINY_RISCV_START_##SUMS TVMTINY_RISCV_QUAD_FIRST(QUADS, BEGIN, SUMS)                         \
      TVMTINY_RISCV_QUAD_CHUNKS(QUADS, CHUNK, SUMS, FIRST " - 1") TVMTINY_RISCV_QUAD_PAST             \
      ".if " LOOPS "\n2:\n" TVMTINY_RISCV_QUAD_CHUNKS(QUADS, CHUNK, SUMS, UNROLL) TVMTINY_RISCV_QUAD_PAST \
      " bne a0, ra, 2b\n.endif\n" TVMTINY_RISCV_ADD("a0", "-" INPUTS, "t0")                           \
      TVMTINY_RISCV_SUMS_##QUADS(TVMTINY_RISCV_SUM_LOW) " lw a2, 52(sp)\n lw a3, 56(sp)\n"            \
      TVMTINY_RISCV_LIMIT TVMTINY_RISCV_FOURS_##QUADS(SHIFT, ROUNDING) " bne a1, a3, 1b\n")

#else /* !TVMTINY_RV32 */

#define TVMTINY_RISCV_EACH 0
#define TVMTINY_RISCV_ONCE 1

static int32_t TVMTINY_UNUSED tvmtiny_riscv_correct(const int8_t *x, const int8_t *stop)
{
  int32_t sum = 0;
  for (; x != stop; ++x) {
    sum += *x;
  }
  return (int32_t)(0x8000u - 0x800080u * (uint32_t)sum);
}

static void TVMTINY_UNUSED tvmtiny_riscv_bytes(const int8_t *x, const int32_t *stream, int8_t *out,
                                               const int32_t *end, int32_t *room, int32_t words, int32_t begin,
                                               int32_t chunk, int32_t chunks, int32_t shift, int32_t rounding,
                                               int32_t once)
{
  const int32_t inputs = begin + chunk * (chunks - 1);
  int32_t i;
  for (i = 0; i < chunks * once; ++i) {
    const int8_t *const stop = x + begin + i * chunk;
    room[i] = tvmtiny_riscv_correct(stop - (i == 0 ? begin : chunk), stop);
  }
  while (stream != end) {
    const int32_t *constants = stream + words * inputs;
    int32_t pair;
    for (pair = 0; pair < 2 * words; ++pair) {
      /* The pair is channels 0 and 2, or 1 and 3. */
      const int32_t *const low = constants + (pair / 2 * 4 + pair % 2) * (2 + rounding);
      const int32_t *const high = low + 2 * (2 + rounding);
      const int32_t *word = stream + pair / 2;
      const int8_t *input = x;
      uint32_t all = 0;
      int32_t upper = 0;
      int32_t left;
      for (left = chunks; left > 0; --left) {
        const int8_t *const stop = input + (left == chunks ? begin : chunk);
        uint32_t sum = (uint32_t)(once ? room[chunks - left] : tvmtiny_riscv_correct(input, stop));
        for (; input != stop; ++input, word += words) {
          sum = tvmtiny_riscv_add(sum, (int32_t)(((uint32_t)*word >> (pair % 2 * 8)) & 0xff00ffu), *input);
        }
        upper += (int32_t)sum >> 16;
        all += sum;
      }
      all -= (uint32_t)upper << 16;
      out[low[0]] = tvmtiny_riscv_output((int32_t)((uint32_t)low[1] + (all << 8)), low + 2, rounding, shift);
      out[high[0]] = tvmtiny_riscv_output((int32_t)((uint32_t)high[1] + ((uint32_t)upper << 8)), high + 2,
                                          rounding, shift);
    }
    stream = constants + 4 * words * (2 + rounding);
  }
}

#define TVMTINY_RISCV_BYTES_OF(NAME, QUADS, BEGIN, CHUNK, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING, SUMS) \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, const int32_t *end, int32_t *room) \
  {                                                                                                   \
    tvmtiny_riscv_bytes(x, stream, out, end, room, QUADS, BEGIN, CHUNK, (FIRST) + (UNROLL) * (LOOPS), SHIFT, \
                        TVMTINY_RISCV_##ROUNDING, TVMTINY_RISCV_##SUMS);                              \
  }

#endif

#endif /* TVMTINY_RISCV_BYTES_H */
