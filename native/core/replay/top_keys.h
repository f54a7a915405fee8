// The largest values of a row without sorting it: what an oracle would keep, and which keys are the top k.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace attnscope {

/// One row at a time. Counts p by the upper bits of its float (exponent and three bits of mantissa: eight bins an octave),
/// so that only the bin with the k-th largest value has to be partitioned. Values must not be negative.
class TopKeys {
 public:
  /// Counts p[begin, end); the pointer must stay valid for the calls below.
  void read(const float* p, std::uint32_t begin, std::uint32_t end);

  /// Sum of the `count` largest values, fp64.
  double mass(std::uint32_t count);

  /// Keys of the `count` largest values, ascending; ties go to the lowest index. All keys where there are no more.
  const std::vector<std::uint32_t>& keys(std::uint32_t count);

 private:
  static constexpr int low_bits = 20;
  static constexpr std::uint32_t bins = 2048;
  struct Threshold {
    float low, high;       // the bin's edges: values below, in it, above
    std::uint32_t above;   // how many lie above
  };
  Threshold threshold(std::uint32_t count) const;

  const float* p_ = nullptr;
  std::uint32_t begin_ = 0, end_ = 0;
  std::array<std::array<std::uint32_t, bins>, 2> counts_;  // two tables: neighbouring values often fall into one bin
  std::vector<float> in_bin_;
  std::vector<std::uint32_t> keys_, ties_;
};

}  // namespace attnscope
