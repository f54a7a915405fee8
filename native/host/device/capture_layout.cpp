#include "host/device/capture_layout.h"

#include <algorithm>

#include "host/table_emitter.h"
#include "host/vector_tables.h"

namespace attnscope {
namespace capture_layout {

/// Rows of logits computed at a time where all are stored; whole batches of their table.
constexpr std::uint32_t kLogitsRows = 8 * kLogitsBatchRows;

/// Places arrays one after the other.
class Cursor {
 public:
  explicit Cursor(std::uint64_t begin) : at_(begin) {}
  std::uint64_t take(std::uint64_t bytes) { return std::exchange(at_, at_ + aligned(bytes)); }
  std::uint64_t end() const { return at_; }

 private:
  std::uint64_t at_;
};

/// Lays the run's arrays out from `begin` on.
void place(HeadRun& run, const Plan& plan, const CaptureRows& rows, std::uint64_t begin) {
  const std::uint64_t heads = run.count, n = rows.kernel_rows(), keys = rows.end(), dim = plan.model.head_dim, grid = heads * run.cells * run.cells;
  Cursor cursor(begin);
  run.cell_sum = cursor.take(grid * sizeof(double));
  for (std::uint64_t* sums : {&run.column_sum, &run.diagonal_sum}) *sums = cursor.take(heads * keys * sizeof(double));
  run.cell_max = cursor.take(grid * sizeof(float));
  for (std::uint64_t* column : {&run.entropy, &run.sink_mass, &run.local_mass, &run.previous_mass, &run.top1_mass}) *column = cursor.take(heads * n * sizeof(float));
  for (std::uint64_t* column : {&run.top1_key, &run.coverage_90, &run.coverage_95, &run.coverage_99}) *column = cursor.take(heads * n * sizeof(std::uint32_t));
  run.pooled_queries = cursor.take(run.pooled ? heads * ((n + 63) / 64) * dim * sizeof(float) : 0);
  run.queries = cursor.take(run.stored_queries * heads * dim * size_of(plan.vectors));
  run.end = cursor.end();
}

/// The run of one head; others follow by their numbers of heads.
HeadRun run_of(const Plan& plan, std::uint32_t layer, std::uint32_t head, const CaptureRows& rows) {
  HeadRun run;
  run.first = head, run.count = 1;
  run.cell = plan.reduce.cells[std::size_t{layer} * plan.model.heads + head];
  run.cells = static_cast<std::uint32_t>((std::uint64_t{rows.end()} + run.cell - 1) / run.cell);
  if (!plan.store.vectors) return run;
  if (!rows.prompt) {
    run.stored_queries = rows.count;
    return run;
  }
  // Kernels pool 64 rows; other blocks are made of every query on the host.
  run.pooled = plan.reduce.query_pool_tokens % 64 == 0;
  run.every_query = !run.pooled || stores_every_query(plan, layer, head);
  run.stored_queries = run.every_query ? rows.count : static_cast<std::uint32_t>(plan.store.query_rows.size());
  return run;
}

}  // namespace capture_layout

HeadRange heads_of_call(std::uint32_t first, std::uint32_t end, std::uint32_t most, std::uint32_t group) {
  most = std::min(std::max(most, 1u), end - first);
  if (first % group == 0 && most >= group) return {first, most / group * group, first / group, most / group};
  return {first, std::min(most, (first / group + 1) * group - first), first / group, 1};
}

std::vector<CaptureJob> jobs_of(const Plan& plan, std::uint32_t layer, const CaptureRows& rows, std::uint64_t most_bytes) {
  const std::uint32_t heads = plan.model.heads;
  std::vector<CaptureJob> jobs;
  for (std::uint32_t head = 0; head < heads;) {
    HeadRun run = capture_layout::run_of(plan, layer, head, rows);
    std::uint32_t end = head + 1;
    while (end < heads) {
      const HeadRun next = capture_layout::run_of(plan, layer, end, rows);
      if (next.cell != run.cell || next.every_query != run.every_query) break;
      ++end;
    }
    capture_layout::place(run, plan, rows, 0);
    const auto fitting = static_cast<std::uint32_t>(std::min<std::uint64_t>(heads, std::max<std::uint64_t>(1, most_bytes / run.end)));
    static_cast<HeadRange&>(run) = heads_of_call(head, end, fitting, plan.group());
    capture_layout::place(run, plan, rows, jobs.empty() ? 0 : jobs.back().bytes);
    if (jobs.empty() || run.end > most_bytes) {
      capture_layout::place(run, plan, rows, 0);
      jobs.emplace_back();
    }
    jobs.back().bytes = run.end;
    jobs.back().runs.push_back(run);
    head += run.count;
  }
  return jobs;
}

LayerParts::LayerParts(const Plan& plan) {
  const std::uint64_t side = std::uint64_t{plan.total_tokens()} * plan.model.kv_heads * plan.model.head_dim * size_of(plan.vectors);
  capture_layout::Cursor cursor(0);
  keys = cursor.take(side);
  values = cursor.take(side);
  lse = cursor.take(std::uint64_t{plan.prompt_tokens()} * plan.model.heads * sizeof(float));
  moments = cursor.take(MomentParts(plan.model).end);
  counters = cursor.take((2 * std::uint64_t{plan.model.layers} + 1) * sizeof(std::uint32_t));
  end = cursor.end();
}

MomentParts::MomentParts(const ModelPlan& model) {
  const std::uint64_t width = std::uint64_t{model.heads} * model.head_dim;
  capture_layout::Cursor cursor(0);
  sum = cursor.take(width * sizeof(double));
  product = cursor.take(width * model.head_dim * sizeof(double));
  pivot = cursor.take(width * sizeof(float));
  end = cursor.end();
}

CaptureLayout::CaptureLayout(const Plan& plan, std::uint32_t rows, std::uint64_t group_bytes)
    : block_rows(rows), logits_rows(plan.store.logits ? std::min(capture_layout::kLogitsRows, rows) : 1), query_width(std::uint64_t{plan.model.heads} * plan.model.head_dim),
      kv_width(std::uint64_t{plan.model.kv_heads} * plan.model.head_dim), element(size_of(plan.vectors)), kv_side(aligned(plan.total_tokens() * kv_width * element)),
      keeps_layers(plan.decode_steps > 0) {
  if (!plan.reduce.enabled) return;
  const auto include = [&](std::uint32_t layer, const CaptureRows& of) {
    for (const CaptureJob& job : jobs_of(plan, layer, of, group_bytes)) {
      result_bytes = std::max(result_bytes, job.bytes);
      for (const HeadRun& run : job.runs) any_every_query = any_every_query || run.every_query;
    }
  };
  for (std::uint32_t layer = 0; layer < plan.model.layers; ++layer) {
    if (!plan.skips(layer)) include(layer, CaptureRows::of_prompt(plan));
    if (plan.decode_steps > 0) include(layer, CaptureRows::of_steps(plan, plan.decode_steps));
  }
}

std::vector<BufferWant> list_capture(const Plan& plan, const CaptureLayout& layout, KernelDevice* device, CaptureBuffers& buffers) {
  constexpr const char* shorter = "use a shorter --context or --weights streamed";
  constexpr const char* fewer = "use fewer --decode steps, a shorter --context or --weights streamed";
  constexpr const char* coarser = "use --level overview or a shorter --context";
  constexpr auto activations = MemoryCategory::activations;
  const std::uint64_t tokens = plan.prompt_tokens(), steps = plan.decode_steps, heads = plan.model.heads, vocabulary = plan.model.vocab_size;
  std::vector<BufferWant> wanted = {{&buffers.hidden, tokens * plan.model.hidden_size * sizeof(float), "the hidden states of the prompt", activations, shorter},
                                    {&buffers.queries, tokens * layout.query_width * layout.element, "a layer's queries", activations, shorter},
                                    {&buffers.attention, tokens * layout.query_width * layout.element, "a layer's attention output", activations, shorter}};
  for (DeviceBuffer& lse : buffers.lse)
    wanted.push_back({&lse, heads * std::max(tokens, tokens % 64 + steps) * sizeof(float), "a layer's row statistics", activations, shorter});
  buffers.kv.resize(layout.keeps_layers ? plan.model.layers : std::min(2u, plan.model.layers));
  for (DeviceBuffer& kv : buffers.kv) wanted.push_back({&kv, 2 * layout.kv_side, "a layer's KV cache", MemoryCategory::kv, layout.keeps_layers ? fewer : shorter});

  const std::uint64_t logits = layout.logits_rows * vocabulary * sizeof(float);
  for (std::size_t i = 0; i < (plan.store.logits ? 2 : 1); ++i) {
    wanted.push_back({&buffers.logits[i], logits, "logits", MemoryCategory::logits, shorter});
    wanted.push_back({&buffers.host_logits[i], logits, "logits", {}, "", true});
  }
  if (steps > 0) {
    wanted.push_back({&buffers.step_queries, plan.model.layers * (tokens % 64 + steps) * layout.query_width * layout.element, "the queries of decoded tokens", MemoryCategory::capture, fewer});
    wanted.push_back({&buffers.step_lse, plan.model.layers * steps * heads * sizeof(float), "the row statistics of decoded tokens", MemoryCategory::capture, fewer});
    wanted.push_back({&buffers.step_attention, layout.query_width * sizeof(float), "the attention output of a token", activations, fewer});
    DecodeArgs args;
    args.dtype = plan.vectors, args.heads = plan.model.heads, args.kv_heads = plan.model.kv_heads, args.head_dim = plan.model.head_dim, args.keys = plan.total_tokens();
    args.q = {nullptr, plan.model.head_dim, layout.query_width}, args.k = args.v = {nullptr, plan.model.head_dim, layout.kv_width};
    wanted.push_back({&buffers.step_workspace, device ? device->workspace_bytes(args) : 0, "what attention of a token works in", MemoryCategory::workspace, fewer});
    wanted.push_back({&buffers.host_step, plan.model.layers * steps * heads * sizeof(float), "the row statistics of decoded tokens", {}, "", true});
  }
  if (!plan.reduce.enabled) return wanted;
  const std::uint64_t layer = LayerParts(plan).end, picked = std::max<std::uint64_t>(plan.store.query_rows.size(), steps) * sizeof(std::uint32_t);
  for (DeviceBuffer& moments : buffers.moments) wanted.push_back({&moments, MomentParts(plan.model).end, "query moments", MemoryCategory::capture, coarser});
  if (plan.store.vectors) wanted.push_back({&buffers.picked_rows, picked, "numbers of stored rows", MemoryCategory::capture, coarser});
  if (layout.any_every_query) wanted.push_back({&buffers.every_row, tokens * sizeof(std::uint32_t), "numbers of stored rows", MemoryCategory::capture, coarser});
  for (DeviceBuffer& results : buffers.results) wanted.push_back({&results, layout.result_bytes, "a layer's reductions", MemoryCategory::capture, coarser});
  for (DeviceBuffer& results : buffers.host_results) wanted.push_back({&results, layout.result_bytes, "a layer's reductions", {}, "", true});
  for (DeviceBuffer& layers : buffers.host_layers) wanted.push_back({&layers, layer, "a layer's keys and values", {}, "", true});
  return wanted;
}

}  // namespace attnscope
