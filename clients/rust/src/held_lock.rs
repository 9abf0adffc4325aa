//! A lock of a Stormlock daemon that is kept while the work lasts, on nothing but the stubs that
//! `buf generate` makes. Copy this file into your service; README.md beside it says what it needs.
//!
//! It keeps the contract of a holder:
//!
//! - H1. Belief ends at `t0 + valid * 0.99 - max(100 ms, 5 % of the ttl)`, where `t0` was read before
//!   the heartbeat was sent that the answer echoes. It does not begin with a lease that is nearly over.
//! - H2. The end is looked up on the clock whenever somebody asks, and lost is final: a program that
//!   was stopped finds the truth, and a late answer revives nothing.
//! - H3. A heartbeat goes out first on each stream, right before each Acquire and Resume, right after
//!   each Granted, and every min(ttl / 3, 15 s).
//! - H4. An ack speaks only of a lease that was granted on its own stream before it.
//! - H5. A stream that is broken or silent, or whose daemon drains or does not renew, is left: the
//!   lease is resumed on the next address until its deadline, a wait asked for again with the same id.
//! - H6. Who releases stops believing first, and says so then.
#![allow(dead_code)] // A program uses the parts that it needs.

use std::{collections::VecDeque, fmt, time::Duration};
use tokio::time::{sleep, timeout};
use tokio::{select, sync::mpsc, sync::watch, task::JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// The stubs, where buf.gen.yaml puts them, seen from this file.
#[allow(clippy::all)]
mod stubs {
    include!("../build/gen/stormlock/v1/stormlock.v1.rs");
}
use stubs::lock_service_client::LockServiceClient;
use stubs::{hold_request::Kind as Say, hold_response::Kind as Heard, *};

// Heartbeats: three chances within the ttl, but no flood.
const LONGEST_PERIOD: Duration = Duration::from_secs(15);
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
// A daemon that leaves a heartbeat unanswered for a period, or for this long, is not there.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);
const SHORTEST_SILENCE: Duration = Duration::from_millis(250);
// How long what has arrived has to be read before a stream is left.
const SETTLE: Duration = Duration::from_millis(20);
// The pause when all addresses have failed: doubled from the first to the last.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LAST_BACKOFF: Duration = Duration::from_secs(1);
// Timers stand still while a machine is suspended: the clock is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
// A wait is given up when no daemon has said a word for so long.
const PATIENCE: Duration = Duration::from_secs(10);
// For how long a release goes on asking, and a wait after its end, which a daemon should tell.
const FAREWELL: Duration = Duration::from_secs(5);
// What a ttl is taken for until a daemon has told it.
const ASSUMED_TTL: Duration = Duration::from_secs(60);

/// Which lock, where, and for how long: `Wanted { ttl: …, ..Wanted::new(servers, resource) }`.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Daemons of one store: `host:port`, or a URI (`https://…`, `unix:/…`).
    pub servers: Vec<String>,
    pub resource: String,
    /// Who asks, for those who find it held. Empty: the daemon's default.
    pub principal: String,
    /// For how long the lease outlives the last sign of its holder. None: the daemon's default.
    pub ttl: Option<Duration>,
    /// How long to stand in the queue. None: without limit. Zero: not at all.
    pub wait: Option<Duration>,
}

impl Wanted {
    pub fn new(servers: &[&str], resource: &str) -> Self {
        Self {
            servers: servers.iter().map(|&server| server.into()).collect(),
            resource: resource.into(),
            ..Self::default()
        }
    }
}

/// Why a lock is not held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Somebody else has it, and the wait is over.
    Held { holder: String, message: String },
    /// It was held, and somebody else may have it by now.
    Lost(String),
    /// Asking again changes nothing: a value outside its limits, a caller without the right.
    Refused(String),
    /// No daemon has given a definite answer.
    Unavailable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { message: why, .. }
            | Self::Lost(why)
            | Self::Refused(why)
            | Self::Unavailable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// A lock that is held, and kept by a task of the runtime that it was acquired in: work that blocks
/// belongs into `spawn_blocking`. One that is dropped is released in the background.
pub struct HeldLock {
    token: u64,
    belief: watch::Sender<Belief>,
    keeper: JoinHandle<Result<(), Error>>,
}

impl HeldLock {
    /// Waits until the lock is held. Who drops the future gives up the wait.
    pub async fn acquire(wanted: Wanted) -> Result<Self, Error> {
        let endpoints = wanted.servers.iter().map(endpoint);
        let endpoints: Vec<_> = endpoints.collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(Error::Refused(
                "servers is empty: name one, as host:port".into(),
            ));
        }
        if wanted.ttl.is_some_and(|ttl| to_proto(ttl).is_none()) {
            return Err(Error::Refused("ttl is longer than can be said".into()));
        }
        let belief = watch::Sender::new(Belief {
            ttl: wanted.ttl.unwrap_or(ASSUMED_TTL),
            ..Belief::default()
        });
        let mut told = belief.subscribe();
        let keeper = Keeper {
            client: client(&endpoints[0]),
            wanted,
            endpoints,
            belief: belief.clone(),
            lease_id: new_lease_id(),
            seq: 0,
            turn: 0,
            failures: 0,
            started_at: now(),
            heard_at: now(),
        };
        let keeper = tokio::spawn(keeper.run());
        let mut lock = Self {
            token: 0,
            belief,
            keeper,
        };
        let known = told
            .wait_for(|b| b.deadline.is_some() || b.end.is_some())
            .await;
        let known = known.expect("the lock itself is a sender");
        if let Some(Err(why)) = &known.end {
            return Err(why.clone());
        }
        lock.token = known.token;
        Ok(lock)
    }

    /// The fencing token: send it along with every write to what the lock protects.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Whether it is held now, by the clock. Ask right before what must not happen without it.
    pub fn is_held(&self) -> bool {
        let belief = self.belief.borrow();
        belief.end.is_none() && belief.deadline.is_some_and(|deadline| now() < deadline)
    }

    /// Returns when the lock is lost, which is final: for `select!`, beside the work.
    pub async fn lost(&self) {
        let _ = self.belief.subscribe().wait_for(|b| b.end.is_some()).await;
    }

    /// Gives it back: from here on it is not held. Waits for a daemon to confirm, for some 5 s at the
    /// most. `Error::Lost` says that it was lost before, so that others may have had it meanwhile; `Ok`
    /// that it was held to the end, as far as can be known: after a release whose answer was lost
    /// nothing tells any more.
    pub async fn release(mut self) -> Result<(), Error> {
        self.belief.send_modify(|b| b.finish(Ok(()))); // H6
        let confirmed = (&mut self.keeper).await;
        confirmed.unwrap_or_else(|why| Err(Error::Unavailable(why.to_string())))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.belief.send_modify(|b| b.finish(Ok(())));
    }
}

/// Time since the machine was started.
type Moment = Duration;

/// Never goes back, is not moved by who sets the wall clock, and counts suspended time.
#[cfg(target_os = "linux")]
fn now() -> Moment {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(read.tv_sec as u64, read.tv_nsec as u32)
}

#[cfg(not(target_os = "linux"))]
fn now() -> Moment {
    use std::{sync::LazyLock, time::Instant};
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// What may be believed of the lease.
#[derive(Default)]
struct Belief {
    ttl: Duration,
    token: u64,
    /// None before the first answer that came in time.
    deadline: Option<Moment>,
    /// How it ended, for good. Ok: given back.
    end: Option<Result<(), Error>>,
}

impl Belief {
    /// Takes in an answer to the heartbeat that was sent then.
    fn confirm(&mut self, sent_at: Moment, valid: Duration) {
        if self.end.is_some() || self.is_late() {
            return; // H2
        }
        let deadline = self.deadline_of(sent_at, valid);
        let enough = now() + self.deadline_of(Moment::ZERO, self.ttl) / 2;
        if self
            .deadline
            .map_or(deadline >= enough, |before| deadline > before)
        {
            self.deadline = Some(deadline); // H1
        }
    }

    fn deadline_of(&self, sent_at: Moment, valid: Duration) -> Moment {
        let margin = Duration::from_millis(100).max(self.ttl / 20);
        (sent_at + valid.mul_f64(0.99)).saturating_sub(margin)
    }

    fn finish(&mut self, how: Result<(), Error>) {
        if self.end.is_none() {
            let late = || Err(Error::Lost("the lease could not be renewed in time".into()));
            self.end = Some(if self.is_late() { late() } else { how });
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| now() >= deadline)
    }
}

/// Returns when nothing is to be believed any more: somebody has ended it, or the clock.
async fn until_over(belief: &watch::Sender<Belief>) {
    let mut told = belief.subscribe();
    loop {
        let (is_over, deadline) = {
            let known = told.borrow_and_update();
            (known.end.is_some() || known.is_late(), known.deadline)
        };
        if is_over {
            return belief.send_modify(|b| b.finish(Ok(())));
        }
        let left = deadline.map_or(LONGEST_SLEEP, |deadline| deadline.saturating_sub(now()));
        let _ = timeout(left.min(LONGEST_SLEEP), told.changed()).await;
    }
}

/// Returns when a wait is over that no daemon has ended, whether they answer otherwise or not; never
/// for one that is without limit, or has led to a lock.
async fn until_given_up(belief: &watch::Sender<Belief>, at: Option<Moment>) {
    let Some(at) = at else {
        return std::future::pending().await;
    };
    while now() < at {
        sleep((at - now()).min(LONGEST_SLEEP)).await;
    }
    let is_given_up = belief.send_if_modified(|b| {
        let is_pending = b.deadline.is_none() && b.end.is_none();
        if is_pending {
            let why = "no daemon has told whether the lock can be had";
            b.finish(Err(Error::Unavailable(why.into())));
        }
        is_pending
    });
    if !is_given_up {
        std::future::pending().await
    }
}

/// What was said and heard on one Hold stream.
struct Stream {
    say: mpsc::UnboundedSender<HoldRequest>,
    opened_at: Moment,
    heard_at: Moment,
    beaten_at: Moment,
    is_granted: bool,
    /// Heartbeats that may still be echoed, and when each was sent.
    beats: VecDeque<(u64, Moment)>,
    acked: u64,
}

impl Stream {
    /// Does not wait for the network: a daemon that takes nothing in is soon left.
    fn say(&self, kind: Say) {
        let _ = self.say.send(HoldRequest { kind: Some(kind) });
    }

    fn beat(&mut self, seq: u64) {
        self.beaten_at = now(); // H1: before it is sent.
        self.beats.push_back((seq, self.beaten_at));
        self.say(Say::Heartbeat(Heartbeat { seq }));
    }

    fn sent_at(&self, seq: u64) -> Option<Moment> {
        let beat = self.beats.iter().find(|beat| beat.0 == seq)?;
        Some(beat.1)
    }
}

/// Why a stream is left.
enum Left {
    /// Nothing is wanted of a daemon any more.
    Over,
    /// The next address is to be asked.
    Failed(String),
}

/// Asks for the lock and keeps it: one stream after the other, until belief is over.
struct Keeper {
    wanted: Wanted,
    endpoints: Vec<Endpoint>,
    /// Of the address whose turn it is, on a connection of its own.
    client: LockServiceClient<Channel>,
    belief: watch::Sender<Belief>,
    lease_id: String,
    seq: u64,
    turn: usize,
    failures: u32,
    started_at: Moment,
    heard_at: Moment,
}

impl Keeper {
    async fn run(mut self) -> Result<(), Error> {
        let belief = self.belief.clone();
        let refused_by = self.wanted.wait.map(|wait| {
            let wait = wait.saturating_add(FAREWELL);
            self.started_at.saturating_add(wait)
        });
        select! {
            () = self.keep() => {}
            () = until_over(&belief) => {}
            () = until_given_up(&belief, refused_by) => {}
        }
        let end = belief.borrow().end.clone();
        match end.unwrap_or(Ok(())) {
            Ok(()) => self.give_back(FAREWELL).await,
            Err(Error::Unavailable(why)) => {
                let _ = self.give_back(LAST_BACKOFF).await; // It may have been granted all the same.
                Err(Error::Unavailable(why))
            }
            Err(why) => Err(why), // The lease has ended, or ends with its ttl.
        }
    }

    /// H5: goes from address to address.
    async fn keep(&mut self) {
        while let Left::Failed(why) = self.follow().await {
            self.next_address();
            self.failures += 1;
            if self.is_pending() && now() >= self.heard_at + PATIENCE {
                return self.finish(Error::Unavailable(why));
            }
            if (self.failures as usize).is_multiple_of(self.endpoints.len()) {
                let pause = FIRST_BACKOFF * 2_u32.pow((self.rounds() - 1).min(5));
                let random = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
                sleep(pause.min(LAST_BACKOFF).mul_f64(0.5 + random / 2.0)).await;
            }
        }
    }

    /// One stream, from its first word to its last.
    async fn follow(&mut self) -> Left {
        let opened_at = now();
        let (say, words) = mpsc::unbounded_channel();
        let mut stream = Stream {
            say,
            opened_at,
            heard_at: opened_at, // Not yet.
            beaten_at: opened_at,
            is_granted: false,
            beats: VecDeque::new(),
            acked: self.seq,
        };
        self.beat(&mut stream);
        stream.say(self.question());
        let mut client = self.client.clone();
        let opening = client.hold(UnboundedReceiverStream::new(words));
        let patience = self.silent_until(&stream).saturating_sub(now());
        let mut hears = match timeout(patience, opening).await {
            Ok(Ok(opened)) => opened.into_inner(),
            Ok(Err(why)) => return self.failed(&reason(&why)),
            Err(_) => return self.failed("it does not answer"),
        };
        loop {
            if now() >= stream.beaten_at + self.period() {
                self.beat(&mut stream); // H3
            }
            let silent_until = self.silent_until(&stream);
            let next = silent_until.min(stream.beaten_at + self.period());
            let is_silent = now() >= silent_until; // Unless an answer is here already.
            let wait = next.saturating_sub(now()).min(LONGEST_SLEEP);
            let heard = match timeout(if is_silent { SETTLE } else { wait }, hears.message()).await
            {
                Ok(Ok(Some(heard))) => heard.kind,
                Ok(Ok(None)) => return self.failed("it has ended the stream"),
                Ok(Err(why)) => return self.failed(&reason(&why)),
                Err(_) if is_silent => return self.failed("it leaves a heartbeat unanswered"),
                Err(_) => continue,
            };
            if let Some(left) = heard.and_then(|heard| self.hear(&mut stream, heard)) {
                return left;
            }
        }
    }

    fn hear(&mut self, stream: &mut Stream, heard: Heard) -> Option<Left> {
        stream.heard_at = now();
        self.heard_at = stream.heard_at;
        if stream.heard_at - stream.opened_at >= LAST_BACKOFF {
            self.failures = 0; // One that answers and then closes is not asked in a hurry.
        }
        match heard {
            Heard::HeartbeatAck(ack) => return self.hear_ack(stream, ack),
            Heard::Granted(Granted {
                lease,
                seq,
                valid_for,
            }) => {
                let lease = lease.filter(|lease| lease.lease_id == self.lease_id)?;
                stream.is_granted = true;
                self.belief.send_modify(|b| {
                    (b.token, b.ttl) = (lease.fencing_token, span(lease.ttl));
                    if let Some(sent_at) = stream.sent_at(seq) {
                        b.confirm(sent_at, span(valid_for));
                    }
                });
                self.beat(stream); // H3
            }
            Heard::Queued(queued) if self.is_pending() && queued.ttl.is_some() => {
                self.belief.send_modify(|b| b.ttl = span(queued.ttl));
            }
            Heard::Denied(denied) if denied.lease_id == self.lease_id => {
                return Some(self.hear_no(denied));
            }
            Heard::Lost(lost) if lost.lease_id == self.lease_id => {
                let why = format!("the daemon says that the lease is lost: {:?}", lost.cause());
                return Some(self.hear_lost(why));
            }
            Heard::Draining(_) => return Some(self.failed("it is about to stop")),
            _ => {}
        }
        None
    }

    fn hear_ack(&mut self, stream: &mut Stream, ack: HeartbeatAck) -> Option<Left> {
        let sent_at = stream.sent_at(ack.seq)?;
        stream.acked = stream.acked.max(ack.seq);
        stream.beats.retain(|beat| beat.0 >= ack.seq);
        if !stream.is_granted {
            return None; // H4
        }
        let behind = ack
            .behind
            .iter()
            .find(|behind| behind.lease_id == self.lease_id);
        let share = if ack.valid_share > 0.0 {
            ack.valid_share.min(1.0)
        } else {
            0.0
        };
        self.belief.send_modify(|b| {
            let valid = behind.map_or_else(|| b.ttl.mul_f64(share), |it| span(it.valid_for));
            b.confirm(sent_at, valid);
        });
        // Another answer like this, a period later, would come too late: another daemon may renew.
        let deadline = self.belief.borrow().deadline?;
        let is_urgent = now() + self.period() * 5 / 4 >= deadline && self.endpoints.len() > 1;
        is_urgent.then(|| self.failed("it does not renew the lease"))
    }

    fn hear_no(&mut self, denied: Denied) -> Left {
        use DenialReason::{AlreadyOnStream, InvalidField, LeaseLost, LockHeld, NotAllowed};
        let (why, reason) = (denied.message.clone(), denied.reason());
        match reason {
            _ if !self.is_pending() => return self.failed(&why), // Held until its deadline.
            LeaseLost => return self.hear_lost(why),
            LockHeld => {
                let holder = denied
                    .holder
                    .map(|lease| lease.principal)
                    .unwrap_or_default();
                self.finish(Error::Held {
                    holder,
                    message: why,
                });
            }
            InvalidField | NotAllowed | AlreadyOnStream => self.finish(Error::Refused(why)),
            _ => return self.failed(&why), // Its store does not answer: another daemon's may.
        }
        Left::Over
    }

    fn hear_lost(&mut self, why: String) -> Left {
        if self.is_pending() {
            self.lease_id = new_lease_id(); // Nobody has believed in it: another id is as good.
            return self.failed(&why);
        }
        self.finish(Error::Lost(why));
        Left::Over
    }

    fn question(&self) -> Say {
        let resource = self.wanted.resource.clone();
        let lease_id = self.lease_id.clone();
        if !self.is_pending() {
            return Say::Resume(HoldResume { resource, lease_id });
        }
        let waited = now() - self.started_at;
        let wait = self.wanted.wait.map(|wait| wait.saturating_sub(waited));
        Say::Acquire(HoldAcquire {
            resource,
            lease_id,
            principal: self.wanted.principal.clone(),
            ttl: self.wanted.ttl.and_then(to_proto),
            wait: wait.and_then(to_proto), // One that cannot be said is as good as without limit.
            ..HoldAcquire::default()
        })
    }

    /// By calls of their own, which any daemon of the store answers. The stream has ended by now.
    async fn give_back(&mut self, patience: Duration) -> Result<(), Error> {
        let request = ReleaseRequest {
            resource: self.wanted.resource.clone(),
            lease_id: self.lease_id.clone(),
        };
        let (until, mut may_be_done) = (now() + patience, false);
        while now() < until {
            let asking = self.client.release(request.clone());
            match timeout(LAST_BACKOFF, asking).await {
                Ok(Ok(answer)) => {
                    let is_gone = answer.into_inner().outcome() == ReleaseOutcome::NotHeld;
                    let why = "the lease was not held any more when it was released";
                    // One before it whose answer was lost may have ended it: nothing tells then.
                    return if is_gone && !may_be_done {
                        Err(Error::Lost(why.into()))
                    } else {
                        Ok(())
                    };
                }
                Ok(Err(why)) if is_unheard(&why) => {}
                _ => may_be_done = true,
            }
            self.next_address();
            sleep(FIRST_BACKOFF).await;
        }
        let resource = request.resource;
        let why = format!("no daemon confirms the release of {resource}: it ends with its ttl");
        Err(Error::Unavailable(why))
    }

    fn beat(&mut self, stream: &mut Stream) {
        self.seq += 1;
        stream.beat(self.seq);
    }

    fn next_address(&mut self) {
        self.turn = (self.turn + 1) % self.endpoints.len();
        self.client = client(&self.endpoints[self.turn]);
    }

    fn failed(&self, why: &str) -> Left {
        Left::Failed(format!("{}: {why}", self.endpoints[self.turn].uri()))
    }

    fn finish(&self, why: Error) {
        self.belief.send_modify(|b| b.finish(Err(why)));
    }

    /// Whether nobody believes in it yet.
    fn is_pending(&self) -> bool {
        self.belief.borrow().deadline.is_none()
    }

    /// How often all addresses have failed, one after the other.
    fn rounds(&self) -> u32 {
        self.failures / self.endpoints.len() as u32
    }

    fn period(&self) -> Duration {
        (self.belief.borrow().ttl / 3).clamp(SHORTEST_PERIOD, LONGEST_PERIOD)
    }

    /// Until when the oldest unanswered heartbeat may stay so: for a period, a little longer from one
    /// who speaks of other things, longer where all addresses are silent; and with a quarter of the
    /// ttl left no longer than a daemon that is there needs.
    fn silent_until(&self, stream: &Stream) -> Moment {
        let Some(&(_, since)) = stream.beats.iter().find(|beat| beat.0 > stream.acked) else {
            return Moment::MAX;
        };
        let period = self.period();
        let silence = period.max(SHORTEST_SILENCE) * 2_u32.pow(self.rounds().min(5));
        let silence = silence.min(LONGEST_SILENCE);
        let until = stream.heard_at.clamp(since, since + silence) + silence;
        let belief = self.belief.borrow();
        let Some(deadline) = belief.deadline else {
            return until;
        };
        let chance = (period / 2).max(SHORTEST_SILENCE);
        let urgent = (since + chance).max(deadline.saturating_sub(belief.ttl / 4));
        if stream.heard_at == stream.opened_at && urgent + chance >= deadline {
            return until.max(deadline); // Too late for another one: this one may still answer.
        }
        until.min(urgent)
    }
}

/// The way to a daemon. With tonic's feature `tls-native-roots` this is the place for `tls_config`.
fn endpoint(server: &String) -> Result<Endpoint, Error> {
    let is_uri = server.contains("://") || server.starts_with("unix:");
    let uri = if is_uri {
        server.clone()
    } else {
        format!("http://{server}")
    };
    let endpoint = Endpoint::from_shared(uri)
        .map_err(|why| Error::Refused(format!("{server} is no address: {}", reason(&why))))?;
    Ok(endpoint
        .connect_timeout(LONGEST_SILENCE)
        .http2_keep_alive_interval(LONGEST_SILENCE)
        .keep_alive_timeout(LONGEST_SILENCE))
}

/// A connection of its own, made when it is first used: one that has failed is not used again.
fn client(endpoint: &Endpoint) -> LockServiceClient<Channel> {
    LockServiceClient::new(endpoint.connect_lazy())
}

/// What is at the bottom of an error: on its top tonic says "transport error".
fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => reason(source),
        None => error.to_string(),
    }
}

/// Whether there was no connection, so that nobody has heard what was asked.
fn is_unheard(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<tonic::ConnectError>() || error.source().is_some_and(is_unheard)
}

fn new_lease_id() -> String {
    let random = || getrandom::u64().expect("the operating system gives random numbers");
    format!("{:016x}{:016x}", random(), random())
}

fn to_proto(span: Duration) -> Option<prost_types::Duration> {
    span.try_into().ok()
}

fn span(said: Option<prost_types::Duration>) -> Duration {
    said.and_then(|said| said.try_into().ok())
        .unwrap_or_default()
}
