//! What the contract of all clients does not play: what becomes of a lock that nobody releases, and
//! of a daemon that is not there. Against a daemon, whose addresses example.test.ts names.

use std::time::Duration;

use held_lock::{Error, HeldLock, Wanted};
use tokio::time::timeout;

// That it comes is the claim, not how soon.
const WITHIN: Duration = Duration::from_secs(50);
const NO_WAIT: Option<Duration> = Some(Duration::ZERO);

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} must name a daemon's address"))
}

/// With a ttl that no test waits for: what is granted before was given back.
fn wanted(resource: &str) -> Wanted {
    let ttl = Some(Duration::from_secs(600));
    Wanted {
        ttl,
        ..Wanted::new(&[&server("STORMLOCK_TEST_SERVER")], resource)
    }
}

async fn acquired(wanted: Wanted) -> HeldLock {
    let lock = timeout(WITHIN, HeldLock::acquire(wanted)).await;
    lock.expect("an answer in time").expect("the lock")
}

#[tokio::test]
async fn a_lock_that_is_dropped_is_released() {
    let first = acquired(wanted("dropped")).await;
    let token = first.token();
    drop(first);
    let second = acquired(wanted("dropped")).await;
    assert!(second.token() > token);
    assert_eq!(second.release().await, Ok(()));
}

#[tokio::test]
async fn a_wait_that_is_dropped_leaves_the_queue() {
    let first = acquired(wanted("queue")).await;
    let waiting = HeldLock::acquire(wanted("queue"));
    assert!(timeout(Duration::from_secs(1), waiting).await.is_err());
    assert_eq!(first.release().await, Ok(()));
    let third = acquired(wanted("queue")).await;
    assert!(third.is_held());
    assert_eq!(third.release().await, Ok(()));
}

#[tokio::test]
async fn who_holds_it_is_named_to_whom_it_is_refused() {
    let ann = Wanted {
        principal: "ann".into(),
        ..wanted("named")
    };
    let lock = acquired(ann).await;
    let bob = Wanted {
        principal: "bob".into(),
        wait: NO_WAIT,
        ..wanted("named")
    };
    match timeout(WITHIN, HeldLock::acquire(bob))
        .await
        .expect("an answer in time")
    {
        Err(Error::Held { holder, message }) => {
            assert_eq!(holder, "ann");
            assert!(message.contains("named is held by ann"), "{message}");
        }
        Err(why) => panic!("{why:?}"),
        Ok(_) => panic!("granted twice"),
    }
    assert_eq!(lock.release().await, Ok(()));
}

#[tokio::test]
async fn a_value_outside_its_limits_is_refused_for_good() {
    for (wrong, what) in [
        (wanted(" blank "), "resource"),
        (
            Wanted {
                ttl: Some(Duration::from_millis(1)),
                ..wanted("short")
            },
            "ttl",
        ),
        (
            Wanted {
                ttl: Some(Duration::MAX),
                ..wanted("long")
            },
            "ttl",
        ),
        (Wanted::new(&[], "nowhere"), "servers"),
        (
            Wanted::new(&["not an address"], "nowhere"),
            "not an address",
        ),
    ] {
        match timeout(WITHIN, HeldLock::acquire(wrong))
            .await
            .expect("an answer in time")
        {
            Err(Error::Refused(why)) => assert!(why.contains(what), "{why}"),
            Err(why) => panic!("{why:?}"),
            Ok(_) => panic!("granted with a wrong {what}"),
        }
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_passed_over_and_named_when_it_is_the_only_one() {
    let nobody = server("STORMLOCK_TEST_NOBODY");
    let both = [nobody.as_str(), &server("STORMLOCK_TEST_SERVER")].map(String::from);
    let lock = acquired(Wanted {
        servers: both.into(),
        ..wanted("passed over")
    })
    .await;
    assert_eq!(lock.release().await, Ok(()));
    let alone = HeldLock::acquire(Wanted::new(&[&nobody], "alone"));
    match timeout(WITHIN, alone).await.expect("an answer in time") {
        Err(Error::Unavailable(why)) => {
            assert!(why.contains(&nobody) && why.contains("refused"), "{why}");
        }
        Err(why) => panic!("{why:?}"),
        Ok(_) => panic!("granted by nobody"),
    }
}

#[tokio::test]
async fn a_daemon_is_reached_over_its_unix_socket() {
    let socket = server("STORMLOCK_TEST_SOCKET");
    let lock = acquired(Wanted {
        servers: vec![socket],
        ..wanted("socket")
    })
    .await;
    assert!(lock.is_held());
    assert_eq!(lock.release().await, Ok(()));
}
