// Health of destinations in words.

import { Fragment, h } from "./preact.js";
import { Time } from "./times.js";
import { Badge, plural } from "./ui.js";

export { HealthBadge, HealthText };

const HEALTH_KINDS = { healthy: "good", retrying: "warn", failing: "bad", disabled: "quiet" };

// Nothing shows that a destination is healthy before its first success.
const HealthBadge = ({ health: { status, lastSuccessAt } }) =>
  h(Badge, { kind: status === "healthy" && !lastSuccessAt ? "quiet" : HEALTH_KINDS[status] }, status);

// Says what happens at a destination: since when, what waits, and when it is attempted.
function HealthText({ destination: { health, disabledReason, enabled } }) {
  const { status, circuit, lastSuccessAt, lastFailureAt, failingSince, pending, nextAttemptAt } = health;
  // One delivery probes an open circuit. The others wait.
  const past = circuit === "open" ? ", waiting for the next attempt" : ", being sent";
  const waiting =
    pending > 0 &&
    h(
      Fragment,
      {},
      plural(pending, "delivery", "deliveries"),
      " queued",
      nextAttemptAt && h(Time, { at: nextAttemptAt, before: ", next attempt ", past }),
    );
  if (!enabled) return h("span", {}, disabledReason ? `Disabled by Tenon: ${disabledReason}` : "Nothing is sent");
  if (status === "failing" || status === "retrying") {
    return h(
      "span",
      {},
      failingSince && h(Fragment, {}, "Failing since ", h(Time, { at: failingSince }), waiting && ": "),
      waiting,
    );
  }
  if (lastFailureAt > (lastSuccessAt ?? ""))
    return h("span", {}, "Nothing delivered since a failure ", h(Time, { at: lastFailureAt }));
  if (lastSuccessAt) return h("span", {}, "Last delivery ", h(Time, { at: lastSuccessAt }));
  return h("span", {}, "Nothing sent yet");
}
