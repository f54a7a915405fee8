// `attnscope-check capture`: a plan run on a device and on the CPU, and what they captured compared column by column.
#pragma once

namespace attnscope::check_captures {

/// `words`: what follows "capture". Exit status 0: all columns within their tolerances; 1: some are not, or a run failed; 2: the command,
/// the plan or the device is wrong.
int capture_command(int count, char** words);

}  // namespace attnscope::check_captures
