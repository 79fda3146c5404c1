// The interface that Python calls: open a plan over a mapped file, run it on a batch or token by token, close it.
#ifdef MILLIS_X86
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>

#include "continuation.h"

namespace millis {
namespace {

constexpr int64_t MOST_THREADS = 256;
enum Set { PORTABLE = 0, AVX2, AVX512, SETS };

#ifdef MILLIS_X86
// By the instruction itself: not every compiler's run-time library fills in `__builtin_cpu_supports`.
int processor_set() {
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_OSXSAVE) == 0 || (c & bit_FMA) == 0) return PORTABLE;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));  // the registers that the system keeps for a process
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bit_AVX2) == 0 || (low & 0x06) != 0x06) return PORTABLE;
    const unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    const bool all = (b & wide) == wide && (c & bit_AVX512VNNI) != 0 && (low & 0xE6) == 0xE6;
    return all ? AVX512 : AVX2;
}

#ifdef MILLIS_BF16
bool multiplies_halves() {
    unsigned a, b, c, d;
    return processor_set() == AVX512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5) != 0;  // AVX512_BF16
}

#endif

// Those of avx512, and its products of bf16 by the processor's own instruction, where it has one.
const Kernels& best_of_avx512() {
    static const Kernels found = [] {
        Kernels kernels = avx512::KERNELS;
#ifdef MILLIS_BF16
        if (multiplies_halves()) kernels.multiply_halves = avx512_bf16::MULTIPLY_HALVES;
#endif
        return kernels;
    }();
    return found;
}
#endif

const Kernels* kernels_of(int set) {
#ifdef MILLIS_X86
    static const int best = processor_set();
    if (set == AVX2 && best >= AVX2) return &avx2::KERNELS;
    if (set == AVX512 && best >= AVX512) return &best_of_avx512();
#endif
    return set == PORTABLE ? &portable::KERNELS : nullptr;
}

using Handle = std::shared_ptr<Opened>;  // texts that are under way keep the plan, too

void tell(char* message, int64_t room, const char* text) {
    if (room <= 0) return;
    std::strncpy(message, text, static_cast<size_t>(room) - 1);
    message[room - 1] = '\0';
}

}  // namespace
}  // namespace millis

using namespace millis;

#pragma GCC visibility push(default)
extern "C" {

// Of these sources (`native/build.py`): a library of others is refused.
int64_t millis_sources() { return MILLIS_SOURCES; }

// Whether this processor has the instruction set.
int millis_has(int set) { return kernels_of(set) != nullptr; }

// A model over `data`, which must stay where it is until `millis_close`; none, and a message, where it does not fit.
void* millis_open(const uint8_t* data, int64_t size, const int64_t* words, int64_t count, int set, int64_t threads,
                  char* message, int64_t room) {
    const Kernels* kernels = kernels_of(set);
    if (kernels == nullptr) return tell(message, room, "this processor lacks the instructions"), nullptr;
    try {
        return new Handle(std::make_shared<Opened>(read_plan(data, size, words, count), kernels,
                                                   std::clamp(threads, int64_t{1}, MOST_THREADS)));
    } catch (const std::system_error& error) {
        const std::string said = std::string("no threads: ") + error.what();
        return tell(message, room, said.c_str()), nullptr;
    } catch (const std::exception& error) {
        return tell(message, room, error.what()), nullptr;
    }
}

void millis_close(void* model) {
    Handle* opened = static_cast<Handle*>(model);
    if (!(*opened)->is_of_another_process()) delete opened;
}

// Outputs of [count, length] ids into `results`, one array after the other; where `times` is given, the nanoseconds of
// each step are added there. Returns a code, and what was wrong.
int millis_run(void* model, const int64_t* ids, const int64_t* mask, const int64_t* types, const float* states,
               int64_t count, int64_t length, float* results, int64_t* times, int64_t* wrong) {
    try {
        const Batch batch{ids, mask, types, states, count, length};
        return (*static_cast<Handle*>(model))->run(batch, results, times, wrong);
    } catch (const std::exception&) {
        return NO_MEMORY;
    }
}

// A text of `room` tokens at most, to be read piece by piece while the model is open, until `millis_end`; none, and a
// message that is empty where memory is short.
void* millis_begin(void* model, int64_t room, char* message, int64_t message_room) {
    try {
        return new Continuation(*static_cast<Handle*>(model), room);
    } catch (const Refused& refused) {
        return tell(message, message_room, refused.what()), nullptr;
    } catch (const std::exception&) {
        return tell(message, message_room, ""), nullptr;
    }
}

void millis_end(void* continuation) {
    Continuation* text = static_cast<Continuation*>(continuation);
    if (!text->is_of_another_process()) delete text;
}

// As `Continuation::read`.
int millis_read(void* continuation, const int64_t* tokens, int64_t count, int64_t before, int every, float* results,
                int64_t* times, int64_t* wrong) {
    return static_cast<Continuation*>(continuation)->read(tokens, count, before, every != 0, results, times, wrong);
}

// The kernels by themselves, for tests. Rows have room for a multiple of 64 numbers.
void millis_round_rows(int set, const float* values, int64_t stride, int64_t rows, int64_t width, uint8_t* bytes,
                       float* steps, int32_t* zeros) {
    kernels_of(set)->round_rows(values, stride, rows, width, bytes, stride, steps, zeros);
}

void millis_multiply(int set, const void* rows_given, int64_t stride, const float* steps, const int32_t* zeros,
                     int64_t rows, int64_t inputs, int64_t outputs, const void* weights, const float* scales,
                     const int32_t* sums, const float* bias, int wide, float* results, int64_t result_stride) {
    Matrix matrix;
    matrix.inputs = inputs, matrix.outputs = outputs, matrix.panels = padded(outputs, PANEL) / PANEL;
    matrix.scales = scales, matrix.sums = sums, matrix.bias = bias, matrix.wide = wide != 0;
    if (scales == nullptr) {
        matrix.floats = static_cast<const float*>(weights);
        kernels_of(set)->multiply_floats(static_cast<const float*>(rows_given), stride, rows, matrix, results,
                                         result_stride, 0, matrix.panels);
        return;
    }
    matrix.integers = static_cast<const int8_t*>(weights);
    kernels_of(set)->multiply_integers(static_cast<const uint8_t*>(rows_given), stride, steps, zeros, rows, matrix,
                                       results, result_stride, 0, matrix.panels);
}

void millis_multiply_blocks(int set, const uint8_t* rows_given, int64_t stride, const float* steps,
                            const int32_t* zeros, int64_t rows, int64_t inputs, int64_t outputs, int64_t block,
                            const uint8_t* weights, const float* scales, const float* offsets, const float* bias,
                            float* results, int64_t result_stride) {
    Matrix matrix;
    matrix.inputs = inputs, matrix.outputs = outputs, matrix.panels = padded(outputs, PANEL) / PANEL;
    matrix.nibbles = weights, matrix.block = block, matrix.scales = scales, matrix.offsets = offsets;
    matrix.bias = bias;
    kernels_of(set)->multiply_integers(rows_given, stride, steps, zeros, rows, matrix, results, result_stride, 0,
                                       matrix.panels);
}

// Rows of bf16; `emulated` leaves the processor's own instruction alone.
void millis_multiply_halves(int set, int emulated, const uint16_t* rows_given, int64_t stride, int64_t rows,
                            int64_t inputs, int64_t outputs, const uint16_t* weights, const float* bias,
                            float* results, int64_t result_stride) {
    Matrix matrix;
    matrix.inputs = inputs, matrix.outputs = outputs, matrix.panels = padded(outputs, PANEL) / PANEL;
    matrix.halves = weights, matrix.bias = bias;
    MultiplyHalves multiply = kernels_of(set)->multiply_halves;
#ifdef MILLIS_X86
    if (set == AVX512 && emulated != 0) multiply = avx512::KERNELS.multiply_halves;
#endif
    multiply(rows_given, stride, rows, matrix, results, result_stride, 0, matrix.panels);
}

// A head's numbers as bytes with a step, as they are kept.
void millis_round_head(int set, const float* values, int64_t size, int8_t* bytes, float* step) {
    kernels_of(set)->round_head(values, size, bytes, step);
}

void millis_multiply_bytes(int set, const float* rows_given, int64_t stride, int64_t rows, int64_t inputs,
                           int64_t outputs, const int8_t* weights, float* results, int64_t result_stride) {
    kernels_of(set)->multiply_bytes(rows_given, stride, rows, inputs, weights, padded(outputs, PANEL) / PANEL, results,
                                    result_stride);
}

void millis_activate(int set, float* values, int64_t count, int64_t activation) {
    kernels_of(set)->activate(values, count, activation);
}
}
#pragma GCC visibility pop
