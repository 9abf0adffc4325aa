package dev.stormlock;

import static java.lang.Double.NEGATIVE_INFINITY;
import static java.lang.Double.POSITIVE_INFINITY;

import dev.stormlock.v1.*;
import io.grpc.*;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;

/**
 * A named lock that is kept while the program works: one file to copy, on the generated stubs.
 *
 * <pre>{@code
 * try (HeldLock lock = HeldLock.at("127.0.0.1:7420").acquire("deploy", Duration.ofSeconds(30))) {
 *   deploy(lock.token());
 * }
 * }</pre>
 *
 * <p>Each lock has a thread and a stream of its own. A lease that cannot be kept is lost: {@link
 * #isHeld} says no before anybody else can have the lock, and that is final. What a holder may
 * believe:
 *
 * <ol>
 *   <li>The deadline counts from before the heartbeat was sent that an answer echoes.
 *   <li>An answer that comes after the deadline revives nothing, and none moves the deadline back.
 *   <li>Whether it is held is looked up on the clock: a program that was stopped finds the truth.
 *   <li>An answer to a heartbeat speaks of a lease that was granted on its own stream before.
 *   <li>A broken or silent stream is no loss: the lease is resumed at the next address until its
 *       deadline, and a wait is asked for again, with the same lease id.
 *   <li>Who releases stops believing first, and says so then.
 *   <li>Belief does not begin with a lease that is nearly over: it waits for the next answer.
 * </ol>
 */
public final class HeldLock implements AutoCloseable {
  // Moments are milliseconds of SinceStart. What has not been is at NEGATIVE_INFINITY.
  private static final double LONGEST_PERIOD_MS = 15_000;
  private static final double SHORTEST_PERIOD_MS = 100;
  // A daemon has at least the first to answer a heartbeat, and at most the second.
  private static final double SHORTEST_SILENCE_MS = 250;
  private static final double LONGEST_SILENCE_MS = 5000;
  // A first answer has more time while nothing is held that could run out meanwhile.
  private static final double CONNECT_WITHIN_MS = 3000;
  // What has arrived is read before a stream is left: a pause of ours is not the daemon's silence.
  private static final double SETTLE_MS = 20;
  private static final double FIRST_BACKOFF_MS = 50;
  private static final double LAST_BACKOFF_MS = 1000;
  // For how long nobody may answer one who waits, and one who releases.
  private static final double PATIENCE_MS = 10_000;
  private static final double FAREWELL_MS = 5000;
  // A thread's sleep does not count the time for which the machine is suspended.
  private static final double LONGEST_SLEEP_MS = 1000;

  /**
   * Which daemons to ask. All of them must have the same store; the first that answers is used.
   *
   * @param servers HOST:PORT each, in the order of preference
   * @param credentials how to speak to them: plaintext, or TLS by {@code TlsChannelCredentials}
   * @param principal who asks, for those who find the lock held; empty for the daemon's default
   */
  public record Daemons(List<String> servers, ChannelCredentials credentials, String principal) {
    public Daemons {
      servers = List.copyOf(servers);
      boolean isGiven = servers.stream().allMatch(each -> each.matches("[^/\\s]+:\\d{1,5}"));
      if (servers.isEmpty() || !isGiven) {
        throw new IllegalArgumentException(
            "servers " + servers + ": one HOST:PORT or more is needed, such as 127.0.0.1:7420");
      }
    }

    public Daemons with(ChannelCredentials newCredentials) {
      return new Daemons(servers, newCredentials, principal);
    }

    public Daemons as(String newPrincipal) {
      return new Daemons(servers, credentials, newPrincipal);
    }

    /** Takes a lock, and waits for it as long as that may take. */
    public HeldLock acquire(String resource, Duration ttl)
        throws NotAcquiredException, InterruptedException {
      return new HeldLock(this, resource, ttl, POSITIVE_INFINITY).start();
    }

    /**
     * Takes a lock.
     *
     * @param ttl how long others wait for it when this program is gone, and the longest pause that
     *     it survives
     * @param wait how long to wait at the most; zero means not at all
     * @throws NotAcquiredException if somebody else holds it, or it cannot be had at all
     * @throws InterruptedException if this thread is interrupted, which ends the wait
     */
    public HeldLock acquire(String resource, Duration ttl, Duration wait)
        throws NotAcquiredException, InterruptedException {
      return new HeldLock(this, resource, ttl, wait.toMillis()).start();
    }

    private ManagedChannel connect(String server) {
      ManagedChannelBuilder<?> builder =
          Grpc.newChannelBuilder("dns:///" + server, credentials)
              .keepAliveTime(10, TimeUnit.SECONDS)
              .keepAliveTimeout(5, TimeUnit.SECONDS)
              .disableServiceConfigLookUp()
              .disableRetry();
      if (server.matches("(?i)(127\\..*|localhost|\\[::1\\]):\\d+")) {
        builder.proxyDetector(target -> null); // No proxy leads to this very machine.
      }
      return builder.build();
    }
  }

  /** The lock could not be had. */
  public static final class NotAcquiredException extends Exception {
    private static final long serialVersionUID = 1;
    private final transient Lease holder;

    private NotAcquiredException(String message, Lease holder) {
      super(message);
      this.holder = holder;
    }

    /** Who holds it; empty when that is not why. */
    public Optional<Lease> holder() {
      return Optional.ofNullable(holder);
    }
  }

  private enum Phase {
    ASKING,
    GRANTED, // And believed in, once there is a deadline.
    RELEASING,
    OVER
  }

  private final Daemons daemons;
  private final String resource;
  private final Duration ttl;
  private final double waitUntilMs;
  private final CompletableFuture<String> lost = new CompletableFuture<>();

  // Everything below is guarded by this, and nothing that is done under it waits for a network.
  private Phase phase = Phase.ASKING;
  private String leaseId = newLeaseId();
  private double ttlMs; // As wanted, until a daemon has told it.
  private long token;
  private boolean isSaid; // Whether the present stream has been told what we want.
  private boolean mayBeKnown; // Whether any daemon may have heard of the lease.
  private double deadlineMs = NEGATIVE_INFINITY;
  private double confirmedAtMs = NEGATIVE_INFINITY;
  private double lagMs; // How long the newest confirmation took.
  private double farewellEndsMs = POSITIVE_INFINITY;
  private boolean wasKept; // To the end, as far as is known.
  private int releases; // How often it was said.
  private NotAcquiredException refusal;
  private Stream stream;
  private long seq;
  private boolean mustBeat;
  private int failures; // Of streams, since one has lived for a while.
  private int turn; // Whose it is, of the servers.
  private double connectAtMs = NEGATIVE_INFINITY;
  private double aloneSinceMs = POSITIVE_INFINITY; // Since when nobody answers.
  private double firstHeardAtMs = POSITIVE_INFINITY;
  private String trouble = "no daemon has answered";

  private HeldLock(Daemons daemons, String resource, Duration ttl, double waitMs) {
    this.daemons = daemons;
    this.resource = resource;
    this.ttl = ttl;
    this.ttlMs = ttl.toMillis();
    this.waitUntilMs = SinceStart.nowMs() + waitMs;
  }

  /** Says which daemons to ask, in plaintext unless {@link Daemons#with} says otherwise. */
  public static Daemons at(String... servers) {
    return new Daemons(List.of(servers), InsecureChannelCredentials.create(), "");
  }

  private synchronized HeldLock start() throws NotAcquiredException, InterruptedException {
    Thread keeper = new Thread(this::keep, "lock " + resource);
    keeper.setDaemon(true);
    keeper.start();
    try {
      while (refusal == null && !isBelieved()) wait();
    } catch (InterruptedException interrupted) {
      startRelease();
      throw interrupted;
    }
    if (refusal != null) throw refusal;
    return this;
  }

  /** The fencing token: send it along with every write to what the lock protects. */
  public synchronized long token() {
    return token;
  }

  /** Tells whether the lock is held now, by the clock and not by a timer. False is final. */
  public synchronized boolean isHeld() {
    checkDeadline(SinceStart.nowMs());
    return phase == Phase.GRANTED && isBelieved();
  }

  /**
   * Completes with the reason, in a thread of the common pool, when the lock is lost; never when it
   * is released. It may come late (by a suspended machine's sleep): what must not happen without
   * the lock asks {@link #isHeld} right before, or has its token checked.
   */
  public CompletionStage<String> lost() {
    return lost.minimalCompletionStage();
  }

  /**
   * Gives the lock back: it is not held from here on. Waits until a daemon has confirmed it, up to
   * 5 s or an interrupt; a lease that nobody could be told of ends with its ttl.
   *
   * @return true when it was held to the end, as far as can be known: without an answer, or after a
   *     release whose answer was lost, nothing tells. False when others may have held it meanwhile
   */
  public synchronized boolean release() {
    checkDeadline(SinceStart.nowMs());
    startRelease();
    try {
      while (phase != Phase.OVER) wait();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt(); // The keeper goes on with it.
    }
    return wasKept;
  }

  @Override
  public void close() {
    release();
  }

  // What the keeper's thread does.

  private synchronized void keep() {
    try {
      while (phase != Phase.OVER) {
        look(SinceStart.nowMs());
        double sleepMs = Math.min(nextMs() - SinceStart.nowMs(), LONGEST_SLEEP_MS);
        if (phase != Phase.OVER) wait((long) Math.ceil(Math.max(sleepMs, 1)));
      }
    } catch (InterruptedException | RuntimeException unexpected) {
      trouble = "the keeper has failed: " + unexpected;
    } finally {
      if (phase == Phase.GRANTED && isBelieved()) lose(trouble);
      if (phase == Phase.ASKING || phase == Phase.GRANTED) refuse(trouble, null);
      finish();
    }
  }

  /** Does what is due. */
  private void look(double nowMs) {
    checkDeadline(nowMs);
    if (isOpen() && nowMs >= giveUpAtMs()) {
      refuse(trouble, null);
      startRelease(); // It may have been granted all the same.
    }
    if (phase == Phase.RELEASING && nowMs >= farewellEndsMs) finish();
    if (phase == Phase.OVER) return;
    if (stream != null) {
      if (nowMs < leaveAtMs()) stream.leaveAtMs = POSITIVE_INFINITY;
      else if (nowMs >= stream.leaveAtMs) leave("has not answered in time");
      else stream.leaveAtMs = Math.min(stream.leaveAtMs, nowMs + SETTLE_MS);
    }
    if (stream == null && nowMs >= connectAtMs) {
      isSaid = false;
      stream = new Stream(daemons.servers.get(turn % daemons.servers.size()));
    }
    if (stream != null) speak(nowMs);
  }

  /** When there is something to do, if nothing is heard before. */
  private double nextMs() {
    double atMs = connectAtMs;
    if (stream != null) {
      boolean isDoubted = stream.leaveAtMs < POSITIVE_INFINITY;
      double leaveAtMs = isDoubted ? stream.leaveAtMs : leaveAtMs();
      atMs = Math.min(leaveAtMs, stream.lastBeatAtMs + periodMs());
    }
    if (phase == Phase.GRANTED && isBelieved()) atMs = Math.min(atMs, deadlineMs);
    if (isOpen()) atMs = Math.min(atMs, giveUpAtMs());
    return Math.min(atMs, farewellEndsMs);
  }

  /** Says a heartbeat first, then what it carries. */
  private void speak(double nowMs) {
    if (isSaid && !mustBeat && nowMs < stream.lastBeatAtMs + periodMs()) return;
    mustBeat = false;
    stream.beat();
    aloneSinceMs = Math.min(aloneSinceMs, stream.lastBeatAtMs);
    if (isSaid) return;
    isSaid = true;
    HoldRequest.Builder request = HoldRequest.newBuilder();
    switch (phase) {
      case ASKING -> request.setAcquire(acquireRequest(nowMs));
      case GRANTED ->
          request.setResume(HoldResume.newBuilder().setResource(resource).setLeaseId(leaseId));
      default -> {
        releases++;
        request.setRelease(HoldRelease.newBuilder().setResource(resource).setLeaseId(leaseId));
      }
    }
    mayBeKnown = true;
    stream.requests.onNext(request.build());
  }

  private HoldAcquire acquireRequest(double nowMs) {
    HoldAcquire.Builder ask =
        HoldAcquire.newBuilder()
            .setResource(resource)
            .setLeaseId(leaseId)
            .setPrincipal(daemons.principal)
            .setTtl(toProto(ttl));
    if (waitUntilMs < POSITIVE_INFINITY) {
      long leftMs = (long) Math.ceil(Math.max(0, waitUntilMs - nowMs));
      ask.setWait(toProto(Duration.ofMillis(leftMs)));
    }
    return ask.build();
  }

  /** Leaves a stream that has failed or is of no use, for the next address. */
  private void leave(String why) {
    trouble = stream.server + ": " + why;
    stream.channel.shutdownNow();
    stream = null;
    turn++;
    failures++;
    double pauseMs = 0; // A round over all addresses comes without one.
    if (failures % daemons.servers.size() == 0) {
      double rounds = (double) failures / daemons.servers.size();
      pauseMs = Math.min(FIRST_BACKOFF_MS * Math.pow(2, rounds - 1), LAST_BACKOFF_MS);
      pauseMs *= ThreadLocalRandom.current().nextDouble(0.5, 1);
    }
    connectAtMs = SinceStart.nowMs() + pauseMs;
    notifyAll();
  }

  private double periodMs() {
    return Math.max(Math.min(ttlMs / 3, LONGEST_PERIOD_MS), SHORTEST_PERIOD_MS);
  }

  /**
   * When the stream must be left: when a heartbeat stays unanswered. If there is another address,
   * also when what is held cannot wait any longer, whatever the daemon says: to hurry a connection
   * to the only one would help nobody.
   */
  private double leaveAtMs() {
    double silenceMs = Math.max(periodMs(), SHORTEST_SILENCE_MS);
    int rounds = failures / daemons.servers.size();
    if (stream.heardAtMs == NEGATIVE_INFINITY) {
      silenceMs = Math.max(silenceMs * Math.pow(2, rounds), isOpen() ? CONNECT_WITHIN_MS : 0);
    }
    silenceMs = Math.min(silenceMs, LONGEST_SILENCE_MS);
    double sinceMs = stream.silentSinceMs();
    double untilMs = sinceMs + silenceMs;
    if (stream.heardAtMs > sinceMs) { // On a slow network answers come after the next heartbeat.
      untilMs = Math.min(stream.heardAtMs + 1.5 * silenceMs, sinceMs + 2 * silenceMs);
    }
    return daemons.servers.size() > 1 ? Math.min(untilMs, urgentAtMs()) : untilMs;
  }

  /**
   * When too little is left of what is held: a quarter of the ttl, on a younger stream half of what
   * was left when it was opened, but not before the next confirmation could have come.
   */
  private double urgentAtMs() {
    if (phase != Phase.GRANTED || !isBelieved()) return POSITIVE_INFINITY;
    double nextMs = confirmedAtMs + periodMs() + Math.max(SHORTEST_SILENCE_MS, 1.5 * lagMs);
    double youngMs =
        Math.max((stream.openedAtMs + deadlineMs) / 2, stream.openedAtMs + SHORTEST_SILENCE_MS);
    double atMs = Math.max(Math.max(deadlineMs - ttlMs / 4, youngMs), nextMs);
    return atMs < deadlineMs ? atMs : POSITIVE_INFINITY;
  }

  // What may be believed, and how it ends.

  /** Takes in an answer to a heartbeat: rules 1, 2 and 7. */
  private void confirm(double nowMs, double sentAtMs, double validForMs) {
    checkDeadline(nowMs);
    if (phase != Phase.GRANTED) return;
    double marginMs = Math.max(100, 0.05 * ttlMs);
    double endMs = sentAtMs + 0.99 * validForMs - marginMs;
    if (endMs <= nowMs || endMs <= deadlineMs) return;
    if (!isBelieved() && endMs < nowMs + (0.99 * ttlMs - marginMs) / 2) return;
    deadlineMs = endMs;
    confirmedAtMs = Math.max(confirmedAtMs, sentAtMs);
    lagMs = nowMs - sentAtMs;
  }

  private boolean isBelieved() {
    return deadlineMs > NEGATIVE_INFINITY;
  }

  /** Tells whether the caller of acquire still waits to hear. */
  private boolean isOpen() {
    return phase == Phase.ASKING || phase == Phase.GRANTED && !isBelieved();
  }

  /** When a wait ends that no daemon has ended: nobody answers, or not that it is over. */
  private double giveUpAtMs() {
    double refusedByMs = Math.max(waitUntilMs, firstHeardAtMs) + FAREWELL_MS;
    return Math.min(aloneSinceMs + PATIENCE_MS, refusedByMs);
  }

  private void checkDeadline(double nowMs) {
    if (phase == Phase.GRANTED && isBelieved() && nowMs >= deadlineMs) {
      lose("the lease of " + resource + " could not be renewed in time; " + trouble);
    }
  }

  private void lose(String why) {
    lost.completeAsync(() -> why);
    finish();
  }

  private void refuse(String why, Lease holder) {
    refusal = new NotAcquiredException(resource + " could not be had: " + why, holder);
    notifyAll();
  }

  private void startRelease() {
    if (phase == Phase.RELEASING || phase == Phase.OVER) return;
    phase = Phase.RELEASING; // Rule 6.
    wasKept = isBelieved();
    isSaid = false;
    farewellEndsMs = SinceStart.nowMs() + FAREWELL_MS;
    if (!mayBeKnown) finish();
    notifyAll();
  }

  private void finish() {
    phase = Phase.OVER;
    if (stream != null) stream.channel.shutdownNow();
    stream = null;
    notifyAll();
  }

  /** The lease has ended before anybody believed in it: another one is as good. */
  private void askAnew(String why) {
    phase = Phase.ASKING;
    leaseId = newLeaseId();
    leave(why);
  }

  /** A Hold stream to one daemon, on a connection of its own: what is frozen is left behind. */
  private final class Stream implements StreamObserver<HoldResponse> {
    final String server;
    final ManagedChannel channel;
    final StreamObserver<HoldRequest> requests;
    final double openedAtMs = SinceStart.nowMs();
    double lastBeatAtMs = NEGATIVE_INFINITY;
    double heardAtMs = NEGATIVE_INFINITY;
    double leaveAtMs = POSITIVE_INFINITY; // Once there is a doubt.
    boolean isGranted; // Rule 4.
    final TreeMap<Long, Double> sentAtMs = new TreeMap<>(); // Heartbeats that may be echoed.
    long ackedSeq = seq;

    Stream(String server) {
      this.server = server;
      channel = daemons.connect(server);
      requests = LockServiceGrpc.newStub(channel).hold(this);
    }

    void beat() {
      lastBeatAtMs = SinceStart.nowMs(); // Rule 1: before it is sent.
      sentAtMs.put(++seq, lastBeatAtMs);
      requests.onNext(
          HoldRequest.newBuilder().setHeartbeat(Heartbeat.newBuilder().setSeq(seq)).build());
    }

    /** When the oldest unanswered heartbeat was sent. */
    double silentSinceMs() {
      var oldest = sentAtMs.higherEntry(ackedSeq);
      return oldest == null ? POSITIVE_INFINITY : oldest.getValue();
    }

    @Override
    public void onNext(HoldResponse response) {
      synchronized (HeldLock.this) {
        if (stream == this) hear(response);
      }
    }

    @Override
    public void onError(Throwable failure) {
      Status status = Status.fromThrowable(failure);
      synchronized (HeldLock.this) {
        if (stream == this) leave(status.getCode() + ": " + status.getDescription());
      }
    }

    @Override
    public void onCompleted() {
      synchronized (HeldLock.this) {
        if (stream == this) leave("has ended the stream");
      }
    }

    private void hear(HoldResponse response) {
      double nowMs = SinceStart.nowMs();
      heardAtMs = nowMs;
      aloneSinceMs = POSITIVE_INFINITY;
      firstHeardAtMs = Math.min(firstHeardAtMs, nowMs);
      // One that answers and then ends its streams must not be asked in a hurry.
      if (nowMs - openedAtMs >= LAST_BACKOFF_MS) failures = 0;
      switch (response.getKindCase()) {
        case QUEUED -> {
          Queued queued = response.getQueued();
          if (queued.hasTtl()) ttlMs = millis(queued.getTtl());
        }
        case GRANTED -> onGranted(nowMs, response.getGranted());
        case HEARTBEAT_ACK -> onAck(nowMs, response.getHeartbeatAck());
        case DENIED -> onDenied(response.getDenied());
        case LOST -> onLost(response.getLost().getCause().name());
        case RELEASED -> onReleased(response.getReleased().getOutcome());
        case DRAINING -> leave("is about to stop");
        default -> {} // Of a newer daemon.
      }
      HeldLock.this.notifyAll();
    }

    private void onGranted(double nowMs, Granted granted) {
      if (phase == Phase.RELEASING) return; // The release is on its way.
      isGranted = true;
      phase = Phase.GRANTED;
      token = granted.getLease().getFencingToken();
      ttlMs = millis(granted.getLease().getTtl());
      double atMs = sentAtMs.getOrDefault(granted.getSeq(), NEGATIVE_INFINITY);
      confirm(nowMs, atMs, millis(granted.getValidFor()));
      mustBeat = true;
    }

    private void onAck(double nowMs, HeartbeatAck ack) {
      Double atMs = sentAtMs.get(ack.getSeq());
      if (atMs == null) return;
      ackedSeq = Math.max(ackedSeq, ack.getSeq());
      sentAtMs.headMap(ack.getSeq()).clear();
      double validForMs = ack.getValidShare() * ttlMs;
      for (LeaseValidity behind : ack.getBehindList()) {
        if (behind.getLeaseId().equals(leaseId)) validForMs = millis(behind.getValidFor());
      }
      if (isGranted) confirm(nowMs, atMs, validForMs);
    }

    private void onDenied(Denied denied) {
      if (phase != Phase.ASKING) {
        leave(denied.getMessage());
        return;
      }
      switch (denied.getReason()) {
        case DENIAL_REASON_LEASE_LOST -> askAnew(denied.getMessage());
        case DENIAL_REASON_LOCK_HELD,
            DENIAL_REASON_INVALID_FIELD,
            DENIAL_REASON_NOT_ALLOWED,
            DENIAL_REASON_ALREADY_ON_STREAM -> {
          refuse(denied.getMessage(), denied.hasHolder() ? denied.getHolder() : null);
          finish();
        }
        default -> leave(denied.getMessage()); // Its store does not answer.
      }
    }

    private void onLost(String cause) {
      if (phase == Phase.RELEASING) onGone();
      else if (isOpen()) askAnew(cause);
      else lose("the daemon says that the lease of " + resource + " is lost: " + cause);
    }

    private void onReleased(ReleaseOutcome outcome) {
      if (phase != Phase.RELEASING) return;
      if (outcome == ReleaseOutcome.RELEASE_OUTCOME_RELEASED) finish();
      else onGone();
    }

    /** It is gone already when it is released: by a release before this one, or it was lost. */
    private void onGone() {
      if (releases == 1) wasKept = false;
      finish();
    }
  }

  private static String newLeaseId() {
    byte[] bits = new byte[16];
    new SecureRandom().nextBytes(bits);
    return HexFormat.of().formatHex(bits);
  }

  private static double millis(com.google.protobuf.Duration duration) {
    return duration.getSeconds() * 1e3 + duration.getNanos() / 1e6;
  }

  private static com.google.protobuf.Duration.Builder toProto(Duration duration) {
    return com.google.protobuf.Duration.newBuilder()
        .setSeconds(duration.getSeconds())
        .setNanos(duration.getNano());
  }

  /**
   * The time since the program started. {@code System.nanoTime} stands still while the machine is
   * suspended, and with it a deadline would; so a second clock is heeded where it has gone further:
   * on Linux the time since boot, elsewhere the wall clock (whoever sets it ahead loses locks).
   */
  private static final class SinceStart {
    // Coarser than the ticks of the second clock, so that these alone never count.
    private static final double GRAIN_MS = 20;
    private static final RandomAccessFile UPTIME = open();
    private static double elapsedMs;
    private static long lastNs = System.nanoTime();
    private static double lastOtherMs = otherMs();

    static synchronized double nowMs() {
      long ns = System.nanoTime();
      double otherMs = otherMs();
      elapsedMs += Math.max((ns - lastNs) / 1e6, otherMs - lastOtherMs - GRAIN_MS);
      lastNs = ns;
      lastOtherMs = otherMs;
      return elapsedMs;
    }

    private static double otherMs() {
      if (UPTIME == null) return System.currentTimeMillis();
      try {
        byte[] text = new byte[64];
        UPTIME.seek(0);
        int length = UPTIME.read(text);
        return Double.parseDouble(new String(text, 0, length).split(" ")[0]) * 1e3;
      } catch (IOException failure) {
        throw new IllegalStateException("/proc/uptime cannot be read any more", failure);
      }
    }

    private static RandomAccessFile open() {
      try {
        return new RandomAccessFile("/proc/uptime", "r");
      } catch (IOException notLinux) {
        return null;
      }
    }
  }
}
