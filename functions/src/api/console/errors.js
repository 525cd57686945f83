// Error logs: the newest first, following live; groups; a chart; one error with its deliveries.

const LIVE_MS = 2000;
const OVERVIEW_MS = 10000;
const CHARTED_PAGES = 5;
const FIRST_GROUPS = 5;

function errorsPage() {
  const filters = { workflowId: "", userId: "", blockType: "", since: "", until: "" };
  const rows = h("tbody", {});
  const table = h("div", { class: "scroll", hidden: true }, h("table", { class: "stack" },
    h("thead", {}, h("tr", {}, ["Time", "Block", "Error", "Workflow"].map((name) => h("th", { scope: "col" }, name)))), rows));
  const nothing = h("p", { class: "quiet", hidden: true }, "No errors are recorded here.");
  const chart = h("div", {});
  const groups = h("div", {});
  const live = h("input", { type: "checkbox", checked: true });
  const known = new Set();
  let cursor = null;
  let everyGroup = false;
  // Grows whenever the list begins anew: answers that were asked for before are dropped.
  let turn = 0;
  let overview = { at: 0, due: false };

  const asked = () => ({ ...filters, since: asTime(filters.since), until: asTime(filters.until) });
  const id = (error) => `${error._id}/${error.workflowId}`;

  // Adds errors that are not shown yet, at the top or at the bottom, and touches no other row.
  function add(errors, top) {
    const fresh = errors.filter((error) => !known.has(id(error)));
    for (const error of fresh) known.add(id(error));
    const made = fresh.map(row);
    if (top) rows.prepend(...made);
    else rows.append(...made);
    table.hidden = known.size === 0;
    nothing.hidden = known.size > 0;
    more.hidden = !cursor;
    return fresh.length;
  }

  const row = (error) => h("tr", {},
    h("td", {}, when(error.createdAt)),
    h("td", { class: "mono" }, error.blockType),
    h("td", { class: "text" }, button(short(error.error), () => showError(error._id), "plain", id(error))),
    h("td", { class: "mono" }, h("button", { type: "button", class: "plain", "aria-label": `Only workflow ${error.workflowId}`,
      onclick: () => only("workflowId", error.workflowId) }, error.workflowId)));

  const more = button("Older errors", async () => {
    const mine = turn;
    const page = await call("GET", `logs${query({ ...asked(), limit: 50, cursor })}`);
    if (mine !== turn) return;
    cursor = page.cursor;
    add(page.errors, false);
  });

  async function load() {
    const mine = turn += 1;
    const page = await call("GET", `logs${query({ ...asked(), limit: 50 })}`);
    if (mine !== turn) return;
    rows.replaceChildren();
    known.clear();
    cursor = page.cursor;
    add(page.errors, false);
    await drawOverview();
  }

  async function follow() {
    if (overview.due && Date.now() - overview.at > OVERVIEW_MS) await drawOverview();
    if (!live.checked || document.hidden) return;
    const mine = turn;
    const page = await call("GET", `logs${query({ ...asked(), limit: 50 })}`);
    if (mine !== turn) return;
    const fresh = page.errors.filter((error) => !known.has(id(error))).length;
    if (!fresh) return;
    // More came than a page has: between it and what is shown some are missing.
    if (fresh === page.errors.length && page.cursor && known.size) {
      await load();
    } else {
      if (!known.size) cursor = page.cursor;
      add(page.errors, true);
      overview.due = true;
    }
    say(fresh === 1 ? "A new error." : `${fresh} new errors.`);
  }

  async function drawOverview() {
    overview = { at: Date.now(), due: false };
    await Promise.all([drawChart(turn), drawGroups(turn)]);
  }

  // A bar for each part of the time in which the newest errors lie.
  async function drawChart(mine) {
    const times = [];
    let next = null;
    for (let page = 0; page < CHARTED_PAGES; page += 1) {
      const found = await call("GET", `logs${query({ ...asked(), limit: 100, cursor: next })}`);
      if (mine !== turn) return;
      times.push(...found.errors.map((error) => Date.parse(error.createdAt)));
      next = found.cursor;
      if (!next) break;
    }
    redraw(chart, times.length ? barChart(times, Boolean(next)) : []);
  }

  async function drawGroups(mine) {
    const { groups: found, complete } = await call("GET", `errors/groups${query({ since: asTime(filters.since), until: asTime(filters.until) })}`);
    if (mine !== turn) return;
    const is = (name, value) => !filters[name] || filters[name] === value;
    const all = found.filter((group) => is("workflowId", group.workflowId) && is("blockType", group.blockType));
    const shown = everyGroup ? all : all.slice(0, FIRST_GROUPS);
    redraw(groups,
      filters.userId && h("p", { class: "quiet" }, "Of all users: groups are not kept by user."),
      shown.length ? h("div", { class: "scroll" }, h("table", { class: "stack" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "number" }, "Count"),
          ["Error", "Block", "Last seen", "Workflow"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, shown.map((group) => h("tr", {},
          h("td", { class: "number" }, `${group.count} ×`),
          h("td", { class: "text" }, button(short(group.example.error), () => showError(group.example._id), "plain", group.fingerprint)),
          h("td", { class: "mono" }, group.blockType),
          h("td", {}, when(group.lastSeen)),
          h("td", { class: "mono" }, group.workflowId),
        ))))) : h("p", { class: "quiet" }, "Nothing to group."),
      shown.length < all.length && button(`All ${all.length} groups`, async () => {
        everyGroup = true;
        await drawGroups(turn);
      }),
      !complete && h("p", { class: "quiet" }, "There are more: these are the largest groups of the newest errors."));
  }

  const filterForm = form([
    field("Workflow id", "workflowId"), field("User (id, username or e-mail)", "userId"), field("Block type", "blockType"),
    field("Since", "since", { type: "datetime-local", step: 1 }), field("Until", "until", { type: "datetime-local", step: 1 }),
  ], "Apply filters", async (given) => {
    Object.assign(filters, given);
    await load();
  });

  function only(name, value) {
    filterForm.elements[name].value = value;
    filterForm.requestSubmit();
  }

  const stop = every(LIVE_MS, follow);
  const page = h("section", { "aria-labelledby": "errors-title" },
    h("div", { class: "row spread" }, h("h2", { id: "errors-title", tabindex: -1 }, "Error logs"),
      h("label", { class: "inline" }, live, "Follow live")),
    filterForm, chart, h("h3", {}, "Groups"), groups, h("h3", {}, "Newest first"), table, nothing, more);
  return { page, load, stop };
}

const short = (text) => (text.length > 240 ? `${text.slice(0, 240)}…` : text) || "(no text)";

// What a datetime-local field says, in the browser's own time zone.
const asTime = (text) => (text ? new Date(text).toISOString() : "");

function barChart(times, partial) {
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const bars = 48;
  const width = Math.max(1, (last - first + 1) / bars);
  const counts = Array(bars).fill(0);
  for (const time of times) counts[Math.min(bars - 1, Math.floor((time - first) / width))] += 1;
  const most = Math.max(...counts);
  const [from, to] = [new Date(first).toLocaleString(), new Date(last).toLocaleString()];
  const told = `${partial ? "The newest " : ""}${times.length} errors from ${from} to ${to}, at most ${most} in a bar`;
  return h("figure", {},
    h("svg", { class: "chart", viewBox: `0 0 ${bars * 10} 90`, preserveAspectRatio: "none", role: "img", "aria-label": told },
      h("line", { x1: 0, x2: bars * 10, y1: 89, y2: 89 }),
      counts.map((count, place) => count && h("rect", {
        x: place * 10 + 1, width: 8, y: 89 - (count / most) * 86, height: (count / most) * 86,
      }, h("title", {}, `${count} from ${new Date(first + place * width).toLocaleString()}`)))),
    h("figcaption", { class: "quiet" }, told));
}

async function showError(id) {
  const content = h("div", { class: "card" });

  async function draw() {
    const [error, { data: destinations }] = await Promise.all([
      call("GET", `errors/${segment(id)}`), call("GET", "destinations?limit=100"),
    ]);
    const told = new Map(error.deliveries.map((delivery) => [delivery.destinationId, delivery]));
    const named = new Map(destinations.map((destination) => [destination.destinationId, destination]));
    const cards = [...new Set([...named.keys(), ...told.keys()])].map((destinationId) => {
      const [delivery, destination] = [told.get(destinationId), named.get(destinationId)];
      return h("div", { class: "card" },
        h("div", { class: "row spread" },
          h("strong", {}, destination ? placeOf(destination) : `deleted destination ${destinationId}`),
          badge(delivery ? delivery.status : "not sent", { delivered: "good", failed: "bad", pending: "warn" }[delivery?.status] ?? "quiet")),
        delivery?.attempts.map((attempt) => h("p", { class: "quiet" }, when(attempt.at),
          ` · ${attempt.status ?? "no answer"} · ${attempt.latencyMs} ms · `, h("code", {}, short(attempt.response)))),
        delivery?.nextAttemptAt && h("p", { class: "quiet" }, "next attempt ", when(delivery.nextAttemptAt)),
        destination && button("Replay", async () => {
          await replay(destinationId, [error._id]);
          await draw();
        }, "", `replay-${destinationId}`));
    });
    redraw(content,
      h("pre", { tabindex: 0, "aria-label": "Text of the error" }, error.error),
      facts([["Time", when(error.createdAt)], ["Block type", error.blockType], ["Block", error.blockId], ["Execution", error.executionId],
        ["Workflow", error.workflowId], ["User", error.userId], ["Id", error._id]]),
      h("h3", {}, "Deliveries"), cards.length ? cards : h("p", { class: "quiet" }, "There are no destinations."));
  }

  await draw();
  dialog("Error", content);
}

// Sends errors once more and says how that goes.
async function replay(destinationId, errorIds) {
  const { replayId } = await call("POST", `destinations/${segment(destinationId)}/replay`, { errorIds });
  for (let look = 0; look < 40; look += 1) {
    const { status, found, delivered, failed } = await call("GET", `replays/${segment(replayId)}`);
    if (status !== "running" && delivered + failed >= found) {
      say(found ? `Replayed: ${delivered} delivered, ${failed} failed.` : "Nothing was found to replay: the destination's filter may leave it out.", 20000);
      return;
    }
    say("Replaying …");
    await new Promise((done) => { setTimeout(done, 500); });
  }
  say("The replay goes on: its delivery waits for the next attempt.", 20000);
}
