/* Dense layers pixel by pixel, for RISC-V, with weights of a byte: slower than those of tvmtiny_riscv_words.h, in half
 * of the memory.
 *
 * The stream has per tile of eight channels: their weights for the first input, for the second and so on; per channel
 * its number, the initial accumulator, the multiplier and, for ROUNDING = SIGNED, offset and step. The accumulator is
 * the initial one plus 256 times the sum. */
#ifndef TVMTINY_RISCV_BYTES_H
#define TVMTINY_RISCV_BYTES_H

#include "tvmtiny_riscv.h"

/* Instantiates NAME(x, stream, out, end): the channels of a stream that ends at `end`, of one pixel. FIRST inputs are
 * unrolled, then LOOPS times UNROLL inputs. */
#if TVMTINY_RV32

/* a0 x, a1 stream, a2 out, a3 end; a4 an input, a6 and a7 weights, ra the end of x, s0-s7 sums. */
#define TVMTINY_RISCV_TWO_BYTES(A, B)                                                                 \
  " lb a6, tvmtiny_byte(a1)\n lb a7, tvmtiny_byte + 1(a1)\n.set tvmtiny_byte, tvmtiny_byte + 2\n"     \
  " mul a6, a4, a6\n mul a7, a4, a7\n add " A ", " A ", a6\n add " B ", " B ", a7\n"
#define TVMTINY_RISCV_BYTE_INPUTS(COUNT)                                                              \
  ".rept " COUNT "\n lb a4, tvmtiny_in(a0)\n.set tvmtiny_in, tvmtiny_in + 1\n"                        \
  TVMTINY_RISCV_TWO_BYTES("s0", "s1") TVMTINY_RISCV_TWO_BYTES("s2", "s3")                             \
  TVMTINY_RISCV_TWO_BYTES("s4", "s5") TVMTINY_RISCV_TWO_BYTES("s6", "s7") ".endr\n"                   \
  " addi a0, a0, tvmtiny_in\n" TVMTINY_RISCV_ADD("a1", "tvmtiny_byte", "a7")                          \
  ".set tvmtiny_in, 0\n.set tvmtiny_byte, 0\n"
#define TVMTINY_RISCV_BYTE_OUT(ACC, SHIFT, ROUNDING)                                                  \
  " lw t2, 0(a1)\n addi a1, a1, 4\n" TVMTINY_RISCV_CONSTANTS_##ROUNDING " add t2, t2, a2\n slli "     \
  ACC ", " ACC ", 8\n add " ACC ", " ACC ", t0\n" TVMTINY_RISCV_OUTPUT(ACC, SHIFT, ROUNDING, "0(t2)")

#define TVMTINY_RISCV_BYTES_OF(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                           \
  TVMTINY_RISCV_BYTES_(NAME, #FIRST, #UNROLL, #LOOPS, #SHIFT, ROUNDING,                               \
                       "(" #FIRST " + " #UNROLL " * " #LOOPS ")")
#define TVMTINY_RISCV_BYTES_(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING, INPUTS)                     \
  TVMTINY_RISCV_FUNCTION(                                                                             \
      NAME,                                                                                           \
      (const int8_t *x TVMTINY_UNUSED, const int32_t *stream TVMTINY_UNUSED,                          \
       int8_t *out TVMTINY_UNUSED, const int32_t *end TVMTINY_UNUSED),                                \
      ".set tvmtiny_in, 0\n.set tvmtiny_byte, 0\n mv ra, a0\n"                                        \
      TVMTINY_RISCV_ADD("ra", INPUTS, "t0")                                                           \
      "1:\n li s0, 0\n li s1, 0\n li s2, 0\n li s3, 0\n li s4, 0\n li s5, 0\n li s6, 0\n li s7, 0\n"  \
      TVMTINY_RISCV_BYTE_INPUTS(FIRST)                                                                \
      ".if " LOOPS "\n2:\n" TVMTINY_RISCV_BYTE_INPUTS(UNROLL) " bne a0, ra, 2b\n.endif\n"             \
      TVMTINY_RISCV_ADD("a0", "-" INPUTS, "t0") TVMTINY_RISCV_LIMIT                                   \
      TVMTINY_RISCV_BYTE_OUT("s0", SHIFT, ROUNDING) TVMTINY_RISCV_BYTE_OUT("s1", SHIFT, ROUNDING)     \
      TVMTINY_RISCV_BYTE_OUT("s2", SHIFT, ROUNDING) TVMTINY_RISCV_BYTE_OUT("s3", SHIFT, ROUNDING)     \
      TVMTINY_RISCV_BYTE_OUT("s4", SHIFT, ROUNDING) TVMTINY_RISCV_BYTE_OUT("s5", SHIFT, ROUNDING)     \
      TVMTINY_RISCV_BYTE_OUT("s6", SHIFT, ROUNDING) TVMTINY_RISCV_BYTE_OUT("s7", SHIFT, ROUNDING)     \
      " bne a1, a3, 1b\n")

#else /* !TVMTINY_RV32 */

static void TVMTINY_UNUSED tvmtiny_riscv_bytes(const int8_t *x, const int32_t *stream, int8_t *out,
                                               const int32_t *end, int32_t inputs, int32_t shift,
                                               int32_t rounding)
{
  while (stream != end) {
    const int8_t *const weights = (const int8_t *)stream;
    const int32_t *constants = stream + 2 * inputs;
    int32_t channel;
    for (channel = 0; channel < 8; ++channel, constants += 2 + rounding) {
      int32_t sum = 0;
      int32_t i;
      for (i = 0; i < inputs; ++i) {
        sum += x[i] * weights[8 * i + channel];
      }
      out[constants[0]] = tvmtiny_riscv_output((int32_t)((uint32_t)constants[1] + ((uint32_t)sum << 8)),
                                               constants + 2, rounding, shift);
    }
    stream = constants;
  }
}

#define TVMTINY_RISCV_BYTES_OF(NAME, FIRST, UNROLL, LOOPS, SHIFT, ROUNDING)                           \
  static void NAME(const int8_t *x, const int32_t *stream, int8_t *out, const int32_t *end)           \
  {                                                                                                   \
    tvmtiny_riscv_bytes(x, stream, out, end, (FIRST) + (UNROLL) * (LOOPS), SHIFT,                     \
                        TVMTINY_RISCV_##ROUNDING);                                                    \
  }

#endif

#endif /* TVMTINY_RISCV_BYTES_H */
