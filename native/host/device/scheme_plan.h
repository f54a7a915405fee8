// A model run in an execution scheme: what is asked for, and what it gave. The engine's own run for memory: nothing is captured.
//
// The order in which memory is taken and given back, which is what liveness scripts of this engine describe. S new tokens, P rows held before;
// fp32 where it says so, else the precision of the products (normed rows, MLP) or of the vectors (queries, keys, values, their output).
//
//   load     products' workspace; counters; [pinned] counters, a row of logits; embedding, norms, head unless tied, every layer's matrices in
//            one piece, or two places for them where they are streamed; [pinned] two pieces on their way, to the end of loading or, streamed, of
//            the run. Offloaded: the cache's two places, and on disk [pinned] as much for each, and the file.
//   call     One a prefill chunk, one a decoded token.
//     inputs   residual [S][hidden] fp32; ids [S]; cosines and sines [S][head_dim / 2] fp32; ids go once embedded.
//     layer    Normalised rows [S][hidden]; q, k, v [S][width] fp32; the normalised rows go.
//              Rotated queries [P % 64 + S][query width] (attention begins at multiples of 64; a decoded token's: one row); q goes.
//              The layer's cache, if it has none yet: K and V of all tokens that will come, [kv heads][2][tokens][head_dim]. k and v go into it, and go.
//              Attention output, as large as the queries; fp32 for a decoded token, which for its attention also takes a log-sum-exp a head and the
//              kernel's workspace. Queries go. Where attention and products differ in precision: the output once more, then the first goes.
//              The output projection adds to the residual; the output goes.
//              MLP, in one piece or several: normalised rows, gate, up; the down projection adds to the residual; up, gate, normalised rows go.
//     logits   of all rows in every call, of the last in the last call: in one piece or several, normalised rows and logits [rows][vocabulary] fp32;
//              both go once they are on the host.
//     end      cosines, sines, residual.
//   reload   of an offloaded cache: both places go; layer by layer its memory is taken, its rows come, its store goes.
//
// Offloaded, a cache has two places on the device and no layers. A layer's memory on the host (pinned) is taken when its first rows leave. Offloaded by
// kv head, K and V of all of them are rotated together, [kv heads][S][head_dim] each, k and v go, and the heads' rows are copied into their places one
// after the other; K and V go after the last head's attention, before the queries.
//
// Under a retention policy a layer's memory is for the rows it holds, a multiple of 64: what is held moves into more of it before new rows come, and
// into less when few stay. Queries, keys and values of new rows come to the host ([pinned]), where policies look at them as in any live run (in fp32
// copies that are counted nowhere). Rows that stay move up a side of a kv head at a time, through memory for one; a list of their numbers lives as long.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/memory/config.h"
#include "core/memory/events.h"
#include "core/policy/policy.h"
#include "host/cancellation.h"
#include "host/capture_sink.h"
#include "host/plan.h"

namespace attnscope {

struct SchemePlan {
  /// Chunks, which rows get logits, mini-sequences, what is offloaded. `cache` and `logits.upcast` are not read: this engine's caches
  /// are written in place, its logits are fp32.
  memory::Scheme scheme;
  /// Decides the last layer's MLP where mini.last_mlp is by_family.
  memory::ModelShape::Family family = memory::ModelShape::Family::llama;
  enum class Store : std::uint8_t { host, disk } store = Store::host;
  /// Where the file of a store on disk is made; it has no name, so nothing is left behind. Empty: the system's folder for such files.
  std::string folder;
  /// False: every copy is waited for, so that its time can be told.
  bool overlap = true;
  /// One policy in all heads and layers: its own chunks are the scheme's.
  std::optional<PolicyChoice> retention;
  /// Precision of weights and products; none: compute_of().
  std::optional<DType> compute;
  /// Whether the logits of every prompt position come back too, where the scheme computes them.
  bool keep_logits = false;
};

/// E_SCHEME names the field that cannot be.
Status validate(const Plan& plan, const SchemePlan& scheme);

/// One change of memory, or bytes moved between arenas: memory::Event, and the disk.
struct SchemeEvent {
  enum class Kind : std::uint8_t { alloc, free, host_alloc, host_free, d2h, h2d, disk_alloc, disk_free, disk_write, disk_read };
  Kind kind{};
  memory::Category category{};
  memory::Phase phase{};
  memory::Op op{};
  std::int16_t layer = -1;         // -1: none
  std::uint32_t step = 0;          // prefill call or decode step
  std::uint32_t block = 0;         // alloc and free of one piece of memory share it; 0: a copy
  std::uint8_t stream = 0;         // 1: in a queue of copies
  std::uint64_t bytes = 0;         // as asked for
  const char* what = "";           // the tensor, in words
  double seconds = 0;              // since the run began
};
const char* name_of(SchemeEvent::Kind kind);
/// For the sinks of core/memory; none for what happens on disk, which they do not know.
std::optional<memory::Event> as_memory_event(const SchemeEvent& event);

struct SchemeResult {
  bool cancelled = false;
  std::vector<float> last_logits;       // of the last prompt position
  std::vector<float> logits;            // [prompt tokens][vocabulary], with keep_logits and logits of all rows
  std::vector<std::uint32_t> decoded;   // ids, decode_steps of them: chosen, or forced
  std::vector<float> step_logits;       // [decode steps][vocabulary]: after each of them
  std::vector<std::uint32_t> resident_tokens;  // [layers][kv heads] at the end

  std::vector<SchemeEvent> events;
  struct Peak {
    std::uint64_t device = 0, host = 0, disk = 0;  // the most held at once
    memory::Breakdown device_by_category{};        // at that moment
    std::size_t event = 0;                         // that reached it
  };
  Peak peak;                            // of the whole run
  std::array<std::uint64_t, 4> device_peak_by_phase{};  // memory::Phase
  std::array<double, 4> seconds{};      // by memory::Phase, from one end of the queue to the next
  /// Copies between arenas. `busy`: seconds they took, where nothing ran beside them (a CPU, overlap == false) or a thread measured
  /// them (disk); negative: unknown. `waited`: seconds the host stood still for them.
  struct Transfer {
    std::uint64_t bytes = 0, copies = 0;
    double busy = 0, waited = 0;
  };
  Transfer to_host, to_device, to_disk, from_disk;

  std::string device, driver, products, compute;
  bool streamed_weights = false;
};

}  // namespace attnscope
