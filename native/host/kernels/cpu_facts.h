// What the system tells about the processor.
#pragma once
#include <cstdint>

namespace attnscope::cpu {

/// Bytes of the largest cache that core 0 uses; 0: unknown.
std::uint64_t last_level_cache_bytes();
/// Mean clock of the cores at this moment; 0: unknown. A virtual machine may show a constant.
double clock_mhz();
/// Physical memory; 0: unknown.
std::uint64_t memory_bytes();
/// Of it what programs could still take without swapping; memory_bytes() where the system does not tell.
std::uint64_t free_memory_bytes();

}  // namespace attnscope::cpu
