// SimHash codes: signs of projections, sixteen columns at a time, regrouped into tables.
#include <algorithm>

#include "core/policy/simhash.h"
#include "host/kernels/cpu_operations.h"
#include "host/kernels/cpu_rows.h"

namespace attnscope::cpu {

Outcome hash(Context& context, const HashArgs& args) {
  const std::size_t dim = args.head_dim, columns = std::size_t{args.bits} * args.tables, panels = round_up(columns, panel_width) / panel_width;
  float* weights = context.floats(shared_values, panels * panel_width * dim);
  if (weights == nullptr && panels != 0) return out_of_memory;
  // Projections as panels of [dim][16], zero beyond the last.
  std::fill_n(weights, panels * panel_width * dim, 0.0f);
  const SourceRows source{args.dtype, static_cast<const std::byte*>(args.projection), dim, dim};
  float* row = context.scratch[0].floats(slot_rows, dim);
  for (std::size_t c = 0; c < columns; ++c) {
    source.read(c, row, dim);
    float* lane = weights + c / panel_width * panel_width * dim + c % panel_width;
    for (std::size_t i = 0; i < dim; ++i) lane[i * panel_width] = row[i];
  }

  constexpr std::size_t task_rows = 960;  // ten blocks of project_signs
  const std::size_t tasks = (args.tokens + task_rows - 1) / task_rows;
  context.pool.parallel_for(args.heads * tasks, [&](std::size_t task, unsigned worker) {
    const std::size_t head = task / tasks, begin = task % tasks * task_rows, count = std::min(task_rows, args.tokens - begin);
    Scratch& scratch = context.scratch[worker];
    const SourceRows vectors = source_rows(args.x, args.dtype, head, dim);
    Rows rows = vectors.in_place(1) ? vectors.rows(args.tokens).slice(begin, count) : Rows{};
    if (!vectors.in_place(1) || args.centre != nullptr) {
      float* copy = scratch.floats(slot_keys, task_rows * dim);
      for (std::size_t i = 0; i < count; ++i) {
        vectors.read(begin + i, copy + i * dim, dim);
        for (std::size_t c = 0; c < dim && args.centre != nullptr; ++c) copy[i * dim + c] -= args.centre[head * dim + c];
      }
      rows = {copy, count, dim, dim};
    }
    auto* signs = reinterpret_cast<std::uint16_t*>(scratch.floats(slot_scores, panels * task_rows / 2));
    simhash::project_signs(rows, weights, 0, panels, signs, task_rows);
    for (std::uint32_t table = 0; table < args.tables; ++table)
      simhash::table_codes(signs, task_rows, count, args.bits, table, args.codes + (head * args.tables + table) * args.tokens + begin);
  });
  return nullptr;
}

}  // namespace attnscope::cpu
