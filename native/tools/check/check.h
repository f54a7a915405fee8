// Correctness of a kernel device: every operation of KernelDevice against plain fp64 loops, or against the policy engine where the
// result is a choice of indices. Knows nothing of a device but that interface. Inputs are fresh, from a seed that is reported;
// outputs are filled with NaN before every run and lie between guard zones that must survive it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "host/kernels/kernel_device.h"

namespace attnscope::check_kernels {

enum class Size {
  small,  // seconds on one core, also without optimisation: what tests run
  full,   // more shapes and longer ones
};

struct CheckOptions {
  Size size = Size::small;
  std::uint64_t seed = 0;
  std::string only;  // name of one operation; empty: all
};

/// What all cases of one result of an operation, dtype and head_dim showed.
struct CheckRow {
  std::string operation;   // "dense"
  std::string result;      // "out", "lse", "indices"
  std::string dtype;       // "f32", "f16", "bf16"; "" where it has none
  std::uint32_t head_dim = 0;
  std::size_t cases = 0;
  /// Largest max |got - expected| / max |expected| of a case, each over its whole tensor (lse and entropy: over at least 1); of what a model does to rows, largest
  /// |got - expected| of an element beside the size of what it was made of. Infinite where a value is not the number or NaN that it should be, a guard zone was
  /// written to, or an index is wrong.
  double error = 0;
  double tolerance = 0;    // 0: must be equal
  bool passed = true;
  std::string first_failure;  // the case, in words
};

struct CheckReport {
  std::uint64_t seed = 0;
  std::vector<CheckRow> rows;
  bool passed() const;
  std::size_t cases() const;
};

/// Operations that `only` may name.
const std::vector<std::string>& checked_operations();

CheckReport run_checks(KernelDevice& device, const CheckOptions& options);

/// The report as aligned text or as a Markdown table, one line a row.
std::string to_text(const CheckReport& report);
std::string to_markdown(const CheckReport& report);

}  // namespace attnscope::check_kernels
