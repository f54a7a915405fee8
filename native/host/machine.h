// What the engine was built for and runs on.
#pragma once
#include <cstdint>
#include <string>

namespace attnscope {

struct MachineInfo {
  std::string version;  // of attnscope
  std::string simd;     // vector instructions the engine was compiled for
  std::string blas;     // what multiplies matrices
  std::string cpu;
  unsigned threads;     // hardware threads this process may use
};
MachineInfo machine_info();

/// Largest resident set of this process so far, measured by the system.
std::uint64_t peak_resident_bytes();

}  // namespace attnscope
