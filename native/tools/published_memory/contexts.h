// The longest context of Llama-3-8B on 80 GB: published, and as the allocator's replay finds it.
#pragma once
#include <string>
#include <vector>

#include "core/memory/max_context.h"
#include "tools/published_tables/row.h"

namespace attnscope::published_memory {

struct ContextRow {
  std::string scheme;
  std::uint32_t steps = 0;
  std::uint32_t published = 0;     // tokens; 0: nobody did
  memory::ContextBand band;
  std::uint32_t expandable = 0;    // longest with expandable segments
  std::string fails;               // what stops the first length that does not fit
};

/// Budget 78.7 GiB, lengths of 5K apart. `every`: also other numbers of decode steps, fp32 logits, and expandable segments.
std::vector<ContextRow> context_rows(bool every = true);

/// HeadInfer (arXiv 2502.12574) on a 24 GB RTX 4090, Llama-3-8B: what this model does not reproduce exactly.
std::vector<published_tables::Row> headinfer_rows();

}  // namespace attnscope::published_memory
