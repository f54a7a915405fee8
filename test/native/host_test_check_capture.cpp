// `attnscope-check capture`: what two captures, or a capture and its own vectors, must agree in, is noticed where they do not.
#include "check.h"
#include "random_model.h"
#include "tools/check/capture_recompute.h"

using namespace attnscope;
using namespace attnscope::check_captures;

namespace {

/// Every query stored in head 1 of layer 0 alone, decoded rows of all; several cells and tiles.
Plan plan_of(const random_model::Checkpoint& checkpoint, DType vectors) {
  Plan plan = checkpoint.plan(150, 2, 2);
  plan.vectors = vectors;
  plan.decode_steps = 5;
  plan.store.logits = true;
  plan.store.query_rows = {3, 77, 149};
  return plan;
}

Recording capture(const Plan& plan) {
  Recording recording;
  Cancellation cancellation;
  CHECK(run_capture(plan, recording, cancellation).ok());
  return recording;
}

bool passed(const std::vector<ColumnDifference>& columns) {
  return std::all_of(columns.begin(), columns.end(), [](const ColumnDifference& one) { return one.passed(); });
}

/// Columns that failed, as "segment/table/column".
std::vector<std::string> failures(const std::vector<ColumnDifference>& columns) {
  std::vector<std::string> names;
  for (const ColumnDifference& one : columns)
    if (!one.passed()) names.push_back(std::string(name_of(one.segment)) + "/" + one.table + "/" + one.column);
  return names;
}

/// The capture with one value of one column changed.
template <class T>
Recording with(Recording capture, const TableKey& key, const char* column, std::size_t at, T value) {
  auto& values = std::get<std::vector<T>>(capture.tables().at(key).at(column).values);
  CHECK(at < values.size());
  values[at] = value;
  return capture;
}

}  // namespace

TEST("a capture holds what the core recomputes from its vectors, in every precision") {
  const random_model::Checkpoint checkpoint(random_model::tiny());
  for (DType vectors : {DType::f32, DType::f16, DType::bf16}) {
    const Plan plan = plan_of(checkpoint, vectors);
    const Recomputed again = recompute(capture(plan), plan, 3);
    CHECK_EQUAL(again.heads, 1 + 2 * 9);  // the head that keeps every prompt query, and all heads of both layers while decoding
    CHECK_EQUAL(again.columns.size(), 2 * 13);
    CHECK(passed(again.columns));
    for (const ColumnDifference& one : again.columns) CHECK(one.values > 0);
  }
}

TEST("where all prompt positions are listed, every head is recomputed; without vectors none is") {
  const random_model::Checkpoint checkpoint(random_model::tiny());
  Plan plan = plan_of(checkpoint, DType::bf16);
  plan.store.query_rows.clear();
  for (std::uint32_t row = 0; row < 150; ++row) plan.store.query_rows.push_back(row);
  const Recomputed all = recompute(capture(plan), plan, 1);
  CHECK(all.heads == 4 * 9 && passed(all.columns));
  plan.store.vectors = false;
  CHECK_EQUAL(recompute(capture(plan), plan, 1).heads, 0);
}

TEST("a value that does not belong to the vectors is noticed, and where") {
  const random_model::Checkpoint checkpoint(random_model::tiny());
  const Plan plan = plan_of(checkpoint, DType::f16);
  const Recording good = capture(plan);
  const auto wrong = [&](const Recording& capture) { return failures(recompute(capture, plan, 2).columns); };
  const TableKey rows{"rows", Segment::prefill, 0}, pyramid{"pyramid", Segment::prefill, 0}, decoded{"rows", Segment::decode, 1};
  const float lse = good.column<float>(rows, "lse")[150 + 60];
  CHECK(wrong(with(good, rows, "lse", 150 + 60, lse + 3e-4f)) == std::vector<std::string>{"prefill/rows/lse"});
  // Head 0 keeps three queries: nothing can be recomputed of it.
  CHECK(wrong(with(good, rows, "lse", 60, lse + 1)).empty());
  CHECK(wrong(with(good, decoded, "entropy", 44, 9.0f)) == std::vector<std::string>{"decode/rows/entropy"});
  CHECK(wrong(with(good, rows, "top1_key", 150 + 100, 101u)) == std::vector<std::string>{"prefill/rows/top1_key"});
  // The last tile of head 1: tiles of head 0 come before it.
  const auto& heads = good.column<std::uint16_t>(pyramid, "head");
  std::size_t tile = 0;
  while (heads[tile] < 2) ++tile;
  CHECK(wrong(with(good, pyramid, "max", (tile - 1) * 256, 0.9f)) == std::vector<std::string>{"prefill/pyramid/max"});
  // A key that is not the one attention saw changes nearly everything.
  const auto by_key = wrong(with(good, {"k", Segment::prefill, 0}, "k", 0, std::uint16_t{0x4900}));
  CHECK(by_key.size() > 6);
  // A head that was cut short.
  Recording cut = good;
  std::get<std::vector<float>>(cut.tables().at(decoded).at("lse").values).pop_back();
  CHECK(wrong(cut) == std::vector<std::string>{"decode/rows/lse"});
}

TEST("captures of one run are equal; what differs is named with its measure") {
  const random_model::Checkpoint checkpoint(random_model::tiny());
  const Plan plan = plan_of(checkpoint, DType::bf16);
  const Recording good = capture(plan);
  const auto compare = [&](const Recording& got) { return differences(got, good, Reference::kernels, plan.vectors); };
  for (const ColumnDifference& one : compare(capture(plan))) CHECK(one.passed() && one.difference == 0);

  const TableKey key{"k", Segment::prefill, 1}, heads{"heads", Segment::decode, 1}, rows{"rows", Segment::prefill, 1};
  // The largest key of its layer, halved: exponents of bf16 lie in bits 7 to 14.
  const auto& raw = good.column<std::uint16_t>(key, "k");
  std::size_t largest = 0;
  for (std::size_t i = 0; i < raw.size(); ++i)
    if ((raw[i] & 0x7fff) > (raw[largest] & 0x7fff)) largest = i;
  for (const ColumnDifference& one : compare(with(good, key, "k", largest, static_cast<std::uint16_t>(raw[largest] - 0x80))))
    if (!one.passed()) {
      CHECK(one.table == "k" && one.layer == 1 && one.measure == Measure::largest && one.segment == Segment::prefill);
      CHECK_NEAR(one.difference, 0.5, 1e-9, 0);
    }
  CHECK(failures(compare(with(good, key, "k", largest, static_cast<std::uint16_t>(raw[largest] - 0x80)))) == std::vector<std::string>{"prefill/k/k"});
  CHECK(failures(compare(with(good, rows, "token", 7, 8u))) == std::vector<std::string>{"prefill/rows/token"});
  CHECK(failures(compare(with(good, heads, "sink_mass", 2, std::nanf("")))) == std::vector<std::string>{"decode/heads/sink_mass"});
  CHECK(failures(compare(with(good, {"kv", Segment::prefill, 0}, "lag_k_std", 0, 1.0f))) == std::vector<std::string>{"prefill/kv/lag_k_std"});

  Recording lacking = good;
  lacking.tables().erase(heads);
  CHECK_EQUAL(failures(compare(lacking)).size(), good.tables().at(heads).size());
  CHECK_EQUAL(failures(differences(good, lacking, Reference::fp32, plan.vectors)).size(), good.tables().at(heads).size());
}

TEST("a few rows that pick another key are within the tolerance, many are not") {
  const random_model::Checkpoint checkpoint(random_model::tiny());
  const Plan plan = plan_of(checkpoint, DType::bf16);
  const Recording good = capture(plan);
  const TableKey rows{"rows", Segment::prefill, 0};
  Recording other = good;
  auto& keys = std::get<std::vector<std::uint32_t>>(other.tables().at(rows).at("top1_key").values);
  for (std::size_t i = 0; i < 10; ++i) ++keys[i];
  CHECK(failures(differences(other, good, Reference::kernels, plan.vectors)).empty());
  for (std::size_t i = 0; i < keys.size() / 2; ++i) ++keys[i];
  CHECK(failures(differences(other, good, Reference::kernels, plan.vectors)) == std::vector<std::string>{"prefill/rows/top1_key"});
}
