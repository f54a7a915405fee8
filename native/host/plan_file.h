// A plan as a file: what `attnscope capture --export` writes and attnscope-run reads. Lines of a key and its values, described in
// docs/format.md; the last line is "end", so that a file cut short is noticed.
#pragma once
#include <string>
#include <string_view>

#include "host/plan.h"

namespace attnscope {

struct PlanFile {
  Plan plan;
  std::string sha256;  // of the file's bytes
};

/// E_PLAN_FILE names the line and what is wrong with it. Paths of weights are taken relative to the plan's folder. Values are checked
/// by validate().
Result<PlanFile> read_plan_file(const std::string& path);
/// The same of the bytes of a file at `path`.
Result<Plan> parse_plan(std::string_view bytes, const std::string& path);

}  // namespace attnscope
