// Wall-clock seconds by kind of work. Sections nest: time inside an inner section counts for the inner one alone.
#pragma once
#include <array>
#include <chrono>
#include <utility>

namespace attnscope {

enum class Work { load, prefill, reduce, emit, decode, other };
inline constexpr std::array<const char*, 5> kWorkNames = {"load", "prefill", "reduce", "emit", "decode"};

class PhaseClock {
 public:
  class Section {
   public:
    Section(PhaseClock& clock, Work work) : clock_(clock), outer_(clock.switch_to(work)) {}
    ~Section() { clock_.switch_to(outer_); }
    Section(const Section&) = delete;
    Section& operator=(const Section&) = delete;

   private:
    PhaseClock& clock_;
    Work outer_;
  };

  double seconds(Work work) const { return seconds_[static_cast<std::size_t>(work)]; }

 private:
  using Clock = std::chrono::steady_clock;
  Work switch_to(Work work) {
    const Clock::time_point now = Clock::now();
    seconds_[static_cast<std::size_t>(current_)] += std::chrono::duration<double>(now - since_).count();
    since_ = now;
    return std::exchange(current_, work);
  }

  std::array<double, 6> seconds_{};
  Work current_ = Work::other;
  Clock::time_point since_ = Clock::now();
};

}  // namespace attnscope
