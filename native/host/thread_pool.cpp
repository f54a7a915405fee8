#include "host/thread_pool.h"

#include <algorithm>
#include <utility>

namespace attnscope {

ThreadPool::ThreadPool(unsigned threads, const Cancellation* cancellation, std::function<void()> heartbeat)
    : cancellation_(cancellation), heartbeat_(std::move(heartbeat)) {
  for (unsigned worker = 1; worker < std::max(threads, 1u); ++worker) workers_.emplace_back([this, worker] { work(worker); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::parallel_for(std::size_t count, const std::function<void(std::size_t, unsigned)>& task) {
  Loop loop{&task, count};
  if (count > 1 && !workers_.empty()) {
    {
      std::lock_guard lock(mutex_);
      loop_ = &loop;
      ++generation_;
      busy_ = static_cast<unsigned>(workers_.size());
    }
    wake_.notify_all();
    take_tasks(loop, 0);
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return busy_ == 0; });
  } else {
    take_tasks(loop, 0);
  }
  return loop.finished == count && !(cancellation_ && cancellation_->requested());
}

bool ThreadPool::keep_going(unsigned worker) const {
  if (worker == 0 && heartbeat_) heartbeat_();
  return !(cancellation_ && cancellation_->requested());
}

void ThreadPool::take_tasks(Loop& loop, unsigned worker) {
  while (keep_going(worker)) {
    const std::size_t index = loop.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= loop.count) return;
    (*loop.task)(index, worker);
    loop.finished.fetch_add(1, std::memory_order_release);
  }
}

void ThreadPool::work(unsigned worker) {
  std::uint64_t seen = 0;
  for (;;) {
    Loop* loop;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      loop = loop_;
    }
    take_tasks(*loop, worker);
    std::lock_guard lock(mutex_);
    if (--busy_ == 0) idle_.notify_one();
  }
}

}  // namespace attnscope
