#include "host/device/capture_pipeline.h"

#include <algorithm>

#include "host/failure.h"

namespace attnscope {

CapturePipeline::~CapturePipeline() {
  for (Place* places : {layer_places_, job_places_})
    for (Event event : {places[0].computed, places[0].downloaded, places[1].computed, places[1].downloaded})
      if (event != nullptr) {
        (void)run_.device.await(event);  // buffers go after this
        run_.device.release_event(event);
      }
}

Status CapturePipeline::open() {
  for (Place* places : {layer_places_, job_places_})
    for (Event* event : {&places[0].computed, &places[0].downloaded, &places[1].computed, &places[1].downloaded})
      if ((*event = run_.device.create_event()) == nullptr) return failure("E_DEVICE_MEMORY", "the device has no memory left for an event; close other programs that use it");
  return success();
}

Status CapturePipeline::begin_layer() {
  ++layers_;
  return check(run_.device.wait(Queue::compute, layer_places_[place()].downloaded));
}

Status CapturePipeline::queue_layer(std::uint32_t layer, const LayerTensors& tensors, const float* lse, const float* host_lse, std::uint64_t most_bytes) {
  // The tables of what lies here are made now, not earlier: the device has this layer's pass 1 to work on meanwhile.
  const auto lies_here = [&](const Waiting& waiting) { return waiting.layer_place == place(); };
  while (std::any_of(waiting_.begin(), waiting_.end(), lies_here)) ATTNSCOPE_TRY(consume());
  ATTNSCOPE_TRY(download_layer(tensors, lse));
  const std::byte* parts = run_.buffers.host_layers[place()].at(0);
  const float* row_statistics = host_lse ? host_lse : reinterpret_cast<const float*>(parts + LayerParts(run_.plan()).lse);
  const auto results = std::make_shared<LayerResults>(run_.context, layer, tensors.rows, parts, row_statistics, tensors.rows.kernel_rows());
  const std::uint32_t heads = run_.plan().model.heads;
  run_.progress.begin(Phase::reduce, layer, run_.plan().model.layers, causal_pairs(tensors.rows.kernel_first(), tensors.rows.kernel_rows()) * heads);
  const std::vector<CaptureJob> jobs = jobs_of(run_.plan(), layer, tensors.rows, most_bytes);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    while (waiting_.size() > 1) ATTNSCOPE_TRY(consume());  // the place of the job before the last is needed again
    ATTNSCOPE_TRY(queue_job(jobs[i], tensors, lse));
    waiting_.push_back({results, jobs[i], place(), jobs_++ % 2, i == 0, i + 1 == jobs.size(), run_.progress.last()});
  }
  return success();
}

Status CapturePipeline::download_layer(const LayerTensors& tensors, const float* lse) {
  const LayerParts at(run_.plan());
  const ModelPlan& model = run_.plan().model;
  std::byte* parts = run_.buffers.host_layers[place()].at(0);
  Place& events = layer_places_[place()];
  const std::uint64_t side = tensors.rows.end() * run_.layout.kv_width * run_.layout.element;
  const auto download = [&](std::uint64_t to, const void* from, std::uint64_t bytes) { return check(run_.device.download_in(Queue::download, parts + to, from, bytes)); };
  ATTNSCOPE_TRY(check(run_.device.record(events.computed, Queue::compute)));
  ATTNSCOPE_TRY(check(run_.device.wait(Queue::download, events.computed)));
  ATTNSCOPE_TRY(download(at.keys, tensors.kv->at(0), side));
  ATTNSCOPE_TRY(download(at.values, tensors.kv->at(run_.layout.kv_side), side));
  if (tensors.rows.prompt) {
    ATTNSCOPE_TRY(download(at.lse, lse, std::uint64_t{tensors.rows.count} * model.heads * sizeof(float)));
    ATTNSCOPE_TRY(download(at.moments, run_.buffers.moments[place()].data(), run_.buffers.moments[place()].bytes()));
  }
  ATTNSCOPE_TRY(download(at.counters, run_.model.counter_data(), run_.model.counters() * sizeof(std::uint32_t)));
  return check(run_.device.record(events.downloaded, Queue::download));
}

Status CapturePipeline::queue_job(const CaptureJob& job, const LayerTensors& tensors, const float* lse) {
  const std::size_t at = jobs_ % 2;
  Place& events = job_places_[at];
  std::byte* results = run_.buffers.results[at].at(0);
  ATTNSCOPE_TRY(check(run_.device.wait(Queue::compute, events.downloaded)));
  for (const HeadRun& run : job.runs) {
    ATTNSCOPE_TRY(reduce(run, tensors, lse, results));
    ATTNSCOPE_TRY(store_queries(run, tensors, results));
  }
  ATTNSCOPE_TRY(run_.progress.mark(0));
  ATTNSCOPE_TRY(check(run_.device.record(events.computed, Queue::compute)));
  ATTNSCOPE_TRY(check(run_.device.wait(Queue::download, events.computed)));
  ATTNSCOPE_TRY(check(run_.device.download_in(Queue::download, run_.buffers.host_results[at].data(), results, job.bytes)));
  return check(run_.device.record(events.downloaded, Queue::download));
}

Status CapturePipeline::reduce(const HeadRun& run, const LayerTensors& tensors, const float* lse, std::byte* results) {
  const ReducePlan& plan = run_.plan().reduce;
  const std::uint64_t n = tensors.rows.kernel_rows(), keys = tensors.rows.end(), grid = std::uint64_t{run.cells} * run.cells;
  return over_heads(run_, tensors.rows, run.first, run.first + run.count, [&](const HeadRange& heads) -> Status {
    const std::uint64_t before = heads.first - run.first;
    const auto doubles = [&](std::uint64_t offset, std::uint64_t stride) { return reinterpret_cast<double*>(results + offset) + before * stride; };
    const auto floats = [&](std::uint64_t offset, std::uint64_t stride) { return reinterpret_cast<float*>(results + offset) + before * stride; };
    const auto words = [&](std::uint64_t offset, std::uint64_t stride) { return reinterpret_cast<std::uint32_t*>(results + offset) + before * stride; };
    ReduceArgs args;
    args.attention = attention_of(run_, tensors, heads);
    args.attention.lse = const_cast<float*>(lse) + heads.first * n;
    args.cell = run.cell, args.cells = run.cells, args.sink_tokens = plan.sink_tokens, args.local_tokens = plan.local_tokens;
    args.cell_sum = doubles(run.cell_sum, grid), args.cell_max = floats(run.cell_max, grid);
    args.column_sum = doubles(run.column_sum, keys), args.diagonal_sum = doubles(run.diagonal_sum, keys);
    args.entropy = floats(run.entropy, n), args.sink_mass = floats(run.sink_mass, n), args.local_mass = floats(run.local_mass, n);
    args.previous_mass = floats(run.previous_mass, n), args.top1_mass = floats(run.top1_mass, n), args.top1_key = words(run.top1_key, n);
    ATTNSCOPE_TRY(check(run_.device.reduce(args)));
    CoverageArgs coverage;
    coverage.attention = args.attention;
    coverage.cell = args.cell, coverage.cells = args.cells, coverage.cell_max = args.cell_max;
    coverage.coverage_90 = words(run.coverage_90, n), coverage.coverage_95 = words(run.coverage_95, n), coverage.coverage_99 = words(run.coverage_99, n);
    ATTNSCOPE_TRY(check(run_.device.coverage(coverage)));
    return run_.progress.mark(causal_pairs(tensors.rows.kernel_first(), n) * heads.count);
  });
}

Status CapturePipeline::store_queries(const HeadRun& run, const LayerTensors& tensors, std::byte* results) {
  const AttentionArgs all = attention_of(run_, tensors, run);
  if (run.pooled) {
    PoolArgs args;
    args.dtype = all.dtype, args.heads = run.count, args.head_dim = all.head_dim, args.tokens = all.queries, args.x = all.q;
    args.mean = reinterpret_cast<float*>(results + run.pooled_queries);
    ATTNSCOPE_TRY(check(run_.device.pool(args)));
  }
  if (run.stored_queries == 0) return success();
  GatherArgs args;
  args.count = run.stored_queries;
  args.row_bytes = run.count * std::uint64_t{all.head_dim} * run_.layout.element, args.from_stride_bytes = run_.layout.query_width * run_.layout.element;
  args.from = all.q.data;
  args.rows = (run.every_query ? run_.buffers.every_row : run_.buffers.picked_rows).as<std::uint32_t>();
  args.out = results + run.queries;
  return check(run_.device.gather(args));
}

Status CapturePipeline::consume() {
  const Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  ATTNSCOPE_TRY(run_.progress.reach(next.mark));
  if (next.first) {
    ATTNSCOPE_TRY(check(run_.device.await(layer_places_[next.layer_place].downloaded)));
    const auto* counters = reinterpret_cast<const std::uint32_t*>(run_.buffers.host_layers[next.layer_place].at(LayerParts(run_.plan()).counters));
    ATTNSCOPE_TRY(run_.model.judge({counters, run_.model.counters()}));
  }
  {
    PhaseClock::Section section(run_.context.clock, Work::reduce);
    ATTNSCOPE_TRY(check(run_.device.await(job_places_[next.job_place].downloaded)));
  }
  ATTNSCOPE_TRY(next.layer->add(next.job, run_.buffers.host_results[next.job_place].at(0)));
  return next.last ? next.layer->finish(expansions_) : success();
}

Status CapturePipeline::drain() {
  while (!waiting_.empty()) ATTNSCOPE_TRY(consume());
  return success();
}

}  // namespace attnscope
