// Error logs: list, newest first, with live updates; groups; chart; details of an error with its
// deliveries.

import { h, timeElement, badge, definitionList, button, redraw, announce, field, form, dialog, poll, excerpt, destinationName } from "./dom.js";
import { call, query, encodeSegment } from "./api.js";

export { errorsPage };

const LIVE_MS = 2000;
const OVERVIEW_MS = 10000;
const FIRST_GROUPS = 5;

function errorsPage() {
  const filters = { workflowId: "", userId: "", blockType: "", since: "", until: "" };
  const rows = h("tbody", {});
  const table = h("div", { class: "scroll", hidden: true }, h("table", { class: "stack" },
    h("thead", {}, h("tr", {}, ["Time", "Block", "Error", "Workflow"].map((name) => h("th", { scope: "col" }, name)))), rows));
  const emptyNote = h("p", { class: "quiet", hidden: true }, "No errors found.");
  const chart = h("div", {});
  const groups = h("div", {});
  const live = h("input", { type: "checkbox", checked: true });
  const shownIds = new Set();
  let cursor = null;
  let showAllGroups = false;
  // Increases when the list is reloaded. Responses to earlier requests are discarded.
  let generation = 0;
  let overview = { at: 0, due: false };

  const currentFilters = () => ({ ...filters, since: toIsoTime(filters.since), until: toIsoTime(filters.until) });
  const id = (error) => `${error._id}/${error.workflowId}`;

  // Adds errors that are not shown yet at the top or the bottom, without changing other rows.
  function add(errors, top) {
    const added = errors.filter((error) => !shownIds.has(id(error)));
    for (const error of added) shownIds.add(id(error));
    const newRows = added.map(row);
    if (top) rows.prepend(...newRows);
    else rows.append(...newRows);
    table.hidden = shownIds.size === 0;
    emptyNote.hidden = shownIds.size > 0;
    more.hidden = !cursor;
    return added.length;
  }

  const row = (error) => h("tr", {},
    h("td", {}, timeElement(error.createdAt)),
    h("td", { class: "mono" }, error.blockType),
    h("td", { class: "text" }, button(excerpt(error.error), () => showError(error._id), "plain", id(error))),
    h("td", { class: "mono" }, h("button", { type: "button", class: "plain", "aria-label": `Filter by workflow ${error.workflowId}`,
      onclick: () => applyFilter("workflowId", error.workflowId) }, error.workflowId)));

  const more = button("Older errors", async () => {
    const requested = generation;
    const page = await call("GET", `logs${query({ ...currentFilters(), limit: 50, cursor })}`);
    if (requested !== generation) return;
    cursor = page.cursor;
    add(page.errors, false);
  });

  async function load() {
    const requested = generation += 1;
    const page = await call("GET", `logs${query({ ...currentFilters(), limit: 50 })}`);
    if (requested !== generation) return;
    rows.replaceChildren();
    shownIds.clear();
    cursor = page.cursor;
    add(page.errors, false);
    await drawOverview();
  }

  async function follow() {
    if (overview.due && Date.now() - overview.at > OVERVIEW_MS) await drawOverview();
    if (!live.checked || document.hidden) return;
    const requested = generation;
    const page = await call("GET", `logs${query({ ...currentFilters(), limit: 50 })}`);
    if (requested !== generation) return;
    const added = page.errors.filter((error) => !shownIds.has(id(error))).length;
    if (!added) return;
    // More than a page of new errors: some are missing between the page and the shown errors.
    if (added === page.errors.length && page.cursor && shownIds.size) {
      await load();
    } else {
      if (!shownIds.size) cursor = page.cursor;
      add(page.errors, true);
      overview.due = true;
    }
    announce(added === 1 ? "1 new error." : `${added} new errors.`);
  }

  // Draws the chart and the groups, which one request returns.
  async function drawOverview() {
    overview = { at: Date.now(), due: false };
    const requested = generation;
    const { groups: all, histogram, complete } = await call("GET", `errors/groups${query(currentFilters())}`);
    if (requested !== generation) return;
    redraw(chart, all.length ? barChart(histogram, !complete) : []);
    drawGroups(all, complete);
  }

  function drawGroups(all, complete) {
    const shown = showAllGroups ? all : all.slice(0, FIRST_GROUPS);
    redraw(groups,
      !filters.since && !filters.until && h("p", { class: "quiet" }, "Errors of the last 24 hours."),
      shown.length ? h("div", { class: "scroll" }, h("table", { class: "stack" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "number" }, "Count"),
          ["Error", "Block", "Last seen", "Workflow"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, shown.map((group) => h("tr", {},
          h("td", { class: "number" }, `${group.count} ×`),
          h("td", { class: "text" }, button(excerpt(group.example.error), () => showError(group.example._id), "plain", group.fingerprint)),
          h("td", { class: "mono" }, group.blockType),
          h("td", {}, timeElement(group.lastSeen)),
          group.workflows === 1 ? h("td", { class: "mono" }, group.workflowIds[0]) : h("td", {}, `${group.workflows} workflows`),
        ))))) : h("p", { class: "quiet" }, "No groups."),
      shown.length < all.length && button(`Show all ${all.length} groups`, () => {
        showAllGroups = true;
        drawGroups(all, complete);
      }),
      !complete && h("p", { class: "quiet" }, "Incomplete: largest groups of the newest errors."));
  }

  const filterForm = form([
    field("Workflow id", "workflowId"), field("User (id, username or email)", "userId"), field("Block type", "blockType"),
    field("Since", "since", { type: "datetime-local", step: 1 }), field("Until", "until", { type: "datetime-local", step: 1 }),
  ], "Apply filters", async (values) => {
    Object.assign(filters, values);
    await load();
  });

  function applyFilter(name, value) {
    filterForm.elements[name].value = value;
    filterForm.requestSubmit();
  }

  const stop = poll(LIVE_MS, follow);
  const page = h("section", { "aria-labelledby": "errors-title" },
    h("div", { class: "row spread" }, h("h2", { id: "errors-title", tabindex: -1 }, "Error logs"),
      h("label", { class: "inline" }, live, "Follow live")),
    filterForm, chart, h("h3", {}, "Groups"), groups, h("h3", {}, "Newest first"), table, emptyNote, more);
  return { page, load, stop };
}

// Converts the value of a datetime-local field, in the time zone of the browser, to ISO 8601.
const toIsoTime = (text) => (text ? new Date(text).toISOString() : "");

function barChart(histogram, isPartial) {
  const bars = histogram.length;
  const counts = histogram.map((bar) => bar.count);
  const highest = Math.max(...counts);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const when = (bar) => new Date(bar.start).toLocaleString();
  const summary = `${isPartial ? "The newest " : ""}${total} ${total === 1 ? "error" : "errors"} since ${when(histogram[0])}, at most ${highest} per bar`;
  return h("figure", {},
    h("svg", { class: "chart", viewBox: `0 0 ${bars * 10} 90`, preserveAspectRatio: "none", role: "img", "aria-label": summary },
      h("line", { x1: 0, x2: bars * 10, y1: 89, y2: 89 }),
      counts.map((count, place) => count && h("rect", {
        x: place * 10 + 1, width: 8, y: 89 - (count / highest) * 86, height: (count / highest) * 86,
      }, h("title", {}, `${count} from ${when(histogram[place])}`)))),
    h("figcaption", { class: "quiet" }, summary));
}

async function showError(id) {
  const content = h("div", { class: "card" });

  async function draw() {
    const [error, { data: destinations }] = await Promise.all([
      call("GET", `errors/${encodeSegment(id)}`), call("GET", "destinations?limit=100"),
    ]);
    const deliveriesById = new Map(error.deliveries.map((delivery) => [delivery.destinationId, delivery]));
    const destinationsById = new Map(destinations.map((destination) => [destination.destinationId, destination]));
    const cards = [...new Set([...destinationsById.keys(), ...deliveriesById.keys()])].map((destinationId) => {
      const [delivery, destination] = [deliveriesById.get(destinationId), destinationsById.get(destinationId)];
      return h("div", { class: "card" },
        h("div", { class: "row spread" },
          h("strong", {}, destination ? destinationName(destination) : `Deleted destination ${destinationId}`),
          badge(delivery ? delivery.status : "not sent", { delivered: "good", failed: "bad", pending: "warn" }[delivery?.status] ?? "quiet")),
        delivery?.attempts.map((attempt) => h("p", { class: "quiet" }, timeElement(attempt.at),
          ` · ${attempt.status ?? "no response"} · ${attempt.latencyMs} ms · `, h("code", {}, excerpt(attempt.response)))),
        delivery?.nextAttemptAt && h("p", { class: "quiet" }, "Next attempt: ", timeElement(delivery.nextAttemptAt)),
        destination && button("Replay", async () => {
          await replay(destinationId, [error._id]);
          await draw();
        }, "", `replay-${destinationId}`));
    });
    redraw(content,
      h("pre", { tabindex: 0, "aria-label": "Error text" }, error.error),
      definitionList([["Time", timeElement(error.createdAt)], ["Block type", error.blockType], ["Block", error.blockId], ["Execution", error.executionId],
        ["Workflow", error.workflowId], ["User", error.userId], ["Id", error._id]]),
      h("h3", {}, "Deliveries"), cards.length ? cards : h("p", { class: "quiet" }, "No destinations."));
  }

  await draw();
  dialog("Error", content);
}

// Replays errors and announces the progress.
async function replay(destinationId, errorIds) {
  const { replayId } = await call("POST", `destinations/${encodeSegment(destinationId)}/replay`, { errorIds });
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const { status, found, delivered, failed } = await call("GET", `replays/${encodeSegment(replayId)}`);
    if (status !== "running") {
      announce(found ? `Replayed: ${delivered} delivered, ${failed} failed.` : "No errors to replay. The filter of the destination may exclude them.", 20000);
      return;
    }
    announce("Replaying …");
    await new Promise((resolve) => { setTimeout(resolve, 500); });
  }
  announce("The replay is still running. The delivery is pending.", 20000);
}
