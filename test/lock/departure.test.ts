import { expect, test } from "vitest";
import { Departure } from "../../src/lock/departure.js";

test("who listens hears of a departure once, and is never told twice", () => {
  const departure = new Departure();
  let heard = 0;
  departure.addEventListener("abort", () => (heard += 1));
  expect(departure.aborted).toBe(false);
  departure.depart();
  departure.depart();
  expect(departure.aborted).toBe(true);
  expect(heard).toBe(1);
});

test("who no longer listens hears nothing", () => {
  const departure = new Departure();
  let heard = 0;
  const gone = (): void => {
    heard += 1;
  };
  departure.addEventListener("abort", gone);
  departure.removeEventListener("abort", () => undefined);
  departure.removeEventListener("abort", gone);
  departure.depart();
  expect(heard).toBe(0);
});
