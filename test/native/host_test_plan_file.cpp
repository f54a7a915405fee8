// Plan files: every field arrives, and what is damaged is refused with its line.
#include <fstream>
#include <set>

#include "check.h"
#include "host/plan_file.h"
#include "host/sha256.h"
#include "plan_text.h"
#include "random_model.h"

using namespace attnscope;

namespace {

/// No two fields alike, so that none can stand in for another.
Plan distinct_plan() {
  Plan plan;
  ModelPlan& m = plan.model;
  m.family = "llama", m.layers = 2, m.heads = 6, m.kv_heads = 3, m.head_dim = 10, m.hidden_size = 28, m.feed_forward_size = 37, m.vocab_size = 61;
  m.norm_epsilon = 1e-5f, m.attention_scale = 0.31622776f, m.tied_embeddings = true;
  m.rope = {RopeType::llama3, 500000, 8, 1.5, 4, 8192};
  plan.files = {"/weights/model 1.safetensors", "/weights/model 2.safetensors"};
  plan.tensors = {{"model.norm.weight", 0, 0, 56, DType::bf16, {28}}, {"lm head, with a space", 1, std::uint64_t{5} << 40, 61 * 28 * 4, DType::f32, {61, 28}}};
  plan.tokens = {3, 1, 60, 0};
  plan.decode_steps = 2;
  plan.forced = {7, 8};
  plan.vectors = DType::f16;
  plan.reduce = {true, {4, 4, 4, 8, 8, 4, 4, 4, 4, 4, 4, 16}, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  plan.store = {true, {0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}, {1, 3}, true};
  plan.skip_layers = {1};
  plan.threads = 5;
  plan.device = {"cuda:3", DevicePlan::Weights::streamed, 80000000000};
  return plan;
}

std::string refusal(const std::string& text) {
  const auto plan = parse_plan(text, "/exports/plan.txt");
  if (plan.ok()) return "accepted";
  CHECK(plan.error().code == "E_PLAN_FILE");
  return plan.error().message;
}

std::string without_line(std::string text, const std::string& begin) {
  const std::size_t at = text.find("\n" + begin) + 1;
  return text.erase(at, text.find('\n', at) + 1 - at);
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST("every field of a plan is read") {
  const Plan plan = distinct_plan();
  const auto read = parse_plan(plan_files::plan_text(plan), "/exports/plan.txt");
  CHECK(read.ok());
  if (!read) return;
  // The writer is the test's own: a field that the reader drops or mixes up shows in the text.
  const Plan& got = read.value();
  CHECK(plan_files::plan_text(got) == plan_files::plan_text(plan));
  CHECK(got.files == plan.files && got.tensors.size() == 2 && got.tensors[1].name == "lm head, with a space");
  CHECK(got.tensors[1].offset == std::uint64_t{5} << 40 && got.tensors[1].shape == (std::vector<std::uint64_t>{61, 28}));
  CHECK(got.reduce.cells == plan.reduce.cells && got.store.full_query_heads == plan.store.full_query_heads);
  CHECK(got.model.rope.original_max_positions == 8192 && got.model.rope.low_freq_factor == 1.5 && got.model.attention_scale == 0.31622776f);
  CHECK(got.device.memory_bytes == 80000000000 && got.device.weights == DevicePlan::Weights::streamed && got.device.name == "cuda:3");
  CHECK(validate(got).ok());
}

TEST("lines come in any order, lists over several lines, defaults where a key may be absent") {
  std::string text = plan_files::plan_text(distinct_plan());
  for (const char* key : {"device", "skipLayers", "decode.forced", "store.queryRows"}) text = without_line(text, key);
  text = without_line(text, "tokens");
  text.insert(text.find("model.family"), "tokens 3 1\nfile z\ntokens 60 0\n");
  const auto read = parse_plan(text, "folder with spaces/plan.txt");
  CHECK(read.ok());
  if (!read) return;
  CHECK(read.value().tokens == (std::vector<std::uint32_t>{3, 1, 60, 0}));
  CHECK(read.value().device.name == "cpu" && read.value().device.memory_bytes == 0 && read.value().forced.empty() && read.value().skip_layers.empty());
  // Relative to the plan's folder; absolute paths stay.
  CHECK(read.value().files[0] == "folder with spaces/z" && read.value().files[1] == "/weights/model 1.safetensors");
}

TEST("reductions that are off need no settings") {
  Plan plan = distinct_plan();
  plan.reduce = {};
  plan.reduce.enabled = false;
  plan.store = {};
  std::string text = plan_files::plan_text(plan);
  while (contains(text, "reduce.cells") || contains(text, "Edge ")) text = without_line(text, contains(text, "reduce.cells") ? "reduce.cells" : contains(text, "tileEdge") ? "reduce.tileEdge" : "reduce.thumbEdge");
  const auto read = parse_plan(text, "plan.txt");
  CHECK(read.ok() && validate(read.value()).ok());
}

TEST("what is damaged is refused with the line and the key") {
  const std::string good = plan_files::plan_text(distinct_plan());
  CHECK(refusal(good) == "accepted");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::pair<std::string, const char*> bad[] = {
      {"", "cut short"},
      {"{}\n", "line 1: this is no plan file"},
      {with("attnscope-plan 1", "attnscope-plan 2"), "version 2"},
      {with("\nend\n", "\n"), "cut short"},
      {with("\nend\n", "\nend"), "inside a line"},
      {with("\nend\n", "\nend\nthreads 1\n"), "follows the line end"},
      {with("threads 5", "threads 5\nthreads 5"), "threads was given before"},
      {with("threads 5", "threads five"), "threads: \"five\" is not a whole number"},
      {with("threads 5", "threads -5"), "threads"},
      {with("threads 5", "threads 99999999999"), "threads"},
      {with("threads 5", "threads 5 "), "threads"},
      {with("threads 5", "colour blue"), "\"colour\" is no key"},
      {with("threads 5\n", ""), "key threads is missing"},
      {with("reduce.lagSize", "reduce.lagsize"), "no key"},
      {with("normEpsilon 0.0000", "normEpsilon x"), "not a number"},
      {with("vectors f16", "vectors f8"), "not f32, f16 or bf16"},
      {with("tiedEmbeddings 1", "tiedEmbeddings true"), "not 0 or 1"},
      {with("model.rope llama3", "model.rope yarn"), "yarn"},
      {with(" 8192\n", "\n"), "model.rope"},
      {with("tensor 0 0 56 bf16 28 ", "tensor 0 0 56 bf16 28x "), "tensor"},
      {with("tensor 0 0 56 bf16 28 model.norm.weight", "tensor 0 0 56 bf16 28"), "name were wanted"},
      {with("tensor 0 0 56 bf16 28", "tensor 0 0 56 bf16 0"), "positive"},
      {with("file /weights/model 1.safetensors", "file "), "names no file"},
      {with("reduce.cells 3*4", "reduce.cells 3x4"), "count*value"},
      {with("reduce.cells 3*4", "reduce.cells 99999999999*4"), "more than"},
      {with("fullQueryHeads 1*0", "fullQueryHeads 1*256"), "count*value"},
      {with("device cuda:3 streamed", "device cuda:3 never"), "never"}};
  for (const auto& [text, why] : bad) {
    const std::string said = refusal(text);
    if (!contains(said, why)) std::printf("  wanted \"%s\", got \"%s\"\n", why, said.c_str());
    CHECK(contains(said, why));
  }
}

TEST("a plan cut anywhere is refused, wherever it is cut") {
  const std::string good = plan_files::plan_text(distinct_plan());
  for (std::size_t n = 0; n < good.size(); ++n) CHECK(refusal(good.substr(0, n)) != "accepted");
}

TEST("a file: read from the disk with its hash; none, or a folder, is refused") {
  const auto folder = std::filesystem::temp_directory_path() / ("attnscope-plan-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "plan.txt").string(), text = plan_files::plan_text(distinct_plan());
  std::ofstream(path, std::ios::binary) << text;
  const auto read = read_plan_file(path);
  CHECK(read.ok() && read.value().sha256 == sha256(text));
  for (const std::string& nothing : {(folder / "none.txt").string(), folder.string()}) {
    const auto refused = read_plan_file(nothing);
    CHECK(!refused.ok() && refused.error().code == "E_PLAN_FILE");
  }
  std::filesystem::remove_all(folder);
}

TEST("SHA-256 gives the digests of FIPS 180-4's examples") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // Around the end of a block, where the length no longer fits beside the text.
  CHECK(sha256(std::string(55, 'a')) == "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  CHECK(sha256(std::string(64, 'a')) == "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}
