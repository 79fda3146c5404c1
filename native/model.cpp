// The interface that Python calls: open a plan over a mapped file, run it on a batch, close it.
//
// A batch's padding is left out: the tokens of some texts are rows of one matrix. Memory is kept between calls, a
// workspace for each call that runs at a time, so that a call allocates nothing that an earlier one had room for.
#ifdef MILLIS_X86
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>

#include "crew.h"
#include "reading.h"

// Under the address sanitizer, nobody may touch what lies between two arrays of a workspace.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define MILLIS_POISON(from, bytes) ASAN_POISON_MEMORY_REGION(from, bytes)
constexpr int64_t GAP = 64;
#else
#define MILLIS_POISON(from, bytes) (void)(from)
constexpr int64_t GAP = 0;
#endif

namespace millis {
namespace {

constexpr int64_t LEAST_SHARED = 24;    // tokens of a group from which on threads gain more than they wait
constexpr int64_t MOST_THREADS = 256;
constexpr int64_t GROUP_TOKENS = 128;  // of several texts: as many rows as fill the products, and stay in the cache
enum Set { PORTABLE = 0, AVX2, AVX512, SETS };
enum Code { GOOD = 0, OUTSIDE_VOCABULARY, TOO_LONG, OUTSIDE_TYPES, NO_MEMORY, NO_STATES };

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
#endif

const Kernels* kernels_of(int set) {
#ifdef MILLIS_X86
    static const int best = processor_set();
    if (set == AVX2 && best >= AVX2) return &avx2::KERNELS;
    if (set == AVX512 && best >= AVX512) return &avx512::KERNELS;
#endif
    return set == PORTABLE ? &portable::KERNELS : nullptr;
}

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

struct Room : Workspace {
    std::vector<Slot> owned;
    std::vector<float*> result_list;
    std::unique_ptr<uint8_t, Free> memory;
    int64_t tokens = 0, texts = 0;  // room for

    // Throws std::bad_alloc.
    void fit(const Reading& plan, int64_t want_tokens, int64_t want_texts, int64_t threads) {
        if (want_tokens <= tokens && want_texts <= texts) return;
        const int64_t for_tokens = std::max(want_tokens, tokens), for_texts = std::max(want_texts, texts);
        tokens = texts = 0;
        memory.reset();
        place(plan, nullptr, for_tokens, for_texts, threads);
        void* found = std::aligned_alloc(LINE, static_cast<size_t>(used_));
        if (found == nullptr) throw std::bad_alloc();
        std::memset(found, 0, static_cast<size_t>(used_));
        memory.reset(static_cast<uint8_t*>(found));
        place(plan, memory.get(), for_tokens, for_texts, threads);
        tokens = for_tokens, texts = for_texts;
    }

  private:
    int64_t used_ = 0;

    template <typename Number>
    Number* take(uint8_t* base, int64_t count) {
        const int64_t bytes = padded(count * int64_t{sizeof(Number)}, LINE), at = used_;
        used_ += bytes + GAP;
        if (base == nullptr) return nullptr;
        MILLIS_POISON(base + at + bytes, GAP);
        return reinterpret_cast<Number*>(base + at);
    }

    void place(const Reading& plan, uint8_t* base, int64_t for_tokens, int64_t for_texts, int64_t threads) {
        used_ = 0;
        owned.assign(plan.shapes.size(), Slot());
        for (size_t at = 0; at < owned.size(); ++at) {
            const Shape& shape = plan.shapes[at];
            const int64_t rows = shape.per_text ? for_texts : for_tokens;
            Slot& slot = owned[at];
            slot.stride = shape.stride, slot.byte_stride = padded(shape.width, LINE);
            slot.values = take<float>(base, rows * slot.stride);
            slot.bytes = take<uint8_t>(base, rows * slot.byte_stride);
            slot.steps = take<float>(base, rows);
            slot.zeros = take<int32_t>(base, rows);
        }
        const int64_t attending = plan.head_size > 0 ? attention_scratch(for_tokens, plan.head_size) : 0;
        scratch_size = padded(std::max(attending, plan.hidden > 0 ? lstm_scratch(plan.hidden) : 0), PANEL);
        scratch = take<float>(base, scratch_size * threads);
        ids = take<int32_t>(base, for_tokens);
        columns = take<int32_t>(base, for_tokens);
        places = take<int32_t>(base, for_tokens);
        kinds = take<int32_t>(base, for_tokens);
        received = take<float>(base, for_tokens + PANEL);
        group = take<Text>(base, for_texts);
        slots = owned.data();
        result_list.assign(plan.outputs.size(), nullptr);
        results = result_list.data();
    }
};

struct Batch {
    const int64_t *ids, *mask, *types;  // [count, length]; ids and types may be none
    const float* states;                // [count, length, width], or none
    int64_t count, length;
};

class Opened {
  public:
    Opened(Reading reading, const Kernels* kernels, int64_t threads)
        : reading_(std::move(reading)), kernels_(kernels), threads_(threads) {
        if (threads > 1) crew_ = std::make_unique<Threads>(threads);
        model_.shapes = reading_.shapes.data(), model_.slot_count = static_cast<int64_t>(reading_.shapes.size());
        model_.outputs = reading_.outputs.data(), model_.output_count = static_cast<int64_t>(reading_.outputs.size());
        model_.steps = reading_.steps.data(), model_.step_count = static_cast<int64_t>(reading_.steps.size());
    }

    bool is_of_another_process() const { return crew_ != nullptr && crew_->are_of_another_process(); }

    int run(const Batch& batch, float* results, int64_t* times, int64_t* wrong) {
        std::unique_ptr<Room> room = borrowed();
        room->times = times;
        const int code = run_in(*room, batch, results, wrong);
        const std::lock_guard<std::mutex> lock(idle_lock_);
        idle_.push_back(std::move(room));
        return code;
    }

  private:
    const Reading reading_;
    const Kernels* kernels_;
    const int64_t threads_;
    std::unique_ptr<Threads> crew_;  // none for one thread
    Model model_;
    std::mutex idle_lock_;
    std::vector<std::unique_ptr<Room>> idle_;

    std::unique_ptr<Room> borrowed() {
        const std::lock_guard<std::mutex> lock(idle_lock_);
        if (idle_.empty()) return std::make_unique<Room>();
        std::unique_ptr<Room> room = std::move(idle_.back());
        idle_.pop_back();
        return room;
    }

    int run_in(Room& room, const Batch& batch, float* results, int64_t* wrong) {
        room.fit(reading_, std::max(batch.length, GROUP_TOKENS), std::min(batch.count, GROUP_TOKENS),
                 threads_);
        if (reading_.taken > 0 ? batch.states == nullptr : batch.ids == nullptr) return NO_STATES;
        room.length = batch.length;
        room.states = batch.states;
        for (size_t at = 0; at < reading_.outputs.size(); ++at) {
            const Output& output = reading_.outputs[at];
            const int64_t size = batch.count * output.width * (output.per_text ? 1 : batch.length);
            room.results[at] = results;
            if (!output.per_text) std::memset(results, 0, static_cast<size_t>(size) * sizeof(float));
            results += size;
        }
        room.in_group = room.in_tokens = 0;
        for (int64_t row = 0; row < batch.count; ++row) {
            if (room.in_group == room.texts || (room.in_group > 0 && room.in_tokens + batch.length > room.tokens))
                flush(room);
            if (const int code = take_row(room, batch, row, wrong)) return code;
        }
        flush(room);
        return GOOD;
    }

    void flush(Room& room) {
        if (room.in_group > 0) {
            room.crew = room.in_tokens >= LEAST_SHARED && crew_ != nullptr && crew_->acquire() ? crew_.get() : nullptr;
            kernels_->run(model_, room);
            if (room.crew != nullptr) crew_->release();
        }
        room.in_group = room.in_tokens = 0;
    }

    // Adds a text's tokens to the group.
    int take_row(Room& room, const Batch& batch, int64_t row, int64_t* wrong) {
        const int64_t* ids = batch.ids == nullptr ? nullptr : batch.ids + row * batch.length;
        const int64_t* mask = batch.mask + row * batch.length;
        const int64_t* types = batch.types == nullptr ? nullptr : batch.types + row * batch.length;
        const int64_t start = room.in_tokens;
        bool any = !reading_.keeps_first;
        for (int64_t column = 0; column < batch.length; ++column) any = any || mask[column] != 0;
        int64_t seen = 0;  // tokens so far that are not padding
        for (int64_t column = 0; column < batch.length; ++column) {
            const int64_t id = ids == nullptr ? 0 : ids[column];
            seen += id != reading_.padding;
            if (mask[column] == 0 && (any || column > 0)) continue;
            const int64_t from = id != reading_.padding ? seen : 0;
            const int64_t place = reading_.padding < 0 ? column : reading_.padding + from;
            const int64_t kind = types == nullptr || reading_.kinds == 0 ? 0 : types[column];
            *wrong = id;
            if (id < 0 || id >= reading_.vocabulary) return OUTSIDE_VOCABULARY;
            *wrong = batch.length;
            if (reading_.positions > 0 && place >= reading_.positions) return TOO_LONG;
            *wrong = kind;
            if (kind < 0 || (kind > 0 && kind >= reading_.kinds)) return OUTSIDE_TYPES;
            const int64_t at = room.in_tokens++;
            room.ids[at] = static_cast<int32_t>(id);
            room.columns[at] = static_cast<int32_t>(column);
            room.places[at] = static_cast<int32_t>(place);
            room.kinds[at] = static_cast<int32_t>(kind);
        }
        room.group[room.in_group++] = Text{row, start, room.in_tokens - start};
        return GOOD;
    }
};

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
        return new Opened(read_plan(data, size, words, count), kernels, std::clamp(threads, int64_t{1}, MOST_THREADS));
    } catch (const std::system_error& error) {
        const std::string said = std::string("no threads: ") + error.what();
        return tell(message, room, said.c_str()), nullptr;
    } catch (const std::exception& error) {
        return tell(message, room, error.what()), nullptr;
    }
}

void millis_close(void* model) {
    Opened* opened = static_cast<Opened*>(model);
    if (!opened->is_of_another_process()) delete opened;
}

// Outputs of [count, length] ids into `results`, one array after the other; where `times` is given, the nanoseconds of
// each step are added there. Returns a code, and what was wrong.
int millis_run(void* model, const int64_t* ids, const int64_t* mask, const int64_t* types, const float* states,
               int64_t count, int64_t length, float* results, int64_t* times, int64_t* wrong) {
    try {
        return static_cast<Opened*>(model)->run(Batch{ids, mask, types, states, count, length}, results, times, wrong);
    } catch (const std::exception&) {
        return NO_MEMORY;
    }
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

void millis_activate(int set, float* values, int64_t count, int64_t activation) {
    kernels_of(set)->activate(values, count, activation);
}
}
#pragma GCC visibility pop
