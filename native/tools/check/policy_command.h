// `attnscope-check policies`: a plan run with policies on a device and on the CPU's kernels in the same precisions.
#pragma once

namespace attnscope::check_captures {

/// `words`: what follows "policies". Exit status as of capture_command().
int policy_command(int count, char** words);

}  // namespace attnscope::check_captures
