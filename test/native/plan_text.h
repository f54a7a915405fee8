// A plan as the text of a plan file, written by the rules of docs/format.md.
#pragma once
#include <filesystem>
#include <sstream>
#include <string>

#include "core/policy/number_text.h"
#include "host/plan.h"

namespace plan_files {

using namespace attnscope;

inline const char* dtype_name(DType dtype) { return dtype == DType::f32 ? "f32" : dtype == DType::f16 ? "f16" : "bf16"; }

/// Paths of weights stay as the plan has them.
inline std::string plan_text(const Plan& plan) {
  std::ostringstream out;
  const ModelPlan& m = plan.model;
  const auto list = [&](const char* key, const auto& values) {
    if (values.empty()) return;
    out << key;
    for (auto value : values) out << ' ' << static_cast<unsigned>(value);
    out << '\n';
  };
  const auto runs = [&](const char* key, const auto& values) {
    out << key;
    for (std::size_t i = 0, n = 1; i < values.size(); i += n, n = 1) {
      while (i + n < values.size() && values[i + n] == values[i]) ++n;
      out << ' ' << n << '*' << static_cast<unsigned>(values[i]);
    }
    out << '\n';
  };
  out << "attnscope-plan 1\nmodel.family " << m.family << "\nmodel.layers " << m.layers << "\nmodel.heads " << m.heads << "\nmodel.kvHeads " << m.kv_heads << "\nmodel.headDim "
      << m.head_dim << "\nmodel.hiddenSize " << m.hidden_size << "\nmodel.feedForwardSize " << m.feed_forward_size << "\nmodel.vocabSize " << m.vocab_size << "\nmodel.normEpsilon "
      << number_text(m.norm_epsilon) << "\nmodel.attentionScale " << number_text(m.attention_scale) << "\nmodel.tiedEmbeddings " << m.tied_embeddings << "\nmodel.rope "
      << (m.rope.type == RopeType::llama3 ? "llama3" : "default");
  for (double number : {m.rope.theta, m.rope.factor, m.rope.low_freq_factor, m.rope.high_freq_factor, m.rope.original_max_positions}) out << ' ' << number_text(number);
  out << '\n';
  for (const std::string& file : plan.files) out << "file " << file << '\n';
  for (const TensorPlan& tensor : plan.tensors) {
    out << "tensor " << tensor.file << ' ' << tensor.offset << ' ' << tensor.bytes << ' ' << dtype_name(tensor.dtype) << ' ';
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) out << (i ? "x" : "") << tensor.shape[i];
    out << ' ' << tensor.name << '\n';
  }
  list("tokens", plan.tokens);
  out << "decode.steps " << plan.decode_steps << '\n';
  list("decode.forced", plan.forced);
  const ReducePlan& r = plan.reduce;
  out << "vectors " << dtype_name(plan.vectors) << "\nreduce.enabled " << r.enabled << '\n';
  runs("reduce.cells", r.cells);
  out << "reduce.tileEdge " << r.tile_edge << "\nreduce.thumbEdge " << r.thumb_edge << "\nreduce.sinkTokens " << r.sink_tokens << "\nreduce.localTokens " << r.local_tokens
      << "\nreduce.statsFirstRow " << r.stats_first_row << "\nreduce.pageTokens " << r.page_tokens << "\nreduce.queryPoolTokens " << r.query_pool_tokens << "\nreduce.lagSink "
      << r.lag_sink << "\nreduce.lagSize " << r.lag_size << "\nstore.vectors " << plan.store.vectors << "\nstore.logits " << plan.store.logits << '\n';
  runs("store.fullQueryHeads", plan.store.full_query_heads);
  list("store.queryRows", plan.store.query_rows);
  list("skipLayers", plan.skip_layers);
  constexpr const char* weights[] = {"auto", "resident", "streamed"};
  out << "threads " << plan.threads << "\ndevice " << plan.device.name << ' ' << weights[static_cast<int>(plan.device.weights)] << ' ' << plan.device.memory_bytes << "\nend\n";
  return out.str();
}

}  // namespace plan_files
