// Worker threads for loops over independent tasks. Which thread runs a task is chance; what the tasks are, and the order
// in which their results are merged, never depends on the number of threads, so results do not either.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "host/cancellation.h"

namespace attnscope {

class ThreadPool {
 public:
  /// `threads` in all, the caller of parallel_for included. No task starts once `cancellation` is requested. `heartbeat`
  /// is called on the caller's thread between its tasks.
  explicit ThreadPool(unsigned threads, const Cancellation* cancellation = nullptr, std::function<void()> heartbeat = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// task(index, worker) for every index in [0, count), started in ascending order; worker < threads() names the
  /// thread's scratch memory, 0 is the caller. Returns when all are done; false if cancellation left some out.
  /// Calls may not be nested.
  bool parallel_for(std::size_t count, const std::function<void(std::size_t, unsigned)>& task);

  /// For tasks that run longer than a tenth of a second, to call now and then: beats the heart if this is the caller's
  /// thread; false when the task should give up.
  bool keep_going(unsigned worker) const;

 private:
  struct Loop {
    const std::function<void(std::size_t, unsigned)>* task;
    std::size_t count;
    std::atomic<std::size_t> next{0}, finished{0};
  };
  void work(unsigned worker);
  void take_tasks(Loop& loop, unsigned worker);

  const Cancellation* cancellation_;
  std::function<void()> heartbeat_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  Loop* loop_ = nullptr;
  std::uint64_t generation_ = 0;
  unsigned busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace attnscope
