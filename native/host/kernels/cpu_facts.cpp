#include "host/kernels/cpu_facts.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include <unistd.h>

namespace attnscope::cpu {
namespace {

/// "32768K", "32M" or bytes; 0 where it is none of these.
std::uint64_t parse_size(const std::string& size) {
  char* end = nullptr;
  const std::uint64_t number = std::strtoull(size.c_str(), &end, 10);
  return *end == 'K' ? number << 10 : *end == 'M' ? number << 20 : *end == 'G' ? number << 30 : number;
}

}  // namespace

std::uint64_t last_level_cache_bytes() {
  std::uint64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
    std::string size;
    if (!(file >> size)) break;
    largest = std::max(largest, parse_size(size));
  }
#if defined(_SC_LEVEL3_CACHE_SIZE)
  if (largest == 0) largest = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_LEVEL3_CACHE_SIZE)));
#endif
  return largest;
}

double clock_mhz() {
  double sum = 0;
  int cores = 0;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("cpu MHz"))
      if (const auto colon = line.find(':'); colon != std::string::npos) sum += std::strtod(line.c_str() + colon + 1, nullptr), ++cores;
  if (cores > 0) return sum / cores;
  std::ifstream file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
  double khz = 0;
  return file >> khz ? khz / 1000 : 0;
}

std::uint64_t memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size) : 0;
}

std::uint64_t free_memory_bytes() {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("MemAvailable:")) return std::strtoull(line.c_str() + sizeof "MemAvailable:", nullptr, 10) << 10;
  return memory_bytes();
}

}  // namespace attnscope::cpu
