#include <algorithm>

#include "host/failure.h"
#include "host/timing/cells.h"

namespace attnscope::timing {

Status time_lagkv(Bench& bench, const Group& group) {
  TimingRow row = bench.row(group, "lagkv", "score");
  row.policy = "lagkv-kvpress";
  LagArgs args;
  args.dtype = group.attention.dtype;
  args.kv_heads = group.shape.kv_heads, args.head_dim = group.shape.head_dim, args.tokens = group.tokens;
  args.sink = 4, args.lag = 128;  // defaults of lagkv-kvpress
  args.k = group.attention.k, args.v = group.attention.v;
  if (args.partitions() == 0) return bench.skip(row, text("fewer than ", args.sink + 2 * args.lag, " tokens hold no partition to score")), success();
  const auto score = bench.allocate(std::uint64_t{4} * args.kv_heads * args.partitions() * args.lag, "scores");
  ATTNSCOPE_OR_SKIP(bench, row, score);
  args.score = score.value().as<float>();
  KernelShape shape = work_of(bench, group, row);
  return bench.measure(row, shape, [&] { return bench.device().lag_score(args); });
}

Status time_simhash(Bench& bench, const Group& group) {
  TimingRow row = bench.row(group, "simhash", "hash");
  row.policy = "magicpig-authors";
  HashArgs args;
  args.dtype = group.attention.dtype;
  args.heads = group.shape.kv_heads, args.head_dim = group.shape.head_dim, args.tokens = group.tokens;
  args.bits = 10, args.tables = 150;  // MagicPIG's K and L
  args.x = group.attention.k;
  const std::uint64_t lines = std::uint64_t{args.heads} * args.tables, codes_count = lines * args.tokens;
  const auto projection = bench.normals(std::uint64_t{args.tables} * args.bits * args.head_dim, 5, "random directions"), codes = bench.allocate(2 * codes_count, "codes");
  ATTNSCOPE_OR_SKIP(bench, row, projection);
  ATTNSCOPE_OR_SKIP(bench, row, codes);
  args.projection = projection.value().as();
  args.codes = codes.value().as<std::uint16_t>();
  KernelShape shape = work_of(bench, group, row);
  shape.columns = args.tables, shape.top_k = args.bits;
  ATTNSCOPE_TRY(bench.measure(row, shape, [&] { return bench.device().hash(args); }));
  if (const Outcome outcome = bench.device().hash(args)) return bench.skip(row, outcome), success();

  row.phase = shape.phase = "sort";
  const auto ids = bench.allocate(4 * codes_count, "ids"), start = bench.allocate(4 * lines * ((std::uint64_t{1} << args.bits) + 1), "starts of buckets");
  ATTNSCOPE_OR_SKIP(bench, row, ids);
  ATTNSCOPE_OR_SKIP(bench, row, start);
  const BucketArgs buckets{args.codes, static_cast<std::uint32_t>(lines), args.tokens, args.bits, ids.value().as<std::uint32_t>(), start.value().as<std::uint32_t>()};
  return bench.measure(row, shape, [&] { return bench.device().sort_buckets(buckets); });
}

Status time_copies(Bench& bench, const TimingShape& of) {
  KernelDevice& device = bench.device();
  // Host memory is a CPU's own: a copy is a copy, from memory to memory.
  const bool apart = std::string_view(device.facts().kind) != "cpu";
  // Keys and values of as many tokens as come nearest to the plan's bytes.
  const std::uint64_t token_bytes = std::uint64_t{2} * of.kv_heads * of.head_dim * size_of(bench.plan().dtype);
  for (const std::uint64_t wanted : bench.plan().copies) {
    Group group;
    group.shape = of;
    group.tokens = static_cast<std::uint32_t>(std::clamp<std::uint64_t>((wanted + token_bytes / 2) / token_bytes, 1, 1u << 30));
    const std::uint64_t bytes = group.tokens * token_bytes;
    TimingRow row = bench.row(group, "copy", apart ? "h2d" : "d2d");
    row.queries = 0;
    if (!apart) row.note = "memory to memory";
    const auto here = bench.allocate(bytes, "copies"), there = bench.allocate(bytes, "copies");
    ATTNSCOPE_OR_SKIP(bench, row, here);
    ATTNSCOPE_OR_SKIP(bench, row, there);
    void* host = device.allocate_host(bytes);
    if (host == nullptr) return bench.skip(row, "no pinned memory for " + std::to_string(bytes) + " bytes"), success();
    const auto give_back = [&](Status status) {
      device.release_host(host);
      return status;
    };
    // Pages that were never touched cost nothing to read.
    std::fill_n(static_cast<std::uint8_t*>(host), bytes, std::uint8_t{1});
    for (void* memory : {here.value().as(), there.value().as()})
      if (const Outcome outcome = device.upload(memory, host, bytes)) return bench.skip(row, outcome), give_back(success());
    const std::pair<const char*, std::function<Outcome()>> directions[] = {
        {"h2d", [&] { return device.upload(here.value().as(), host, bytes); }},
        {"d2h", [&] { return device.download(host, here.value().as(), bytes); }},
        {"d2d", [&] { return device.copy(there.value().as(), here.value().as(), bytes); }}};
    for (const auto& [phase, copy] : directions) {
      if (!apart && row.phase != phase) continue;
      row.phase = phase;
      if (const Status status = bench.measure(row, work_of(bench, group, row), copy); !status) return give_back(status);
    }
    device.release_host(host);
  }
  return success();
}

}  // namespace attnscope::timing
