//! The actor of clients/rust: a task, an object and so a stream for each lock. (README.md in the
//! folder above.)

use std::collections::HashMap;
use std::io::BufRead;
use std::time::Duration;

use held_lock::{Error, HeldLock, Wanted};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, servers, principal, every @ ..] = args.as_slice() else {
        panic!("usage: actor SERVERS PRINCIPAL [EVERY]")
    };
    let every_ms = every
        .first()
        .map_or(10, |every| every.parse().expect("EVERY in milliseconds"));
    let servers: Vec<&str> = servers.split(',').collect();
    let mut holding = JoinSet::new();
    let mut releases: HashMap<String, oneshot::Sender<()>> = HashMap::new();
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        let resource = order["resource"].as_str().expect("a resource");
        if order["do"] == "release" {
            let Some(release) = releases.remove(resource) else {
                panic!("{resource} is not held")
            };
            let _ = release.send(());
            continue;
        }
        let millis = |name: &str| order[name].as_u64().map(Duration::from_millis);
        let wanted = Wanted {
            principal: principal.clone(),
            ttl: millis("ttlMs"),
            wait: millis("waitMs"),
            ..Wanted::new(&servers, resource)
        };
        let (release, released) = oneshot::channel();
        releases.insert(resource.to_owned(), release);
        let every = Duration::from_millis(every_ms);
        holding.spawn(hold(wanted, every, released));
    }
    drop(releases); // The end of stdin releases everything.
    while holding.join_next().await.is_some() {}
}

/// Holds one lock until it is told to release it, and says what there is to say of it.
async fn hold(wanted: Wanted, every: Duration, mut release: oneshot::Receiver<()>) {
    let resource = wanted.resource.clone();
    let acquired = tokio::select! {
        acquired = HeldLock::acquire(wanted) => acquired,
        _ = &mut release => return,
    };
    let lock = match acquired {
        Ok(lock) => lock,
        Err(Error::Held { holder, .. }) => {
            return say(json!({"says": "refused", "resource": resource, "principal": holder}));
        }
        Err(why) => {
            return say(json!({"says": "failed", "resource": resource, "why": why.to_string()}));
        }
    };
    say(json!({"says": "granted", "resource": resource, "token": lock.token().to_string()}));
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_lost = false;
    loop {
        tokio::select! {
            _ = &mut release => break,
            _ = lock.lost(), if !is_lost => {
                is_lost = true;
                say(json!({"says": "lost", "resource": resource}));
            }
            _ = tick.tick() => {
                let at_ms = host_ms(); // Before it is asked.
                if lock.is_held() {
                    say(json!({"says": "held", "resource": resource, "atMs": at_ms}));
                }
            }
        }
    }
    let was_kept = !matches!(lock.release().await, Err(Error::Lost(_)));
    say(json!({"says": "released", "resource": resource, "wasKept": was_kept}));
}

/// The lines of stdin, read by a thread of their own.
fn orders() -> mpsc::UnboundedReceiver<Value> {
    let (send, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line).expect("an order in JSON");
            if send.send(order).is_err() {
                return;
            }
        }
    });
    orders
}

fn say(words: Value) {
    println!("{words}");
}

fn host_ms() -> f64 {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    read.tv_sec as f64 * 1e3 + read.tv_nsec as f64 / 1e6
}
