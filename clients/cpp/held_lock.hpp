// A lock of Stormlock's that is kept while a program works: copy this file into a service, beside
// the stubs that protoc makes of stormlock/v1/lock.proto. C++17, gRPC 1.51 or later.
//
//   stormlock::HeldLock lock({{"127.0.0.1:7420"}, "deploy"});  // waits for its turn
//   if (lock.is_held()) write(lock.token());
//   // the end of the block gives it back
//
// What a holder has to do, and why; the code below cites these rules:
//
//   R1. Belief ends at t0 + 0.99 * valid - max(100 ms, 5 % of the ttl). t0 is read before the
//       heartbeat is sent that an answer echoes; 1 % is for clocks that differ in rate, the rest is
//       time to stop. From there on somebody else may hold the lock.
//   R2. Lost is final: what arrives later revives nothing. Nobody has to be told of the end for
//       is_held() to see it: it asks a clock, which counts the time of a suspended machine.
//   R3. A heartbeat is the first message of a stream, goes right before each Acquire and Resume and
//       right after each Granted, and every third of the ttl, 15 s at most.
//   R4. An ack speaks of the lease only if it was granted on the same stream before.
//   R5. A stream that breaks, is silent, drains, or does not renew is left, and the lease resumed
//       at the next address, with the same token. A wait is asked for again with the same id.
//   R6. Who releases stops believing first. Who gives up asking releases the id it asked with.
//   R7. Belief does not begin with a lease that is nearly over: a grant that was held up waits for
//       the next ack.
#pragma once

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stormlock/v1/lock.grpc.pb.h"

namespace stormlock {

/// Which lock is wanted, and how.
struct Wanted {
  /// Daemons of one store, the preferred one first: "host:port", "[::1]:port" or "unix:/path".
  std::vector<std::string> servers;
  std::string resource;
  /// How long the lease lives after the last heartbeat; without it the daemon's default.
  std::optional<std::chrono::milliseconds> ttl{};
  /// How long to wait for the lock; zero is not at all, nothing is without limit.
  std::optional<std::chrono::milliseconds> wait{};
  /// Who asks, for people to read.
  std::string principal{};
  /// Called once, from a thread of the lock's own, when it is lost. Must not destroy the lock.
  std::function<void()> on_lost{};
  /// For TLS grpc::SslCredentials(...).
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  /// How long to go on asking while no daemon answers at all.
  std::chrono::milliseconds patience{10'000};
};

/// Somebody else holds the lock, and the wait is over.
struct LockHeld : std::runtime_error {
  LockHeld(const std::string& message, std::string by) : runtime_error(message), principal(by) {}
  std::string principal;  ///< Who; empty where it is not known.
};

/// No daemon will grant this: a field is wrong, or the caller may not.
struct Refused : std::runtime_error {
  using runtime_error::runtime_error;
};

/// No daemon has answered in time. What was asked for has been taken back as far as possible.
struct Unavailable : std::runtime_error {
  using runtime_error::runtime_error;
};

/// One lock, held from its construction until it is released, lost or destroyed. Its methods may be
/// called from any thread, gRPC's own callbacks excepted. Each has one thread, and one stream to
/// one daemon at a time.
class HeldLock {
 public:
  /// Waits until the lock is held.
  /// Throws LockHeld, Refused, Unavailable, or std::invalid_argument without a server.
  explicit HeldLock(Wanted wanted) : wanted_(std::move(wanted)) {
    if (wanted_.servers.empty()) {
      throw std::invalid_argument("servers is empty: give the address of a daemon, host:port");
    }
    if (wanted_.ttl) ttl_ms_ = to_ms(*wanted_.ttl);
    if (wanted_.wait) wait_ends_ms_ = now_ms() + to_ms(*wanted_.wait);
    keeper_ = std::thread([this] { keep(); });
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [this] { return is_decided_; });
    if (!failure_) return;
    guard.unlock();
    finish();
    std::rethrow_exception(failure_);
  }

  /// Releases the lock, and waits a few seconds for the daemon's answer at the most.
  ~HeldLock() {
    release();
    finish();
  }

  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

  /// The fencing token: send it with every write, for what is protected to refuse a lower one.
  std::uint64_t token() const {
    const std::lock_guard guard(mutex_);
    return token_;
  }

  /// Whether the lock is held now. Ask right before what must not happen without it. (R2)
  bool is_held() const {
    const std::lock_guard guard(mutex_);
    return phase_ == Phase::kHolding && now_ms() < end_ms_;
  }

  /// Gives the lock back: is_held() is false from here on. (R6)
  /// Returns whether it was held to the end, as far as can be known: after a release whose answer
  /// was lost nothing tells any more. If not, others may have held it meanwhile.
  bool release() {
    std::unique_lock guard(mutex_);
    if (phase_ == Phase::kHolding && now_ms() < end_ms_) start_release(kFarewellMs);
    changed_.notify_all();
    changed_.wait(guard, [this] { return phase_ == Phase::kOver; });
    return !is_lost_;
  }

 private:
  enum class Phase { kAsking, kHolding, kReleasing, kOver };

  // Moments are milliseconds on this clock. It is no wall clock, which people set, and it goes on
  // while the machine is suspended. (On macOS steady_clock may stand still then.)
  static double now_ms() {
#ifdef CLOCK_BOOTTIME
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
#else
    return to_ms(std::chrono::steady_clock::now().time_since_epoch());
#endif
  }

  template <typename Duration>
  static double to_ms(const Duration& duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  }

  static double to_ms(const google::protobuf::Duration& duration) {
    return static_cast<double>(duration.seconds()) * 1e3 + duration.nanos() / 1e6;
  }

  static void set(google::protobuf::Duration* duration, double ms) {
    duration->set_seconds(static_cast<std::int64_t>(ms / 1e3));
    duration->set_nanos(static_cast<std::int32_t>(std::fmod(ms, 1e3) * 1e6));
  }

  // 128 random bits: who knows a lease's id may release it.
  static std::string new_lease_id() {
    std::random_device random;
    std::string id;
    for (int n = 0; n < 32; ++n) id += "0123456789abcdef"[random() % 16];
    return id;
  }

  static constexpr double kNever = std::numeric_limits<double>::infinity();
  static constexpr double kFarewellMs = 5000;       // A daemon may restart meanwhile.
  static constexpr double kShortFarewellMs = 1000;  // For a lease that nobody believes in.
  static constexpr double kLeastMs = 250;           // No daemon is given less to answer.
  static constexpr double kLongestSilenceMs = 5000;

  // A Hold stream to one address, on a connection of its own. gRPC is done with it soon after
  // close(). All but the callbacks (On...) is called under the lock's mutex.
  class Stream final : public grpc::ClientBidiReactor<v1::HoldRequest, v1::HoldResponse> {
   public:
    Stream(HeldLock& lock, const std::string& server) : lock_(lock), server_(server) {
      grpc::ChannelArguments args;
      // Channels share connections unless told otherwise: a new stream to a frozen daemon would
      // get the frozen connection again, and its backoff of up to two minutes.
      args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
      args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
      args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // The lock asks again by itself.
      const auto begins = [&server](const char* with) { return server.rfind(with, 0) == 0; };
      if (begins("unix:") || begins("127.") || begins("localhost:") || begins("[::1]:")) {
        args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // No http_proxy leads to this very machine.
      }
      const auto channel = grpc::CreateCustomChannel(server, lock.wanted_.credentials, args);
      stub_ = v1::LockService::NewStub(channel);
      stub_->async()->Hold(&context_, this);
      AddHold();  // say() comes from outside of gRPC's callbacks, until close().
      StartRead(&heard_);
      StartCall();
    }

    void say(v1::HoldRequest message) {
      to_say_.push_back(std::move(message));
      if (to_say_.size() == 1) StartWrite(&to_say_.front());
    }

    void close() {
      context_.TryCancel();
      RemoveHold();
    }

    const std::string& server() const { return server_; }

    void OnReadDone(bool is_ok) override {
      lock_.heard(this, is_ok ? &heard_ : nullptr);
      if (is_ok) StartRead(&heard_);
    }

    void OnWriteDone(bool is_ok) override {
      const std::lock_guard guard(lock_.mutex_);
      to_say_.pop_front();
      if (is_ok && !to_say_.empty()) StartWrite(&to_say_.front());
    }

    void OnDone(const grpc::Status& status) override {
      const bool is_told = !status.ok() && status.error_code() != grpc::StatusCode::CANCELLED;
      lock_.gone(this, is_told ? server_ + ": " + status.error_message() : "");
    }

   private:
    HeldLock& lock_;
    const std::string server_;
    std::unique_ptr<v1::LockService::Stub> stub_;
    grpc::ClientContext context_;
    v1::HoldResponse heard_;
    std::deque<v1::HoldRequest> to_say_;  // The first of them is on its way.
  };

  // The lock's own thread: does what is due, and sleeps until something else is. No longer than a
  // second, since timers stand still while the machine is suspended.
  void keep() {
    std::unique_lock guard(mutex_);
    while (phase_ != Phase::kOver) {
      const double sleep_ms = std::clamp(look(now_ms()) - now_ms(), 0.0, 1000.0);
      if (phase_ == Phase::kOver) break;
      changed_.wait_for(guard, std::chrono::duration<double, std::milli>(sleep_ms + 0.1));
      bury(guard);
    }
    leave_stream();
    is_decided_ = true;
    changed_.notify_all();
    const bool must_tell = is_lost_ && wanted_.on_lost;
    guard.unlock();
    if (must_tell) wanted_.on_lost();
  }

  // Does all that is due; returns when something will be next.
  double look(double now) {
    double next = kNever;
    const auto is_due = [now, &next](double at) {
      if (now < at) next = std::min(next, at);
      return now >= at;
    };
    if (phase_ == Phase::kHolding && is_due(end_ms_)) lose();
    if (phase_ == Phase::kAsking && is_due(give_up_at_ms())) {
      failure_ = std::make_exception_ptr(
          Unavailable("no daemon has answered whether " + wanted_.resource + " can be had" +
                      (last_failure_.empty() ? "" : " (" + last_failure_ + ")")));
      start_release(kShortFarewellMs);
    }
    if (phase_ == Phase::kReleasing && is_due(farewell_ends_ms_)) phase_ = Phase::kOver;
    if (phase_ == Phase::kOver) return now;
    if (stream_ != nullptr && now >= leave_at_ms(now)) {
      // What has arrived while this program was stopped is read first.
      if (doubted_at_ms_ == kNever) doubted_at_ms_ = now;
      if (is_due(doubted_at_ms_ + 20)) leave(now, stream_->server() + " does not answer");
    } else {
      doubted_at_ms_ = kNever;
    }
    if (stream_ == nullptr && is_due(connect_at_ms_)) connect(now);
    if (stream_ != nullptr) {
      if (is_due(last_beat_ms_ + period_ms())) beat();
      is_due(leave_at_ms(now));
      is_due(last_beat_ms_ + period_ms());
    }
    return next;
  }

  double period_ms() const { return std::clamp(ttl_ms_ / 3, 100.0, 15'000.0); }

  // While somebody answers, only the end of the wait is an end; the daemon tells of it first.
  double give_up_at_ms() const {
    return std::min(alone_since_ms_ + to_ms(wanted_.patience), wait_ends_ms_ + kFarewellMs);
  }

  // When the present stream is to be left, if nothing is heard (R5).
  double leave_at_ms(double now) const {
    const double urgent_ms = urgent_at_ms(now);
    // Whoever answers but does not renew is left as well, where there is somebody else to ask.
    double at = wanted_.servers.size() > 1 ? urgent_ms : kNever;
    const auto oldest = sent_ms_.upper_bound(acked_seq_);
    if (oldest == sent_ms_.end()) return at;
    const double since_ms = oldest->second;
    double silence_ms = std::max(period_ms(), kLeastMs);
    // Where all addresses have been silent, each gets twice the time in the next round.
    if (heard_at_ms_ < 0) silence_ms *= std::exp2(static_cast<double>(rounds()));
    silence_ms = std::min(silence_ms, kLongestSilenceMs);
    // Who speaks of other things is not silent: on a slow network answers cross the next question.
    double until_ms = since_ms + silence_ms;
    if (heard_at_ms_ > since_ms) until_ms = heard_at_ms_ + 1.5 * silence_ms;
    until_ms = std::min(until_ms, since_ms + 2 * silence_ms);
    const double answered_ms = since_ms + std::max(period_ms() / 2, kLeastMs);
    return std::min({at, until_ms, std::max(urgent_ms, answered_ms)});
  }

  // With a quarter of the ttl left somebody else must be asked; on a stream that is younger, with
  // half of what was left when it was opened; not before it could have confirmed anything.
  double urgent_at_ms(double now) const {
    if (phase_ != Phase::kHolding || now >= end_ms_) return kNever;
    const double at = std::max({
        end_ms_ - ttl_ms_ / 4,
        (opened_at_ms_ + end_ms_) / 2,
        opened_at_ms_ + kLeastMs,
        confirmed_at_ms_ + period_ms() + std::max(kLeastMs, 1.5 * lag_ms_),
    });
    return at < end_ms_ ? at : kNever;
  }

  std::size_t rounds() const { return failures_ / wanted_.servers.size(); }

  void connect(double now) {
    opened_at_ms_ = now;
    heard_at_ms_ = -1;
    acked_seq_ = seq_;
    sent_ms_.clear();
    is_granted_here_ = false;  // R4
    ++open_streams_;
    stream_ = new Stream(*this, wanted_.servers[turn_ % wanted_.servers.size()]);
    beat();  // R3
    if (phase_ == Phase::kReleasing) return say_release();
    v1::HoldRequest message;
    if (phase_ == Phase::kHolding) {
      message.mutable_resume()->set_resource(wanted_.resource);
      message.mutable_resume()->set_lease_id(lease_id_);
    } else {
      v1::HoldAcquire& ask = *message.mutable_acquire();
      ask.set_resource(wanted_.resource);
      ask.set_lease_id(lease_id_);
      ask.set_principal(wanted_.principal);
      if (wanted_.ttl) set(ask.mutable_ttl(), to_ms(*wanted_.ttl));
      if (wanted_.wait) set(ask.mutable_wait(), std::max(0.0, wait_ends_ms_ - now));
    }
    stream_->say(std::move(message));
  }

  void beat() {
    last_beat_ms_ = now_ms();
    sent_ms_[++seq_] = last_beat_ms_;  // R1: before it is sent.
    alone_since_ms_ = std::min(alone_since_ms_, last_beat_ms_);
    v1::HoldRequest message;
    message.mutable_heartbeat()->set_seq(seq_);
    stream_->say(std::move(message));
  }

  void start_release(double farewell_ms) {
    phase_ = Phase::kReleasing;
    farewell_ends_ms_ = now_ms() + farewell_ms;
    if (stream_ != nullptr) say_release();
  }

  void say_release() {
    ++releases_;
    v1::HoldRequest message;
    message.mutable_release()->set_resource(wanted_.resource);
    message.mutable_release()->set_lease_id(lease_id_);
    stream_->say(std::move(message));
  }

  // A round over all addresses comes without a pause, the next one waits: a second at the most.
  void leave(double now, const std::string& why) {
    last_failure_ = why;
    leave_stream();
    ++turn_;
    ++failures_;
    connect_at_ms_ = now;
    if (failures_ % wanted_.servers.size() != 0) return;
    const double pause_ms = std::min(25 * std::exp2(static_cast<double>(rounds())), 1000.0);
    connect_at_ms_ += pause_ms * std::uniform_real_distribution<>(0.5, 1)(random_);
  }

  void leave_stream() {
    if (stream_ != nullptr) stream_->close();
    stream_ = nullptr;
  }

  // Something has arrived on a stream; nothing when it has ended.
  void heard(Stream* from, const v1::HoldResponse* said) {
    const std::lock_guard guard(mutex_);
    // What is over stays so (R2), whatever is read before keep() has left the stream.
    if (from != stream_ || phase_ == Phase::kOver) return;
    const double now = now_ms();
    if (said == nullptr) {
      leave(now, stream_->server() + " has ended the stream");
    } else {
      heard_at_ms_ = now;
      alone_since_ms_ = kNever;
      // One that answers and then closes must not be asked in a hurry.
      if (now - opened_at_ms_ >= 1000) failures_ = 0;
      hear(now, *said);
    }
    changed_.notify_all();
  }

  void hear(double now, const v1::HoldResponse& said) {
    switch (said.kind_case()) {
      case v1::HoldResponse::kQueued:
        if (said.queued().has_ttl()) ttl_ms_ = to_ms(said.queued().ttl());  // R3 counts it.
        break;
      case v1::HoldResponse::kGranted:
        if (said.granted().lease().lease_id() == lease_id_) on_granted(now, said.granted());
        break;
      case v1::HoldResponse::kHeartbeatAck:
        on_ack(now, said.heartbeat_ack());
        break;
      case v1::HoldResponse::kDenied:
        if (said.denied().lease_id() == lease_id_) on_denied(now, said.denied());
        break;
      case v1::HoldResponse::kLost:
        if (said.lost().lease_id() == lease_id_) on_lost(now, "the lease is lost");
        break;
      case v1::HoldResponse::kReleased:
        if (said.released().lease_id() == lease_id_) on_released(said.released().outcome());
        break;
      case v1::HoldResponse::kDraining:
        leave(now, stream_->server() + " is about to stop");
        break;
      case v1::HoldResponse::KIND_NOT_SET:
        break;  // A newer daemon's word.
    }
  }

  void on_granted(double now, const v1::Granted& granted) {
    if (phase_ == Phase::kReleasing) return;
    is_granted_here_ = true;
    ttl_ms_ = to_ms(granted.lease().ttl());
    token_ = granted.lease().fencing_token();
    confirm(now, granted.seq(), to_ms(granted.valid_for()));
    beat();  // R3
  }

  void on_ack(double now, const v1::HeartbeatAck& ack) {
    acked_seq_ = std::max(acked_seq_, ack.seq());
    sent_ms_.erase(sent_ms_.begin(), sent_ms_.lower_bound(ack.seq()));
    if (!is_granted_here_) return;  // R4
    double valid_ms = ack.valid_share() * ttl_ms_;
    for (const v1::LeaseValidity& behind : ack.behind()) {
      if (behind.lease_id() == lease_id_) valid_ms = to_ms(behind.valid_for());
    }
    confirm(now, ack.seq(), valid_ms);
  }

  void confirm(double now, std::uint64_t seq, double valid_ms) {
    const auto sent = sent_ms_.find(seq);
    if (sent == sent_ms_.end()) return;
    const auto left_ms = [this](double ms) { return 0.99 * ms - std::max(100.0, 0.05 * ttl_ms_); };
    const double end_ms = sent->second + left_ms(valid_ms);                // R1
    const bool is_too_late = phase_ == Phase::kHolding && now >= end_ms_;  // R2
    const bool is_too_short =
        phase_ == Phase::kAsking && end_ms < now + left_ms(ttl_ms_) / 2;  // R7
    if (is_too_late || is_too_short || phase_ == Phase::kReleasing) return;
    if (end_ms <= std::max(end_ms_, now)) return;
    end_ms_ = end_ms;
    confirmed_at_ms_ = std::max(confirmed_at_ms_, sent->second);
    lag_ms_ = now - sent->second;
    phase_ = Phase::kHolding;
    is_decided_ = true;
  }

  void on_denied(double now, const v1::Denied& denied) {
    if (denied.reason() == v1::DENIAL_REASON_UNAVAILABLE || phase_ == Phase::kHolding) {
      leave(now, stream_->server() + ": " + denied.message());  // Its store has no answer.
    } else if (denied.reason() == v1::DENIAL_REASON_LEASE_LOST) {
      on_lost(now, denied.message());
    } else {
      if (denied.reason() == v1::DENIAL_REASON_LOCK_HELD) {
        failure_ = std::make_exception_ptr(LockHeld(denied.message(), denied.holder().principal()));
      } else {
        failure_ = std::make_exception_ptr(Refused(denied.message()));
      }
      phase_ = Phase::kOver;
    }
  }

  void on_lost(double now, const std::string& why) {
    if (phase_ != Phase::kAsking) return lose();
    lease_id_ = new_lease_id();  // Nobody has believed in that one.
    leave(now, why);
  }

  // What is gone when it is released was lost before, unless a release before this one may have
  // ended it, whose answer was lost: nothing tells then.
  void on_released(v1::ReleaseOutcome outcome) {
    if (outcome != v1::RELEASE_OUTCOME_RELEASED && releases_ == 1) return lose();
    phase_ = Phase::kOver;
  }

  void lose() {
    is_lost_ = end_ms_ > -kNever;  // Who gives up a wait has had nothing to lose.
    phase_ = Phase::kOver;  // The stream is left: a heartbeat would renew what nobody believes in.
  }

  void gone(Stream* stream, const std::string& why) {
    const std::lock_guard guard(mutex_);
    if (!why.empty()) last_failure_ = why;
    gone_.emplace_back(stream);
    --open_streams_;
    changed_.notify_all();
  }

  // A stream is not destroyed in its own callback: the last channel of a program joins gRPC's
  // callback threads, which must not be done by one of them, nor under a mutex that they want.
  void bury(std::unique_lock<std::mutex>& guard) {
    std::vector<std::unique_ptr<Stream>> gone;
    gone.swap(gone_);
    guard.unlock();
    gone.clear();
    guard.lock();
  }

  // Nothing of this object is used by any thread afterwards.
  void finish() {
    keeper_.join();
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [this] { return open_streams_ == 0; });
    bury(guard);
  }

  const Wanted wanted_;
  mutable std::mutex mutex_;  // Over all below; nothing under it waits for a network.
  std::condition_variable changed_;
  std::thread keeper_;

  Phase phase_ = Phase::kAsking;
  std::string lease_id_ = new_lease_id();
  std::uint64_t token_ = 0;
  double ttl_ms_ = 60'000;  // Until the daemon tells: its own default.
  double wait_ends_ms_ = kNever;
  double end_ms_ = -kNever;  // The deadline of R1.
  double confirmed_at_ms_ = -kNever;
  double lag_ms_ = 0;
  double farewell_ends_ms_ = kNever;
  bool is_decided_ = false;  // Held for the first time, or over.
  bool is_lost_ = false;
  int releases_ = 0;  // How often it was said.
  std::exception_ptr failure_;

  Stream* stream_ = nullptr;  // The present one; those that were left are counted until gone.
  int open_streams_ = 0;
  std::vector<std::unique_ptr<Stream>> gone_;
  double opened_at_ms_ = 0;
  double heard_at_ms_ = -1;
  double doubted_at_ms_ = kNever;
  double last_beat_ms_ = 0;
  double alone_since_ms_ = kNever;  // Since when nobody answers.
  std::uint64_t seq_ = 0;
  std::uint64_t acked_seq_ = 0;
  std::map<std::uint64_t, double> sent_ms_;  // The heartbeats of this stream that may be echoed.
  bool is_granted_here_ = false;

  std::size_t turn_ = 0;
  std::size_t failures_ = 0;
  double connect_at_ms_ = 0;
  std::string last_failure_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace stormlock
