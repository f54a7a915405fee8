#include "host/bundle_writer.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/failure.h"
#include "host/replace_file.h"

namespace attnscope {
namespace bundle_writing {

static_assert(std::endian::native == std::endian::little, "columns are written as they lie in memory");

/// A batch is at most 4 MiB by the format, one of level full's logits apart: this is a layer or two ahead of the disk.
constexpr std::size_t kMostQueuedBytes = std::size_t{1} << 30;

Status append(BundleFile& file, const std::vector<Column>& columns) {
  if (file.descriptor < 0) {
    file.descriptor = ::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.descriptor < 0) return cannot_write(file.path);
  }
  std::vector<iovec> parts;
  for (const Column& column : columns)
    std::visit([&](const auto& values) {
      if (!values.empty()) parts.push_back({const_cast<void*>(static_cast<const void*>(values.data())), values.size() * sizeof values[0]});
    }, column.values);
  for (std::size_t first = 0; first < parts.size();) {
    const ssize_t done = ::writev(file.descriptor, parts.data() + first, static_cast<int>(parts.size() - first));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return cannot_write(file.path);
    for (std::size_t left = static_cast<std::size_t>(done); left > 0;) {
      iovec& part = parts[first];
      const std::size_t taken = std::min(left, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + taken;
      part.iov_len -= taken;
      left -= taken;
      if (part.iov_len == 0) ++first;
    }
  }
  return success();
}

}  // namespace bundle_writing

BundleWriter::BundleWriter() {
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this, i] { work(i); });
}

BundleWriter::~BundleWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Status BundleWriter::add(BundleFile& file, std::vector<Column> columns, std::uint32_t rows) {
  std::size_t bytes = 0;
  for (const Column& column : columns) std::visit([&](const auto& values) { bytes += values.size() * sizeof values[0]; }, column.values);
  std::unique_lock lock(mutex_);
  progressed_.wait(lock, [&] { return failed_ || queued_bytes_ < bundle_writing::kMostQueuedBytes; });
  if (failed_) return *failed_;
  ++file.pending;
  queued_bytes_ += bytes;
  jobs_[std::hash<std::string>()(file.path) % kThreads].push_back({&file, std::move(columns), rows, bytes});
  queued_.notify_all();
  return success();
}

bool BundleWriter::written(const BundleFile& file, bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) progressed_.wait(lock, [&] { return file.pending == 0; });
  return file.pending == 0;
}

Status BundleWriter::close(BundleFile& file) {
  if (file.descriptor < 0) return success();
  // Some file systems tell only now that a write has failed.
  const int closed = ::close(file.descriptor);
  file.descriptor = -1;
  return closed == 0 ? success() : Status(cannot_write(file.path));
}

Status BundleWriter::status() {
  std::lock_guard lock(mutex_);
  return failed_ ? Status(*failed_) : success();
}

void BundleWriter::work(std::size_t thread) {
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [&] { return stopping_ || !jobs_[thread].empty(); });
    if (jobs_[thread].empty()) return;
    Job job = std::move(jobs_[thread].front());
    jobs_[thread].pop_front();
    if (!failed_) {
      lock.unlock();
      const Status status = bundle_writing::append(*job.file, job.columns);
      job.columns = {};
      lock.lock();
      if (status) job.file->rows.push_back(job.rows);
      else if (!failed_) failed_ = status.error();
    }
    --job.file->pending;
    queued_bytes_ -= job.bytes;
    progressed_.notify_all();
  }
}

}  // namespace attnscope
