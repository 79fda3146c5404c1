// Threads for one long request at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "plan.h"

namespace millis {

// Between requests the threads sleep; within one they spin for the next task, as a step takes but microseconds.
class Threads : public Crew {
  public:
    explicit Threads(int64_t size);
    ~Threads();
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

    // Whether this is a fork's copy: its threads are not there, and taking it apart would wait for them without end.
    bool are_of_another_process() const;

    // Whether the caller has the threads, until `release`; else another request has.
    bool acquire();
    void release();

  private:
    using Task = void (*)(void* context, int64_t who);

    static void share_out(Crew* crew, Task task, void* context);
    void work();
    void end();
    bool take_one();

    std::atomic<uint64_t> ticket_{0};  // which task, and how many of its shares are taken
    std::atomic<int64_t> finished_{0};
    std::atomic<bool> active_{false};
    std::atomic<Task> task_{nullptr};
    std::atomic<void*> context_{nullptr};
    bool stops_ = false;
    std::mutex busy_, asleep_;
    std::condition_variable wakes_;
    std::vector<std::thread> threads_;
    const long process_;
};

}  // namespace millis
