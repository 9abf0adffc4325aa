import com.google.gson.Gson;
import com.google.gson.JsonObject;
import dev.stormlock.HeldLock;
import dev.stormlock.HeldLock.NotAcquiredException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The actor of the example for Java. (README.md in the folder above.) */
final class JavaActor {
  private static final Gson GSON = new Gson();
  private static final Map<String, HeldLock> LOCKS = new ConcurrentHashMap<>();

  private record Order(String resource, long ttlMs, long waitMs) {}

  public static void main(String[] args) throws Exception {
    HeldLock.Daemons daemons = HeldLock.at(args[0].split(",")).as(args[1]);
    start(JavaActor::tell);
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Order order = GSON.fromJson(line, Order.class);
      String what = GSON.fromJson(line, JsonObject.class).get("do").getAsString();
      start(what.equals("hold") ? () -> hold(daemons, order) : () -> release(order.resource));
    }
    for (HeldLock lock : LOCKS.values()) lock.close();
    System.out.flush();
  }

  private static void hold(HeldLock.Daemons daemons, Order order) {
    String resource = order.resource;
    try {
      Duration wait = Duration.ofMillis(order.waitMs);
      HeldLock lock = daemons.acquire(resource, Duration.ofMillis(order.ttlMs), wait);
      LOCKS.put(resource, lock);
      say("granted", resource, "token", Long.toUnsignedString(lock.token()));
      lock.lost()
          .thenAccept(
              why -> {
                System.err.println(why); // For whoever reads why a scenario has failed.
                say("lost", resource);
              });
    } catch (NotAcquiredException refused) {
      refused
          .holder()
          .ifPresentOrElse(
              holder -> say("refused", resource, "principal", holder.getPrincipal()),
              () -> say("failed", resource, "why", refused.getMessage()));
    } catch (InterruptedException ended) {
      say("failed", resource, "why", "interrupted");
    }
  }

  private static void release(String resource) {
    HeldLock lock = LOCKS.get(resource);
    say("released", resource, "wasKept", lock != null && lock.release());
  }

  /** Tells of what the example says is held now. */
  private static void tell() {
    try {
      while (true) {
        LOCKS.forEach(
            (resource, lock) -> {
              double atMs = System.nanoTime() / 1e6;
              if (lock.isHeld()) say("held", resource, "atMs", atMs);
            });
        Thread.sleep(10);
      }
    } catch (InterruptedException ended) {
      Thread.currentThread().interrupt();
    }
  }

  private static void say(String says, String resource) {
    say(Map.of("says", says, "resource", resource));
  }

  private static void say(String says, String resource, String name, Object value) {
    say(Map.of("says", says, "resource", resource, name, value));
  }

  private static void say(Map<String, Object> words) {
    System.out.println(GSON.toJson(words));
  }

  private static void start(Runnable run) {
    Thread thread = new Thread(run);
    thread.setDaemon(true);
    thread.start();
  }
}
