// Errors: chart, groups of similar errors, and the newest ones, with filters.

import { Fragment, h, useEffect, useMemo, useRef, useState } from "./preact.js";
import { call, query, readPage } from "./api.js";
import { IntegrationFilter } from "./catalogue.js";
import { Chart } from "./chart.js";
import { useData, useFormer, usePolling } from "./data.js";
import { areNewestOnly, Groups, GroupSummary, groupsTitle } from "./error_groups.js";
import { Chips, FilterField, FilterSelect } from "./forms.js";
import { announce } from "./messages.js";
import { UserField, UserLink, WorkflowLink, useNames } from "./names.js";
import { ErrorPanel } from "./record_panels.js";
import { changed, go, goBackTo, link, useAddress, useTitle } from "./route.js";
import { pagesOf, RangeChoice, rangeOf } from "./time_range.js";
import { Time } from "./times.js";
import { Code, Empty, excerpt, LiveNotice, PageLinks, plural, Problem, Skeleton, Table, Tabs, Toggle } from "./ui.js";

export { ErrorsPage };

const PAGE_SIZE = 50;
// Filters of the API, which are parameters of the address with the same names.
const FILTERS = ["workflowId", "userId", "blockType", "integrationId", "executionId", "fingerprint"];
// Updates without new errors after which everything is loaded again: errors may be reported late,
// and old ones leave the range.
const UPDATES_UNTIL_RELOAD = 6;
// Time by which the clock of an engine may be ahead of that of the browser without being wrong.
const CLOCK_TOLERANCE_MS = 5000;
// Time after a movement of the pointer, or a key, within which the user may open the row below.
const USE_MS = 3000;
const STATUS_CODE = /(?:status|code|HTTP)\D{0,12}([1-5]\d\d)\b/i;

const statusCode = (error) => STATUS_CODE.exec(error)?.[1] ?? "";

function ErrorsPage() {
  const { parameters } = useAddress();
  const { view = "groups", error, text = "", status = "", cursor } = parameters;
  const filters = Object.fromEntries(FILTERS.map((name) => [name, parameters[name]]));
  // A preset ends now, and moves with every request.
  const range = () => rangeOf(parameters, "24h");
  const [isLive, setLive] = useState(true);
  useTitle("Errors");
  const key = JSON.stringify([filters, parameters.range, parameters.since, parameters.until]);
  const overview = useData(`groups ${key}`, () => call("GET", `errors/groups${query({ ...filters, ...range() })}`));
  const list = useData(`errors ${key} ${cursor ?? ""} ${view}`, async () => {
    if (view !== "list" && !filters.fingerprint) return null;
    // The cursor of the next page is that of this range.
    const present = range();
    return { ...(await readPage("logs", { ...filters, ...present, limit: PAGE_SIZE, cursor })), range: present };
  });
  const isList = view === "list" || Boolean(filters.fingerprint);

  const isFollowing = isLive && !parameters.until && Boolean(overview.data);
  const live = useNewErrors(overview, isList && !cursor ? list : null, { filters, range, key, isActive: isFollowing });
  // The former chart and groups stay, dimmed, while others are loaded.
  const shown = useFormer(overview);
  const dimmed = overview.data ? {} : { class: "former", "aria-busy": "true" };
  const codes = useMemo(
    () =>
      [...new Set((shown?.groups ?? []).map(({ example }) => statusCode(example.error)))].filter(Boolean).toSorted(),
    [shown],
  );
  const matches = ({ error: found }) =>
    (!text || found.toLowerCase().includes(text.toLowerCase())) && (!status || statusCode(found) === status);
  const nothing = filtersOf(parameters).length
    ? "No error in this time range matches the filters."
    : "Nothing failed in this time range.";
  const isShownLive = isLive && !parameters.until && ![overview, list, live].some(({ problem }) => problem);
  const group =
    filters.fingerprint && overview.data?.groups.find(({ fingerprint }) => fingerprint === filters.fingerprint);
  return h(
    Fragment,
    {},
    h(
      "div",
      { class: "row spread" },
      h("h1", { tabIndex: -1 }, "Errors"),
      h(
        "div",
        { class: "row" },
        h("span", { class: `live ${isShownLive ? "good" : "quiet"}` }, isShownLive ? "Live" : "Not live"),
        h(Toggle, {
          isOn: isLive && !parameters.until,
          disabled: Boolean(parameters.until),
          label: "Follow new errors",
          action: async () => setLive(!isLive),
        }),
      ),
    ),
    h("div", { class: "row" }, h(RangeChoice, { parameters, fallback: "24h" })),
    h(FilterBar, { parameters, groups: shown?.groups, codes }),
    h(LiveNotice, { live }),
    h(Problem, {
      problem: !live.problem && (overview.problem ?? list.problem),
      retry: async () => (await overview.reload()) ?? list.reload(),
    }),
    shown
      ? h(
          "div",
          dimmed,
          h(Chart, {
            ...shown,
            isNewest: areNewestOnly(shown),
            note: text || status ? "before the search and the status code" : "",
            select: (since, until) =>
              go(changed({ range: null, since: since.toISOString(), until: until.toISOString(), cursor: null })),
          }),
        )
      : overview.isLoading && h(Skeleton, { rows: 6 }),
    filters.fingerprint
      ? h(GroupSummary, { group, isLoading: overview.isLoading && !overview.data, errors: list.data?.errors })
      : h(Tabs, {
          label: "View",
          present: view,
          tabs: [
            ["groups", groupsTitle(shown?.groups, matches), changed({ view: null, cursor: null })],
            ["list", "Newest first", changed({ view: "list", cursor: null })],
          ],
        }),
    isList
      ? h(ErrorList, { ...list, matches, nothing, pages: pagesOf(parameters, list.data?.range ?? range(), "24h") })
      : (shown && h("div", dimmed, h(Groups, { ...shown, matches, nothing }))) ||
          (overview.isLoading && h(Skeleton, { rows: 8 })),
    error && h(ErrorPanel, { id: error, key: error, close: () => goBackTo(changed({ error: null })) }),
  );
}

let usedAt = 0;
for (const type of ["pointermove", "keydown"])
  addEventListener(type, () => {
    usedAt = Date.now();
  });

// Whether the user is about to open a row, which must not move away.
const isRowInUse = () =>
  Date.now() - usedAt < USE_MS && document.querySelector("main tbody tr:is(:hover, :has(:focus-visible))") !== null;

// Follows the errors that match the filters, and loads the overview and the list again when there
// are new ones. Returns the state of polling.
function useNewErrors(overview, list, { filters, range, key, isActive }) {
  // Those since the newest known one are few.
  const newest = useRef(null);
  const known = useRef(new Set());
  const idleUpdates = useRef(0);
  useEffect(() => {
    newest.current = null;
    known.current = new Set();
    idleUpdates.current = 0;
  }, [key]);
  const reload = async () => {
    const problems = await Promise.all([overview.reload(), list?.reload()]);
    const problem = problems.find(Boolean);
    if (problem) throw problem;
    idleUpdates.current = 0;
  };
  return usePolling(
    async (isWanted) => {
      if ((idleUpdates.current += 1) >= UPDATES_UNTIL_RELOAD && !isRowInUse()) {
        await reload();
        return false;
      }
      const { groups } = overview.data;
      // The clock of an engine may be ahead: newer errors of others are earlier.
      const present = new Date(Date.now() + CLOCK_TOLERANCE_MS).toISOString();
      const latest = (times) =>
        times
          .filter((time) => time <= present)
          .toSorted()
          .at(-1);
      const since = newest.current ?? latest([range().since ?? "", ...groups.map(({ lastSeen }) => lastSeen)]);
      const { errors, cursor: hasMore } = await call("GET", `logs${query({ ...filters, since, limit: PAGE_SIZE })}`);
      if (!isWanted()) return false;
      // Which ones of a group from the future are shown is not known at first.
      const isFromFuture = groups.some(({ lastSeen }) => lastSeen > present);
      const isKnown = newest.current
        ? ({ _id }) => known.current.has(_id)
        : ({ createdAt }) => isFromFuture || createdAt <= since;
      const added = errors.filter((found) => !isKnown(found));
      // They are found again if the page cannot show them now.
      if (added.length && isRowInUse()) {
        idleUpdates.current = 0;
        return true;
      }
      if (added.length) await reload();
      if (!isWanted()) return false;
      known.current = new Set(errors.map(({ _id }) => _id));
      newest.current = latest([since, ...errors.map(({ createdAt }) => createdAt)]);
      if (!added.length) return false;
      announce(`${plural(added.length, "new error")}${hasMore ? " or more" : ""}.`);
      return true;
    },
    { isActive, key },
  );
}

// Names of the filters in the address.
const filtersOf = (parameters) => [...FILTERS, "status", "text"].filter((name) => parameters[name]);
const withoutFilters = ({ view, range, since, until }) => link(["errors"], { view, range, since, until });

function FilterBar({ parameters, groups = [], codes }) {
  const { users, workflows } = useNames();
  const blocks = [
    ...new Set([parameters.blockType, ...groups.map(({ blockType }) => blockType)].filter(Boolean)),
  ].toSorted();
  const chips = [
    parameters.workflowId && [
      "workflowId",
      `Workflow ${workflows.get(parameters.workflowId) ?? parameters.workflowId}`,
    ],
    parameters.userId && ["userId", `User ${users.get(parameters.userId) ?? parameters.userId}`],
    parameters.fingerprint && ["fingerprint", "One group of errors"],
  ].filter(Boolean);
  const [isOpen, setOpen] = useState(false);
  const count = filtersOf(parameters).length;
  return h(
    "div",
    { class: "filters" },
    h(
      "button",
      { type: "button", class: "fold", "aria-expanded": String(isOpen), onClick: () => setOpen(!isOpen) },
      count ? `Filters (${count})` : "Filters",
    ),
    h(FilterSelect, { label: "Block type", name: "blockType", options: blocks.map((block) => [block]) }),
    h(IntegrationFilter),
    h(FilterSelect, {
      label: "Status code",
      name: "status",
      options: [...new Set([...codes, parameters.status].filter(Boolean))].map((code) => [code]),
    }),
    h(UserField),
    h(FilterField, { label: "Execution", name: "executionId" }),
    h(FilterField, { label: "Error", name: "error" }),
    h(
      "label",
      {},
      "Search loaded errors",
      h("input", {
        type: "search",
        value: parameters.text ?? "",
        onInput: (event) => go(changed({ text: event.currentTarget.value }), { replace: true }),
      }),
    ),
    count > 0 &&
      h("div", { class: "row" }, h(Chips, { chips }), h("a", { href: withoutFilters(parameters) }, "Clear filters")),
  );
}

function ErrorList({ data, isLoading, matches, nothing, pages }) {
  if (!data) return isLoading ? h(Skeleton, { rows: 8 }) : h(PageLinks, pages);
  const { errors } = data;
  const shown = errors.filter(matches);
  return h(
    Fragment,
    {},
    shown.length
      ? h(
          Table,
          { titles: ["Time", "Error", "Block", "Workflow", "User"] },
          shown.map((found) =>
            h(
              "tr",
              { key: `${found._id}/${found.workflowId}` },
              h("td", { class: "nowrap" }, h(Time, { at: found.createdAt })),
              h(
                "td",
                { class: "text main" },
                h("a", { href: changed({ error: found._id }) }, excerpt(found.error, 200)),
              ),
              h("td", {}, h(Code, { text: found.blockType })),
              h("td", {}, h(WorkflowLink, { id: found.workflowId })),
              h("td", {}, h(UserLink, { id: found.userId })),
            ),
          ),
        )
      : h(
          Empty,
          { title: "No errors", cursor: !errors.length && data.cursor },
          errors.length ? "No loaded error matches the search and the status code." : nothing,
        ),
    h(PageLinks, { ...pages, cursor: data.cursor, older: "Older errors" }),
  );
}
