// A plan that is open: it answers batches.
//
// A batch's padding is left out: the tokens of some texts are rows of one matrix. Memory is kept between calls, a
// workspace for each call that runs at a time, so that a call allocates nothing that an earlier one had room for.
#pragma once

#include <cstring>
#include <mutex>
#include <utility>

#include "crew.h"
#include "room.h"

namespace millis {

constexpr int64_t LEAST_SHARED = 24;   // tokens of a group from which on threads gain more than they wait
constexpr int64_t GROUP_TOKENS = 128;  // of several texts: as many rows as fill the products, and stay in the cache
enum Code { GOOD = 0, OUTSIDE_VOCABULARY, TOO_LONG, OUTSIDE_TYPES, NO_MEMORY, NO_STATES, NO_ROOM };

struct Batch {
    const int64_t *ids, *mask, *types;  // [count, length]; ids and types may be none
    const float* states;                // [count, length, width], or none
    int64_t count, length;
};

// Memory of a text that is read piece by piece: of a call, and what is kept of earlier tokens.
struct Page {
    int64_t room = 0;  // tokens
    Room work;
    Memory memory;
    std::vector<float*> past;
};

class Opened {
  public:
    Opened(Reading reading, const Kernels* kernels, int64_t threads)
        : reading_(std::move(reading)), kernels_(kernels), threads_(threads) {
        if (threads > 1) crew_ = std::make_unique<Threads>(threads);
        model_.shapes = reading_.shapes.data(), model_.slot_count = static_cast<int64_t>(reading_.shapes.size());
        model_.outputs = reading_.outputs.data(), model_.output_count = static_cast<int64_t>(reading_.outputs.size());
        model_.steps = reading_.steps.data(), model_.step_count = static_cast<int64_t>(reading_.steps.size());
        model_.apart = reading_.apart, model_.multiply_halves = kernels->multiply_halves;
    }

    const Reading& reading() const { return reading_; }
    int64_t threads() const { return threads_; }

    bool is_of_another_process() const { return crew_ != nullptr && crew_->are_of_another_process(); }

    int run(const Batch& batch, float* results, int64_t* times, int64_t* wrong) {
        std::unique_ptr<Room> room = borrowed();
        room->times = times;
        const int code = run_in(*room, batch, results, wrong);
        const std::lock_guard<std::mutex> lock(idle_lock_);
        idle_.push_back(std::move(room));
        return code;
    }

    // A page with room for so many tokens, of a text that has ended; none, where none has so much.
    std::unique_ptr<Page> page(int64_t room) {
        const std::lock_guard<std::mutex> lock(idle_lock_);
        const auto holds = [&](const auto& one) { return one->room >= room; };
        const auto found = std::find_if(pages_.begin(), pages_.end(), holds);
        if (found == pages_.end()) {
            if (!pages_.empty()) pages_.pop_back();  // another takes its place when the text ends
            return nullptr;
        }
        std::unique_ptr<Page> page = std::move(*found);
        pages_.erase(found);
        return page;
    }

    void give_back(std::unique_ptr<Page> page) {
        const std::lock_guard<std::mutex> lock(idle_lock_);
        pages_.push_back(std::move(page));
    }

    // The outputs of the group's tokens, which are there.
    void compute(Room& room) {
        room.turn(reading_);
        room.crew = room.in_tokens >= LEAST_SHARED && crew_ != nullptr && crew_->acquire() ? crew_.get() : nullptr;
        kernels_->run(model_, room);
        if (room.crew != nullptr) crew_->release();
    }

  private:
    const Reading reading_;
    const Kernels* kernels_;
    const int64_t threads_;
    std::unique_ptr<Threads> crew_;  // none for one thread
    Model model_;
    std::mutex idle_lock_;
    std::vector<std::unique_ptr<Room>> idle_;
    std::vector<std::unique_ptr<Page>> pages_;  // of texts that have ended

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
        if (room.in_group > 0) compute(room);
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

}  // namespace millis
