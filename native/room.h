// Memory of one call at a time: the slots, and what steps need beside them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

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

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

using Memory = std::unique_ptr<uint8_t, Free>;

// Zeros, which take no memory before they are written to; `on_line` is where they begin. Throws std::bad_alloc.
inline Memory zeroed(int64_t bytes) {
    Memory found(static_cast<uint8_t*>(std::calloc(static_cast<size_t>(bytes + LINE), 1)));
    if (found == nullptr) throw std::bad_alloc();
    return found;
}

inline uint8_t* on_line(uint8_t* memory) {
    return memory + padded(static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory) % LINE), LINE) -
           static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory) % LINE);
}

struct Room : Workspace {
    std::vector<Slot> owned;
    std::vector<float*> result_list;
    Memory memory;
    int64_t tokens = 0, texts = 0;  // room for

    // Room for so many tokens and texts at a time; `kept` tokens before them, where their keys and values are kept.
    // Throws std::bad_alloc.
    void fit(const Reading& plan, int64_t want_tokens, int64_t want_texts, int64_t threads, int64_t kept = 0) {
        if (want_tokens <= tokens && want_texts <= texts) return;
        const int64_t for_tokens = std::max(want_tokens, tokens), for_texts = std::max(want_texts, texts);
        tokens = texts = 0;
        memory.reset();
        place(plan, nullptr, for_tokens, for_texts, threads, kept);
        memory = zeroed(used_);
        place(plan, on_line(memory.get()), for_tokens, for_texts, threads, kept);
        tokens = for_tokens, texts = for_texts;
    }

    // What turns the heads of the group's tokens, by their places.
    void turn(const Reading& plan) {
        if (plan.frequencies == nullptr) return;
        const int64_t half = plan.turned / 2;
        for (int64_t token = 0; token < in_tokens; ++token)
            for (int64_t at = 0; at < half; ++at) {
                const float angle = static_cast<float>(places[token]) * plan.frequencies[at];
                turns[token * plan.turned + at] = std::cos(angle);
                turns[token * plan.turned + half + at] = std::sin(angle);
            }
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

    void place(const Reading& plan, uint8_t* base, int64_t for_tokens, int64_t for_texts, int64_t threads,
               int64_t kept) {
        used_ = 0;
        owned.assign(plan.shapes.size(), Slot());
        for (size_t at = 0; at < owned.size(); ++at) {
            const Shape& shape = plan.shapes[at];
            const int64_t rows = shape.per_text ? for_texts : for_tokens;
            Slot& slot = owned[at];
            slot.stride = shape.stride, slot.byte_stride = padded(shape.width * plan.rounded_bytes, LINE);
            slot.values = take<float>(base, rows * slot.stride);
            slot.bytes = take<uint8_t>(base, rows * slot.byte_stride);
            slot.steps = take<float>(base, rows);
            slot.zeros = take<int32_t>(base, rows);
        }
        int64_t attending = plan.head_size > 0 ? attention_scratch(for_tokens, plan.head_size) : 0;
        if (kept > 0) attending = QUERIES * padded(kept, PANEL);
        scratch_size = padded(std::max(attending, plan.hidden > 0 ? lstm_scratch(plan.hidden) : 0), PANEL);
        scratch = take<float>(base, scratch_size * threads);
        ids = take<int32_t>(base, for_tokens);
        columns = take<int32_t>(base, for_tokens);
        places = take<int32_t>(base, for_tokens);
        kinds = take<int32_t>(base, for_tokens);
        received = take<float>(base, for_tokens + PANEL);
        turns = take<float>(base, for_tokens * plan.turned);
        group = take<Text>(base, for_texts);
        slots = owned.data();
        result_list.assign(plan.outputs.size(), nullptr);
        results = result_list.data();
    }
};

}  // namespace millis
