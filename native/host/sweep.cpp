#include "host/sweep.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <tuple>

#include "host/thread_pool.h"

namespace attnscope {
namespace sweeps {

/// One policy with one seed.
struct Trial {
  std::uint32_t point, seed;
};

std::optional<std::size_t> seed_parameter(const PolicyDescriptor& policy) {
  if (!policy.sampled) return std::nullopt;
  for (std::size_t i = 0; i < policy.parameters.size(); ++i)
    if (std::string_view(policy.parameters[i].name) == "seed") return i;
  return std::nullopt;
}

Error of_point(std::size_t point, const SweepPoint& at, const Error& error) {
  return {error.code, "point " + std::to_string(point) + " (" + write_policy(at.policy) + "): " + error.message};
}

Status check(std::span<const SweepPoint> points) {
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto seed = seed_parameter(points[i].policy.entry->descriptor);
    if (!seed) continue;
    const double most = points[i].policy.entry->descriptor.parameters[*seed].maximum + 1;
    if (points[i].seeds == 0 || points[i].seeds > most)
      return of_point(i, points[i], {"E_SWEEP_POINT", "seeds is " + std::to_string(points[i].seeds) + "; pass 1 or more, as many as the policy has seeds"});
  }
  return success();
}

/// Ordered so that what shares hash tables and scores lies together: by policy, context and seed, then by parameters.
std::vector<Trial> ordered_trials(std::span<const SweepPoint> points) {
  std::vector<Trial> trials;
  for (std::uint32_t i = 0; i < points.size(); ++i) {
    const std::uint32_t seeds = seed_parameter(points[i].policy.entry->descriptor) ? points[i].seeds : 1;
    for (std::uint32_t seed = 0; seed < seeds; ++seed) trials.push_back({i, seed});
  }
  const auto key = [&](const Trial& t) {
    const SweepPoint& p = points[t.point];
    return std::tuple<const PolicyEntry*, std::uint32_t, std::uint32_t, const std::vector<double>&, std::uint32_t, std::uint32_t>(
        p.policy.entry, p.schedule.context, t.seed, p.policy.config.values, p.schedule.chunk, t.point);
  };
  std::stable_sort(trials.begin(), trials.end(), [&](const Trial& a, const Trial& b) { return key(a) < key(b); });
  return trials;
}

/// What a thread has to itself.
struct Worker {
  Memo memo;
  Scratch scratch;
  std::vector<double> future;
  std::optional<std::uint32_t> future_from;
};

Result<Metrics> run(const HeadSession& session, const SweepPoint& point, std::uint32_t seed, Worker& worker) {
  PolicyChoice policy = point.policy;
  if (const auto at = seed_parameter(policy.entry->descriptor)) policy.config.values[*at] = seed;
  const std::uint32_t head = session.shape().head, future_from = point.schedule.chunk == 0 ? point.schedule.context : 0;
  const double bytes = session.shape().bytes_per_element;
  LayerInput input = session.input();
  input.memo = &worker.memo;
  const bool ahead = policy.entry->descriptor.needs_future;
  if (ahead && worker.future_from != future_from) {
    worker.future = session.future(future_from);
    worker.future_from = future_from;
  }
  const auto trace = replay(policy, input, head, session.rows().rows(), point.schedule, bytes, ahead ? std::span<const double>(worker.future) : std::span<const double>());
  if (!trace) return trace.error();
  return evaluate(session.rows(), trace.value(), input, head, session.info(), bytes, MetricParts{}, worker.scratch);
}

/// Mean and unbiased standard deviation of `count` values `stride` apart.
std::pair<double, double> spread(const double* values, std::size_t count, std::size_t stride) {
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < count; ++i) mean += values[i * stride];
  mean /= static_cast<double>(count);
  for (std::size_t i = 0; i < count; ++i) squares += (values[i * stride] - mean) * (values[i * stride] - mean);
  return {mean, count > 1 ? std::sqrt(squares / static_cast<double>(count - 1)) : Cost::none};
}

}  // namespace sweeps

Result<SweepResult> sweep(HeadSession& session, std::span<const SweepPoint> points, unsigned threads, const Cancellation& cancellation,
                          const std::function<void(std::size_t)>& progress) {
  using namespace sweeps;
  const auto start = std::chrono::steady_clock::now();
  const auto left = session.strip(0);
  if (!left) return left.error();
  if (left.value() != 0) return Error{"E_REPLAY_ORDER", "The strip of the evaluated rows is not complete; compute it before a sweep."};
  if (const Status status = check(points); !status) return status.error();

  // Values of all seeds, point by point: sums are taken in this order, whichever thread was first.
  std::vector<std::size_t> first(points.size() + 1, 0);
  const std::vector<Trial> trials = ordered_trials(points);
  for (const Trial& trial : trials) ++first[trial.point + 1];
  for (std::size_t i = 0; i < points.size(); ++i) first[i + 1] += first[i];
  std::vector<Metrics> values(trials.size());
  std::vector<std::optional<Error>> failed(points.size());
  std::vector<std::atomic<std::size_t>> open(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) open[i] = first[i + 1] - first[i];

  std::atomic<std::size_t> done{0};
  std::atomic<bool> any_failed{false};
  std::mutex failure;
  ThreadPool pool(std::max(threads, 1u), &cancellation, [&] { if (progress) progress(done); });
  std::vector<Worker> workers(pool.threads());
  // Runs of neighbours stay on one thread, with enough of them to keep all threads busy to the end.
  const std::size_t run_length = std::max<std::size_t>(1, trials.size() / (8 * pool.threads()));
  const bool complete = pool.parallel_for((trials.size() + run_length - 1) / run_length, [&](std::size_t task, unsigned worker) {
    for (std::size_t i = task * run_length; i < std::min(trials.size(), (task + 1) * run_length); ++i) {
      if (any_failed || !pool.keep_going(worker)) return;
      const auto [point, seed] = trials[i];
      const auto metrics = run(session, points[point], seed, workers[worker]);
      if (!metrics) {
        const std::lock_guard lock(failure);
        failed[point] = metrics.error();
        any_failed = true;
        return;
      }
      values[first[point] + seed] = metrics.value();
      if (--open[point] == 0) ++done;
    }
  });
  for (std::size_t i = 0; i < points.size(); ++i)
    if (failed[i]) return of_point(i, points[i], *failed[i]);
  if (!complete || cancellation.requested()) return cancelled();
  if (progress) progress(points.size());

  SweepResult result{std::vector<double>(points.size() * kMetrics), std::vector<double>(points.size() * kMetrics), 0};
  for (std::size_t i = 0; i < points.size(); ++i)
    for (std::size_t m = 0; m < kMetrics; ++m)
      std::tie(result.mean[i * kMetrics + m], result.deviation[i * kMetrics + m]) = spread(&values[first[i]].values[m], first[i + 1] - first[i], kMetrics);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace attnscope
