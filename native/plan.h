// What a forward pass is made of: plain data that `model.cpp` fills in and checks, and that the kernels read.
//
// Rows of a slot are the tokens, or the texts, of a group of texts. Rows have room for whole panels and one more; what
// lies beyond their width is any number. Weights, biases, scales and tables are padded with zeros to panels. Weights
// lie in panels of PANEL outputs: fp32 [panels][inputs][PANEL], bf16 [panels][inputs / 2][PANEL][2], integers
// [panels][inputs / 4][PANEL][4], those of 4 bits [panels][inputs / 8][PANEL][4], of eight inputs the first four in
// the lower halves, 8 more than they are.
#pragma once

#include <cstdint>

namespace millis {

constexpr int64_t PANEL = 16;
constexpr int64_t LINE = 64;  // bytes: of a cache line, and what tensors are aligned to

static inline int64_t padded(int64_t count, int64_t multiple) { return (count + multiple - 1) / multiple * multiple; }

enum Kind {
    EMBED = 0, LINEAR, ATTENTION, NORM, POOL, UNFOLD, LSTM, BAG, OUTPUT, TAKE, DROP, CARRY, GATE, CAUSAL, KINDS
};
enum Activation { NONE = 0, GELU, GELU_TANH, RELU, TANH, SILU, ACTIVATIONS };
enum Pooling { MEAN = 0, FIRST, MAXIMUM, POOLINGS };
enum Wanted { ALL = 0, LAST, NOTHING };  // of which tokens the outputs

struct Matrix {
    int64_t inputs = 0, outputs = 0, panels = 0;
    const float* floats = nullptr;      // [panels][inputs][PANEL], or:
    const uint16_t* halves = nullptr;   // bf16, [panels][pairs][PANEL][2], or:
    const int8_t* integers = nullptr;   // [panels][groups][PANEL][4], or:
    const uint8_t* nibbles = nullptr;   // [panels][pairs of groups][PANEL][4]
    int64_t block = 0;                  // of nibbles: inputs that share a scale
    const float* scales = nullptr;      // of integers, [outputs]; of nibbles, [panels][blocks][PANEL]
    const int32_t* sums = nullptr;      // of a channel's integers, [outputs]
    const float* offsets = nullptr;     // of a channel's weights of 4 bits, [outputs]
    const float* bias = nullptr;        // [outputs], or none
    bool wide = false;                  // integers beyond -64..64

    bool is_of_integers() const { return integers != nullptr || nibbles != nullptr; }
};

struct Table {
    int64_t rows = 0, width = 0, stride = 0;
    const float* floats = nullptr;     // [rows][stride], or:
    const uint16_t* halves = nullptr;  // bf16, [rows][stride], or:
    const int8_t* integers = nullptr;  // [rows][stride]
    const float* scales = nullptr;     // of integers, [rows]
};

struct Norm {
    const float* gain = nullptr;   // none: no norm
    const float* shift = nullptr;  // none: by the root of the mean square, without a centre
    float epsilon = 0.0f;
};

struct Step {
    Kind kind = OUTPUT;
    int64_t in = -1, second = -1, out = -1;  // slots; `second` is a residual, which CARRY adds to
    int64_t width = 0;                       // of what is read
    int64_t count = 0;                       // heads, window, hidden size, which output
    int64_t choice = 0;                      // activation, pooling, direction, scaling of a bag, what attention keeps,
                                             // and what it keeps it in
    int64_t groups = 0;                      // heads of keys and values
    int64_t place = -1;                      // among the steps that look back
    bool ends = false;                       // the last step in which tokens meet
    int64_t column = 0;                      // where in `out` a row begins
    float number = 0.0f;                     // scaling of scores, floor of a maximum, least attention of a token
    int64_t padding = -1;                    // id from which positions count (RoBERTa), or -1: from 0, by columns
    bool reads_types = false;
    bool rounds = false;  // a product of integers reads `out` next
    Matrix matrix;  // of EMBED: its outputs are the words' rows
    Table words, positions, types;
    Norm norm;
    const float* bias = nullptr;  // of NORM and CARRY; weights of BAG; frequencies of CAUSAL, [width / 2]
};

struct Shape {
    int64_t width = 0, stride = 0;  // stride: with PANEL numbers to spare, as heads and windows write whole vectors
    bool per_text = false;
};

struct Slot {
    float* values = nullptr;
    uint8_t* bytes = nullptr;   // the same rows, rounded: value = (byte - zero) * step; or in bf16
    float* steps = nullptr;     // [rows]
    int32_t* zeros = nullptr;   // [rows]
    int64_t stride = 0, byte_stride = 0;
    bool rounded = false;       // `bytes` hold what `values` do
};

struct Text {
    int64_t row, start, count;  // in the batch; its tokens in the group
};

struct Output {
    int64_t width = 0;
    bool per_text = true;
};

// results[row] = rows of bf16 times weights of bf16, summed in fp32, and a bias; panels from `first` to before `last`.
using MultiplyHalves = void (*)(const uint16_t* rows, int64_t row_stride, int64_t count, const Matrix& matrix,
                                float* results, int64_t stride, int64_t first, int64_t last);

struct Model {
    const Shape* shapes = nullptr;  // of the slots
    const Output* outputs = nullptr;
    const Step* steps = nullptr;
    int64_t slot_count = 0, output_count = 0, step_count = 0;
    int64_t apart = 0;  // steps from here on take each token by itself
    MultiplyHalves multiply_halves = nullptr;
};

// Threads that share the steps of a long request; `share` calls the task once for each of 0 .. size - 1.
struct Crew {
    int64_t size = 1;
    void (*share)(Crew* crew, void (*task)(void* context, int64_t who), void* context) = nullptr;
};

struct Workspace {
    Crew* crew = nullptr;  // none: the caller is alone
    int64_t scratch_size = 0;  // of each thread
    Slot* slots = nullptr;
    float* scratch = nullptr;  // numbers that a step needs beside the slots
    int32_t *ids = nullptr, *columns = nullptr, *places = nullptr, *kinds = nullptr;  // of the group's tokens
    float* received = nullptr;        // attention that each token received, where a step keeps it
    float* turns = nullptr;           // [tokens][turned]: cosines and sines of each token's place, half a row each
    float** past = nullptr;           // keys and values of each step that looks back; none: a text is read as a whole
    int64_t past_room = 0, past_count = 0;  // tokens that `past` has room for, tokens that lie there
    Wanted wanted = ALL;
    const float* states = nullptr;    // [B, S, width] that a later segment begins with
    Text* group = nullptr;
    int64_t in_group = 0, in_tokens = 0;
    int64_t length = 0;         // S of the batch
    float** results = nullptr;  // one array for each output
    int64_t* times = nullptr;   // nanoseconds of each step are added here; usually none
};

enum Cache { OF_FLOATS = 0, OF_BYTES, CACHES };  // what keys and values are kept in

// Keys of one head lie in panels of tokens, [panels][size][PANEL]; its values follow in panels of numbers,
// [panels][room][PANEL]: as matrices do, so that products are those of matrices. Where they are bytes, the steps of the
// keys and those of the values follow, [padded room] each. In numbers of fp32, whole lines of them.
static inline int64_t past_size(int64_t room, int64_t size, int64_t cache) {
    const int64_t numbers = padded(room, PANEL) * size + padded(size, PANEL) * room;
    return cache == OF_BYTES ? padded(numbers, LINE) / 4 + 2 * padded(room, PANEL) : numbers;
}

// Numbers of scratch for a text of `tokens`: attention's keys, values and scores.
constexpr int64_t QUERIES = 32;  // rows of scores that are held at a time
static inline int64_t attention_scratch(int64_t tokens, int64_t size) {
    const int64_t floats = past_size(tokens, size, OF_FLOATS), bytes = past_size(tokens, size, OF_BYTES);
    return padded(tokens, PANEL) * QUERIES + (floats > bytes ? floats : bytes);
}

// An LSTM's state, cell, gates, and the state as bytes.
static inline int64_t lstm_scratch(int64_t size) { return 3 * padded(size, PANEL) + padded(4 * size, PANEL) + PANEL; }

struct Kernels {
    void (*run)(const Model& model, Workspace& work);
    void (*round_rows)(const float* values, int64_t stride, int64_t rows, int64_t width, uint8_t* bytes,
                       int64_t byte_stride, float* steps, int32_t* zeros);
    void (*multiply_integers)(const uint8_t* bytes, int64_t byte_stride, const float* steps, const int32_t* zeros,
                              int64_t rows, const Matrix& matrix, float* results, int64_t stride, int64_t first,
                              int64_t last);
    void (*multiply_floats)(const float* values, int64_t value_stride, int64_t rows, const Matrix& matrix,
                            float* results, int64_t stride, int64_t first, int64_t last);
    MultiplyHalves multiply_halves;
    void (*activate)(float* values, int64_t count, int64_t activation);
    void (*round_head)(const float* values, int64_t size, int8_t* bytes, float* step);
    void (*multiply_bytes)(const float* values, int64_t value_stride, int64_t rows, int64_t inputs,
                           const int8_t* weights, int64_t panels, float* results, int64_t stride);
};

namespace portable { extern const Kernels KERNELS; }
namespace avx2 { extern const Kernels KERNELS; }
namespace avx512 { extern const Kernels KERNELS; }
namespace avx512_bf16 { extern const MultiplyHalves MULTIPLY_HALVES; }  // of avx512, by the processor's instruction

}  // namespace millis
