// One published number beside what this engine computes for it.
#pragma once
#include <string>

namespace attnscope::published_tables {

struct Row {
  std::string name;
  std::string unit;
  double published = 0, ours = 0;
  std::string note = {};  // why they differ, where that is known
};

}  // namespace attnscope::published_tables
