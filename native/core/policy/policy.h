// The three engines of a policy. The same object replays a capture and plugs into the live runner: it never knows which.
// A policy is one file: its descriptor, its engine, and one line in registry.cpp. docs/adding-a-policy.md shows how.
#pragma once
#include <memory>

#include "core/policy/descriptor.h"
#include "core/policy/input.h"

namespace attnscope {

/// Bytes moved or held, by where they lie. K and V count as stored by the run (bytes_per_element).
struct TierBytes {
  double device = 0, host = 0, link = 0;
};

// ---- prefill: which pairs of the prompt's map are computed ---------------------------------------------------------

/// What a plan computed from one prompt takes to another: absolute columns (ascending), distances query - key (far to near),
/// 64-key blocks of row block m at [block_offset[m], block_offset[m + 1]), ascending. Empty where the policy has none.
struct PlanIndices {
  std::vector<std::uint32_t> columns, distances, blocks, block_offset;
};

/// What one head computes, as a kernel would: row blocks of 64 queries, each with tiles of 64 consecutive keys (from any
/// start, never overlapping, ascending) and single columns (ascending, outside the tiles). Causality holds for both. A tile
/// may reach past the row block's last query, even past the last token, as the published conversion overshoots.
struct PrefillPlan {
  static constexpr std::uint32_t block = 64;
  std::uint32_t tokens = 0;
  std::vector<std::uint64_t> tile_offset, column_offset;  // [row blocks + 1]
  std::vector<std::uint32_t> tile;                        // first key of each tile
  std::vector<std::uint32_t> column;
  /// Pairs that are attended to inside tiles: all causal ones, or (windowed) only key < sink or query - key < local.
  bool windowed = false;
  std::uint32_t sink = 0, local = 0;
  /// Keys kept whatever the scores say, as the published code forces them: columns [0, forced_columns) and distances
  /// [0, forced_distances), and (forced_diagonal_tiles) the aligned tile on the diagonal and that before it.
  std::uint32_t forced_columns = 0, forced_distances = 0;
  bool forced_diagonal_tiles = false;
  double token_cells = 0;          // pairs the policy selected, before tiles widen them
  double index_bytes = 0;          // memory of the index arrays the kernel reads
  double mean_run = 0;             // slashes: mean length of runs of neighbouring distances; 0 where there are none
  /// The mass the policy itself expects to keep, from what it saw (its 64-row strip); NaN if it makes no such estimate.
  double estimated_recall = 0;
  PlanIndices indices;

  std::uint32_t row_blocks() const { return (tokens + block - 1) / block; }
};

class PrefillPolicy {
 public:
  virtual ~PrefillPolicy() = default;
  /// For prompt rows of one query head. `plan` is empty on entry.
  virtual Status plan(const LayerInput& input, std::uint32_t head, PrefillPlan& plan) const = 0;
};

// ---- retention: which tokens stay in the cache ---------------------------------------------------------------------

/// The tokens of one kv head that are in the cache, ascending. Rows are addressed by position while a capture is
/// replayed (nothing is ever lost there), by slot in the live cache.
struct ResidentTokens {
  Rows keys, values;
  std::span<const std::uint32_t> positions;
  bool rows_by_position = true;
  std::size_t size() const { return positions.size(); }
  const float* key(std::size_t slot) const { return keys.row(rows_by_position ? positions[slot] : slot); }
  const float* value(std::size_t slot) const { return values.row(rows_by_position ? positions[slot] : slot); }
};

/// Tokens that were just appended to every kv head of the layer.
struct AppendEvent {
  std::uint32_t added = 0;         // at the end of the resident tokens
  bool prefill = true;             // part of the prompt that is fed before decoding
  bool prefill_ends = false;       // its last chunk
  bool first_chunk = false;
  /// Replay only, for yardsticks: attention mass each position still receives from rows to come; else empty.
  std::span<const double> future = {};
};

/// A state machine for one layer, fed in order. Deterministic given the sequence of calls.
class RetentionPolicy {
 public:
  virtual ~RetentionPolicy() = default;
  /// `resident` by kv head (empty where a head is not replayed); slots to drop go into evict[kv head], ascending.
  virtual Status append(const LayerInput& input, std::span<const ResidentTokens> resident, const AppendEvent& event,
                        std::span<std::vector<std::uint32_t>> evict) = 0;
  /// True: the step's own attention already sees the shrunken cache. False: it sees everything that was there. Asked
  /// after every append, for that append (a prompt may be attended to whole and decode steps not).
  virtual bool evicts_before_attention() const { return false; }
  /// True where keys get new positions after eviction (StreamingLLM's paper code); nothing here does yet.
  virtual bool compacts_positions() const { return false; }
  /// Resident slots the policy always keeps at the moment (sinks, recent window): drawn as forced.
  virtual void forced(const ResidentTokens& resident, std::vector<KeySpan>& spans) const { (void)resident, (void)spans; }
  /// Tokens of the transient copy on top of the resident ones while compressing, at most so far.
  virtual double transient_tokens() const { return 0; }
};

// ---- retrieval: which keys a query reads ----------------------------------------------------------------------------

/// What one query reads. Keys are ascending and distinct; those in `fixed` (sinks, local window, new tokens) are read
/// whatever the query is, and are not in `keys`.
struct Selection {
  std::vector<KeySpan> fixed;              // ascending, disjoint
  std::vector<std::uint32_t> keys;
  /// Added to the score of keys[i] before the softmax (-log of the inclusion probability); empty: all 0.
  std::vector<float> log_weight;
  double scanned = 0;                      // keys whose score or code was looked at
  double draws = 0;                        // samples with repetition; 0 where that means nothing
  double expected = 0;                     // number of keys the policy expects to read, from its own model; 0: none
  TierBytes bytes;                         // moved for this query
  bool dense = false;                      // the policy leaves this layer or row alone; everything visible is read

  void clear() { *this = {}; }
};

/// An index over one layer. build() once after the prompt, insert() as tokens are decoded.
class RetrievalPolicy {
 public:
  virtual ~RetrievalPolicy() = default;
  /// Indexes keys [0, context) for the given kv head. input.keys hold at least that many.
  virtual Status build(const LayerInput& input, std::uint32_t kv_head, std::uint32_t context) = 0;
  /// Keys [range) came. Called before the query at range.end - 1.
  virtual void insert(const LayerInput& input, std::uint32_t kv_head, TokenRange range) { (void)input, (void)kv_head, (void)range; }
  /// What the query of `head` at `position` reads of keys [0, position].
  virtual void query(const LayerInput& input, std::uint32_t head, std::uint32_t position, const float* q, Selection& out) = 0;
  virtual double index_bytes() const { return 0; }  // of all kv heads built so far
};

// ---- the registry ---------------------------------------------------------------------------------------------------

/// A policy: what it is, how to make its engine. Exactly one of the three makers is set, by family. Makers are called
/// with a checked configuration and fail only on combinations the ranges cannot express.
struct PolicyEntry {
  PolicyDescriptor descriptor;
  Result<std::unique_ptr<PrefillPolicy>> (*prefill)(const PolicyConfig&) = nullptr;
  Result<std::unique_ptr<RetentionPolicy>> (*retention)(const PolicyConfig&) = nullptr;
  Result<std::unique_ptr<RetrievalPolicy>> (*retrieval)(const PolicyConfig&) = nullptr;
  /// Retention only, in closed form: tokens a kv head keeps after a prompt fed in one piece and `decoded` single tokens,
  /// in a layer the policy acts on. What budgets are matched with.
  std::uint32_t (*resident_after)(const PolicyConfig&, std::uint32_t prompt, std::uint32_t decoded) = nullptr;
  /// Retention only: chunks of a prompt leave as much as the tokens so far would in one piece. False: it evicts when the prompt ends.
  bool evicts_by_chunk = false;
};

/// All policies, in the order of the documentation.
std::span<const PolicyEntry> policies();
/// E_POLICY_UNKNOWN names the known ids.
Result<const PolicyEntry*> find_policy(std::string_view id);

/// A policy with its parameters. From "vertical-slash:v=1000,s=6096".
struct PolicyChoice {
  const PolicyEntry* entry = nullptr;
  PolicyConfig config;
};
Result<PolicyChoice> parse_policy(std::string_view text);
/// A preset by name, scaled to `tokens` (as it is where it does not scale). E_POLICY_PRESET names the known ones.
Result<PolicyChoice> scaled_policy(std::string_view id, std::string_view preset, std::uint32_t tokens);
std::string write_policy(const PolicyChoice& choice);

/// Policies, parameters, presets, labels and metrics as JSON (schema: PolicyCatalogue in native/engine.ts).
std::string describe_policies();

}  // namespace attnscope
