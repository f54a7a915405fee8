// MOM's tables of times, the fits that sum them up, and what the fitted rates say of every scheme. Published times are measured,
// ours modelled.
#pragma once
#include <vector>

#include "core/memory/published_rates.h"
#include "tools/published_tables/row.h"

namespace attnscope::published_memory {

using published_tables::Row;

/// Coefficients and residuals, and the rates in them.
std::vector<Row> fit_rows();
/// Table 3, seconds to the first token.
std::vector<Row> first_token_rows();
/// Table 4, tokens a second.
std::vector<Row> decode_rows();
/// Table 2, seconds of a request.
std::vector<Row> total_rows();
/// Bytes that offloading moves and the rate that MOM's extra time means; host memory.
std::vector<Row> offload_rows();

}  // namespace attnscope::published_memory
