// A text that is read piece by piece: what attention needs of its earlier tokens is kept.
#pragma once

#include <mutex>
#include <vector>

#include "opened.h"

namespace millis {

// All memory is there from the beginning, left by a text that has ended where one has: reading allocates nothing. The
// plan stays open for as long as it is read.
class Continuation {
  public:
    // Throws Refused, where the plan's tokens depend on more than those before them, and std::bad_alloc.
    Continuation(std::shared_ptr<Opened> opened, int64_t room) : opened_(std::move(opened)), length_(room) {
        const Reading& plan = opened_->reading();
        if (!plan.writes) throw Refused("it is none of a model that writes token by token");
        if (room < 1 || room > MOST_TOKENS) throw std::bad_alloc();
        page_ = opened_->page(room);
        if (page_ == nullptr) page_ = made(plan, room, opened_->threads());
    }

    ~Continuation() {
        try {
            opened_->give_back(std::move(page_));
        } catch (const std::exception&) {  // no memory for the list
        }
    }
    Continuation(const Continuation&) = delete;
    Continuation& operator=(const Continuation&) = delete;

    bool is_of_another_process() const { return opened_->is_of_another_process(); }

    // Appends tokens [count] to the first `before` ones. Results: of each of them, or of the last alone. Returns a
    // code, and what was wrong; one caller at a time, another waits.
    int read(const int64_t* tokens, int64_t count, int64_t before, bool every, float* results, int64_t* times,
             int64_t* wrong) {
        const std::lock_guard<std::mutex> lock(lock_);
        const Reading& plan = opened_->reading();
        if (count < 1 || before < 0 || count > length_ - before) return NO_ROOM;
        for (int64_t at = 0; at < count; ++at) {
            *wrong = tokens[at];
            if (tokens[at] < 0 || tokens[at] >= plan.vocabulary) return OUTSIDE_VOCABULARY;
        }
        *wrong = before + count;
        if (plan.positions > 0 && before + count > plan.positions) return TOO_LONG;
        Room& work = page_->work;
        work.times = times;
        for (int64_t done = 0; done < count; done += GROUP_TOKENS) {
            const int64_t left = count - done, some = std::min(left, GROUP_TOKENS);
            work.wanted = every ? ALL : left > GROUP_TOKENS ? NOTHING : LAST;
            work.results[0] = results;
            take(tokens + done, some, before + done);
            opened_->compute(work);
            if (every) results += some * plan.outputs[0].width;
        }
        return GOOD;
    }

  private:
    static constexpr int64_t MOST_TOKENS = int64_t{1} << 24;
    static constexpr double MOST_NUMBERS = 1e12;

    const std::shared_ptr<Opened> opened_;
    const int64_t length_;
    std::unique_ptr<Page> page_;
    std::mutex lock_;

    void take(const int64_t* tokens, int64_t count, int64_t before) {
        Room& work = page_->work;
        for (int64_t at = 0; at < count; ++at) {
            work.ids[at] = static_cast<int32_t>(tokens[at]);
            work.columns[at] = static_cast<int32_t>(at);
            work.places[at] = static_cast<int32_t>(before + at);
            work.kinds[at] = 0;
        }
        work.group[0] = Text{0, 0, count};
        work.in_group = 1, work.in_tokens = work.length = count;
        work.past_count = before;
    }

    static std::unique_ptr<Page> made(const Reading& plan, int64_t room, int64_t threads) {
        double numbers = 0.0;
        for (const Step& step : plan.steps)
            if (step.kind == CAUSAL)
                numbers += static_cast<double>(step.groups) *
                           static_cast<double>(past_size(room, step.width, step.choice));
        if (numbers > MOST_NUMBERS) throw std::bad_alloc();
        auto page = std::make_unique<Page>();
        page->room = room;
        page->work.fit(plan, std::min(room, GROUP_TOKENS), 1, threads, room);
        page->memory = zeroed(static_cast<int64_t>(numbers) * int64_t{sizeof(float)});
        float* at = reinterpret_cast<float*>(on_line(page->memory.get()));
        for (const Step& step : plan.steps) {
            if (step.kind != CAUSAL) continue;
            page->past.push_back(at);
            at += step.groups * past_size(room, step.width, step.choice);
        }
        page->past.push_back(at);  // none is a text that is read as a whole
        page->work.past = page->past.data();
        page->work.past_room = room;
        return page;
    }
};

}  // namespace millis
