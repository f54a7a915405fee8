#include "host/device/scheme_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "host/failure.h"

namespace attnscope {
namespace scheme_file {

bool is_full(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

Error cannot_write(const std::string& folder, std::uint64_t bytes, int error) {
  if (is_full(error))
    return failure("E_DISK_FULL", "folder ", folder, " has no room for ", (bytes + (1u << 20) - 1) >> 20, " MiB of offloaded keys and values (", std::strerror(error),
                   "); free space, name another with --offload-folder, or offload to host memory");
  return failure("E_WRITE_FAILED", "folder ", folder, ": offloaded keys and values cannot be written (", std::strerror(error), "); name another with --offload-folder");
}

}  // namespace scheme_file

Result<std::unique_ptr<OffloadFile>> OffloadFile::create(const std::string& asked, std::uint64_t bytes) {
  std::string folder = asked;
  if (const char* temporary = std::getenv("TMPDIR"); folder.empty()) folder = temporary != nullptr && *temporary != 0 ? temporary : "/tmp";
  std::string name = folder + "/attnscope-kv-XXXXXX";
  const int file = ::mkstemp(name.data());
  if (file < 0) return scheme_file::cannot_write(folder, bytes, errno);
  ::unlink(name.c_str());
  // Room is taken now: a full disk shall not end a run that has computed for hours.
  if (const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes)); scheme_file::is_full(error)) {
    ::close(file);
    return scheme_file::cannot_write(folder, bytes, error);
  }
  return std::unique_ptr<OffloadFile>(new OffloadFile(file, std::move(folder)));
}

OffloadFile::OffloadFile(int file, std::string folder) : file_(file), folder_(std::move(folder)), thread_([this] { work(); }) {}

OffloadFile::~OffloadFile() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  ::close(file_);
}

std::uint64_t OffloadFile::queue(Job job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  changed_.notify_all();
  return ++queued_;
}

Status OffloadFile::wait(std::uint64_t job) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= job; });
  return failed_;
}

double OffloadFile::write_seconds() const {
  const std::lock_guard lock(mutex_);
  return write_seconds_;
}

double OffloadFile::read_seconds() const {
  const std::lock_guard lock(mutex_);
  return read_seconds_;
}

void OffloadFile::work() {
  using Clock = std::chrono::steady_clock;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    if (failed_) {
      lock.unlock();
      const Clock::time_point start = Clock::now();
      const Status ran = run(job);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      lock.lock();
      (job.writes ? write_seconds_ : read_seconds_) += seconds;
      if (!ran) failed_ = ran;
    }
    ++done_;
    changed_.notify_all();
  }
}

Status OffloadFile::run(const Job& job) const {
  for (Piece piece : job.pieces)
    while (piece.bytes > 0) {
      const ssize_t moved = job.writes ? ::pwrite(file_, piece.memory, piece.bytes, static_cast<off_t>(piece.offset))
                                       : ::pread(file_, piece.memory, piece.bytes, static_cast<off_t>(piece.offset));
      if (moved < 0 && errno == EINTR) continue;
      if (moved < 0 && job.writes) return scheme_file::cannot_write(folder_, piece.bytes, errno);
      if (moved <= 0)
        return failure("E_OFFLOAD_READ", "offloaded keys and values cannot be read back from folder ", folder_, " (",
                       moved < 0 ? std::strerror(errno) : "the file has become shorter", "); check the disk, or name another folder with --offload-folder");
      piece.memory += moved, piece.offset += static_cast<std::uint64_t>(moved), piece.bytes -= static_cast<std::uint64_t>(moved);
    }
  return success();
}

}  // namespace attnscope
