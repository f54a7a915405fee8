#include "bind/memory_answers.h"

#include <algorithm>
#include <cmath>

#include "bind/memory_config.h"
#include "core/memory/event_rows.h"
#include "core/memory/published_rates.h"
#include "core/memory/request.h"
#include "core/memory/timeline.h"

namespace attnscope::memory_answers {
namespace answers {
namespace {

using namespace memory;
using memory_numbers::Request;

template <class T>
double code(T value) { return static_cast<double>(value); }

void append(std::vector<double>& to, const Breakdown& bytes) {
  for (const std::uint64_t each : bytes) to.push_back(code(each));
}
void append(std::vector<double>& to, const Event& place) { to.insert(to.end(), {code(place.phase), code(place.step), code(place.layer)}); }
void append(std::vector<double>& to, const ClosedForm& form) {
  to.insert(to.end(), {code(form.bytes), code(form.phase), code(form.step), code(form.layer)});
  append(to, form.by_category);
}
/// Eleven numbers.
void append(std::vector<double>& to, const OutOfMemory& failure) {
  append(to, failure.event);
  to.insert(to.end(), {code(failure.at), code(failure.event.op), code(failure.event.category), code(failure.event.bytes), code(failure.wanted), code(failure.reserved),
                       code(failure.allocated), code(failure.largest_free)});
}
std::vector<double> failure_of(const AllocatorReport& report) {
  std::vector<double> out;
  if (report.failed) append(out, report.failure);
  return out;
}

/// Whole numbers of `options`, refused by name.
class Options {
 public:
  explicit Options(std::span<const double> numbers) : numbers_(numbers) {}
  std::uint64_t whole(const char* name, double least, double most) {
    const double value = next_ < numbers_.size() ? numbers_[next_] : std::nan("");
    ++next_;
    if (value >= least && value <= most && value == std::floor(value)) return static_cast<std::uint64_t>(value);
    if (status) status = Error{"E_MEMORY_OPTION", "memory model: " + std::string(name) + " must be a whole number from " + std::to_string(static_cast<std::uint64_t>(least)) + " to " + std::to_string(static_cast<std::uint64_t>(most))};
    return static_cast<std::uint64_t>(least);
  }
  AllocatorSettings allocator() {
    AllocatorSettings out;
    out.limit = whole("budgetBytes", 0, 9007199254740991.0);
    out.expandable_segments = whole("expandable", 0, 1) != 0;
    return out;
  }
  double rate(const char* name, double least) {
    const double value = next_ < numbers_.size() ? numbers_[next_] : std::nan("");
    ++next_;
    if (std::isfinite(value) && value >= least) return value;
    if (status) status = Error{"E_MEMORY_OPTION", "memory model: " + std::string(name) + " of the device is not known; pass what its data sheet says"};
    return least;
  }
  Status status = success();

 private:
  std::span<const double> numbers_;
  std::size_t next_ = 0;
};

Answer describe() {
  Answer out;
  std::vector<double> schemes;
  const auto line = [&](const char* what, const std::string& rest) { out.text += std::string(out.text.empty() ? "" : "\n") + what + "\t" + rest; };
  for (const Implementation& each : implementations()) line("implementation", std::string(each.id) + "\t" + each.doc + "\t" + (each.closed_form != nullptr ? "1" : "0") + "\t" + (each.published_rates ? "1" : "0"));
  for (const NamedScheme& each : memory::schemes()) {
    line("scheme", std::string(each.id) + "\t" + each.doc);
    const auto numbers = memory_numbers::of(each.scheme);
    schemes.insert(schemes.end(), numbers.begin(), numbers.end());
  }
  for (std::size_t i = 0; i < kCategories; ++i) line("category", name_of(static_cast<Category>(i)));
  for (const Phase phase : {Phase::load, Phase::prefill, Phase::reload, Phase::decode}) line("phase", name_of(phase));
  for (int i = 0; i <= static_cast<int>(Op::end); ++i) line("op", name_of(static_cast<Op>(i)));
  for (std::size_t i = 0; i < kRowKinds; ++i) line("kind", name_of(static_cast<RowKind>(i)));
  line("rates", rates_doc());
  out.columns = {std::move(schemes)};
  return out;
}

/// What a remedy takes most from.
Category lowered(const Breakdown& before, const Breakdown& after) {
  std::size_t most = 0;
  for (std::size_t i = 1; i < kCategories; ++i)
    if (static_cast<std::int64_t>(before[i] - after[i]) > static_cast<std::int64_t>(before[most] - after[most])) most = i;
  return static_cast<Category>(most);
}

double kept_per_layer(const Config& c) {
  double sum = 0;
  for (std::uint32_t layer = 0; layer < c.model.layers; ++layer) {
    std::uint64_t held = 0;
    for (std::uint32_t call = 0; call < (c.retention.kept.empty() ? 0 : prefill_calls(c)); ++call) held = kept_after_call(c, call, layer, held + call_tokens(c, call));
    sum += static_cast<double>(c.retention.kept.empty() ? c.prompt_tokens : held);
  }
  return sum / c.model.layers;
}

Result<Answer> peak_of(const Request& request, Options&) {
  const Config& c = request.config;
  const auto form = peak(*request.implementation, c);
  if (!form) return form.error();
  const auto found = remedies(*request.implementation, c);
  if (!found) return found.error();
  Answer out;
  std::vector<double> numbers, rows;
  append(numbers, form.value());
  numbers.insert(numbers.end(), {code(weight_bytes(c.model, c.dtype)), code(cache_bytes(c, c.prompt_tokens)), code(cache_bytes(c, std::uint64_t{c.prompt_tokens} + c.decode_steps)), kept_per_layer(c)});
  out.text = std::string(name_of(form.value().stage)) + "\n" + formula_of(form.value().stage);
  for (const Remedy& remedy : found.value()) {
    append(rows, remedy.peak);
    rows.push_back(code(form.value().bytes - remedy.peak.bytes));
    rows.push_back(code(lowered(form.value().by_category, remedy.peak.by_category)));
    const auto scheme = memory_numbers::of(remedy.scheme);
    rows.insert(rows.end(), scheme.begin(), scheme.end());
    out.text += std::string("\n") + remedy.what + "\t" + name_of(remedy.peak.stage);
  }
  out.columns = {std::move(numbers), std::move(rows)};
  return out;
}

Result<Answer> request_of(const Request& request, Options& options) {
  const AllocatorSettings settings = options.allocator();
  if (!options.status) return options.status.error();
  const auto totals = request_totals(*request.implementation, request.config, settings);
  if (!totals) return totals.error();
  const RequestTotals& t = totals.value();
  const AllocatorReport& a = t.allocator;
  std::vector<double> numbers = {code(a.events),        code(t.peak.bytes),        code(t.prefill_peak),   code(t.reload_peak), code(t.decode_peak),
                                 code(a.peak_allocated), code(a.peak_reserved),     code(a.segments),       code(a.retries),     code(t.cache_after_prefill),
                                 code(t.cache_at_end),   code(t.transfers.host_bytes), code(t.transfers.host_used), code(t.transfers.copies), code(t.transfers.largest_copy)};
  for (const auto* way : {&t.transfers.to_host, &t.transfers.to_device})
    for (const std::uint64_t bytes : *way) numbers.push_back(code(bytes));
  append(numbers, t.peak.event);
  numbers.insert(numbers.end(), {code(t.peak.at), code(t.peak.event.op)});
  append(numbers, t.peak.by_category);
  Answer out;
  out.columns = {std::move(numbers), failure_of(a)};
  return out;
}

Result<Answer> times_of(const Request& request, Options& options) {
  if (!request.implementation->published_rates)
    return Error{"E_MEMORY_IMPLEMENTATION", std::string("no times are modelled of ") + request.implementation->id + "; the rates that are known are those of transformers"};
  DevicePeaks device;
  device.flops = options.rate("the rate of operations", 1), device.bytes = options.rate("the memory's rate", 1);
  device.link.to_host = options.rate("the link's rate to the host", 0), device.link.to_device = options.rate("the link's rate to the device", 0);
  if (!options.status) return options.status.error();
  Transfers transfers;
  if (request.config.scheme.offload.unit != Offload::Unit::none) {
    if (const Status ran = run_script(*request.implementation, request.config, transfers); !ran) return ran.error();
    if (transfers.copies > 0 && (device.link.to_host == 0 || device.link.to_device == 0))
      return Error{"E_MEMORY_OPTION", "memory model: the link's rate of the device is not known, and the scheme offloads; pass what was measured"};
  }
  const RequestTime time = request_time(request.config, transfers, device, transformers_efficiency());
  Answer out;
  out.columns = {{time.compute_s, time.link_s, time.first_token_s, time.first_token_overlapped_s, time.first_step_s, time.last_step_s, time.decode_s, time.total_s()}};
  return out;
}

Result<Answer> timeline_of(const Request& request, Options& options) {
  const AllocatorSettings settings = options.allocator();
  const auto max_points = static_cast<std::uint32_t>(options.whole("maxPoints", 2, 1 << 20));
  const std::uint64_t from = options.whole("from", 0, 4294967295.0), to = options.whole("to", 0, 4294967295.0);
  if (!options.status) return options.status.error();
  Timeline timeline(settings, max_points, from, to);
  if (const Status ran = run_script(*request.implementation, request.config, timeline); !ran) return ran.error();
  const std::vector<TimelinePoint>& points = timeline.points();
  const std::size_t n = points.size();
  Answer out;
  out.columns = {{code(timeline.events()), code(n), code(timeline.peak_at()), code(timeline.peak())}, failure_of(timeline.allocator()), {}, {}};
  std::vector<double>&calls = out.columns[2], &table = out.columns[3];
  for (const CallStart& call : timeline.calls()) calls.insert(calls.end(), {code(call.begin), code(call.phase), code(call.step)});
  table.reserve(n * (14 + kCategories));
  const auto column = [&](auto value) {
    for (const TimelinePoint& point : points) table.push_back(static_cast<double>(value(point)));
  };
  using P = TimelinePoint;
  column([](const P& p) { return p.begin; });
  column([](const P& p) { return p.at; });
  column([](const P& p) { return code(p.event.phase); });
  column([](const P& p) { return p.event.step; });
  column([](const P& p) { return p.event.layer; });
  column([](const P& p) { return code(p.event.op); });
  column([](const P& p) { return p.total; });
  column([](const P& p) { return p.reserved; });
  column([](const P& p) { return p.largest_free; });
  column([](const P& p) { return p.least; });
  column([](const P& p) { return p.most_reserved; });
  column([](const P& p) { return p.host; });
  column([](const P& p) { return p.to_host; });
  column([](const P& p) { return p.to_device; });
  for (std::size_t category = 0; category < kCategories; ++category) column([category](const P& p) { return p.by_category[category]; });
  return out;
}

Result<Answer> blocks_of(const Request& request, Options& options) {
  const AllocatorSettings settings = options.allocator();
  const std::uint64_t last = options.whole("event", 0, 4294967295.0);
  if (!options.status) return options.status.error();
  AllocatorState state(settings, last);
  if (const Status ran = run_script(*request.implementation, request.config, state); !ran) return ran.error();
  const std::vector<BlockView> blocks = state.allocator().blocks();
  const AllocatorReport report = state.allocator().report();
  Answer out;
  out.columns = {{code(state.events() - (state.events() > 0)), code(report.allocated), code(report.reserved), code(report.largest_free), code(blocks.size())}, {}};
  std::vector<double>& table = out.columns[1];
  const auto column = [&](auto value) {
    for (const BlockView& block : blocks) table.push_back(static_cast<double>(value(block)));
  };
  using B = BlockView;
  const auto made = [&](auto value, double otherwise) {
    column([&](const B& b) {
      const Event* event = b.block == 0 ? nullptr : state.made_by(b.block);
      return event == nullptr ? otherwise : static_cast<double>(value(*event));
    });
  };
  column([](const B& b) { return b.segment; });
  column([](const B& b) { return b.segment_bytes; });
  column([](const B& b) { return b.small; });
  column([](const B& b) { return b.stream; });
  column([](const B& b) { return b.offset; });
  column([](const B& b) { return b.bytes; });
  column([](const B& b) { return b.requested; });
  column([](const B& b) { return b.block; });
  made([](const Event& e) { return code(e.category); }, 255);
  made([](const Event& e) { return e.layer; }, -1);
  made([](const Event& e) { return code(e.op); }, 255);
  return out;
}

/// Every length that is tried is a replay.
constexpr std::uint32_t most_lengths = 4096;

Result<Answer> contexts_of(const Request& request, Options& options, bool replays) {
  const AllocatorSettings settings = options.allocator();
  ContextSearch search;
  search.budget = settings.limit, search.expandable_segments = settings.expandable_segments;
  search.grid = static_cast<std::uint32_t>(options.whole("grid", 1, 1 << 24));
  search.confirm = static_cast<std::uint32_t>(options.whole("confirm", 0, 4096));
  if (options.status && search.budget == 0) options.status = Error{"E_MEMORY_OPTION", "memory model: without a budget there is no longest context; pass budgetBytes"};
  if (!options.status) return options.status.error();
  const auto bound = max_context_by_bytes(*request.implementation, request.at, search);
  if (!bound) return bound.error();
  Answer out;
  if (!replays) {
    out.columns = {{code(bound.value())}};
    return out;
  }
  if (bound.value() / search.grid > most_lengths)
    return Error{"E_MEMORY_OPTION", "memory model: up to " + std::to_string(bound.value()) + " tokens there are more than " + std::to_string(most_lengths) + " lengths on a grid of " +
                                        std::to_string(search.grid) + "; take one of at least " + std::to_string(bound.value() / most_lengths + 1)};
  if (bound.value() > 0) {
    const auto longest = request.at(bound.value());
    if (!longest) return longest.error();
    if (const Status fits = memory_numbers::check_length(longest.value()); !fits) return fits.error();
  }
  const auto band = max_context(*request.implementation, request.at, search);
  if (!band) return band.error();
  const ContextBand& b = band.value();
  out.columns = {{code(b.by_bytes), code(b.all_below), code(b.longest), code(b.tried.size())}, {}, {}};
  for (const ContextPoint& point : b.tried) {
    out.columns[1].insert(out.columns[1].end(), {code(point.tokens), code(point.feasible), code(point.peak_reserved)});
    if (point.feasible) continue;
    out.columns[2].push_back(code(point.tokens));
    append(out.columns[2], point.failure);
  }
  return out;
}

Result<Answer> events_of(const Request& request, Options& options) {
  const AllocatorSettings settings = options.allocator();
  const std::uint64_t from = options.whole("from", 0, 4294967295.0), count = options.whole("count", 1, 1 << 20);
  if (!options.status) return options.status.error();
  EventRows rows(settings, from, count);
  if (const Status ran = run_script(*request.implementation, request.config, rows); !ran) return ran.error();
  Answer out;
  out.columns = {{code(!rows.more()), code(rows.rows().size())}, {}};
  std::vector<double>& table = out.columns[1];
  table.reserve(rows.rows().size() * 14);
  const auto column = [&](auto value) {
    for (const EventRow& row : rows.rows()) table.push_back(static_cast<double>(value(row)));
  };
  using R = EventRow;
  column([](const R& r) { return r.seq; });
  column([](const R& r) { return code(r.kind); });
  column([](const R& r) { return r.bytes; });
  column([](const R& r) { return r.rounded; });
  column([](const R& r) { return r.block; });
  column([](const R& r) { return r.version; });
  column([](const R& r) { return r.segment; });
  column([](const R& r) { return r.address; });
  column([](const R& r) { return r.stream; });
  column([](const R& r) { return code(r.category); });
  column([](const R& r) { return r.layer; });
  column([](const R& r) { return code(r.phase); });
  column([](const R& r) { return r.step; });
  column([](const R& r) { return code(r.op); });
  return out;
}

}  // namespace
}  // namespace answers

Result<Answer> ask(const Question& question) {
  using namespace answers;
  if (question.name == "describe") return describe();
  const auto request = memory_numbers::read_request(question.implementation, question.config, question.kept, question.policy);
  if (!request) return request.error();
  const Request& r = request.value();
  Options options(question.options);
  if (question.name == "contextByBytes") return contexts_of(r, options, false);
  if (question.name == "context") return contexts_of(r, options, true);
  // A closed form goes through no events.
  if (question.name != "peak" || r.implementation->closed_form == nullptr)
    if (const Status fits = memory_numbers::check_length(r.config); !fits) return fits.error();
  if (question.name == "peak") return peak_of(r, options);
  if (question.name == "request") return request_of(r, options);
  if (question.name == "times") return times_of(r, options);
  if (question.name == "timeline") return timeline_of(r, options);
  if (question.name == "blocks") return blocks_of(r, options);
  if (question.name == "events") return events_of(r, options);
  return Error{"E_MEMORY_OPTION", "the memory model is not asked \"" + std::string(question.name) + "\""};
}

}  // namespace attnscope::memory_answers
