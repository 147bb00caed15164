/* Decoding of a detector's boxes, and choice of the best ones that do not overlap. C99,
 * freestanding, no state. */
#ifndef TVMTINY_DETECTION_H
#define TVMTINY_DETECTION_H

#include "tvmtiny_math.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Thresholds of scores and overlaps, scales of the encodings, and quantization of the inputs. */
struct tvmtiny_detection_numbers {
  float score, overlap;
  float y, x, height, width;
  float box_scale, box_zero, class_scale, class_zero;
};

/* Bottom, left, top and right of a box, from its centre and size relative to an anchor. */
static inline void TVMTINY_UNUSED tvmtiny_detection_decode(const float *code, const float *anchor, const struct tvmtiny_detection_numbers *numbers, float *box)
{
  const float y = code[0] / numbers->y * anchor[2] + anchor[0];
  const float x = code[1] / numbers->x * anchor[3] + anchor[1];
  const float height = 0.5f * tvmtiny_exp(code[2] / numbers->height) * anchor[2];
  const float width = 0.5f * tvmtiny_exp(code[3] / numbers->width) * anchor[3];
  box[0] = y - height;
  box[1] = x - width;
  box[2] = y + height;
  box[3] = x + width;
}

/* The common area of two boxes over the area that they cover together. */
static inline float TVMTINY_UNUSED tvmtiny_detection_overlap(const float *a, const float *b)
{
  const float area_a = (a[2] - a[0]) * (a[3] - a[1]);
  const float area_b = (b[2] - b[0]) * (b[3] - b[1]);
  const float height = (a[2] < b[2] ? a[2] : b[2]) - (a[0] > b[0] ? a[0] : b[0]);
  const float width = (a[3] < b[3] ? a[3] : b[3]) - (a[1] > b[1] ? a[1] : b[1]);
  const float common = (height > 0.0f ? height : 0.0f) * (width > 0.0f ? width : 0.0f);
  return area_a <= 0.0f || area_b <= 0.0f ? 0.0f : common / (area_a + area_b - common);
}

/* Whether candidate `a` comes after `b`: it has a lower score, or the same score and a larger
 * number. */
static inline int32_t TVMTINY_UNUSED tvmtiny_detection_after(const float *scores, int32_t a, int32_t b)
{
  return scores[a] < scores[b] || (!(scores[a] > scores[b]) && a > b) ? 1 : 0;
}

/* Moves a candidate down in a heap whose top is the last candidate. */
static inline void TVMTINY_UNUSED tvmtiny_detection_sink(const float *scores, int32_t *heap, int32_t place, int32_t count)
{
  const int32_t moved = heap[place];
  for (int32_t child = 2 * place + 1; child < count; child = 2 * place + 1) {
    if (child + 1 < count && tvmtiny_detection_after(scores, heap[child + 1], heap[child]) != 0) {
      ++child;
    }
    if (tvmtiny_detection_after(scores, heap[child], moved) == 0) {
      break;
    }
    heap[place] = heap[child];
    place = child;
  }
  heap[place] = moved;
}

/* Sorts the boxes with sufficient scores, the best first, and returns their number. */
static inline int32_t TVMTINY_UNUSED tvmtiny_detection_sort(const float *scores, int32_t boxes, float threshold, int32_t *order)
{
  int32_t count = 0;
  for (int32_t i = 0; i < boxes; ++i) {
    if (scores[i] >= threshold) {
      order[count++] = i;
    }
  }
  for (int32_t i = count / 2 - 1; i >= 0; --i) {
    tvmtiny_detection_sink(scores, order, i, count);
  }
  for (int32_t left = count - 1; left > 0; --left) {
    const int32_t last = order[0];
    order[0] = order[left];
    order[left] = last;
    tvmtiny_detection_sink(scores, order, 0, left);
  }
  return count;
}

/* Keeps at most `most` boxes in `order` that do not overlap previous ones too much, and returns
 * their number. */
static inline int32_t TVMTINY_UNUSED tvmtiny_detection_select(const float *decoded, int32_t *order, int32_t count, float overlap, int32_t most)
{
  int32_t taken = 0;
  for (int32_t i = 0; i < count && taken < most; ++i) {
    const int32_t box = order[i];
    if (box < 0) {
      continue;
    }
    order[taken++] = box;
    for (int32_t j = i + 1; j < count; ++j) {
      if (order[j] >= 0 && tvmtiny_detection_overlap(decoded + 4 * box, decoded + 4 * order[j]) > overlap) {
        order[j] = -1;
      }
    }
  }
  return taken;
}

/* `code` has `size` numbers per box; `classes` has `columns`, the last `count` of which are
 * classes. `out` receives `most` boxes, classes and scores, with zeros after those that were found,
 * and their number. If `regular`, each class selects up to `each` boxes; else each box has its best
 * class. */
#define TVMTINY_DETECTION(name, type, quantized)                                                                                      \
  static inline void TVMTINY_UNUSED name(const type *code, const type *classes, const float *anchors, const float *constants,         \
                                         float *out, float *decoded, float *scores, int32_t *order, int32_t *best,                    \
                                         float *best_scores, int32_t boxes, int32_t size, int32_t count, int32_t columns,             \
                                         int32_t most, int32_t each, int32_t regular)                                                 \
  {                                                                                                                                   \
    const struct tvmtiny_detection_numbers *const numbers = (const struct tvmtiny_detection_numbers *)(const void *)constants;        \
    const int32_t rounds = regular != 0 ? count : 1;                                                                                  \
    int32_t found = 0;                                                                                                                \
    for (int32_t i = 0; i < boxes; ++i) {                                                                                             \
      float values[4];                                                                                                                \
      for (int32_t k = 0; k < 4; ++k) {                                                                                               \
        values[k] = (float)code[size * i + k];                                                                                        \
        values[k] = (quantized) != 0 ? (values[k] - numbers->box_zero) * numbers->box_scale : values[k];                              \
      }                                                                                                                               \
      tvmtiny_detection_decode(values, anchors + 4 * i, numbers, decoded + 4 * i);                                                    \
    }                                                                                                                                 \
    for (int32_t round = 0; round < rounds; ++round) {                                                                                \
      for (int32_t i = 0; i < boxes; ++i) {                                                                                           \
        const type *const row = classes + columns * i + columns - count;                                                              \
        float score = (float)row[round];                                                                                              \
        for (int32_t c = 1; regular == 0 && c < count; ++c) {                                                                         \
          score = (float)row[c] > score ? (float)row[c] : score;                                                                      \
        }                                                                                                                             \
        scores[i] = (quantized) != 0 ? (score - numbers->class_zero) * numbers->class_scale : score;                                  \
      }                                                                                                                               \
      const int32_t candidates = tvmtiny_detection_sort(scores, boxes, numbers->score, order);                                        \
      const int32_t taken = tvmtiny_detection_select(decoded, order, candidates, numbers->overlap, each);                             \
      for (int32_t i = 0; i < taken; ++i) {                                                                                           \
        const float score = scores[order[i]];                                                                                         \
        int32_t place = found < most ? found++ : most;                                                                                \
        if (place == most) {                                                                                                          \
          if (score <= best_scores[most - 1]) {                                                                                       \
            break;                                                                                                                    \
          }                                                                                                                           \
          place = most - 1;                                                                                                           \
        }                                                                                                                             \
        for (; place > 0 && best_scores[place - 1] < score; --place) {                                                                \
          best_scores[place] = best_scores[place - 1];                                                                                \
          best[2 * place] = best[2 * place - 2];                                                                                      \
          best[2 * place + 1] = best[2 * place - 1];                                                                                  \
        }                                                                                                                             \
        best_scores[place] = score;                                                                                                   \
        best[2 * place] = order[i];                                                                                                   \
        best[2 * place + 1] = round;                                                                                                  \
        for (int32_t c = 1; regular == 0 && c < count; ++c) {                                                                         \
          const type *const row = classes + columns * order[i] + columns - count;                                                     \
          best[2 * place + 1] = row[c] > row[best[2 * place + 1]] ? c : best[2 * place + 1];                                          \
        }                                                                                                                             \
      }                                                                                                                               \
    }                                                                                                                                 \
    for (int32_t i = 0; i < 6 * most; ++i) {                                                                                          \
      out[i] = 0.0f;                                                                                                                  \
    }                                                                                                                                 \
    for (int32_t i = 0; i < found; ++i) {                                                                                             \
      for (int32_t k = 0; k < 4; ++k) {                                                                                               \
        out[4 * i + k] = decoded[4 * best[2 * i] + k];                                                                                \
      }                                                                                                                               \
      out[4 * most + i] = (float)best[2 * i + 1];                                                                                     \
      out[5 * most + i] = best_scores[i];                                                                                             \
    }                                                                                                                                 \
    out[6 * most] = (float)found;                                                                                                     \
  }

TVMTINY_DETECTION(tvmtiny_detection_float32, float, 0)
TVMTINY_DETECTION(tvmtiny_detection_uint8, uint8_t, 1)

#ifdef __cplusplus
}
#endif

#endif /* TVMTINY_DETECTION_H */
