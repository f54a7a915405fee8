// The CPU's kernels: all checks with one thread and with two, the same bits from both, and what opening a CUDA device says
// where there is none.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "check.h"
#include "host/kernels/cpu_device.h"
#include "host/kernels/open_cuda.h"
#include "tools/check/check.h"

using namespace attnscope;

namespace {

/// Runs the small checks with a fresh seed; a failed row is printed with it.
void run_small(unsigned threads) {
  const std::unique_ptr<KernelDevice> device = open_cpu_device(threads);
  CHECK_EQUAL(device->facts().units, threads);
  const check_kernels::CheckReport report = check_kernels::run_checks(*device, {check_kernels::Size::small, std::random_device{}(), {}});
  CHECK(report.cases() > 1000);
  for (const std::string& operation : check_kernels::checked_operations())
    CHECK(std::any_of(report.rows.begin(), report.rows.end(), [&](const auto& row) { return row.operation == operation; }));
  for (const check_kernels::CheckRow& row : report.rows) {
    if (!row.passed)
      std::printf("  seed %llu, %s %s %s %u: %s\n", static_cast<unsigned long long>(report.seed), row.operation.c_str(), row.result.c_str(), row.dtype.c_str(),
                  row.head_dim, row.first_failure.c_str());
    CHECK_NEAR(row.error, 0, 0, row.tolerance);
  }
}

/// Every operation that splits its work, on the same inputs: all results as one row of floats.
std::vector<float> results(KernelDevice& device) {
  constexpr std::uint32_t heads = 4, kv_heads = 2, dim = 64, tokens = 1500, lag = 64;
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 1);
  const auto draw = [&](std::size_t n) {
    std::vector<float> values(n);
    for (float& x : values) x = normal(random);
    return values;
  };
  std::vector<float> q = draw(heads * tokens * dim), k = draw(kv_heads * tokens * dim), v = draw(kv_heads * tokens * dim), all;
  const HeadTensor queries{q.data(), tokens * dim, dim}, keys{k.data(), tokens * dim, dim}, values{v.data(), tokens * dim, dim};
  const auto keep = [&](const auto& part) { all.insert(all.end(), part.begin(), part.end()); };

  std::vector<float> out(heads * tokens * dim), lse(heads * tokens);
  AttentionArgs attention;
  attention.heads = heads;
  attention.kv_heads = kv_heads;
  attention.head_dim = dim;
  attention.queries = attention.keys = tokens;
  attention.scale = 0.125f;
  attention.q = queries, attention.k = keys, attention.v = values;
  attention.out = {out.data(), tokens * dim, dim};
  attention.lse = lse.data();
  CHECK(device.dense(attention) == nullptr);
  keep(out), keep(lse);

  DecodeArgs decode;
  decode.heads = heads;
  decode.kv_heads = kv_heads;
  decode.head_dim = dim;
  decode.keys = tokens;
  decode.scale = 0.125f;
  decode.q = {q.data(), tokens * dim, 0};
  decode.k = keys, decode.v = values;
  decode.out = out.data(), decode.lse = lse.data();
  CHECK(device.decode(decode) == nullptr);
  keep(out), keep(lse);

  // One head uses all threads, many heads one each: both orders of the strip.
  for (const std::uint32_t some : {1u, heads}) {
    StripArgs strip;
    strip.heads = some;
    strip.head_dim = dim;
    strip.tokens = tokens;
    strip.scale = 0.125f;
    strip.q = queries, strip.k = keys;
    std::vector<float> column(heads * tokens), distance(heads * tokens);
    std::vector<std::byte> workspace(device.workspace_bytes(strip));
    strip.column_score = column.data(), strip.distance_score = distance.data(), strip.workspace = workspace.data();
    CHECK(device.strip(strip) == nullptr);
    keep(column), keep(distance);
  }

  const LagArgs lags{DType::f32, kv_heads, dim, tokens, 4, lag, 1, keys, values, nullptr};
  std::vector<float> score(kv_heads * lags.partitions() * lag);
  LagArgs scored = lags;
  scored.score = score.data();
  CHECK(device.lag_score(scored) == nullptr);
  keep(score);

  ReduceArgs reduce;
  constexpr std::uint32_t cell = 64, cells = (tokens + cell - 1) / cell;
  reduce.attention = attention;
  reduce.cell = cell, reduce.cells = cells;
  CHECK(device.dense(attention) == nullptr);
  std::vector<double> cell_sum(heads * cells * cells), column_sum(heads * tokens), diagonal_sum(heads * tokens);
  std::vector<float> cell_max(heads * cells * cells), rows[5];
  std::vector<std::uint32_t> top1_key(heads * tokens);
  for (auto& row : rows) row.resize(heads * tokens);
  reduce.cell_sum = cell_sum.data(), reduce.cell_max = cell_max.data(), reduce.column_sum = column_sum.data(), reduce.diagonal_sum = diagonal_sum.data();
  reduce.entropy = rows[0].data(), reduce.sink_mass = rows[1].data(), reduce.local_mass = rows[2].data(), reduce.previous_mass = rows[3].data();
  reduce.top1_mass = rows[4].data(), reduce.top1_key = top1_key.data();
  CHECK(device.reduce(reduce) == nullptr);
  keep(cell_sum), keep(column_sum), keep(diagonal_sum), keep(cell_max), keep(top1_key);
  for (auto& row : rows) keep(row);
  return all;
}

/// A folder of this test's own, gone when it ends.
struct TemporaryFolder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("attnscope-kernels-" + std::to_string(std::random_device{}()));
  TemporaryFolder() { std::filesystem::create_directories(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

Error error_of_opening(const std::string& library) {
  setenv("ATTNSCOPE_CUDA_LIBRARY", library.c_str(), 1);
  auto opened = open_cuda_device(0);
  unsetenv("ATTNSCOPE_CUDA_LIBRARY");
  CHECK(!opened);
  return opened ? Error{} : opened.error();
}

}  // namespace

TEST("all operations on one thread") { run_small(1); }
TEST("all operations on two threads") { run_small(2); }

TEST("one, two and three threads give the same bits") {
  const std::vector<float> one = results(*open_cpu_device(1));
  for (const unsigned threads : {2u, 3u}) {
    const std::vector<float> more = results(*open_cpu_device(threads));
    CHECK(one.size() == more.size() && std::memcmp(one.data(), more.data(), one.size() * sizeof(float)) == 0);
  }
}

TEST("facts of the CPU") {
  const auto device = open_cpu_device(0);
  const DeviceFacts& facts = device->facts();
  CHECK(std::strcmp(facts.kind, "cpu") == 0);
  CHECK(std::strlen(facts.name) > 0 && std::strlen(facts.driver) > 0);
  CHECK(facts.units >= 1 && facts.clock_mhz >= 0 && facts.memory_bytes > 0);
}

TEST("a report whose rows failed says so, in text and in Markdown") {
  check_kernels::CheckReport report;
  report.rows.push_back({"dense", "out", "f16", 128, 3, 2e-3, 1e-3, false, "4/2 heads"});
  CHECK(!report.passed());
  CHECK(to_text(report).find("FAILED: 4/2 heads") != std::string::npos);
  CHECK(to_markdown(report).find("| dense | out | f16 | 128 | 3 | 2.0e-03 | 1.0e-03 | FAILED: 4/2 heads |") != std::string::npos);
  report.rows[0].passed = true;
  CHECK(report.passed() && report.cases() == 3);
}

TEST("no CUDA library, a file that is none, and a library of something else") {
  const TemporaryFolder folder;
  const Error missing = error_of_opening((folder.path / "nowhere.so").string());
  CHECK(missing.code == "E_CUDA_LIBRARY");
  CHECK(missing.message.find("nowhere.so") != std::string::npos && missing.message.find("npm run build:cuda") != std::string::npos);
  std::ofstream(folder.path / "text.so") << "no library\n";
  CHECK(error_of_opening((folder.path / "text.so").string()).code == "E_CUDA_LIBRARY");
  // The C library is there on every system that has one, and has no such function.
  const Error other = error_of_opening("libm.so.6");
  CHECK(other.code == "E_CUDA_VERSION");
  CHECK(other.message.find(kOpenCudaDevice) != std::string::npos);
}
