// Appends batches to files on threads of its own, so that a run does not wait for the disk: a layer of a long prompt is a gigabyte of
// tables, about as long to copy into the page cache as a GPU takes for the layer.
#pragma once
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "host/capture_sink.h"

namespace attnscope {

/// A file that batches are appended to. Filled by one thread of the writer; read by others once `pending` is 0.
struct BundleFile {
  std::string path;
  std::vector<std::uint32_t> rows;  // of each batch, in order
  std::size_t pending = 0;          // batches on their way; guarded by the writer
  int descriptor = -1;
};

class BundleWriter {
 public:
  BundleWriter();
  ~BundleWriter();

  /// Queues a batch; waits where too much is queued already. `file` stays where it is until close(). Fails with what stopped an earlier write.
  Status add(BundleFile& file, std::vector<Column> columns, std::uint32_t rows);
  /// Whether everything queued for the file has been written; waits until it has with `wait`. After a failure what is left is dropped.
  bool written(const BundleFile& file, bool wait);
  Status close(BundleFile& file);
  Status status();

 private:
  struct Job {
    BundleFile* file;
    std::vector<Column> columns;
    std::uint32_t rows;
    std::size_t bytes;
  };
  void work(std::size_t thread);

  static constexpr std::size_t kThreads = 4;
  std::mutex mutex_;
  std::condition_variable queued_, progressed_;
  std::array<std::deque<Job>, kThreads> jobs_;  // a file belongs to one thread, which keeps its batches in order
  std::size_t queued_bytes_ = 0;
  bool stopping_ = false;
  std::optional<Error> failed_;
  std::vector<std::thread> threads_;
};

}  // namespace attnscope
