// See `crew.h`.
#include "crew.h"

#include <unistd.h>

namespace millis {
namespace {

constexpr int SPINS = 20000;  // before others get the processor: some 0.1 ms

// A ticket has the task's number above and how many of its shares are taken below, so that a thread that comes late
// takes none of the next.
constexpr int SHARES = 16;

inline int64_t shares_of(uint64_t ticket) { return static_cast<int64_t>(ticket & ((uint64_t{1} << SHARES) - 1)); }

inline void rest(int& spins) {
#ifdef MILLIS_X86
    __builtin_ia32_pause();
#endif
    if (++spins > SPINS) std::this_thread::yield();
}

}  // namespace

Threads::Threads(int64_t count) : process_(getpid()) {
    size = count;
    share = share_out;
    ticket_ = static_cast<uint64_t>(count);  // all shares of no task are taken
    try {
        for (int64_t thread = 1; thread < count; ++thread) threads_.emplace_back([this] { work(); });
    } catch (...) {  // the system gives no more of them
        end();
        throw;
    }
}

Threads::~Threads() { end(); }

void Threads::end() {
    {
        const std::lock_guard<std::mutex> lock(asleep_);
        stops_ = true;
    }
    wakes_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

bool Threads::are_of_another_process() const { return getpid() != process_; }

bool Threads::acquire() {
    if (!busy_.try_lock()) return false;
    {
        const std::lock_guard<std::mutex> lock(asleep_);
        active_ = true;
    }
    wakes_.notify_all();
    return true;
}

void Threads::release() {
    active_ = false;
    busy_.unlock();
}

void Threads::work() {
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(asleep_);
            wakes_.wait(lock, [this] { return stops_ || active_; });
            if (stops_) return;
        }
        int spins = 0;
        while (active_)
            if (take_one())
                spins = 0;
            else
                rest(spins);
    }
}

// One share of the present task, where one is left. The task lasts until all its shares are finished, so what is read
// after a share is taken is that task's.
bool Threads::take_one() {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    const int64_t who = shares_of(ticket);
    if (who >= size || !ticket_.compare_exchange_strong(ticket, ticket + 1, std::memory_order_acq_rel)) return false;
    task_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), who);
    finished_.fetch_add(1, std::memory_order_acq_rel);
    return true;
}

void Threads::share_out(Crew* crew, Task task, void* context) {
    Threads& self = *static_cast<Threads*>(crew);
    self.task_.store(task, std::memory_order_relaxed);
    self.context_.store(context, std::memory_order_relaxed);
    self.finished_.store(0, std::memory_order_relaxed);
    const uint64_t number = (self.ticket_.load(std::memory_order_relaxed) >> SHARES) + 1;
    self.ticket_.store(number << SHARES, std::memory_order_release);
    while (shares_of(self.ticket_.load(std::memory_order_acquire)) < self.size) self.take_one();
    int spins = 0;
    while (self.finished_.load(std::memory_order_acquire) < self.size) rest(spins);
}

}  // namespace millis
