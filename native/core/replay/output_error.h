// The output of a row over the kept keys alone, renormalised, against its dense output. Teacher-forced: q, K and V are
// those of the dense run.
#pragma once
#include <span>

#include "core/replay/row_mass.h"

namespace attnscope {

/// o' = sum over kept of p v / mass kept (weighted traces: of p exp(w) v / sum of p exp(w)), o the dense output.
struct OutputError {
  double relative = Cost::none;  // ||o' - o|| / ||o||; 1 where nothing is kept, NaN where o is 0
  double cosine = Cost::none;    // of o and o'; 0 where nothing is kept
};

/// Errors of the rows named by `which` (ascending indices into the strip), in that order; `masses` are those of all rows.
void output_errors(const Strip& strip, const HeadTrace& trace, std::span<const RowMass> masses, std::span<const std::uint32_t> which,
                   Rows values, Visibility visibility, std::span<OutputError> out, Scratch& scratch);

}  // namespace attnscope
