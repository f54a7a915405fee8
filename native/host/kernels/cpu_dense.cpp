// Attention over all keys, and over the first and the last ones: the keys of a row block are one or two runs.
#include <algorithm>

#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_prompt.h"

namespace attnscope::cpu {

Outcome dense(Context& context, const AttentionArgs& args) {
  return attend_prompt(context, args, {}, [](const PromptBlock& block, KeyBatch& batch) { batch.add_run(0, block.end_query); });
}

Outcome a_shape(Context& context, const AttentionArgs& args, std::uint32_t sink, std::uint32_t local) {
  return attend_prompt(context, args, {true, sink, local}, [&](const PromptBlock& block, KeyBatch& batch) {
    // What the last `local` keys leave out even for the block's first query, if no sink holds it.
    const std::uint32_t first_local = block.first_query + 1 > local ? block.first_query + 1 - local : 0;
    const std::uint32_t end_sink = std::min({sink, first_local, block.end_query});
    batch.add_run(0, end_sink);
    batch.add_run(std::max(first_local, end_sink), block.end_query);
  });
}

}  // namespace attnscope::cpu
