// A cache's file on disk, and the thread that reads it ahead and writes behind. Jobs are done one after the other, in their order.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/result.h"

namespace attnscope {

class OffloadFile {
 public:
  /// A file of `bytes` without a name in `folder` (empty: the system's for such files): it goes when the object or the program does.
  /// E_DISK_FULL, E_WRITE_FAILED.
  static Result<std::unique_ptr<OffloadFile>> create(const std::string& folder, std::uint64_t bytes);
  ~OffloadFile();
  OffloadFile(const OffloadFile&) = delete;

  struct Piece {
    std::byte* memory = nullptr;
    std::uint64_t offset = 0, bytes = 0;
  };
  /// Queued; memory stays as it is until the job is done. The answer is what wait() takes.
  std::uint64_t write(std::vector<Piece> pieces) { return queue({std::move(pieces), true}); }
  std::uint64_t read(std::vector<Piece> pieces) { return queue({std::move(pieces), false}); }
  /// Waits until the job is done. E_DISK_FULL, E_WRITE_FAILED or E_OFFLOAD_READ of the first that failed, after which none is done.
  Status wait(std::uint64_t job);

  /// Seconds of the thread.
  double write_seconds() const;
  double read_seconds() const;

 private:
  struct Job {
    std::vector<Piece> pieces;
    bool writes = false;
  };
  OffloadFile(int file, std::string folder);
  std::uint64_t queue(Job job);
  void work();
  Status run(const Job& job) const;

  const int file_;
  const std::string folder_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::uint64_t queued_ = 0, done_ = 0;
  double write_seconds_ = 0, read_seconds_ = 0;
  Status failed_ = success();
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace attnscope
