// Error logs: the newest first, following live; groups; a chart; one error with its deliveries.

const LIVE_MS = 2000;
const CHARTED_PAGES = 5;
const FIRST_GROUPS = 5;

function errorsPage() {
  const filters = { workflowId: "", userId: "", blockType: "", since: "", until: "" };
  const list = h("div", {});
  const chart = h("div", {});
  const groups = h("div", {});
  const live = h("input", { type: "checkbox", checked: true });
  let shown = [];
  let cursor = null;
  let older = false;
  let everyGroup = false;

  const asked = () => ({ ...filters, since: asTime(filters.since), until: asTime(filters.until) });

  async function load() {
    const page = await call("GET", `logs${query({ ...asked(), limit: 50 })}`);
    shown = page.errors;
    cursor = page.cursor;
    older = false;
    draw();
    await Promise.all([drawChart(), drawGroups()]);
  }

  function draw() {
    const rows = shown.map((error) => h("tr", {},
      h("td", {}, when(error.createdAt)),
      h("td", { class: "mono" }, error.blockType),
      h("td", { class: "text" }, h("button", { type: "button", class: "plain", onclick: () => showError(error._id) }, short(error.error))),
      h("td", { class: "mono" }, h("button", { type: "button", class: "plain", "aria-label": `Only workflow ${error.workflowId}`,
        onclick: () => only("workflowId", error.workflowId) }, error.workflowId)),
    ));
    const more = cursor && button("Older errors", async () => {
      const page = await call("GET", `logs${query({ ...asked(), limit: 50, cursor })}`);
      shown.push(...page.errors);
      cursor = page.cursor;
      older = true;
      draw();
    });
    list.replaceChildren(rows.length
      ? h("div", { class: "scroll" }, h("table", { class: "stack" },
          h("thead", {}, h("tr", {}, ["Time", "Block", "Error", "Workflow"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, rows)))
      : h("p", { class: "quiet" }, "No errors are recorded here."),
      ...(more ? [more] : []));
  }

  // A bar for each part of the time in which the newest errors lie.
  async function drawChart() {
    let times = [];
    let next = null;
    for (let page = 0; page < CHARTED_PAGES; page += 1) {
      const found = await call("GET", `logs${query({ ...asked(), limit: 100, cursor: next })}`);
      times.push(...found.errors.map((error) => Date.parse(error.createdAt)));
      next = found.cursor;
      if (!next) break;
    }
    chart.replaceChildren(...(times.length ? [barChart(times, Boolean(next))] : []));
  }

  async function drawGroups() {
    const { groups: all, complete } = await call("GET", `errors/groups${query({ since: asTime(filters.since), until: asTime(filters.until) })}`);
    const found = everyGroup ? all : all.slice(0, FIRST_GROUPS);
    groups.replaceChildren(found.length
      ? h("div", { class: "scroll" }, h("table", { class: "stack" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "number" }, "Count"),
            ["Error", "Block", "Last seen", "Workflow"].map((name) => h("th", { scope: "col" }, name)))),
          h("tbody", {}, found.map((group) => h("tr", {},
            h("td", { class: "number" }, `${group.count} ×`),
            h("td", { class: "text" }, h("button", { type: "button", class: "plain", onclick: () => showError(group.example._id) }, short(group.example.error))),
            h("td", { class: "mono" }, group.blockType),
            h("td", {}, when(group.lastSeen)),
            h("td", { class: "mono" }, group.workflowId),
          )))))
      : h("p", { class: "quiet" }, "Nothing to group."),
      ...(found.length < all.length ? [button(`All ${all.length} groups`, async () => {
        everyGroup = true;
        await drawGroups();
      })] : []),
      ...(complete ? [] : [h("p", { class: "quiet" }, "There are more: these are the largest groups of the newest errors.")]));
  }

  async function follow() {
    if (!live.checked || document.hidden || older) return;
    const page = await call("GET", `logs${query({ ...asked(), limit: 50 })}`);
    const id = (error) => `${error._id}/${error.workflowId}`;
    const known = new Set(shown.map(id));
    const fresh = page.errors.filter((error) => !known.has(id(error)));
    if (!fresh.length && page.errors.length === shown.length) return;
    shown = page.errors;
    cursor = page.cursor;
    draw();
    if (fresh.length) say(fresh.length === 1 ? "A new error." : `${fresh.length} new errors.`);
    await Promise.all([drawChart(), drawGroups()]);
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
    filterForm, chart, h("h3", {}, "Groups"), groups, h("h3", {}, "Newest first"), list);
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
  return h("figure", { class: "figure" },
    h("svg", { class: "chart", viewBox: `0 0 ${bars * 10} 90`, preserveAspectRatio: "none", role: "img", "aria-label": told },
      h("line", { x1: 0, x2: bars * 10, y1: 89, y2: 89 }),
      counts.map((count, place) => count && h("rect", {
        x: place * 10 + 1, width: 8, y: 89 - (count / most) * 86, height: (count / most) * 86,
      }, h("title", {}, `${count} from ${new Date(first + place * width).toLocaleString()}`)))),
    h("figcaption", { class: "quiet" }, told));
}

async function showError(id) {
  const [error, { data: destinations }] = await Promise.all([
    call("GET", `errors/${segment(id)}`), call("GET", "destinations?limit=100"),
  ]);
  const told = new Map(error.deliveries.map((delivery) => [delivery.destinationId, delivery]));
  const named = new Map(destinations.map((destination) => [destination.destinationId, destination]));
  const progress = h("p", { role: "status" });
  const rows = [...new Set([...named.keys(), ...told.keys()])].map((destinationId) => {
    const [delivery, destination] = [told.get(destinationId), named.get(destinationId)];
    return h("div", { class: "card" },
      h("div", { class: "row spread" },
        h("strong", {}, destination ? placeOf(destination) : `deleted destination ${destinationId}`),
        badge(delivery ? delivery.status : "not sent", { delivered: "good", failed: "bad", pending: "warn" }[delivery?.status] ?? "quiet")),
      delivery?.attempts.map((attempt) => h("p", { class: "quiet" }, when(attempt.at),
        ` · ${attempt.status ?? "no answer"} · ${attempt.latencyMs} ms · `, h("code", {}, short(attempt.response)))),
      delivery?.nextAttemptAt && h("p", { class: "quiet" }, "next attempt ", when(delivery.nextAttemptAt)),
      destination && button("Replay", () => replay(destinationId, [error._id], progress)));
  });
  dialog("Error", h("div", { class: "card" },
    h("pre", { tabindex: 0, "aria-label": "Text of the error" }, error.error),
    facts([["Time", when(error.createdAt)], ["Block type", error.blockType], ["Block", error.blockId], ["Execution", error.executionId],
      ["Workflow", error.workflowId], ["User", error.userId], ["Id", error._id]]),
    h("h3", {}, "Deliveries"), rows.length ? rows : h("p", { class: "quiet" }, "There are no destinations."), progress));
}

// Sends errors once more and tells how that goes.
async function replay(destinationId, errorIds, progress) {
  const { replayId } = await call("POST", `destinations/${segment(destinationId)}/replay`, { errorIds });
  for (let look = 0; look < 40; look += 1) {
    const { status, found, delivered, failed } = await call("GET", `replays/${segment(replayId)}`);
    const over = status !== "running" && delivered + failed >= found;
    progress.textContent = over && !found ? "Nothing was found to replay: its filter may leave it out."
      : over ? `Replayed: ${delivered} delivered, ${failed} failed.` : "Replaying …";
    if (over) return;
    await new Promise((done) => { setTimeout(done, 500); });
  }
  progress.textContent = "The replay goes on: its delivery waits for the next attempt.";
}
