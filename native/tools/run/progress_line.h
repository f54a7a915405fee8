// How far a run is, on stderr: one line that is written over on a terminal, a line a layer elsewhere.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <string>

#include "host/capture_sink.h"

namespace attnscope {

class ProgressLine {
 public:
  explicit ProgressLine(bool wanted) : wanted_(wanted), terminal_(::isatty(STDERR_FILENO) == 1) {}

  void show(const RunProgress& progress) {
    if (!wanted_) return;
    const bool same = progress.phase == last_.phase && progress.done == last_.done && begun_;
    if (same && !terminal_) return;
    // A line a step of decoding would be most of a log.
    if (!terminal_ && progress.phase == Phase::decode && progress.done % 64 != 0) return;
    last_ = progress;
    begun_ = true;
    std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", words(progress).c_str());
  }
  void end() {
    if (terminal_ && begun_) std::fprintf(stderr, "\r\033[K");
    begun_ = false;
  }

 private:
  std::string words(const RunProgress& progress) const {
    if (progress.phase == Phase::load) return "load: weights";
    char text[96], fraction[16] = "";
    const char* item = progress.phase == Phase::decode ? "token" : "layer";
    // A line that stays tells of the beginning.
    if (terminal_) std::snprintf(fraction, sizeof fraction, ", %.0f %%", 100 * progress.fraction);
    std::snprintf(text, sizeof text, "%s: %s %u of %u%s", name_of(progress.phase), item, progress.done + 1, progress.total, fraction);
    return text;
  }

  bool wanted_, terminal_, begun_ = false;
  RunProgress last_;
};

}  // namespace attnscope
