// The actor of clients/cpp/held_lock.hpp. (README.md in the folder above.)

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "held_lock.hpp"

namespace {

using google::protobuf::Struct;
using stormlock::HeldLock;

std::mutex speaking;
std::mutex guarding;
std::map<std::string, std::shared_ptr<HeldLock>> locks;  // Guarded by guarding.

// A line of JSON, of pairs of words.
void say(const std::vector<std::pair<std::string, std::string>>& words) {
  Struct line;
  for (const auto& [name, word] : words) (*line.mutable_fields())[name].set_string_value(word);
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(line, &json).ok()) std::abort();
  const std::lock_guard guard(speaking);
  std::cout << json << std::endl;
}

void say_held(const std::string& resource, double at_ms) {
  const std::lock_guard guard(speaking);
  std::printf("{\"says\":\"held\",\"resource\":\"%s\",\"atMs\":%.3f}\n", resource.c_str(), at_ms);
  std::fflush(stdout);
}

double host_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void hold(stormlock::Wanted wanted) {
  const std::string resource = wanted.resource;
  wanted.on_lost = [resource] { say({{"says", "lost"}, {"resource", resource}}); };
  try {
    const auto lock = std::make_shared<HeldLock>(std::move(wanted));
    {
      const std::lock_guard guard(guarding);
      locks[resource] = lock;
    }
    say({{"says", "granted"}, {"resource", resource}, {"token", std::to_string(lock->token())}});
  } catch (const stormlock::LockHeld& held) {
    say({{"says", "refused"}, {"resource", resource}, {"principal", held.principal}});
  } catch (const std::exception& error) {
    say({{"says", "failed"}, {"resource", resource}, {"why", error.what()}});
  }
}

void release(const std::string& resource) {
  std::shared_ptr<HeldLock> lock;
  {
    const std::lock_guard guard(guarding);
    lock = locks[resource];
  }
  const bool was_kept = lock != nullptr && lock->release();
  const std::lock_guard guard(speaking);
  std::printf("{\"says\":\"released\",\"resource\":\"%s\",\"wasKept\":%s}\n", resource.c_str(),
              was_kept ? "true" : "false");
  std::fflush(stdout);
}

// Tells, of each lock, that it is held now.
void watch(std::chrono::milliseconds every) {
  for (;;) {
    std::map<std::string, std::shared_ptr<HeldLock>> all;
    {
      const std::lock_guard guard(guarding);
      all = locks;
    }
    for (const auto& [resource, lock] : all) {
      const double at_ms = host_ms();
      if (lock != nullptr && lock->is_held()) say_held(resource, at_ms);
    }
    std::this_thread::sleep_for(every);
  }
}

}  // namespace

int main(int count, char** args) {
  std::vector<std::string> servers;
  std::istringstream list(args[1]);
  for (std::string server; std::getline(list, server, ',');) servers.push_back(server);
  std::thread(watch, std::chrono::milliseconds(count > 3 ? std::atol(args[3]) : 10)).detach();
  for (std::string line; std::getline(std::cin, line);) {
    Struct order;
    if (!google::protobuf::util::JsonStringToMessage(line, &order).ok()) std::abort();
    auto& words = *order.mutable_fields();
    const std::string resource = words["resource"].string_value();
    if (words["do"].string_value() == "release") {
      std::thread(release, resource).detach();
      continue;
    }
    const auto ms = [&words](const char* name) {
      return std::chrono::milliseconds(static_cast<long>(words[name].number_value()));
    };
    stormlock::Wanted wanted{servers, resource, ms("ttlMs"), ms("waitMs"), args[2]};
    std::thread(hold, std::move(wanted)).detach();
  }
  for (const auto& [resource, lock] : locks) {
    if (lock != nullptr) lock->release();
  }
  std::fflush(stdout);
  std::_Exit(0);  // Whoever still waits is a waiter whose stream has ended.
}
