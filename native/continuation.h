// A text that is read piece by piece: what attention needs of its earlier tokens is kept.
#pragma once

#include <mutex>
#include <vector>

#include "opened.h"

namespace millis {

// All memory is there from the beginning: reading allocates nothing. The plan stays open for as long as it is read.
class Continuation {
  public:
    // Throws Refused, where the plan's tokens depend on more than those before them, and std::bad_alloc.
    Continuation(Opened& opened, int64_t room) : opened_(opened), length_(room) {
        const Reading& plan = opened.reading();
        if (!plan.writes) throw Refused("it is none of a model that writes token by token");
        if (room < 1 || room > MOST_TOKENS) throw std::bad_alloc();
        room_.fit(plan, std::min(room, GROUP_TOKENS), 1, opened.threads(), room);
        place(plan);
        room_.past = past_.data();
        room_.past_room = room;
    }

    // Appends tokens [count] to the first `before` ones. Results: of each of them, or of the last alone. Returns a
    // code, and what was wrong; one caller at a time, another waits.
    int read(const int64_t* tokens, int64_t count, int64_t before, bool every, float* results, int64_t* times,
             int64_t* wrong) {
        const std::lock_guard<std::mutex> lock(lock_);
        const Reading& plan = opened_.reading();
        if (count < 1 || before < 0 || count > length_ - before) return NO_ROOM;
        for (int64_t at = 0; at < count; ++at) {
            *wrong = tokens[at];
            if (tokens[at] < 0 || tokens[at] >= plan.vocabulary) return OUTSIDE_VOCABULARY;
        }
        *wrong = before + count;
        if (plan.positions > 0 && before + count > plan.positions) return TOO_LONG;
        room_.times = times;
        for (int64_t done = 0; done < count; done += GROUP_TOKENS) {
            const int64_t left = count - done, some = std::min(left, GROUP_TOKENS);
            room_.wanted = every ? ALL : left > GROUP_TOKENS ? NOTHING : LAST;
            room_.results[0] = results;
            take(tokens + done, some, before + done);
            opened_.compute(room_);
            if (every) results += some * plan.outputs[0].width;
        }
        return GOOD;
    }

  private:
    static constexpr int64_t MOST_TOKENS = int64_t{1} << 24;
    static constexpr double MOST_NUMBERS = 1e12;

    Opened& opened_;
    const int64_t length_;
    Room room_;
    Memory memory_;
    std::vector<float*> past_;
    std::mutex lock_;

    void take(const int64_t* tokens, int64_t count, int64_t before) {
        for (int64_t at = 0; at < count; ++at) {
            room_.ids[at] = static_cast<int32_t>(tokens[at]);
            room_.columns[at] = static_cast<int32_t>(at);
            room_.places[at] = static_cast<int32_t>(before + at);
            room_.kinds[at] = 0;
        }
        room_.group[0] = Text{0, 0, count};
        room_.in_group = 1, room_.in_tokens = room_.length = count;
        room_.past_count = before;
    }

    void place(const Reading& plan) {
        double numbers = 0.0;
        for (const Step& step : plan.steps)
            if (step.kind == CAUSAL)
                numbers += static_cast<double>(step.groups) * static_cast<double>(past_size(length_, step.width));
        if (numbers > MOST_NUMBERS) throw std::bad_alloc();
        memory_ = zeroed(static_cast<int64_t>(numbers) * int64_t{sizeof(float)});
        float* at = reinterpret_cast<float*>(on_line(memory_.get()));
        for (const Step& step : plan.steps) {
            if (step.kind != CAUSAL) continue;
            past_.push_back(at);
            at += step.groups * past_size(length_, step.width);
        }
        past_.push_back(at);  // none is a text that is read as a whole
    }
};

}  // namespace millis
